/* prefixes.c - what counting one key costs: nanoseconds for kinds of keys, the best of rounds. */
#include <stdio.h>
#include <stdlib.h>

#include "respgate/stats.h"

enum { KEYS = 4096, PASSES = 200, ROUNDS = 7 };

static char *texts[KEYS];
static struct str keys[KEYS];

static void fill(const char *format)
{
    for (unsigned i = 0; i < KEYS; i++) {
        free(texts[i]);
        texts[i] = xmalloc(96);
        unsigned letter = 'g' + i % 16, other = 'g' + i / 16 % 16, third = 'g' + i / 256;
        int len = snprintf(texts[i], 96, format, letter, other, third, 48200 + i * 7919);
        keys[i] = (struct str){texts[i], (size_t)len};
    }
}

static double measure(struct prefix_table *table)
{
    struct prefix_writer writer = {.origin = 1, .client = 1};
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = clock_ns();
        for (int pass = 0; pass < PASSES; pass++)
            for (int i = 0; i < KEYS; i++)
                prefix_wrote(table, prefix_touch(table, keys[i]), 100, &writer);
        double each = (double)(clock_ns() - start) / ((double)PASSES * KEYS);
        best = each < best ? each : best;
    }
    return best;
}

int main(void)
{
    static const struct {
        const char *name, *format;
    } kinds[] = {
        {"one prefix: key:000000048200", "key:%4$012u"},
        {"16 prefixes: job:state-?:...", "job:state-%1$c:%4$u"},
        {"256 prefixes: app-?:queue-?:...", "app-%1$c:queue-%2$c:%4$u"},
        {"an id in the middle: user:48200:cart", "user:%4$u:cart"},
        {"UUID: session:123e4567-...", "session:123e4567-e89b-12d3-a456-%4$012u"},
        {"no delimiter: plain48200", "plain%4$u"},
        {"4096 prefixes, 1000 kept", "p-%1$c%2$c%3$c:x:%4$u"},
    };
    struct str declared[60];
    static char names[60][32];
    for (unsigned i = 0; i < ARRAY_LEN(declared); i++) {
        int len = snprintf(names[i], sizeof(names[i]), "svc-%c:%s%u", 'a' + i % 12,
                           i % 5 ? "kind" : "*:kind", i);
        declared[i] = (struct str){names[i], (size_t)len};
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        for (size_t count = 0; count <= ARRAY_LEN(declared); count += ARRAY_LEN(declared)) {
            struct prefix_scheme *scheme = prefix_scheme_new(':', 2, 1000, declared, count);
            struct prefix_table *table = prefix_table_new(scheme, 1);
            fill(kinds[i].format);
            printf("%-38s %2zu declared  %5.1f ns\n", kinds[i].name, count, measure(table));
            prefix_table_free(table);
            prefix_scheme_free(scheme);
        }
    return 0;
}
