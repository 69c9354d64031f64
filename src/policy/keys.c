/*
 * keys.c - the keys clause: many patterns against many keys.
 *
 * Literal keys and prefixes ("job:*") are sorted, and what another prefix covers is left out. Then
 * a prefix of a key has nothing between itself and the key in the order, so one binary search
 * finds the only candidate. Other globs are tried one by one.
 */
#include "internal.h"

#include <stdlib.h>

struct head {
    struct str text;
    bool open; /* a prefix: anything may follow */
};
struct pattern_list {
    uint64_t
        first[256 / 64]; /* bytes a key that matches can begin with: most keys of others do not */
    bool any_first;      /* or with any, or be empty */
    size_t head_count, glob_count;
    struct head *heads;
    struct str *globs;
};
struct key_patterns {
    struct pattern_list include, exclude;
};

static bool begins(struct str text, struct str head)
{
    return head.len == 0 || (text.len >= head.len && memcmp(text.ptr, head.ptr, head.len) == 0);
}

static int str_compare(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.ptr, b.ptr, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* ---- compiling ---- */

/* Whether the glob is a literal or a prefix; then *out is it, without escapes. */
static bool head_parse(struct arena *arena, struct str glob, struct head *out)
{
    char *text = arena_alloc(arena, glob.len + 1);
    size_t len = 0, i = 0;
    for (; i < glob.len && glob.ptr[i] != '*'; i++) {
        if (glob.ptr[i] == '?' || glob.ptr[i] == '[')
            return false;
        /* A backslash at the end stands for itself, as in Redis. */
        if (glob.ptr[i] == '\\' && i + 1 < glob.len)
            i++;
        text[len++] = glob.ptr[i];
    }
    *out = (struct head){{text, len}, i < glob.len};
    while (i < glob.len && glob.ptr[i] == '*')
        i++;
    return i == glob.len;
}

/* Equal texts: the prefix first, so that it covers the literal. */
static int head_compare(const void *a, const void *b)
{
    const struct head *left = a, *right = b;
    int order = str_compare(left->text, right->text);
    return order ? order : right->open - left->open;
}

static void first_add(struct pattern_list *list, struct str begin)
{
    unsigned char byte = begin.len ? (unsigned char)begin.ptr[0] : 0;
    list->any_first |= begin.len == 0;
    list->first[byte / 64] |= 1ull << (byte % 64);
}

static void list_finish(struct pattern_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->head_count; i++)
        first_add(list, list->heads[i].text);
    for (size_t i = 0; i < list->glob_count; i++)
        first_add(list, glob_head(list->globs[i]));
    qsort(list->heads, list->head_count, sizeof(list->heads[0]), head_compare);
    for (size_t i = 0; i < list->head_count; i++) {
        const struct head *last = kept ? &list->heads[kept - 1] : NULL;
        if (!last || !last->open || !begins(list->heads[i].text, last->text))
            list->heads[kept++] = list->heads[i];
    }
    list->head_count = kept;
}

static void list_add(struct arena *arena, struct pattern_list *list, struct str glob)
{
    if (head_parse(arena, glob, &list->heads[list->head_count]))
        list->head_count++;
    else
        list->globs[list->glob_count++] = (struct str){arena_str(arena, glob), glob.len};
}

static void list_init_for(struct arena *arena, struct pattern_list *list, size_t cap)
{
    list->heads = arena_alloc(arena, cap * sizeof(list->heads[0]));
    list->globs = arena_alloc(arena, cap * sizeof(list->globs[0]));
}

