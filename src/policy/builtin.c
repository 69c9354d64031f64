/* builtin.c - judgements that are in no file: what belongs to the proxy and to Redis itself. */
#include "internal.h"

static const struct {
    uint16_t rule;
    const char *name, *message;
} builtins[] = {
    {POLICY_LEARNED, "learned",
     "respgate does not know this command; only an allow rule that names it lets it through"},
    {POLICY_RESERVED_KEYS, "reserved-keys",
     "keys that begin with " POLICY_RESERVED " belong to the proxy"},
    {POLICY_RESERVED_CHANNELS, "reserved-channels",
     "only Redis itself publishes to __key*__:* and __redis__:*"},
};

bool builtin_has(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(builtins); i++)
        if (strcmp(builtins[i].name, name) == 0)
            return true;
    return false;
}

const char *builtin_name(uint16_t rule)
{
    for (size_t i = 0; i < ARRAY_LEN(builtins); i++)
        if (builtins[i].rule == rule)
            return builtins[i].name;
    return NULL;
}

const char *builtin_message(uint16_t rule)
{
    for (size_t i = 0; i < ARRAY_LEN(builtins); i++)
        if (builtins[i].rule == rule)
            return builtins[i].message;
    return NULL;
}

/* Forged keyspace events, and what Redis sends to itself. */
static bool channel_reserved(struct str channel)
{
    return channel.len > 0 && channel.ptr[0] == '_' &&
           (glob_match(STR("__key*__:*"), channel) || glob_match(STR("__redis__:*"), channel));
}

static bool names_reserved_key(const struct question *question, enum special special)
{
    for (size_t i = 0; i < question->key_count; i++)
        if (policy_reserved_key(question->argv[question->keys[i].arg]))
            return true;
    /* SORT k GET {respgate}:*: the key is not known, but how it begins is. */
    if (question->keys_unknown && policy_reserved_among(question->argv, question->argc))
        return true;
    struct key_pattern pattern;
    for (size_t arg = 0; special_next_pattern(question, special, &arg, &pattern);)
        if (policy_reserved_key(pattern.head))
            return true;
    return false;
}

uint16_t builtin_judge(const struct question *question, enum special special)
{
    if (unlikely(names_reserved_key(question, special)))
        return POLICY_RESERVED_KEYS;
    if (unlikely(special == SPECIAL_PUBLISH) && question->argc > 1 &&
        channel_reserved(question->argv[1]))
        return POLICY_RESERVED_CHANNELS;
    return POLICY_NO_RULE;
}
