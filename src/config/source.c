/*
 * source.c - one file: lines with their numbers, made so plain that inih can only agree.
 *
 *   file -> line_next -> comment off, trimmed -> "[kind name]"            -> ini_parse_stream
 *                                             \> "key=part of value" ... />        |
 *                                                                            on_option: parts
 *                                                                            joined, option set
 *
 * inih tells no line numbers, stops at 200 bytes in Debian's build, takes indented lines for
 * continuations, cuts comments inside quotes and skips sections without keys. So this reader
 * stands before it: it counts, refuses what is malformed with FILE:LINE, and hands over nothing
 * but section lines and keys with values in which white space is masked (there is none left
 * that could mean a comment, a continuation or an edge to trim), in parts when they are long.
 */
#include "option.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>

enum { LINE_MAX_LEN = 4096, KEY_MAX_LEN = 40, INCLUDE_MAX = 8 };
/* No control character reaches a value, so these two are free. */
enum { MASKED_SPACE = 0x1f, MASKED_TAB = 0x1e };
/* inih keeps 49 bytes of a section's name and cuts the rest without a word. */
enum { HEADER_SIZE = 50 };

struct source {
    struct loader *loader;
    const struct source *parent; /* the file that includes this one */
    const char *path, *directory;
    dev_t device;
    ino_t inode;
    unsigned depth;
    bool others_read;
    struct str rest; /* not read yet */
    int line;
    struct section *section; /* that keys go to; NULL: none yet, or one that makes no sense */
    bool mute;               /* of those: the latter, its mistake was told */
    bool announce;           /* inih has to be told the section */
    /* A `key = value` on its way through inih. */
    struct str key, value; /* value: what inih has not seen yet */
    bool offered;          /* a part was handed out and has to come back */
    struct buf joined;
};

static struct where source_where(const struct source *source)
{
    return (struct where){source->path, source->line};
}
#define source_error(source, ...)                                                                  \
    problem_error((source)->loader->problems, source_where(source), __VA_ARGS__)

/* ---- lines ---- */

static bool line_take(struct source *source, struct str *line)
{
    if (source->rest.len == 0)
        return false;
    const char *end = memchr(source->rest.ptr, '\n', source->rest.len);
    size_t len = end ? (size_t)(end - source->rest.ptr) : source->rest.len;
    *line = (struct str){source->rest.ptr, len};
    if (len && line->ptr[len - 1] == '\r')
        line->len--;
    len += end != NULL;
    source->rest = (struct str){source->rest.ptr + len, source->rest.len - len};
    source->line++;
    if (source->line == 1 && line->len >= 3 && memcmp(line->ptr, "\xEF\xBB\xBF", 3) == 0)
        *line = (struct str){line->ptr + 3, line->len - 3}; /* what Windows editors put there */
    return true;
}

/* What could mean something else to another reader of the same bytes. */
static bool line_check(const struct source *source, struct str line)
{
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];
        if (c == 0) {
            source_error(source, "a NUL byte");
            return false;
        }
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            source_error(source, "a control character (byte %u)", c);
            return false;
        }
    }
    if (line.len <= LINE_MAX_LEN)
        return true;
    source_error(source, "the line is longer than %d bytes", LINE_MAX_LEN);
    return false;
}

static bool is_comment(char c)
{
    return c == ';' || c == '#';
}

/* "[kind name]", a comment may follow. */
static void section_line(struct source *source, struct str line)
{
    const char *close = memchr(line.ptr, ']', line.len);
    source->section = NULL;
    source->mute = true;
    if (!close) {
        source_error(source, "']' is missing");
        return;
    }
    struct str header = {line.ptr + 1, (size_t)(close - line.ptr) - 1};
    struct str tail = {close + 1, (size_t)(line.ptr + line.len - close) - 1};
    struct str comment = str_trim(tail);
    if (comment.len && (comment.ptr == tail.ptr || !is_comment(comment.ptr[0]))) {
        source_error(source, "text behind ']'");
        return;
    }
    source->section = section_open(source->loader, source_where(source), header);
    source->announce = source->section != NULL;
    source->mute = !source->announce;
}

