/* limits.c - what a limit rule that holds costs a request, and the memory of a million addresses.
 */
#include <stdio.h>
#include <stdlib.h>

#include "respgate/policy.h"

enum { PASSES = 2000000, ROUNDS = 7, ADDRESSES = 1000000 };

static const char text[] =
    "[rule a]\ncommands = set\naction = limit\nrate = 1000000000/s\nper = %s\n";

static struct policy *policy_for(const char *per)
{
    struct problems problems = {0};
    char path[] = "/tmp/limit-cost-XXXXXX";
    FILE *file = fdopen(mkstemp(path), "w");
    if (!file)
        die("cannot write %s", path);
    fprintf(file, text, per);
    fclose(file);
    struct config *config = config_load(path, NULL, &problems);
    remove(path);
    if (!config)
        die("%.*s", (int)problems.text.len, problems.text.ptr);
    struct policy *policy = policy_compile(config, command_table_builtin(), &problems);
    policy_inherit(policy, NULL, clock_ns());
    return policy;
}

static double measure(const struct policy *policy, struct question *question)
{
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = clock_ns();
        for (int pass = 0; pass < PASSES; pass++) {
            struct shape shape;
            policy_shape(policy, question, start + (uint64_t)pass, &shape);
        }
        double each = (double)(clock_ns() - start) / PASSES;
        best = each < best ? each : best;
    }
    return best;
}

/* Kilobytes resident. */
static long resident(void)
{
    long pages = 0, size = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2)
        die("cannot read statm");
    fclose(file);
    return pages * 4;
}

static void flood(const struct policy *policy, struct subject *subject,
                  const struct question *question)
{
    long before = resident();
    uint64_t start = clock_ns();
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        struct shape shape;
        memcpy(subject->address.ip, &i, sizeof(i));
        policy_shape(policy, question, start, &shape); /* the clock stands: none is forgotten */
    }
    printf("%d addresses: %.1f MB, %.0f ns each\n", ADDRESSES, (double)(resident() - before) / 1024,
           (double)(clock_ns() - start) / ADDRESSES);
}

int main(void)
{
    static const char *const pers[] = {"ip", "user", "client", "rule"};
    struct str argv[] = {STR("set"), STR("session:4711"), STR("value")};
    struct key_ref keys[] = {{.arg = 1}};
    struct subject subject = {.address = {.ip = {10, 0, 0, 1}}, .user = STR("app"), .client_id = 7};
    struct question question = {.command = command_by_name(command_table_builtin(), argv[0]),
                                .argv = argv,
                                .argc = 3,
                                .keys = keys,
                                .key_count = 1,
                                .subject = &subject};
    for (size_t i = 0; i < ARRAY_LEN(pers); i++) {
        struct policy *policy = policy_for(pers[i]);
        printf("per = %-7s %5.0f ns\n", pers[i], measure(policy, &question));
        policy_free(policy);
    }
    struct policy *policy = policy_for("ip");
    flood(policy, &subject, &question);
    policy_free(policy);
}
