/*
 * channels.c - the channels clause: channels by their names, and patterns of subscribers.
 *
 * A pattern subscription hears whatever will be published to a matching channel. So an allow must
 * list that very pattern, and everything else is met unless no channel can match both.
 */
#include "internal.h"

struct channel_list {
    const struct key_patterns *patterns; /* for names */
    size_t include_count, exclude_count;
    struct str *include, *exclude; /* as written, without '!' */
};

const void *channels_compile(struct compiler *compiler, const struct config_rule *rule)
{
    const struct text_list *texts = &rule->channels;
    struct channel_list *list = arena_alloc(compiler->arena, sizeof(*list));
    list->patterns = key_patterns_compile(compiler->arena, texts, compiler->problems);
    list->include = arena_alloc(compiler->arena, (texts->count + 1) * sizeof(*list->include));
    list->exclude = arena_alloc(compiler->arena, texts->count * sizeof(*list->exclude));
    for (size_t i = 0; i < texts->count; i++) {
        struct str text = texts->items[i];
        bool exclude = text.len > 0 && text.ptr[0] == '!';
        if (exclude)
            text = (struct str){text.ptr + 1, text.len - 1};
        text.ptr = arena_str(compiler->arena, text);
        if (exclude)
            list->exclude[list->exclude_count++] = text;
        else
            list->include[list->include_count++] = text;
    }
    if (list->include_count == 0) /* only exclusions: all channels but these */
        list->include[list->include_count++] = STR("*");
    return list;
}

static bool texts_have(const struct str *texts, size_t count, struct str text)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(texts[i], text))
            return true;
    return false;
}

static bool texts_may_meet(const struct str *texts, size_t count, struct str pattern)
{
    for (size_t i = 0; i < count; i++)
        if (globs_may_overlap(texts[i], pattern))
            return true;
    return false;
}

/* Whether all the pattern could match is in one of the texts. True is proven: by the very same
 * text, or a text "head*" where the pattern begins so. */
static bool texts_cover(const struct str *texts, size_t count, struct str pattern)
{
    struct str head = glob_head(pattern);
    for (size_t i = 0; i < count; i++) {
        struct str begin = glob_head(texts[i]);
        bool open = texts[i].len == begin.len + 1 && texts[i].ptr[begin.len] == '*';
        if (open && head.len >= begin.len && memcmp(head.ptr, begin.ptr, begin.len) == 0)
            return true;
    }
    return texts_have(texts, count, pattern);
}

static bool pattern_hit(const struct channel_list *list, struct str pattern, bool every)
{
    if (every)
        return texts_have(list->include, list->include_count, pattern) &&
               !texts_may_meet(list->exclude, list->exclude_count, pattern);
    return texts_may_meet(list->include, list->include_count, pattern) &&
           !texts_cover(list->exclude, list->exclude_count, pattern);
}

/* As with keys: the first channel that differs settles it. */
bool channels_test(const void *data, struct asking *asking)
{
    const struct channel_list *list = data;
    const struct question *question = asking->question;
    bool every = asking->every, any = false, pattern;
    for (size_t arg = 0; special_next_channel(question, asking->special, &arg, &pattern); arg++) {
        struct str text = question->argv[arg];
        if (policy_is_unknown(text))
            return unknown_holds(asking);
        bool hit =
            pattern ? pattern_hit(list, text, every) : key_patterns_match(list->patterns, text);
        if (hit != every)
            return !every;
        any = true;
    }
    return every && any;
}

bool channels_possible(const struct command *command)
{
    enum special special = special_of(command->name);
    return special == SPECIAL_PUBLISH || special == SPECIAL_SUBSCRIBE ||
           special == SPECIAL_PSUBSCRIBE;
}
