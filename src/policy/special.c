/* special.c - databases and patterns of keys that some commands name in their arguments. */
#include "internal.h"

static const struct {
    const char *command;
    enum special special;
} specials[] = {
    {"copy", SPECIAL_COPY},
    {"move", SPECIAL_MOVE},
    {"swapdb", SPECIAL_SWAPDB},
    {"select", SPECIAL_SELECT},
    {"publish", SPECIAL_PUBLISH},
    {"spublish", SPECIAL_PUBLISH},
    {"subscribe", SPECIAL_SUBSCRIBE},
    {"ssubscribe", SPECIAL_SUBSCRIBE},
    {"psubscribe", SPECIAL_PSUBSCRIBE},
    {"keys", SPECIAL_KEYS},
    {"flushall", SPECIAL_FLUSHALL},
    {"scan", SPECIAL_SCAN},
    {"client|tracking", SPECIAL_TRACKING},
};

enum special special_of(const char *command)
{
    for (size_t i = 0; i < ARRAY_LEN(specials); i++)
        if (strcmp(specials[i].command, command) == 0)
            return specials[i].special;
    return SPECIAL_NONE;
}

bool special_names_db(enum special special)
{
    return special == SPECIAL_COPY || special == SPECIAL_MOVE || special == SPECIAL_SWAPDB ||
           special == SPECIAL_SELECT || special == SPECIAL_FLUSHALL;
}

/* An option with a value, to be looked for from argument `from` on, `step` arguments at a time.
 * `absent` is what a request without it means. */
struct option {
    const char *name, *absent;
    size_t from, step;
};
static const struct option copy_db = {"db", NULL, 3, 1};
/* Every option of SCAN has a value, and that may read like an option: TYPE match. */
static const struct option scan_match = {"match", "*", 2, 2};
static const struct option tracking_prefix = {"prefix", "", 3, 1};

static bool argument_is(const struct question *question, size_t arg, const char *name)
{
    return str_equal_nocase(question->argv[arg], str_of(name));
}

/* The place of the next such option's value. */
static bool next_value(const struct question *question, const struct option *option, size_t *arg)
{
    size_t i = *arg > option->from ? *arg : option->from;
    for (; i + 1 < question->argc; i += option->step)
        if (argument_is(question, i, option->name)) {
            *arg = i + 1;
            return true;
        }
    return false;
}

/* The next argument out of first..last, if the request has it. */
static bool next_place(const struct question *question, size_t first, size_t last, size_t *arg)
{
    if (*arg < first)
        *arg = first;
    return *arg <= last && *arg < question->argc;
}

bool special_next_db(const struct question *question, enum special special, size_t *arg)
{
    switch (special) {
    case SPECIAL_COPY: return next_value(question, &copy_db, arg);
    case SPECIAL_MOVE: return next_place(question, 2, 2, arg);
    case SPECIAL_SWAPDB: return next_place(question, 1, 2, arg);
    case SPECIAL_SELECT: return next_place(question, 1, 1, arg);
    case SPECIAL_NONE:
    case SPECIAL_FLUSHALL:
    case SPECIAL_PUBLISH:
    case SPECIAL_SUBSCRIBE:
    case SPECIAL_PSUBSCRIBE:
    case SPECIAL_KEYS:
    case SPECIAL_SCAN:
    case SPECIAL_TRACKING: return false;
    }
    return false;
}

bool special_next_channel(const struct question *question, enum special special, size_t *arg,
                          bool *pattern)
{
    *pattern = special == SPECIAL_PSUBSCRIBE;
    switch (special) {
    case SPECIAL_PUBLISH: return next_place(question, 1, 1, arg);
    case SPECIAL_SUBSCRIBE:
    case SPECIAL_PSUBSCRIBE: return next_place(question, 1, SIZE_MAX, arg);
    case SPECIAL_NONE:
    case SPECIAL_COPY:
    case SPECIAL_MOVE:
    case SPECIAL_SWAPDB:
    case SPECIAL_FLUSHALL:
    case SPECIAL_SELECT:
    case SPECIAL_KEYS:
    case SPECIAL_SCAN:
    case SPECIAL_TRACKING: return false;
    }
    return false;
}

struct str glob_head(struct str glob)
{
    size_t len = 0;
    while (len < glob.len && !memchr("*?[\\", glob.ptr[len], 4))
        len++;
    return (struct str){glob.ptr, len};
}

static void pattern_set(struct key_pattern *out, struct str text)
{
    struct str head = glob_head(text);
    *out = (struct key_pattern){head, text, head.len == text.len};
}

/* The text of each such option; where there is none, once what that means. */
static bool next_text(const struct question *question, const struct option *option, size_t *arg,
                      struct str *text)
{
    bool first = *arg == 0;
    if (next_value(question, option, arg)) {
        *text = question->argv[(*arg)++];
        return true;
    }
    *text = str_of(option->absent);
    *arg = question->argc;
    return first;
}

static bool next_match(const struct question *question, size_t *arg, struct key_pattern *out)
{
    struct str text;
    if (!next_text(question, &scan_match, arg, &text))
        return false;
    pattern_set(out, text);
    return true;
}

/* CLIENT TRACKING ON BCAST PREFIX p: the client is told of all keys that begin so. A prefix is
 * no glob: all of it is literal, and anything may follow. */
static bool next_prefix(const struct question *question, size_t *arg, struct key_pattern *out)
{
    bool broadcast = false;
    struct str prefix;
    for (size_t i = 3; i < question->argc; i++)
        broadcast |= argument_is(question, i, "bcast");
    if (!broadcast || !next_text(question, &tracking_prefix, arg, &prefix))
        return false;
    *out = (struct key_pattern){prefix, prefix, false};
    return true;
}

bool special_next_pattern(const struct question *question, enum special special, size_t *arg,
                          struct key_pattern *out)
{
    switch (special) {
    case SPECIAL_KEYS:
        if (!next_place(question, 1, 1, arg))
            return false;
        pattern_set(out, question->argv[(*arg)++]);
        return true;
    case SPECIAL_SCAN: return next_match(question, arg, out);
    case SPECIAL_TRACKING: return next_prefix(question, arg, out);
    case SPECIAL_NONE:
    case SPECIAL_FLUSHALL:
    case SPECIAL_COPY:
    case SPECIAL_MOVE:
    case SPECIAL_SWAPDB:
    case SPECIAL_SELECT:
    case SPECIAL_PUBLISH:
    case SPECIAL_SUBSCRIBE:
    case SPECIAL_PSUBSCRIBE: return false;
    }
    return false;
}
