/* option.c - options.def as tables, look-up by name, and the nearest name to a typo. */
#include "option.h"

#define WORDS(id, ...) static const char *const id##_words[] = {__VA_ARGS__, NULL};
#include "respgate/options.def"

const struct section_kind section_kinds[SECTION_COUNT] = {
#define SECTION(id, text, type, has_name, meaning)                                                 \
    [SECTION_##id] = {.name = text, .size = sizeof(type), .named = has_name, .doc = meaning},
#include "respgate/options.def"
};

/* The struct of each section, for offsetof in the rows below. */
#define STRUCT_PROXY    struct config
#define STRUCT_ADMIN    struct config
#define STRUCT_LOG      struct config
#define STRUCT_BACKEND  struct config
#define STRUCT_SCRIPTS  struct config
#define STRUCT_USER     struct config_user
#define STRUCT_RULE     struct config_rule
#define STRUCT_PRESSURE struct config
#define STRUCT_PREFIXES struct config
#define STRUCT_QUEUE    struct config_queue

/* The type column: syntax, range and second field. Numbers stay below 2^53 so that every JSON
 * reader can show them; the longest duration is ten years. */
enum { DAY_MS = 86400 * 1000 };
#define TEXT                        .type = VALUE_TEXT
#define FILE_NAME                   .type = VALUE_FILE
#define LOG_FILE                    .type = VALUE_LOG_FILE
#define PASSWORD_FILE(owner, field) .type = VALUE_PASSWORD_FILE, .second = offsetof(owner, field)
#define COUNT(low, high)            .type = VALUE_COUNT, .min = (low), .max = (high)
#define AMOUNT(low)                 .type = VALUE_AMOUNT, .min = (low), .max = 1ull << 50
#define SIZE(low)                   .type = VALUE_SIZE, .min = (low), .max = 1ull << 50
#define SIZE_FOR(field)                                                                            \
    .type = VALUE_SIZE_FOR, .min = 0, .max = 1ull << 50, .second = offsetof(struct config, field)
#define PERCENT(low)  .type = VALUE_PERCENT, .min = (low), .max = 100
#define DURATION(low) .type = VALUE_DURATION, .min = (low), .max = 3650ull * DAY_MS
#define RATE          .type = VALUE_RATE
#define CHOICE(id)    .type = VALUE_CHOICE, .words = id##_words
#define SHA256        .type = VALUE_DIGEST, .min = 64
#define SHA1          .type = VALUE_DIGEST, .min = 40
#define BODIES(field) .type = VALUE_BODIES, .second = offsetof(struct config, field)
#define LISTEN(field) .type = VALUE_LISTEN, .second = offsetof(struct config, field)
#define ADDRESS       .type = VALUE_ADDRESS
#define URL(field)    .type = VALUE_URL, .second = offsetof(struct config, field)
#define HOSTS(field)  .type = VALUE_HOSTS, .second = offsetof(struct config, field)
#define LIST          OPTION_LIST
#define RESTART       OPTION_RESTART
#define MOVES         OPTION_MOVES
#define SECRET        OPTION_SECRET
#define REQUIRED      OPTION_REQUIRED

const struct option options[] = {
#define OPTION(id, name, member, kind, initial, flag, sample, meaning)                             \
    {.section = SECTION_##id,                                                                      \
     .key = name,                                                                                  \
     .field = offsetof(STRUCT_##id, member),                                                       \
     .size = sizeof(((STRUCT_##id *)0)->member),                                                   \
     .value = initial,                                                                             \
     .flags = flag,                                                                                \
     .example = sample,                                                                            \
     .doc = meaning,                                                                               \
     kind},
#include "respgate/options.def"
};
const size_t option_count = ARRAY_LEN(options);

const struct option *option_find(enum section_id section, struct str key)
{
    option_each(option) if (option->section == section &&
                            str_equal(str_of(option->key), key)) return option;
    return NULL;
}

void words_join(const struct option *option, const char *quote, struct buf *out)
{
    bool first = true;
    for (const char *const *word = option->words; *word; word++)
        if (**word) {
            buf_printf(out, "%s%s%s%s", first ? "" : ", ", quote, *word, quote);
            first = false;
        }
}

enum section_id section_find(struct str name)
{
    for (size_t i = 0; i < SECTION_COUNT; i++)
        if (str_equal(str_of(section_kinds[i].name), name))
            return (enum section_id)i;
    return SECTION_COUNT;
}

/* ---- typos ---- */

enum { NAME_MAX_LEN = 40 };

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t low = a < b ? a : b;
    return low < c ? low : c;
}

static unsigned char fold(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c == '_' ? '-' : c);
}

/* Levenshtein's distance by rows; the case of letters costs nothing, nor does _ for -. */
static size_t edit_distance(struct str a, struct str b)
{
    size_t row[NAME_MAX_LEN + 1];
    if (a.len > NAME_MAX_LEN || b.len > NAME_MAX_LEN)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            size_t replaced = corner + (fold(a.ptr[i - 1]) != fold(b.ptr[j - 1]));
            row[j] = min3(above + 1, row[j - 1] + 1, replaced);
            corner = above;
        }
    }
    return row[b.len];
}

struct nearest {
    const char *name;
    size_t distance;
};

static void nearest_offer(struct nearest *nearest, const char *name, struct str text)
{
    size_t distance = edit_distance(str_of(name), text);
    /* A third of the letters may be wrong: more is another word, not a slip. */
    if (distance <= 1 + text.len / 4 && distance < strlen(name) && distance < nearest->distance)
        *nearest = (struct nearest){name, distance};
}

const char *option_nearest(enum section_id section, struct str key)
{
    struct nearest nearest = {NULL, SIZE_MAX};
    option_each(option) if (option->section == section) nearest_offer(&nearest, option->key, key);
    return nearest.name;
}

const char *section_nearest(struct str name)
{
    struct nearest nearest = {NULL, SIZE_MAX};
    for (size_t i = 0; i < SECTION_COUNT; i++)
        nearest_offer(&nearest, section_kinds[i].name, name);
    return nearest.name;
}

const char *word_nearest(const char *const *words, struct str text)
{
    struct nearest nearest = {NULL, SIZE_MAX};
    for (; *words; words++)
        nearest_offer(&nearest, *words, text);
    return nearest.name;
}
