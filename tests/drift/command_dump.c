/* command_dump.c - shows what the command layer knows, one JSON object a line, for
 * test_commands.py to compare with a live server.
 *
 *   command_dump table           every built-in command
 *   command_dump learn < REPLY   what a raw COMMAND reply adds, then the number of bad rows
 *   command_dump ask < REQUESTS  one request a line, its arguments in hex ("-" is an empty one) */
#include "respgate/command.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const flag_names[] = {
    "write",    "readonly",     "denyoom",       "admin",
    "pubsub",   "noscript",     "blocking",      "loading",
    "stale",    "skip_monitor", "skip_slowlog",  "asking",
    "fast",     "no_auth",      "may_replicate", "no_mandatory_keys",
    "no_multi", "movablekeys",  "allow_busy",    "no_async_loading",
    "learned",
};
static const char *const key_names[] = {
    "RO",     "RW",     "OW",      "RM",         "access",         "update",
    "insert", "delete", "not_key", "incomplete", "variable_flags",
};
static const char *const request_names[] = {"default", "all_nodes", "all_shards", "multi_shard",
                                            "special"};
static const char *const response_names[] = {"default", "one_succeeded", "all_succeeded",
                                             "agg_sum", "agg_min",       "agg_logical_and",
                                             "special"};
static const char *const begin_names[] = {"unknown", "index", "keyword"};
static const char *const find_names[] = {"unknown", "range", "keynum"};

static void add_bits(struct buf *out, uint64_t bits, const char *const *names, size_t count)
{
    const char *comma = "";
    buf_text(out, "[");
    for (size_t i = 0; i < count; i++)
        if (bits >> i & 1) {
            buf_printf(out, "%s\"%s\"", comma, names[i]);
            comma = ",";
        }
    buf_text(out, "]");
}

static void add_classes(struct buf *out, uint64_t classes)
{
    const char *names[CLASS_COUNT];
    for (size_t i = 0; i < CLASS_COUNT; i++)
        names[i] = class_name((enum class_bit)i);
    add_bits(out, classes, names, CLASS_COUNT);
}

static void add_spec(struct buf *out, const struct key_spec *spec)
{
    buf_text(out, "[");
    add_bits(out, spec->flags, key_names, ARRAY_LEN(key_names));
    buf_printf(out, ",\"%s\",%d,", begin_names[spec->begin], spec->index);
    buf_json(out, str_of(spec->keyword ? spec->keyword : ""));
    buf_printf(out, ",\"%s\"", find_names[spec->find]);
    if (spec->find == FIND_RANGE)
        buf_printf(out, ",%d,%d,%d", spec->last, spec->step, spec->limit);
    if (spec->find == FIND_KEYNUM)
        buf_printf(out, ",%d,%d,%d", spec->numkeys, spec->first, spec->step);
    buf_text(out, "]");
}

static void add_command(struct buf *out, const struct command *command)
{
    buf_text(out, "{\"name\":");
    buf_json(out, str_of(command->name));
    buf_printf(out, ",\"id\":%u,\"arity\":%d,\"flags\":", command->id, command->arity);
    add_bits(out, command->flags, flag_names, ARRAY_LEN(flag_names));
    buf_text(out, ",\"classes\":");
    add_classes(out, command->classes);
    buf_text(out, ",\"maybe\":");
    add_classes(out, command->maybe);
    buf_printf(out, ",\"request\":\"%s\",\"response\":\"%s\",\"parent\":\"%s\",\"specs\":[",
               request_names[command->request_policy], response_names[command->response_policy],
               command->parent ? command->parent->name : "");
    for (size_t i = 0; i < command->spec_count; i++) {
        buf_text(out, i ? "," : "");
        add_spec(out, &command->specs[i]);
    }
    buf_printf(out, "],\"subcommands\":[%u,%u]}\n", command->first_sub, command->sub_count);
}

static void print(struct buf *out)
{
    fwrite(out->ptr, 1, out->len, stdout);
    out->len = 0;
}

static void dump_from(const struct command_table *table, size_t first)
{
    struct buf out = {0};
    for (size_t id = first; id < command_count(table); id++) {
        add_command(&out, command_by_id(table, id));
        print(&out);
    }
    buf_free(&out);
}

static void learn(void)
{
    struct buf reply = {0};
    struct arena *arena = arena_new();
    char piece[65536];
    size_t len, malformed;
    while ((len = fread(piece, 1, sizeof(piece), stdin)) > 0)
        buf_add(&reply, piece, len);
    struct tree *tree = tree_parse(arena, reply.ptr, reply.len);
    struct command_table *table = command_table_learn(tree, &malformed);
    dump_from(table, COMMAND_BUILTIN_COUNT);
    printf("{\"malformed\":%zu}\n", malformed);
    command_table_free(table);
    arena_free(arena);
    buf_free(&reply);
}

static void add_keys(struct buf *out, const struct command *command, const struct str *argv,
                     size_t argc)
{
    bool unknown;
    size_t count = command_keys(command, argv, argc, NULL, 0, &unknown);
    struct key_ref *refs = xcalloc(count, sizeof(*refs));
    ASSERT(command_keys(command, argv, argc, refs, count, &unknown) == count);
    buf_printf(out, ",\"unknown\":%s,\"keys\":[", unknown ? "true" : "false");
    for (size_t i = 0; i < count; i++) {
        ASSERT(refs[i].arg < argc);
        buf_printf(out, "%s[%u,", i ? "," : "", refs[i].arg);
        add_bits(out, refs[i].flags, key_names, ARRAY_LEN(key_names));
        buf_text(out, "]");
    }
    buf_text(out, "]");
    free(refs);
}

static void answer(struct buf *out, const struct str *argv, size_t argc)
{
    const struct command *command;
    enum lookup lookup = command_lookup(command_table_builtin(), argv, argc, &command);
    buf_printf(out, "{\"lookup\":%d", lookup);
    if (command) {
        buf_printf(out, ",\"name\":\"%s\"", command->name);
        add_keys(out, command, argv, argc);
        buf_text(out, ",\"classes\":");
        add_classes(out, command_classes(command, argv, argc));
        buf_printf(out, ",\"blocks\":%s", command_blocks(command, argv, argc) ? "true" : "false");
    }
    buf_text(out, "}\n");
}

/* Each argument in memory of its own size, so that a sanitizer sees a read past it. */
static struct str read_hex(const char *hex)
{
    size_t len = *hex == '-' ? 0 : strlen(hex) / 2;
    char *bytes = xmalloc(len);
    for (size_t i = 0; i < len; i++)
        sscanf(hex + 2 * i, "%2hhx", (unsigned char *)&bytes[i]);
    return (struct str){bytes, len};
}

static void ask(void)
{
    char *line = NULL;
    size_t room = 0;
    struct buf out = {0};
    while (getline(&line, &room, stdin) > 0) {
        struct str *argv = xcalloc(strlen(line), sizeof(*argv));
        size_t argc = 0;
        for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n"))
            argv[argc++] = read_hex(word);
        answer(&out, argv, argc);
        print(&out);
        for (size_t i = 0; i < argc; i++)
            free((char *)argv[i].ptr);
        free(argv);
    }
    free(line);
    buf_free(&out);
}

int main(int argc, char **argv)
{
    const char *mode = argc == 2 ? argv[1] : "";
    if (strcmp(mode, "table") == 0)
        dump_from(command_table_builtin(), 0);
    else if (strcmp(mode, "learn") == 0)
        learn();
    else if (strcmp(mode, "ask") == 0)
        ask();
    else
        return 1;
    return 0;
}
