/* inspect.h - what the tests of scripts share: a verdict as one line of text. */
#ifndef RESPGATE_TESTS_SCRIPT_INSPECT_H
#define RESPGATE_TESTS_SCRIPT_INSPECT_H

#include "respgate/script.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

static inline void call_write(struct buf *out, const struct script_call *call)
{
    if (out->len)
        buf_text(out, " ");
    if (call->name_argument)
        buf_printf(out, "ARGV[%u]", call->name_argument);
    buf_str(out, call->name);
    if (call->first) {
        buf_text(out, "|");
        buf_str(out, *call->first);
    }
}

/* "SET GET|key": calls in order; or "refused 3: reason", "malformed 1: reason". */
static inline struct buf verdict_of(struct arena *arena, enum script_kind kind, struct str body)
{
    struct buf out = {0};
    const struct script *script = script_inspect(arena, kind, body);
    switch (script->verdict) {
    case SCRIPT_ACCEPTED:
        assert_null(script->reason);
        for (size_t i = 0; i < script->call_count; i++)
            call_write(&out, &script->calls[i]);
        break;
    case SCRIPT_REFUSED: buf_printf(&out, "refused %u: %s", script->line, script->reason); break;
    case SCRIPT_MALFORMED:
        buf_printf(&out, "malformed %u: %s", script->line, script->reason);
        break;
    }
    buf_add(&out, "", 1);
    return out;
}

#endif