const struct key_patterns *key_patterns_compile(struct arena *arena, const struct text_list *texts,
                                                struct problems *problems)
{
    struct key_patterns *patterns = arena_alloc(arena, sizeof(*patterns));
    size_t included = 0;
    list_init_for(arena, &patterns->include, texts->count + 1);
    list_init_for(arena, &patterns->exclude, texts->count);
    for (size_t i = 0; i < texts->count; i++) {
        struct str glob = texts->items[i];
        bool exclude = glob.len > 0 && glob.ptr[0] == '!';
        if (exclude)
            glob = (struct str){glob.ptr + 1, glob.len - 1};
        if (glob.len == 0)
            problem_error(problems, texts->where[i], "an empty pattern");
        list_add(arena, exclude ? &patterns->exclude : &patterns->include, glob);
        included += !exclude;
    }
    if (included == 0) /* only exclusions: all keys but these */
        list_add(arena, &patterns->include, STR("*"));
    list_finish(&patterns->include);
    list_finish(&patterns->exclude);
    return patterns;
}

const void *keys_compile(struct compiler *compiler, const struct config_rule *rule)
{
    return key_patterns_compile(compiler->arena, &rule->keys, compiler->problems);
}

/* ---- one key ---- */

static bool list_match(const struct pattern_list *list, struct str key)
{
    unsigned char byte = key.len ? (unsigned char)key.ptr[0] : 0;
    if (!list->any_first && !(key.len && list->first[byte / 64] >> (byte % 64) & 1))
        return false;
    size_t low = 0, high = list->head_count;
    while (low < high) { /* low: how many heads are not behind the key */
        size_t middle = (low + high) / 2;
        if (str_compare(list->heads[middle].text, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0) {
        const struct head *head = &list->heads[low - 1];
        if (begins(key, head->text) && (head->open || key.len == head->text.len))
            return true;
    }
    for (size_t i = 0; i < list->glob_count; i++)
        if (glob_match(list->globs[i], key))
            return true;
    return false;
}

bool key_patterns_match(const struct key_patterns *patterns, struct str key)
{
    return list_match(&patterns->include, key) && !list_match(&patterns->exclude, key);
}

/* ---- a client's pattern ---- */

/* Whether a key could match both the list and a pattern that begins so. False is proven. */
static bool list_may_meet(const struct pattern_list *list, struct str head)
{
    for (size_t i = 0; i < list->head_count; i++)
        if (begins(list->heads[i].text, head) ||
            (list->heads[i].open && begins(head, list->heads[i].text)))
            return true;
    for (size_t i = 0; i < list->glob_count; i++) {
        struct str other = glob_head(list->globs[i]);
        if (begins(other, head) || begins(head, other))
            return true;
    }
    return false;
}

/* Whether all the pattern could match is in the list. True is proven. */
static bool list_covers(const struct pattern_list *list, const struct key_pattern *pattern)
{
    for (size_t i = 0; i < list->head_count; i++)
        if (list->heads[i].open && begins(pattern->head, list->heads[i].text))
            return true;
    for (size_t i = 0; i < list->glob_count; i++)
        if (str_equal(list->globs[i], pattern->text))
            return true;
    return false;
}

/* An allow needs proof that all the pattern reaches is allowed; everything else is met by
 * whatever it might reach. */
static bool pattern_hit(const struct key_patterns *patterns, const struct key_pattern *pattern,
                        bool every)
{
    if (pattern->literal)
        return key_patterns_match(patterns, pattern->text);
    if (every)
        return list_covers(&patterns->include, pattern) &&
               !list_may_meet(&patterns->exclude, pattern->head);
    return list_may_meet(&patterns->include, pattern->head) &&
           !list_covers(&patterns->exclude, pattern);
}

/* ---- the clause ---- */

bool keys_test(const void *data, struct asking *asking)
{
    const struct question *question = asking->question;
    bool every = asking->every, any_key = question->key_count > 0;
    /* The first key that differs from what is wanted of all of them settles it: a miss for an
     * allow, a hit for everything else. An unknown key differs always. */
    if (question->keys_unknown)
        return !every;
    for (size_t i = 0; i < question->key_count; i++)
        if (key_patterns_match(data, question->argv[question->keys[i].arg]) != every)
            return !every;
    struct key_pattern pattern;
    for (size_t arg = 0; special_next_pattern(question, asking->special, &arg, &pattern);) {
        if (pattern_hit(data, &pattern, every) != every)
            return !every;
        any_key = true;
    }
    return every && any_key;
}
