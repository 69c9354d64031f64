/* keys.c - which keys the calls of a script name, as far as that can be known beforehand. */
#include "respgate/script.h"

#include <stdlib.h>

/* An argument whose value is not known, shown to the key specifications: no number, no option. */
static const struct str unknown = {"\0?", 2};
/* Unknown arguments behind the known ones, so that keys among them show. No step is longer. */
enum { REST_SHOWN = 4 };

struct finder {
    struct arena *arena;
    const struct command_table *commands;
    struct script_keys *keys;
    struct str *literals;
    size_t room;
};

static void literal_add(struct finder *finder, struct str literal)
{
    struct script_keys *keys = finder->keys;
    if (keys->literal_count == finder->room) {
        finder->room = finder->room ? finder->room * 2 : 16;
        finder->literals = xrealloc(finder->literals, finder->room * sizeof(literal));
    }
    finder->literals[keys->literal_count++] = literal;
}

/* False: it may be a key that EVAL does not name. */
static bool key_take(struct finder *finder, const struct script_argument *argument)
{
    if (argument->open || argument->count == 0)
        return false;
    for (size_t i = 0; i < argument->count; i++)
        switch (argument->values[i].kind) {
        case SCRIPT_ARGV: return false;
        case SCRIPT_LITERAL: literal_add(finder, argument->values[i].literal); break;
        case SCRIPT_KEY: break;
        }
    return true;
}

/* The call as a request; returns the number of arguments, the name included. */
static size_t request_of(const struct script_call *call, struct str *argv)
{
    size_t argc = 0;
    argv[argc++] = call->name;
    for (uint32_t i = 0; i < call->argc; i++) {
        const struct str *literal = i == 0 ? call->first : script_literal(&call->args[i]);
        argv[argc++] = literal ? *literal : unknown;
    }
    for (int i = 0; call->more && i < REST_SHOWN; i++)
        argv[argc++] = unknown;
    return argc;
}

/* Whether any word may be an option that says where keys are. The walk through XREAD's options
 * knows which words are none. */
static bool keys_by_words(const struct command *command)
{
    if (command->id == COMMAND_XREAD || command->id == COMMAND_XREADGROUP)
        return false;
    for (size_t i = 0; i < command->spec_count; i++)
        if (command->specs[i].begin != BEGIN_INDEX || command->specs[i].find == FIND_UNKNOWN ||
            command->specs[i].flags & KEY_INCOMPLETE)
            return true;
    return false;
}

/* Whether all words are known but those that stand where a key does. */
static bool words_known(const struct command *command, const struct script_call *call)
{
    for (uint32_t i = 0; i < call->argc; i++) {
        bool key = false;
        for (size_t s = 0; s < command->spec_count; s++)
            key |=
                command->specs[s].begin == BEGIN_INDEX && command->specs[s].index == (int64_t)i + 1;
        if (!key && !script_literal(&call->args[i]))
            return false;
    }
    return !call->more;
}

/* False: a key of the call is not known. */
static bool call_keys(struct finder *finder, const struct script_call *call)
{
    struct str argv[SCRIPT_ARGUMENTS_MAX + REST_SHOWN];
    struct key_ref refs[SCRIPT_ARGUMENTS_MAX + REST_SHOWN];
    const struct command *command;
    bool other_keys = false;
    ASSERT(call->argc < SCRIPT_ARGUMENTS_MAX);
    size_t argc = request_of(call, argv);
    if (command_lookup(finder->commands, argv, argc, &command) != LOOKUP_FOUND)
        return false;
    if (keys_by_words(command) && !words_known(command, call))
        return false;
    size_t count = command_keys(command, argv, argc, refs, ARRAY_LEN(refs), &other_keys);
    if (other_keys || count > ARRAY_LEN(refs))
        return false;
    for (size_t i = 0; i < count; i++) {
        uint32_t at = refs[i].arg - 1; /* behind the name */
        if (!(refs[i].flags & KEY_NOT_KEY) &&
            !key_take(finder, at < call->argc ? &call->args[at] : &call->rest))
            return false;
    }
    return true;
}

struct script_keys script_keys(struct arena *arena, const struct script *script,
                               const struct command_table *commands)
{
    struct script_keys keys = {0};
    struct finder finder = {.arena = arena, .commands = commands, .keys = &keys};
    for (size_t i = 0; i < script->call_count; i++)
        if (!call_keys(&finder, &script->calls[i]) && !keys.computed_line)
            keys.computed_line = script->calls[i].line;
    if (keys.literal_count) {
        struct str *copy = arena_alloc(arena, keys.literal_count * sizeof(*copy));
        keys.literals = memcpy(copy, finder.literals, keys.literal_count * sizeof(*copy));
    }
    free(finder.literals);
    return keys;
}
