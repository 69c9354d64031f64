/* reference.c - slow evaluators of the clauses about sizes, answers, times and channels. */
#include "reference.h"

static bool is(const struct question *q, const char *name)
{
    return strcmp(q->command->name, name) == 0;
}

static bool word_is(struct str arg, const char *word)
{
    return str_equal_nocase(arg, str_of(word));
}

/* ---- sizes ---- */

static bool sizes_hold(const struct config_rule *rule, const struct question *q)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < q->argc; i++)
        bytes += q->argv[i].len;
    if (rule->min_args && q->argc - 1 < rule->min_args)
        return false;
    if (rule->min_bytes && bytes < rule->min_bytes)
        return false;
    if (rule->min_keys && q->keys_unknown)
        return rule->action != ACTION_ALLOW;
    return !rule->min_keys || q->key_count >= rule->min_keys;
}

/* ---- times to live ---- */

struct ttl {
    bool unknown, none; /* none: the key is left without */
    double ms;          /* 0: not set */
};

static void ttl_time(struct ttl *ttl, struct str text, double unit)
{
    bool digits = text.len > 0 && text.len < 16;
    for (size_t i = 0; i < text.len; i++)
        digits &= (text.ptr[i] >= '0' && text.ptr[i] <= '9') || (i == 0 && text.ptr[i] == '-');
    ttl->unknown |= !digits;
    ttl->ms = strtod(text.ptr, NULL) * unit;
}

static struct ttl ttl_of(const struct question *q)
{
    struct ttl ttl = {0};
    if (is(q, "mset"))
        ttl.none = true;
    if (is(q, "expire") || is(q, "setex"))
        ttl_time(&ttl, q->argv[2], 1000);
    if (!is(q, "set") && !is(q, "getex"))
        return ttl;
    ttl.none = is(q, "set");
    for (size_t i = is(q, "set") ? 3 : 2; i < q->argc; i++) {
        bool ex = word_is(q->argv[i], "ex"), px = word_is(q->argv[i], "px");
        if ((ex || px) && i + 1 < q->argc) {
            ttl_time(&ttl, q->argv[++i], ex ? 1000 : 1);
            ttl.none = false;
        } else if (word_is(q->argv[i], "keepttl")) {
            ttl.none = false;
        } else if (word_is(q->argv[i], "persist")) {
            ttl.none = true;
        } else if (!word_is(q->argv[i], "nx")) {
            ttl.unknown = true;
        }
    }
    return ttl;
}

static bool ttl_holds(const struct config_rule *rule, const struct question *q)
{
    struct ttl ttl = ttl_of(q);
    if ((rule->without_ttl || rule->max_ttl) && ttl.unknown) {
        bool known_command = !rule->without_ttl || is(q, "set") || is(q, "getex");
        return known_command && rule->action != ACTION_ALLOW;
    }
    if (rule->without_ttl && !ttl.none)
        return false;
    return !rule->max_ttl || ttl.ms > (double)rule->max_ttl;
}

/* ---- channels ---- */

/* All texts of up to four letters of what the patterns of the test are made of. */
static bool some_channel(bool (*wanted)(struct str channel, const void *context),
                         const void *context)
{
    static const char letters[] = "anbx";
    for (size_t len = 0; len <= 4; len++)
        for (size_t code = 0; code < (1u << (2 * len)); code++) {
            char text[4] = "";
            for (size_t i = 0; i < len; i++)
                text[i] = letters[code >> (2 * i) & 3];
            if (wanted((struct str){text, len}, context))
                return true;
        }
    return false;
}

struct two_globs {
    struct str a, b;
};

static bool both_match(struct str channel, const void *context)
{
    const struct two_globs *globs = context;
    return glob_match(globs->a, channel) && glob_match(globs->b, channel);
}

static bool overlap(struct str a, struct str b)
{
    struct two_globs globs = {a, b};
    return some_channel(both_match, &globs);
}

