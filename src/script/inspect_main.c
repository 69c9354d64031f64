/* inspect_main.c - script-inspect: verdicts on bodies as JSON lines, for tests and for a look.
 *
 *   script-inspect [--library] < body.lua
 *   script-inspect [--library] --many < bodies     each "LENGTH\n" and so many bytes
 */
#include "respgate/script.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const verdicts[] = {"accepted", "refused", "malformed"};

static void values_print(struct buf *out, const struct script_argument *argument)
{
    buf_text(out, "{\"values\": [");
    for (size_t i = 0; i < argument->count; i++) {
        const struct script_value *value = &argument->values[i];
        if (i)
            buf_text(out, ", ");
        switch (value->kind) {
        case SCRIPT_LITERAL: buf_json(out, value->literal); break;
        case SCRIPT_KEY: buf_printf(out, "{\"key\": %u}", value->index); break;
        case SCRIPT_ARGV: buf_printf(out, "{\"argv\": %u}", value->index); break;
        }
    }
    buf_printf(out, "], \"open\": %s}", argument->open ? "true" : "false");
}

static void call_print(struct buf *out, const struct script_call *call)
{
    buf_text(out, "{\"name\": ");
    buf_json(out, call->name);
    if (call->name_argument)
        buf_printf(out, ", \"name_argument\": %u", call->name_argument);
    if (call->first) {
        buf_text(out, ", \"first\": ");
        buf_json(out, *call->first);
    }
    buf_printf(out, ", \"line\": %u, \"args\": [", call->line);
    for (uint32_t i = 0; i < call->argc; i++) {
        buf_text(out, i ? ", " : "");
        values_print(out, &call->args[i]);
    }
    buf_text(out, "]");
    if (call->more) {
        buf_text(out, ", \"rest\": ");
        values_print(out, &call->rest);
    }
    buf_text(out, "}");
}

static void keys_print(struct buf *out, struct arena *arena, const struct script *script)
{
    struct script_keys keys = script_keys(arena, script, command_table_builtin());
    buf_printf(out, ", \"computed_line\": %u, \"literal_keys\": [", keys.computed_line);
    for (size_t i = 0; i < keys.literal_count; i++) {
        buf_text(out, i ? ", " : "");
        buf_json(out, keys.literals[i]);
    }
    buf_text(out, "], \"calls\": [");
    for (size_t i = 0; i < script->call_count; i++) {
        buf_text(out, i ? ", " : "");
        call_print(out, &script->calls[i]);
    }
    buf_text(out, "]");
}

static void body_judge(enum script_kind kind, struct str body)
{
    struct buf out = {0};
    struct arena *arena = arena_new();
    const struct script *script = script_inspect(arena, kind, body);
    buf_printf(&out, "{\"verdict\": \"%s\", \"flags\": %u", verdicts[script->verdict],
               script->flags);
    if (script->reason) {
        buf_printf(&out, ", \"line\": %u, \"reason\": ", script->line);
        buf_json(&out, str_of(script->reason));
    } else {
        keys_print(&out, arena, script);
    }
    buf_text(&out, "}\n");
    fwrite(out.ptr, 1, out.len, stdout);
    buf_free(&out);
    arena_free(arena);
}

static struct str bytes_read(size_t len)
{
    char *bytes = xmalloc(len + 1);
    if (fread(bytes, 1, len, stdin) != len)
        die("the input ends in the middle of a body");
    return (struct str){bytes, len};
}

static void many_judge(enum script_kind kind)
{
    size_t len;
    char line[32];
    while (fgets(line, sizeof(line), stdin)) {
        len = strtoul(line, NULL, 10);
        struct str body = bytes_read(len);
        body_judge(kind, body);
        free((char *)body.ptr);
        fflush(stdout);
    }
}

static void one_judge(enum script_kind kind)
{
    struct buf body = {0};
    char part[4096];
    size_t len;
    while ((len = fread(part, 1, sizeof(part), stdin)) > 0)
        buf_add(&body, part, len);
    body_judge(kind, body.ptr ? buf_view(&body) : STR(""));
    buf_free(&body);
}

int main(int argc, char **argv)
{
    enum script_kind kind = SCRIPT_EVAL;
    bool many = false;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--library") == 0)
            kind = SCRIPT_LIBRARY;
        else if (strcmp(argv[i], "--many") == 0)
            many = true;
        else
            die("usage: script-inspect [--library] [--many] < input");
    if (many)
        many_judge(kind);
    else
        one_judge(kind);
    return 0;
}
