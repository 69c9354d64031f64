/*
 * rewrite.c - requests that get what a rule adds: a bound for a stream, a time to live, ASYNC.
 *
 * What a client says itself may be stricter, never laxer. A request Redis will refuse anyway
 * (options that contradict each other, numbers that are none) is left to Redis.
 */
#include "internal.h"

#include <stdio.h>

/* ---- what `add` says ---- */

static bool word_next(struct str *rest, struct str *word)
{
    while (rest->len && *rest->ptr == ' ')
        *rest = (struct str){rest->ptr + 1, rest->len - 1};
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] != ' ')
        len++;
    *word = (struct str){rest->ptr, len};
    *rest = (struct str){rest->ptr + len, rest->len - len};
    return len > 0;
}

bool rewrite_parse(struct str text, struct rewrite *out)
{
    struct str word, number, none;
    *out = (struct rewrite){.kind = ADD_NONE};
    if (!word_next(&text, &word))
        return false;
    if (str_equal_nocase(word, STR("async"))) {
        out->kind = ADD_ASYNC;
        return !word_next(&text, &none);
    }
    out->kind = str_equal_nocase(word, STR("maxlen")) ? ADD_MAXLEN
                : str_equal_nocase(word, STR("ex"))   ? ADD_EX
                                                      : ADD_NONE;
    bool more = word_next(&text, &number);
    if (out->kind == ADD_MAXLEN && more &&
        (str_equal(number, STR("~")) || str_equal(number, STR("=")))) {
        out->exactly = *number.ptr == '=';
        more = word_next(&text, &number);
    } else {
        out->exactly = out->kind == ADD_MAXLEN; /* as in Redis */
    }
    /* Redis keeps a time to live in milliseconds. */
    return out->kind != ADD_NONE && more && str_to_int(number, &out->number) && out->number > 0 &&
           out->number < INT64_MAX / 2000 && !word_next(&text, &none);
}

/* ---- arguments ---- */

/* A request under change. */
struct edit {
    struct arena *arena;
    struct str *argv;
    size_t argc;
};

static bool argument_is(const struct edit *edit, size_t at, const char *word)
{
    return at < edit->argc && str_equal_nocase(edit->argv[at], str_of(word));
}

static struct str number_text(struct edit *edit, int64_t number)
{
    return str_of(arena_printf(edit->arena, "%lld", (long long)number));
}

/* Puts `count` arguments in the place of `gone` at `at`. */
static void replace(struct edit *edit, size_t at, size_t gone, const struct str *with, size_t count)
{
    size_t argc = edit->argc - gone + count;
    struct str *argv = arena_alloc(edit->arena, argc * sizeof(*argv));
    memcpy(argv, edit->argv, at * sizeof(*argv));
    if (count)
        memcpy(argv + at, with, count * sizeof(*argv));
    memcpy(argv + at + count, edit->argv + at + gone, (edit->argc - at - gone) * sizeof(*argv));
    edit->argv = argv;
    edit->argc = argc;
}

/* ---- XADD ---- */

/* Its trim options, as Redis parses them (t_stream.c, streamParseAddOrTrimArgsOrReply): the first
 * argument that is no option is the id. */
struct trim {
    size_t at, end;     /* of MAXLEN or MINID with its threshold; at 0: none */
    size_t limit;       /* of LIMIT; 0: none */
    size_t id;          /* where the options end */
    bool minid, broken; /* broken: Redis refuses it */
};

static struct trim trim_find(const struct edit *edit)
{
    struct trim trim = {0};
    size_t at = 2;
    while (at < edit->argc) {
        bool minid = argument_is(edit, at, "minid");
        if (argument_is(edit, at, "nomkstream")) {
            at++;
        } else if ((minid || argument_is(edit, at, "maxlen")) && at + 1 < edit->argc) {
            bool sign = argument_is(edit, at + 1, "~") || argument_is(edit, at + 1, "=");
            trim.broken |= trim.at > 0;
            trim.at = at;
            trim.minid = minid;
            at = trim.end = at + (sign ? 3 : 2);
        } else if (argument_is(edit, at, "limit") && at + 1 < edit->argc) {
            trim.broken |= trim.limit > 0;
            trim.limit = at;
            at += 2;
        } else {
            break;
        }
    }
    trim.id = at;
    trim.broken |= at >= edit->argc || (trim.limit && !trim.at);
    return trim;
}

static bool xadd_add(struct edit *edit, const struct rewrite *add)
{
    struct str clause[] = {STR("MAXLEN"), add->exactly ? STR("=") : STR("~"),
                           number_text(edit, add->number)};
    struct trim trim = trim_find(edit);
    int64_t own = 0;
    if (trim.broken)
        return false;
    if (!trim.at) {
        replace(edit, trim.id, 0, clause, ARRAY_LEN(clause));
        return true;
    }
    bool bounded =
        !trim.minid && str_to_int(edit->argv[trim.end - 1], &own) && own >= 0 && own <= add->number;
    if (bounded && !trim.limit)
        return false;
    if (trim.limit > trim.at) /* the later one first, so that places stay */
        replace(edit, trim.limit, 2, NULL, 0);
    if (!bounded)
        replace(edit, trim.at, trim.end - trim.at, clause, ARRAY_LEN(clause));
    if (trim.limit && trim.limit < trim.at)
        replace(edit, trim.limit, 2, NULL, 0);
    return true;
}

