/* inspect.c - the judgement of one body, from its bytes to the verdict. */
#include "internal.h"

struct script *script_inspect(struct arena *arena, enum script_kind kind, struct str body)
{
    struct script *script = arena_alloc(arena, sizeof(*script));
    struct parser parser = {.arena = arena_new(), .kind = kind};
    parser.call_tail = &parser.calls;
    parser.results_max = RESULTS_MAX + body.len / RESULT_BYTES;
    parser.seed = (uint64_t)random_below(UINT32_MAX) << 32 | random_below(UINT32_MAX);
    lexer_init(&parser.lexer, parser.arena, STR(""));

    /* Lua looks bytes up in strings, where NUL matches the end: it takes ".\0" for ".." and "1\0+2"
     * for 1. Nobody needs that. */
    if (body.len && memchr(body.ptr, 0, body.len))
        parser_refuse(&parser, "it has a NUL byte");
    shebang_parse(&parser, arena, &body, script);
    if (parser.verdict == SCRIPT_ACCEPTED) {
        lexer_init(&parser.lexer, parser.arena, body);
        body_parse(&parser);
    }
    if (parser.verdict == SCRIPT_ACCEPTED) {
        calls_bind(&parser);
        values_solve(&parser);
        result_make(&parser, arena, script);
    }

    script->verdict = parser.verdict;
    if (parser.verdict != SCRIPT_ACCEPTED) {
        script->reason = arena_str(arena, str_of(parser.reason));
        script->line = parser.reason_line;
        script->calls = NULL;
        script->call_count = 0;
    }
    scope_free(&parser);
    arena_free(parser.arena);
    return script;
}