/* Proven the documented way: the same pattern, or "head*" before a pattern that begins so. */
static bool covers(struct str outer, struct str pattern)
{
    size_t head = outer.len - 1;
    bool prefix =
        outer.ptr[head] == '*' && head <= pattern.len && memcmp(outer.ptr, pattern.ptr, head) == 0;
    for (size_t i = 0; i < head; i++)
        prefix &= memchr("*?[\\", outer.ptr[i], 4) == NULL;
    return prefix || str_equal(outer, pattern);
}

static bool channel_hits(const struct config_rule *rule, struct str text, bool pattern)
{
    bool allow = rule->action == ACTION_ALLOW, hit = false, any = false;
    for (size_t i = 0; i < rule->channels.count; i++) {
        struct str item = rule->channels.items[i];
        if (item.ptr[0] == '!')
            continue;
        any = true;
        hit |= !pattern ? glob_match(item, text)
               : allow  ? str_equal(item, text)
                        : overlap(item, text);
    }
    if (!any)
        hit = !pattern || !allow || str_equal(text, STR("*"));
    for (size_t i = 0; i < rule->channels.count; i++) {
        struct str item = rule->channels.items[i];
        if (item.ptr[0] != '!')
            continue;
        item = (struct str){item.ptr + 1, item.len - 1};
        if (!pattern ? glob_match(item, text) : allow ? overlap(item, text) : covers(item, text))
            hit = false;
    }
    return hit;
}

static bool channels_hold(const struct config_rule *rule, const struct question *q)
{
    bool pattern = is(q, "psubscribe");
    size_t hits = 0, count = is(q, "publish") || is(q, "spublish") ? 1 : q->argc - 1;
    if (!rule->channels.count)
        return true;
    if (!pattern && !is(q, "publish") && !is(q, "spublish") && !is(q, "subscribe"))
        return false;
    for (size_t i = 1; i <= count; i++)
        hits += channel_hits(rule, q->argv[i], pattern);
    return rule->action == ACTION_ALLOW ? hits == count : hits > 0;
}

/* ---- answers ---- */

/* How many elements the command would answer with, were there so many. */
static int64_t answer(const struct question *q, int64_t length)
{
    int64_t hits = 0;
    if (is(q, "srandmember")) {
        long long n = strtoll(q->argv[2].ptr, NULL, 10);
        return n < 0 ? -n : n < length ? n : length;
    }
    if (!is(q, "lrange"))
        return length;
    long long from = strtoll(q->argv[2].ptr, NULL, 10), to = strtoll(q->argv[3].ptr, NULL, 10);
    for (int64_t i = 0; i < length; i++)
        hits += (from < 0 ? i - length : i) >= from && (to < 0 ? i - length : i) <= to;
    return hits;
}

static bool answer_holds(const struct config_rule *rule, const struct question *q, bool *ask)
{
    int64_t bound = 0;
    if (!rule->unbounded)
        return true;
    if (!is(q, "srandmember") && !is(q, "lrange") && !is(q, "hgetall") && !is(q, "sunion") &&
        !is(q, "sort"))
        return false;
    for (int64_t length = 0; length < 60; length++)
        bound = answer(q, length) > bound ? answer(q, length) : bound;
    bool open = answer(q, 59) > answer(q, 40);
    if (!rule->min_elements)
        return open;
    if (!open)
        return bound > (int64_t)rule->min_elements;
    if (q->asked == ELEMENTS_ASKED && q->elements >= 0)
        return answer(q, q->elements) > (int64_t)rule->min_elements;
    *ask = q->asked == ELEMENTS_MAY_ASK;
    return *ask || rule->action != ACTION_ALLOW;
}

bool ref_clauses(const struct config_rule *rule, const struct question *q, bool *ask)
{
    *ask = false;
    return q->pressure >= rule->when && sizes_hold(rule, q) && ttl_holds(rule, q) &&
           channels_hold(rule, q) && answer_holds(rule, q, ask);
}
