/* level.c - usage to a level, with hysteresis: a level once reached ends only below resume, so that
 * a node at its edge does not flap. */
#include "respgate/pressure.h"

const char *pressure_name(enum pressure level)
{
    switch (level) {
    case PRESSURE_NORMAL: return "normal";
    case PRESSURE_HIGH: return "high";
    case PRESSURE_CRITICAL: return "critical";
    }
    return "?";
}

uint64_t pressure_amount(uint64_t limit, unsigned percent)
{
    unsigned __int128 product = (unsigned __int128)limit * percent + 99;
    return (uint64_t)(product / 100);
}

unsigned pressure_percent(uint64_t used, uint64_t limit)
{
    if (limit == 0)
        return 0;
    unsigned __int128 percent = (unsigned __int128)used * 100 / limit;
    return percent > 999 ? 999 : (unsigned)percent;
}

enum pressure pressure_next(enum pressure now, uint64_t used, uint64_t limit,
                            const struct thresholds *thresholds)
{
    if (limit == 0 || used < pressure_amount(limit, thresholds->resume))
        return PRESSURE_NORMAL;
    if (used >= pressure_amount(limit, thresholds->critical))
        return PRESSURE_CRITICAL;
    if (used >= pressure_amount(limit, thresholds->high) && now == PRESSURE_NORMAL)
        return PRESSURE_HIGH;
    return now;
}
