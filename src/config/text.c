/* text.c - quotes, lists and comments: what the characters of a value mean. */
#include "option.h"

static inline bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

struct str str_trim(struct str text)
{
    while (text.len && is_space(text.ptr[0]))
        text = (struct str){text.ptr + 1, text.len - 1};
    while (text.len && is_space(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* Inside quotes \" and \\ stand for one character; any other backslash is itself, because globs
 * have their own. */
static bool is_escape(struct str text, size_t at)
{
    return text.ptr[at] == '\\' && at + 1 < text.len &&
           (text.ptr[at + 1] == '"' || text.ptr[at + 1] == '\\');
}

/* Behind the quote that closes the one at `at`; 0 when there is none. */
static size_t quote_end(struct str text, size_t at)
{
    for (at++; at < text.len; at++) {
        if (is_escape(text, at))
            at++;
        else if (text.ptr[at] == '"')
            return at + 1;
    }
    return 0;
}

/* A quote opens only at the start of the value or of a list's item, so that an apostrophe's big
 * sister in the middle of a message needs no care. */
size_t comment_find(struct str text, const char **error)
{
    bool item_start = true;
    for (size_t i = 0; i < text.len;) {
        char c = text.ptr[i];
        if (c == '"' && item_start) {
            size_t end = quote_end(text, i);
            if (end == 0) {
                *error = "has a quote that is not closed";
                return text.len;
            }
            i = end;
            item_start = false;
            continue;
        }
        if ((c == ';' || c == '#') && i > 0 && is_space(text.ptr[i - 1]))
            return i;
        item_start = c == ',' || (item_start && is_space(c));
        i++;
    }
    return text.len;
}

/* text begins and ends with a quote. */
static struct str quotes_remove(struct arena *arena, struct str text)
{
    char *copy = arena_alloc(arena, text.len);
    size_t len = 0;
    for (size_t i = 1; i + 1 < text.len; i++) {
        if (is_escape(text, i))
            i++;
        copy[len++] = text.ptr[i];
    }
    return (struct str){copy, len};
}

bool text_unquote(struct arena *arena, struct str text, struct str *out, const char **error)
{
    *out = text;
    if (text.len == 0 || text.ptr[0] != '"')
        return true;
    size_t end = quote_end(text, 0);
    if (end != text.len) {
        *error = end ? "has text behind the closing quote" : "has a quote that is not closed";
        return false;
    }
    *out = quotes_remove(arena, text);
    return true;
}

bool item_next(struct arena *arena, struct str *rest, struct str *item, const char **error)
{
    struct str text = str_trim(*rest);
    size_t end = text.len && text.ptr[0] == '"' ? quote_end(text, 0) : 0;
    while (end < text.len && text.ptr[end] != ',')
        end++;
    bool more = end < text.len;
    *rest = (struct str){text.ptr + end + more, text.len - end - more};
    *item = str_trim((struct str){text.ptr, end});
    if (!text_unquote(arena, *item, item, error))
        return false;
    if (item->len > 0 && !(more && str_trim(*rest).len == 0))
        return true;
    *error = "has an empty item";
    return false;
}

static bool needs_quotes(struct str text, bool in_list)
{
    if (text.len == 0 || is_space(text.ptr[0]) || is_space(text.ptr[text.len - 1]))
        return true;
    for (size_t i = 0; i < text.len; i++)
        if (strchr("\";#\t", text.ptr[i]) || (in_list && text.ptr[i] == ','))
            return true;
    return false;
}

void text_quote(struct buf *out, struct str text, bool in_list)
{
    if (!needs_quotes(text, in_list)) {
        buf_str(out, text);
        return;
    }
    buf_text(out, "\"");
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            buf_text(out, "\\");
        buf_add(out, text.ptr + i, 1);
    }
    buf_text(out, "\"");
}
