/* tables.c - names and meanings of counters and of reasons for closing, from their rows. */
#include "respgate/proxy.h"

const char *stat_name(enum stat_id stat)
{
    static const char *const names[] = {
#define STAT(id, name, help) name,
#include "respgate/stats.def"
#undef STAT
    };
    return names[stat];
}

const char *stat_help(enum stat_id stat)
{
    static const char *const helps[] = {
#define STAT(id, name, help) help,
#include "respgate/stats.def"
#undef STAT
    };
    return helps[stat];
}

const char *reason_text(enum reason reason)
{
    static const char *const texts[] = {
#define REASON(id, text) text,
#include "respgate/reasons.def"
#undef REASON
    };
    return texts[reason];
}
