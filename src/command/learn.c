/* learn.c - a table of its own with the commands the built-in one lacks, from a backend's COMMAND
 * reply. Rows that make no sense are left out and counted: what is not learned is refused. */
#include "internal.h"

#include <stdlib.h>

/* Far above any real server, so that a hostile one cannot fill the memory or the id space. */
enum { LEARN_MAX = 8192 };

struct learner {
    struct command_table *table;
    struct command *commands;
    size_t count, room;
    size_t malformed;
};

static struct command *learner_add(struct learner *learner, struct command facts,
                                   const struct name *name)
{
    struct command *command = &learner->commands[learner->count];
    *command = facts;
    command->id = (uint16_t)(COMMAND_BUILTIN_COUNT + learner->count);
    classes_assign_learned(command);
    table_insert(learner->table, name, command->parent ? command->parent->id + 1u : 0, command);
    learner->count++;
    return command;
}

/* A row that is known already is not learned: NULL, and *known is the command it names. */
static struct command *learn_row(struct learner *learner, const struct tree *row,
                                 const struct command *parent, const struct command **known)
{
    struct name name;
    struct str own;
    *known = NULL;
    if (!row_is_sound(row) || !row_name(row, parent, &own) || !name_fold(own, &name)) {
        learner->malformed++;
        return NULL;
    }
    *known = table_find(learner->table, &name, parent ? parent->id + 1u : 0);
    if (*known) {
        learner->malformed += ((*known)->flags & CMD_LEARNED) != 0; /* twice in one reply */
        return NULL;
    }
    if (learner->count == learner->room) {
        learner->malformed++;
        return NULL;
    }
    return learner_add(learner, row_read(learner->table->arena, row, own, parent), &name);
}

static void learn_subcommands(struct learner *learner, const struct tree *list,
                              struct command *learned, const struct command *parent)
{
    const struct command *known;
    /* A command that takes no subcommand here would never be asked for one. */
    if (!learned && parent->sub_count == 0) {
        learner->malformed += list->count;
        return;
    }
    if (learned)
        learned->first_sub = (uint16_t)(COMMAND_BUILTIN_COUNT + learner->count);
    for (size_t i = 0; i < list->count; i++)
        if (learn_row(learner, &list->items[i], parent, &known) && learned)
            learned->sub_count++;
}

static void learn_command(struct learner *learner, const struct tree *row)
{
    const struct command *known;
    size_t malformed = learner->malformed;
    struct command *learned = learn_row(learner, row, NULL, &known);
    if (learner->malformed != malformed || row->count <= ROW_SUBCOMMANDS)
        return;
    const struct tree *list = &row->items[ROW_SUBCOMMANDS];
    if (is_array(list) && list->count > 0)
        learn_subcommands(learner, list, learned, learned ? learned : known);
}

/* ---- the table ---- */

/* How many commands a reply can add: all its rows and their subcommands. */
static size_t count_rows(const struct tree *reply)
{
    size_t count = 0;
    for (size_t i = 0; i < reply->count && count < LEARN_MAX; i++) {
        const struct tree *row = &reply->items[i];
        count++;
        if (is_array(row) && row->count > ROW_SUBCOMMANDS && is_array(&row->items[ROW_SUBCOMMANDS]))
            count += row->items[ROW_SUBCOMMANDS].count;
    }
    return count < LEARN_MAX ? count : LEARN_MAX;
}

struct command_table *command_table_learn(const struct tree *reply, size_t *malformed)
{
    struct command_table *table = xcalloc(1, sizeof(*table));
    struct learner learner = {.table = table};
    bool readable = is_array(reply);
    size_t slots = 1024;
    learner.room = readable ? count_rows(reply) : 0;
    while (slots < 3 * (COMMAND_BUILTIN_COUNT + learner.room))
        slots *= 2;
    table->mask = slots - 1;
    table->slots = xcalloc(slots, sizeof(*table->slots));
    table->arena = arena_new();
    learner.commands = arena_alloc(table->arena, learner.room * sizeof(*learner.commands));
    table_insert_builtin(table);
    for (size_t i = 0; readable && i < reply->count; i++)
        learn_command(&learner, &reply->items[i]);
    table->learned = learner.commands;
    table->learned_count = learner.count;
    *malformed = learner.malformed + !readable;
    return table;
}

void command_table_free(struct command_table *table)
{
    if (!table)
        return;
    ASSERT(table->arena);
    arena_free(table->arena);
    free(table->slots);
    free(table);
}
