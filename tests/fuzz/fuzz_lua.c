/* fuzz_lua.c - any body: a verdict without a crash, whole, owned by its arena and repeatable.
 *
 * The first byte chooses script or library. */
#include "respgate/script.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void argument_check(const struct script_argument *argument)
{
    for (size_t i = 0; i < argument->count; i++) {
        const struct script_value *value = &argument->values[i];
        ASSERT(value->kind != SCRIPT_LITERAL || value->literal.ptr);
    }
}

/* Its bytes are all there after the body went, and its claims agree. */
static void script_check(const struct script *script, struct arena *arena)
{
    ASSERT((script->verdict == SCRIPT_ACCEPTED) == (script->reason == NULL));
    ASSERT(script->verdict == SCRIPT_ACCEPTED || script->call_count == 0);
    for (const char *p = script->reason; p && *p; p++)
        ASSERT(*p >= ' ' && *p <= '~');
    for (size_t i = 0; i < script->call_count; i++) {
        const struct script_call *call = &script->calls[i];
        ASSERT(call->line > 0 && (call->name_argument ? call->name.len == 0 : !!call->name.ptr));
        for (uint32_t a = 0; a < call->argc; a++)
            argument_check(&call->args[a]);
        argument_check(&call->rest);
    }
    (void)script_keys(arena, script, command_table_builtin());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    enum script_kind kind = data[0] & 1 ? SCRIPT_LIBRARY : SCRIPT_EVAL;
    struct arena *arena = arena_new();
    char *body = xmalloc(size); /* exact, so that reads behind its end are seen */
    memcpy(body, data + 1, size - 1);
    body = xrealloc(body, size - 1);
    const struct script *one = script_inspect(arena, kind, (struct str){body, size - 1});
    const struct script *two = script_inspect(arena, kind, (struct str){body, size - 1});
    free(body);
    ASSERT(one->verdict == two->verdict && one->call_count == two->call_count);
    ASSERT(one->line == two->line);
    script_check(one, arena);
    arena_free(arena);
    return 0;
}
