/* shebang.c - the first line "#!lua name=library flags=a,b", as Redis splits it.
 *
 * Redis takes quotes and escapes in it; no honest line has them, so here they refuse. */
#include "internal.h"

#include <ctype.h>

static bool is_blank(int byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\v' || byte == '\f';
}

static bool is_plain(int byte)
{
    return isalnum(byte) || byte == '_' || byte == '-' || byte == '=' || byte == ',' ||
           byte == '#' || byte == '!';
}

/* Cuts what stands before the separator off the text. */
static struct str cut(struct str *text, bool (*separates)(int))
{
    size_t len = 0;
    while (len < text->len && !separates((unsigned char)text->ptr[len]))
        len++;
    struct str head = {text->ptr, len};
    len += len < text->len;
    *text = (struct str){text->ptr + len, text->len - len};
    return head;
}

static bool is_comma(int byte)
{
    return byte == ',';
}

static void flags_take(struct parser *parser, struct str list, struct script *script)
{
    for (bool more = list.len > 0; more;) {
        more = memchr(list.ptr, ',', list.len) != NULL;
        struct str name = cut(&list, is_comma);
        uint32_t flag = script_flag_find(name);
        if (flag == SCRIPT_ALLOW_OOM)
            parser_refuse(parser, "the flag allow-oom is used");
        else if (!flag)
            parser_malformed(parser, "the shebang has an unknown flag");
        else
            script->flags |= flag;
    }
}

/* FUNCTION LOAD reads its words in any case, EVAL does not. */
static bool is_word(const struct parser *parser, struct str text, struct str word)
{
    return parser->kind == SCRIPT_LIBRARY ? str_equal_nocase(text, word) : str_equal(text, word);
}

/* "name=value": its value. */
static bool option_is(const struct parser *parser, struct str text, struct str name,
                      struct str *value)
{
    if (text.len < name.len || !is_word(parser, (struct str){text.ptr, name.len}, name))
        return false;
    *value = (struct str){text.ptr + name.len, text.len - name.len};
    return true;
}

static bool is_library_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum((unsigned char)name.ptr[i]) && name.ptr[i] != '_')
            return false;
    return name.len > 0;
}

static void word_take(struct parser *parser, struct arena *arena, struct str word,
                      struct script *script)
{
    struct str value;
    if (parser->kind == SCRIPT_EVAL && option_is(parser, word, STR("flags="), &value))
        flags_take(parser, value, script);
    else if (parser->kind == SCRIPT_LIBRARY && option_is(parser, word, STR("name="), &value) &&
             !script->library.ptr && is_library_name(value))
        script->library = (struct str){arena_str(arena, value), value.len};
    else
        parser_malformed(parser, "the shebang has an unknown option");
}

void shebang_parse(struct parser *parser, struct arena *arena, struct str *body,
                   struct script *script)
{
    script->shebang = body->len >= 2 && memcmp(body->ptr, "#!", 2) == 0;
    if (!script->shebang) {
        if (parser->kind == SCRIPT_LIBRARY)
            parser_malformed(parser, "a library begins with #!lua name=NAME");
        return;
    }
    const char *end = memchr(body->ptr, '\n', body->len);
    if (!end) {
        parser_malformed(parser, "the shebang has no end");
        return;
    }
    struct str line = {body->ptr, (size_t)(end - body->ptr)};
    for (size_t i = 0; i < line.len; i++)
        if (!is_plain((unsigned char)line.ptr[i]) && !is_blank((unsigned char)line.ptr[i]))
            parser_refuse(parser, "the shebang has unusual characters");
    if (!is_word(parser, cut(&line, is_blank), STR("#!lua")))
        parser_malformed(parser, "the shebang names another engine than lua");
    while (line.len) {
        struct str word = cut(&line, is_blank);
        if (word.len)
            word_take(parser, arena, word, script);
    }
    if (parser->kind == SCRIPT_LIBRARY && !script->library.ptr)
        parser_malformed(parser, "the library has no name");
    *body = (struct str){end, (size_t)(body->ptr + body->len - end)};
}