static bool is_key(struct str key)
{
    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i];
        if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
            c != '_')
            return false;
    }
    return key.len > 0 && key.len <= KEY_MAX_LEN;
}

/* Nothing of the line is shown but the name of an option: the rest may be a password, the whole
 * line too when somebody includes the wrong file. */
static void no_equals(const struct source *source, struct str line)
{
    struct str word = {line.ptr, 0};
    while (word.len < line.len && line.ptr[word.len] != ' ' && line.ptr[word.len] != '\t')
        word.len++;
    if (source->section && option_find(source->section->id, word))
        source_error(source, "no '=' behind '%.*s'", (int)word.len, word.ptr);
    else
        source_error(source, "no '=' in this line");
}

static void option_line(struct source *source, struct str line)
{
    const char *equals = memchr(line.ptr, '=', line.len), *error = NULL;
    if (!equals) {
        no_equals(source, line);
        return;
    }
    struct str key = str_trim((struct str){line.ptr, (size_t)(equals - line.ptr)});
    struct str value = {equals + 1, (size_t)(line.ptr + line.len - equals) - 1};
    if (!is_key(key)) {
        source_error(source, "no name of an option before the '='");
        return;
    }
    value.len = comment_find(value, &error);
    if (error) {
        source_error(source, "'%.*s' %s", (int)key.len, key.ptr, error);
        return;
    }
    source->key = key;
    source->value = str_trim(value);
}

/* ---- what inih sees ---- */

static size_t mask(char *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        out[i] = text.ptr[i] == ' ' ? MASKED_SPACE : text.ptr[i] == '\t' ? MASKED_TAB : text.ptr[i];
    return text.len;
}

static void unmask(struct buf *out, const char *text)
{
    for (; *text; text++) {
        char c = *text == MASKED_SPACE ? ' ' : *text == MASKED_TAB ? '\t' : *text;
        buf_add(out, &c, 1);
    }
}

static const char *section_text(const struct source *source, char text[HEADER_SIZE])
{
    const struct section *section = source->section;
    int len = snprintf(text, HEADER_SIZE, "%s%s%s", section_kinds[section->id].name,
                       section->name ? " " : "", section->name ? section->name : "");
    ASSERT(len < HEADER_SIZE);
    return text;
}

/* The next part of the value, as much as fits; room for the line end and the NUL is kept. */
static void part_offer(struct source *source, char *line, size_t size)
{
    size_t len = source->key.len;
    memcpy(line, source->key.ptr, len);
    line[len++] = '=';
    ASSERT(size > len + 3);
    size_t room = size - len - 3;
    struct str part = {source->value.ptr, source->value.len < room ? source->value.len : room};
    len += mask(line + len, part);
    line[len++] = '\n';
    line[len] = 0;
    source->value = (struct str){part.ptr + part.len, source->value.len - part.len};
    source->offered = true;
}

/* Goes on to the next line that means something, a section or an option; false at the end. */
static bool line_advance(struct source *source)
{
    struct str line;
    source->key.len = 0;
    while (!source->announce && source->key.len == 0) {
        if (!line_take(source, &line))
            return false;
        if (!line_check(source, line))
            continue;
        line = str_trim(line);
        if (line.len == 0 || is_comment(line.ptr[0]))
            continue;
        if (line.ptr[0] == '[')
            section_line(source, line);
        else
            option_line(source, line);
    }
    return true;
}

/* The reader inih calls: an fgets() that gives it one plain line after the other. */
static char *source_line(char *out, int size, void *arg)
{
    struct source *source = arg;
    char header[HEADER_SIZE];
    ASSERT(!source->offered); /* inih dropped an option: better no proxy than an open gate */
    if (source->value.len == 0 && !source->announce && !line_advance(source))
        return NULL;
    if (source->announce)
        snprintf(out, (size_t)size, "[%s]\n", section_text(source, header));
    else
        part_offer(source, out, (size_t)size);
    source->announce = false;
    return out;
}

