/* commands.c - the commands clause: names, containers, classes and * to sets of command ids. */
#include "internal.h"

static void set_add(uint64_t *set, size_t id)
{
    set[id / 64] |= 1ull << (id % 64);
}

static size_t set_words(size_t command_count)
{
    return (command_count + 63) / 64;
}

static void set_drop(uint64_t *set, size_t id)
{
    set[id / 64] &= ~(1ull << (id % 64));
}

/* ---- names ---- */

/* A module's command ("ft.search") may be learned later; a plain name nobody knows is a typo. */
static bool name_is_of_module(struct str name)
{
    const char *bar = memchr(name.ptr, '|', name.len);
    return memchr(name.ptr, '.', bar ? (size_t)(bar - name.ptr) : name.len) != NULL;
}

static void name_unknown(struct compiler *compiler, struct str name, struct where where)
{
    struct near near = {.wanted = name};
    for (size_t id = 0; id < command_count(compiler->commands); id++)
        near_offer(&near, command_by_id(compiler->commands, id)->name);
    if (near.count)
        problem_error(compiler->problems, where, "unknown command '%s', did you mean '%s'?",
                      name.ptr, near.found[0].name);
    else
        problem_error(compiler->problems, where, "unknown command '%s'", name.ptr);
}

static void name_add(struct compiler *compiler, struct command_set *set, struct str name,
                     struct where where)
{
    const struct command *named = command_by_name(compiler->commands, name);
    if (!named && name.len && name_is_of_module(name)) {
        problem_warning(compiler->problems, where,
                        "command '%s' is not known to this version: applies if the backend has it",
                        name.ptr);
        set->incomplete = true;
        return;
    }
    if (!named) {
        name_unknown(compiler, name, where);
        return;
    }
    /* A container means all its subcommands; learned ones need not be next to the others. */
    for (size_t id = 0; id < command_count(compiler->commands); id++) {
        const struct command *command = command_by_id(compiler->commands, id);
        if (id == named->id || (command->parent && command->parent->id == named->id)) {
            set_add(set->named, id);
            set_add(set->sure, id);
            set_add(set->possible, id);
        }
    }
}

/* ---- classes ---- */

static void class_unknown(struct compiler *compiler, struct str text, struct where where)
{
    struct str name = {text.ptr + 1, text.len - 1};
    struct near near = {.wanted = name};
    char list[NEAR_MAX * (NEAR_LENGTH + 8)] = "";
    for (int bit = 0; bit < CLASS_COUNT; bit++)
        near_offer(&near, class_name((enum class_bit)bit));
    for (size_t i = 0; i < near.count; i++) {
        const char *between = i == 0 ? "'@" : i + 1 == near.count ? " or '@" : ", '@";
        strcat(strcat(strcat(list, between), near.found[i].name), "'");
    }
    if (str_equal_nocase(name, STR("all")))
        strcpy(list, "'*'");
    if (list[0])
        problem_error(compiler->problems, where, "unknown class '%s', did you mean %s?", text.ptr,
                      list);
    else
        problem_error(compiler->problems, where, "unknown class '%s'", text.ptr);
}

static void class_add(struct compiler *compiler, struct command_set *set, struct str text,
                      struct where where)
{
    uint64_t class = class_by_name(text);
    if (!class) {
        class_unknown(compiler, text, where);
        return;
    }
    set->classes |= class;
    for (size_t id = 0; id < command_count(compiler->commands); id++) {
        const struct command *command = command_by_id(compiler->commands, id);
        if (command->classes & class)
            set_add(set->sure, id);
        if ((command->classes | command->maybe) & class)
            set_add(set->possible, id);
    }
}

/* ---- the clause ---- */

static void all_add(struct compiler *compiler, struct command_set *set)
{
    for (size_t id = 0; id < command_count(compiler->commands); id++) {
        set_add(set->sure, id);
        set_add(set->possible, id);
    }
}

static void item_add(struct compiler *compiler, struct command_set *set, struct str item,
                     struct where where)
{
    if (str_equal(item, STR("*")))
        all_add(compiler, set);
    else if (item.len && item.ptr[0] == '@')
        class_add(compiler, set, item, where);
    else if (item.len && item.ptr[0] == '!')
        problem_error(compiler->problems, where,
                      "'%s': commands cannot be excluded with '!'; write an allow rule for them "
                      "before this one",
                      item.ptr);
    else
        name_add(compiler, set, item, where);
}

struct command_set *command_set_compile(struct compiler *compiler, const struct text_list *list)
{
    struct command_set *set = arena_alloc(compiler->scratch, sizeof(*set));
    size_t bytes = set_words(command_count(compiler->commands)) * sizeof(uint64_t);
    set->named = arena_alloc(compiler->scratch, bytes);
    set->sure = arena_alloc(compiler->scratch, bytes);
    set->possible = arena_alloc(compiler->scratch, bytes);
    for (size_t i = 0; i < list->count; i++)
        item_add(compiler, set, list->items[i], list->where[i]);
    if (list->count == 0)
        all_add(compiler, set);
    return set;
}

void command_set_remove(struct command_set *set, size_t id)
{
    set_drop(set->sure, id);
    set_drop(set->possible, id);
}

uint64_t command_set_condition(const struct command_set *set, const struct command *command)
{
    return set_has(set->sure, command->id) ? 0 : set->classes & command->maybe;
}

bool command_set_covers(const struct command_set *outer, const struct command_set *inner,
                        size_t count)
{
    uint64_t any = 0, only_classes = 0;
    for (size_t i = 0; i < set_words(count); i++) {
        /* What is only possible is covered by those of the same classes, too. */
        uint64_t open = inner->possible[i] & ~outer->sure[i];
        if (open & (inner->sure[i] | ~outer->possible[i]))
            return false;
        only_classes |= open;
        any |= inner->possible[i];
    }
    if (only_classes && inner->classes & ~outer->classes)
        return false;
    return any && !inner->incomplete;
}
