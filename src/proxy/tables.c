/* tables.c - the texts of reasons for closing, from their rows. */
#include "respgate/proxy.h"

const char *reason_text(enum reason reason)
{
    static const char *const texts[] = {
#define REASON(id, text) text,
#include "respgate/reasons.def"
#undef REASON
    };
    return texts[reason];
}
