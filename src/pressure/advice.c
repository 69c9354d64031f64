/* advice.c - what is unwise in a node's own settings; the rows are in advice.def. */
#include "respgate/pressure.h"

static const struct {
    const char *name, *text;
} rows[] = {
#define ADVICE(id, name, text) [ADVICE_##id] = {name, text},
#include "respgate/advice.def"
#undef ADVICE
};

const char *advice_name(enum advice advice)
{
    return rows[advice].name;
}

const char *advice_text(enum advice advice)
{
    return rows[advice].text;
}

static bool holds(enum advice advice, const struct info *info, const struct settings *settings)
{
    bool evicts = info->maxmemory_policy[0] && strcmp(info->maxmemory_policy, "noeviction") != 0;
    switch (advice) {
    case ADVICE_MAXMEMORY: return info->maxmemory == 0;
    case ADVICE_POLICY: return settings->queues && evicts;
    case ADVICE_AOF_MIN_SIZE:
        return info->aof_enabled == 1 && settings->volume && settings->aof_min_size > 0 &&
               (uint64_t)settings->aof_min_size > settings->volume / 2;
    case ADVICE_PASSWORD: return settings->no_password;
    case ADVICE_REPLICA: return info->connected_slaves == 0 && strcmp(info->role, "master") == 0;
    case ADVICE_PERSISTENCE: return settings->queues && info->aof_enabled == 0;
    case ADVICE_COUNT: break;
    }
    return false;
}

uint64_t advice_judge(const struct info *info, const struct settings *settings)
{
    uint64_t bits = 0;
    for (enum advice advice = 0; advice < ADVICE_COUNT; advice++)
        if (holds(advice, info, settings))
            bits |= 1ull << advice;
    return bits;
}
