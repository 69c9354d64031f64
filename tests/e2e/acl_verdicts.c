/* acl_verdicts.c - what the rules of a file say of each command, for test_acl.py to compare with
 * what a store says that has the lines of --print-acl.
 *
 *   acl_verdicts FILE USER    a line for each command: allow or deny, then the request
 *
 * All arguments are "1": a key, a number of keys, a pattern. */
#include "respgate/policy.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARGS_MAX = 64 };

/* The request's words, at least as many as the command asks for. */
static size_t request_of(const struct command *command, char name[64], struct str argv[ARGS_MAX])
{
    size_t argc = 0, want = (size_t)(command->arity < 0 ? 1 - command->arity : command->arity);
    snprintf(name, 64, "%s", command->name);
    char *bar = strchr(name, '|');
    if (bar)
        *bar = '\0';
    argv[argc++] = str_of(name);
    if (bar)
        argv[argc++] = str_of(bar + 1);
    while (argc < want && argc < ARGS_MAX)
        argv[argc++] = STR("1");
    return argc;
}

static void verdict_print(const struct policy *policy, const struct subject *subject,
                          const struct command *command)
{
    char name[64];
    struct str argv[ARGS_MAX];
    struct key_ref keys[ARGS_MAX];
    struct verdict verdict;
    size_t argc = request_of(command, name, argv);
    struct question question = {
        .command = command,
        .argv = argv,
        .argc = argc,
        .keys = keys,
        .subject = subject,
    };
    size_t count = command_keys(command, argv, argc, keys, ARGS_MAX, &question.keys_unknown);
    for (size_t i = 0; i < count; i++)
        if (!(keys[i].flags & KEY_NOT_KEY))
            keys[question.key_count++] = keys[i];
    policy_judge(policy, &question, &verdict);
    printf("%s", verdict.kind == VERDICT_DENY ? "deny" : "allow");
    for (size_t i = 0; i < argc; i++)
        printf(" %s", argv[i].ptr);
    printf("\n");
}

int main(int argc, char **argv)
{
    struct problems problems = {0};
    struct config_overrides overrides = {0};
    const struct command_table *commands = command_table_builtin();
    if (argc != 3)
        return 2;
    struct config *config = config_load(argv[1], &overrides, &problems);
    struct policy *policy = config ? policy_compile(config, commands, &problems) : NULL;
    if (problems.text.len)
        fwrite(problems.text.ptr, 1, problems.text.len, stderr);
    if (!policy)
        return 1;
    struct subject subject = {.user = str_of(argv[2])};
    for (size_t id = 0; id < command_count(commands); id++)
        if (command_by_id(commands, id)->sub_count == 0)
            verdict_print(policy, &subject, command_by_id(commands, id));
    policy_free(policy);
    config_free(config);
    problems_free(&problems);
    return 0;
}