/* ---- SET, GETSET ---- */

/* Milliseconds from now that an option of SET means; -1: it is none, or no number. */
static int64_t option_lifetime(const struct edit *edit, size_t at)
{
    static const struct {
        const char *name;
        int64_t unit;
        bool absolute;
    } forms[] = {{"ex", 1000, false}, {"px", 1, false}, {"exat", 1000, true}, {"pxat", 1, true}};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        int64_t number, ms;
        if (!argument_is(edit, at, forms[i].name) || at + 1 >= edit->argc)
            continue;
        if (!str_to_int(edit->argv[at + 1], &number) || number <= 0 ||
            __builtin_mul_overflow(number, forms[i].unit, &ms))
            return -1;
        return forms[i].absolute ? ms - clock_wall() * 1000 : ms;
    }
    return -1;
}

static bool is_lifetime(const struct edit *edit, size_t at)
{
    return argument_is(edit, at, "ex") || argument_is(edit, at, "px") ||
           argument_is(edit, at, "exat") || argument_is(edit, at, "pxat");
}

/* The next option of SET from `at` on that has to do with time; argc: none. Of IFEQ (Valkey 8.1)
 * the value may read like one. */
static size_t time_option(const struct edit *edit, size_t at)
{
    for (; at < edit->argc; at++) {
        if (argument_is(edit, at, "ifeq"))
            at++;
        else if (is_lifetime(edit, at) || argument_is(edit, at, "keepttl"))
            return at;
    }
    return edit->argc;
}

static bool set_add(struct edit *edit, const struct rewrite *add)
{
    struct str clause[] = {STR("EX"), number_text(edit, add->number)};
    bool changed = false;
    if (edit->argc < 3)
        return false;
    size_t at = time_option(edit, 3), next;
    /* EX 1 EX 1000000: Redis goes by the last one. */
    while (is_lifetime(edit, at) && is_lifetime(edit, next = time_option(edit, at + 2))) {
        replace(edit, at, 2, NULL, 0);
        at = next - 2;
        changed = true;
    }
    if (at == edit->argc)
        replace(edit, at, 0, clause, ARRAY_LEN(clause));
    else if (is_lifetime(edit, at) && option_lifetime(edit, at) > add->number * 1000)
        replace(edit, at, 2, clause, ARRAY_LEN(clause));
    else
        return changed;
    return true;
}

/* SET key value EX n GET answers as GETSET does. */
static bool getset_add(struct edit *edit, const struct rewrite *add)
{
    struct str name = STR("SET");
    struct str clause[] = {STR("EX"), number_text(edit, add->number), STR("GET")};
    if (edit->argc != 3)
        return false;
    replace(edit, 0, 1, &name, 1);
    replace(edit, 3, 0, clause, ARRAY_LEN(clause));
    return true;
}

/* ---- FLUSHALL, FLUSHDB ---- */

static bool flush_add(struct edit *edit, const struct rewrite *add)
{
    struct str async = STR("ASYNC");
    (void)add;
    if (edit->argc != 1)
        return false;
    replace(edit, 1, 0, &async, 1);
    return true;
}

/* ---- the whole ---- */

static const struct rewrite_row {
    const char *command;
    enum addition addition;
    bool (*add)(struct edit *edit, const struct rewrite *add);
} rewrites[] = {
    {"xadd", ADD_MAXLEN, xadd_add},    {"set", ADD_EX, set_add},
    {"getset", ADD_EX, getset_add},    {"flushall", ADD_ASYNC, flush_add},
    {"flushdb", ADD_ASYNC, flush_add},
};

bool rewrite_fits(enum addition addition, const char *command)
{
    for (size_t i = 0; i < ARRAY_LEN(rewrites); i++)
        if (rewrites[i].addition == addition && strcmp(rewrites[i].command, command) == 0)
            return true;
    return false;
}

static bool edit_apply(struct edit *edit, const struct rewrite *add)
{
    for (size_t i = 0; i < ARRAY_LEN(rewrites); i++)
        if (rewrites[i].addition == add->kind && argument_is(edit, 0, rewrites[i].command))
            return rewrites[i].add(edit, add);
    return false;
}

bool policy_rewrite(const struct policy *policy, const struct question *question,
                    struct arena *arena, struct rewritten *out)
{
    const struct command_row *row = &policy->commands[question->command->id];
    struct asking asking = asking_of(policy, row, question);
    struct classes classes = {0};
    struct edit edit = {arena, (struct str *)(uintptr_t)question->argv, question->argc};
    out->rule = POLICY_NO_RULE;
    for (size_t i = 0; i < row->shape_count; i++) {
        const struct rule *rule = row->shapes[i].rule;
        if (rule->action != ACTION_REWRITE || rule->mode == RULE_OBSERVE || policy->observe ||
            !entry_matches(policy, &row->shapes[i], &asking, &classes) ||
            !edit_apply(&edit, &rule->rewrite))
            continue;
        out->rule = (uint16_t)(rule - policy->rules);
    }
    out->argv = edit.argv;
    out->argc = edit.argc;
    return out->rule != POLICY_NO_RULE;
}
