/* option.h - inside the config layer: the rows of options.def as C, and the parts of a load. */
#ifndef RESPGATE_CONFIG_OPTION_H
#define RESPGATE_CONFIG_OPTION_H

#include "respgate/config.h"

#include <sys/stat.h>

/* ---- rows ---- */

enum section_id {
#define SECTION(id, name, type, named, doc) SECTION_##id,
#include "respgate/options.def"
    SECTION_COUNT
};

struct section_kind {
    const char *name;
    size_t size; /* of the struct its fields are in */
    bool named;  /* [kind NAME], any number of them */
    const char *doc;
};
extern const struct section_kind section_kinds[SECTION_COUNT];

enum value_type {
    VALUE_TEXT,
    VALUE_FILE, /* relative to the file that names it */
    VALUE_LOG_FILE,
    VALUE_PASSWORD_FILE,
    VALUE_COUNT,
    VALUE_SIZE,
    VALUE_AMOUNT,   /* a number that may be one of bytes: units as in a size */
    VALUE_SIZE_FOR, /* a size and a duration */
    VALUE_DURATION,
    VALUE_PERCENT,
    VALUE_RATE,
    VALUE_CHOICE,
    VALUE_DIGEST, /* as many hex digits as `min` */
    VALUE_BODIES, /* files by name or glob, read whole into a second list */
    VALUE_LISTEN,
    VALUE_ADDRESS, /* one to listen on, or none */
    VALUE_URL,
    VALUE_HOSTS, /* host:port to connect to */
};

enum {
    OPTION_LIST = 1,
    OPTION_RESTART = 2,
    OPTION_SECRET = 4,
    OPTION_REQUIRED = 8,
    OPTION_MOVES = 16,
};

struct option {
    enum section_id section;
    const char *key;
    size_t field, size; /* offset in the section's struct */
    enum value_type type;
    size_t second;            /* offset of a second field: a count, a duration, a password */
    uint64_t min, max;        /* of numbers */
    const char *const *words; /* of a choice, in the order of its enum */
    const char *value;        /* default; "": none */
    unsigned flags;
    const char *example, *doc;
};
extern const struct option options[];
extern const size_t option_count;

#define option_each(it) for (const struct option *it = options; it < options + option_count; it++)
static inline size_t option_index(const struct option *option)
{
    return (size_t)(option - options);
}
const struct option *option_find(enum section_id section, struct str key);
const char *option_nearest(enum section_id section, struct str key);
/* The words of a choice, each in quotes, with commas. */
void words_join(const struct option *option, const char *quote, struct buf *out);
/* SECTION_COUNT when there is none of that name. */
enum section_id section_find(struct str name);
const char *section_nearest(struct str name);

/* ---- values ---- */

/* Where a value stands and what is needed to read it. */
struct scope {
    struct arena *arena;
    struct problems *problems;
    struct where where;
    const char *directory; /* relative paths start here; NULL: the working directory */
    bool others_read;      /* the file can be read by everybody */
};

/* Reads text into the option's field of base; a mistake is told in scope->problems. */
void option_set(const struct scope *scope, const struct option *option, void *base,
                struct str text);
/* The value as the file's text; false when it is empty. Secrets come out as "(hidden)". */
bool option_format(const struct option *option, const void *base, struct buf *out);
bool option_equal(const struct option *option, const void *a, const void *b);
void *option_field(const struct option *option, const void *base);
uint64_t option_number(const struct option *option, const void *base);

bool value_number(struct str text, uint64_t *out);
bool value_percent(struct str text, uint64_t *out);
bool value_rate(struct str text, double *per_second);
void value_format_size(uint64_t bytes, struct buf *out);
void value_format_duration(uint64_t ms, struct buf *out);
void value_format_rate(double per_second, struct buf *out);

/* Takes the next item off a list; quotes are removed. False and *error set on a mistake. */
bool item_next(struct arena *arena, struct str *rest, struct str *item, const char **error);
bool text_unquote(struct arena *arena, struct str text, struct str *out, const char **error);
/* Index where a comment begins in the text behind '=', its length when there is none; *error is
 * set when a quote is not closed. */
size_t comment_find(struct str text, const char **error);
/* As it has to be written to be read back. */
void text_quote(struct buf *out, struct str text, bool in_list);
struct str str_trim(struct str text);

/* ---- addresses ---- */

/* NULL, or what is wrong. */
const char *listen_parse(struct arena *arena, struct str text, struct listen_address *out);

struct url {
    struct backend_address address;
    const char *username, *password; /* NULL: none */
};
/* NULL, or what is wrong: never with a part of the url, which may hold a password. */
const char *url_parse(struct arena *arena, struct str text, struct url *out);
/* "host:port" of a sentinel. NULL, or what is wrong. */
const char *sentinel_parse(struct arena *arena, struct str text, struct backend_address *out);

/* ---- files ---- */

const char *path_resolve(const struct scope *scope, struct str path);
/* Reads a file others cannot write. False with the mistake told: at scope->where. */
bool must_check file_read(const struct scope *scope, const char *path, struct buf *out,
                          struct stat *info);
/* All files of a path that may be a glob, each into *bodies. False with the mistake told. */
bool must_check bodies_read(const struct scope *scope, const char *path, struct text_list *bodies);
/* Appends a copy of an item that stands at scope->where. */
void text_list_add(const struct scope *scope, struct text_list *list, struct str item);
/* The first line of a file; NULL with the mistake told. */
const char *password_read(const struct scope *scope, const char *path);

/* ---- a load ---- */

/* One section as read; lives in the configuration's arena. */
struct section {
    struct section *next;
    enum section_id id;
    const char *name; /* NULL unless named */
    struct where where;
    void *base;         /* struct config, config_queue, config_user or config_rule */
    bool repeated;      /* an error was told; base is for checking only */
    struct where *seen; /* for each row: where it was set first; file NULL: not yet */
};

struct loader {
    struct config *config;
    struct problems *problems;
    struct section *sections, **last; /* in file order */
};

/* NULL when the section makes no sense; then its keys are not judged. header: between [ and ]. */
struct section *section_open(struct loader *loader, struct where where, struct str header);
/* One `key = value` of a section. */
void section_set(struct loader *loader, struct section *section, const struct scope *scope,
                 struct str key, struct str text);

/* Reads a file with what it includes, or a text. */
void source_read_file(struct loader *loader, const char *path);
void source_read_text(struct loader *loader, const char *name, struct str text);

/* Mistakes that only show between options. */
void config_check(const struct config *config, struct problems *problems);
struct where option_where(const struct config *config, enum section_id section, const char *key);

/* As config_load, from memory; for tests. */
struct config *config_load_text(const char *name, struct str text,
                                const struct config_overrides *overrides,
                                struct problems *problems);

#endif