static void include(struct source *parent, struct str text);

/* The whole value came back. */
static void option_done(struct source *source)
{
    struct scope scope = {source->loader->config->arena, source->loader->problems,
                          source_where(source), source->directory, source->others_read};
    struct str text = source->joined.len ? buf_view(&source->joined) : STR("");
    if (str_equal(source->key, STR("include")))
        include(source, text);
    else if (source->section)
        section_set(source->loader, source->section, &scope, source->key, text);
    else if (!source->mute)
        source_error(source, "'%.*s' stands before the first [section]", (int)source->key.len,
                     source->key.ptr);
}

static int on_option(void *arg, const char *section, const char *name, const char *value)
{
    struct source *source = arg;
    char expected[HEADER_SIZE];
    ASSERT(source->offered && str_equal(str_of(name), source->key));
    ASSERT(!source->section || strcmp(section, section_text(source, expected)) == 0);
    source->offered = false;
    unmask(&source->joined, value);
    if (source->value.len == 0) {
        option_done(source);
        source->joined.len = 0;
    }
    return 1;
}

static void source_read(struct source *source)
{
    int mistakes = ini_parse_stream(source_line, source, on_option, source);
    ASSERT(mistakes == 0); /* inih found one where this reader found none */
    buf_free(&source->joined);
}

/* ---- files ---- */

static const char *directory_of(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    return slash == path ? "" : arena_str(arena, (struct str){path, (size_t)(slash - path)});
}

static void chain_add(const struct source *source, struct buf *out)
{
    if (source->parent)
        chain_add(source->parent, out);
    buf_printf(out, "%s > ", source->path);
}

static void chain_error(const struct source *parent, const char *what, const char *path)
{
    struct buf chain = {0};
    chain_add(parent, &chain);
    source_error(parent, "include: %s: %.*s%s", what, (int)chain.len, chain.ptr, path);
    buf_free(&chain);
}

static bool is_open_above(const struct source *source, const struct stat *info)
{
    for (const struct source *above = source->parent; above; above = above->parent)
        if (above->inode == info->st_ino && above->device == info->st_dev)
            return true;
    return false;
}

static void source_read_path(struct source *source, struct where named)
{
    struct arena *arena = source->loader->config->arena;
    struct scope scope = {arena, source->loader->problems, named, NULL, false};
    struct buf text = {0};
    struct stat info;
    if (!file_read(&scope, source->path, &text, &info))
        goto done;
    if (is_open_above(source, &info)) {
        chain_error(source->parent, "a loop", source->path);
        goto done;
    }
    source->directory = directory_of(arena, source->path);
    source->others_read = info.st_mode & S_IROTH;
    source->device = info.st_dev;
    source->inode = info.st_ino;
    source->rest = buf_view(&text);
    source_read(source);
done:
    buf_free(&text);
}

/* The lines of the file take the place of this one: they begin in its section, and what comes
 * behind it goes on there, whatever sections the file had. */
static void include(struct source *parent, struct str text)
{
    struct scope scope = {.arena = parent->loader->config->arena, .directory = parent->directory};
    const char *error = text.len ? NULL : "has no file";
    if (error || !text_unquote(scope.arena, text, &text, &error)) {
        source_error(parent, "'include' %s", error);
        return;
    }
    struct source source = {
        .loader = parent->loader,
        .parent = parent,
        .path = path_resolve(&scope, text),
        .depth = parent->depth + 1,
        .section = parent->section,
        .mute = parent->mute,
        .announce = parent->section != NULL,
    };
    if (source.depth > INCLUDE_MAX)
        chain_error(parent, "more than 8 deep", source.path);
    else
        source_read_path(&source, source_where(parent));
}

void source_read_file(struct loader *loader, const char *path)
{
    struct source source = {.loader = loader, .path = path};
    source_read_path(&source, (struct where){path, 0});
}

void source_read_text(struct loader *loader, const char *name, struct str text)
{
    struct source source = {.loader = loader, .path = name, .rest = text};
    source_read(&source);
}
