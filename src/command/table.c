/* table.c - the built-in commands, and finding a command by name: one hash, no allocation. */
#include "internal.h"

/* ---- rows ---- */

#define F(flag)                CMD_##flag
#define C(category)            (1ull << CLASS_BIT_##category)
#define K(flag)                KEY_##flag
#define NO_KEYS                .specs = NULL
#define AT(position)           .begin = BEGIN_INDEX, .index = (position)
#define AFTER(word, from)      .begin = BEGIN_KEYWORD, .keyword = (word), .index = (from)
#define RANGE(to, every, part) .find = FIND_RANGE, .last = (to), .step = (every), .limit = (part)
#define KEYNUM(at, from, every)                                                                    \
    .find = FIND_KEYNUM, .numkeys = (at), .first = (from), .step = (every)
#define SPEC(flag_bits, at, how)                                                                   \
    {                                                                                              \
        .flags = (flag_bits), at, how                                                              \
    }
#define UNKNOWN_KEYS(flag_bits)                                                                    \
    {                                                                                              \
        .flags = (flag_bits), .begin = BEGIN_UNKNOWN                                               \
    }
#define KEYS(...)                                                                                  \
    .specs = (const struct key_spec[]){__VA_ARGS__},                                               \
    .spec_count = sizeof((const struct key_spec[]){__VA_ARGS__}) / sizeof(struct key_spec)
#define TOP                     .parent = NULL
#define PART_OF(container)      .parent = &builtin[COMMAND_##container]
#define WITH_SUBCOMMANDS(count) .sub_count = (count)
#define COMMAND(row_id, row_name, row_arity, row_flags, categories, request, response, keys,       \
                place)                                                                             \
    {.id = COMMAND_##row_id,                                                                       \
     .name = (row_name),                                                                           \
     .arity = (row_arity),                                                                         \
     .flags = (row_flags),                                                                         \
     .classes = (categories),                                                                      \
     .request_policy = REQUEST_##request,                                                          \
     .response_policy = RESPONSE_##response,                                                       \
     keys,                                                                                         \
     place},

/* Constant once the constructor below has run. */
static struct command builtin[COMMAND_BUILTIN_COUNT] = {
#include "respgate/commands.def"
};

/* ---- names ---- */

/* Adds 32 to every byte of the word that is an ASCII capital. The additions cannot carry into
 * the next byte because the top bits are taken away first. */
static inline uint64_t word_lower(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101ull, tops = 0x80 * ones;
    uint64_t low = word & ~tops;
    uint64_t from_a = low + (0x80 - 'A') * ones;
    uint64_t after_z = low + (0x80 - 'Z' - 1) * ones;
    uint64_t capital = (from_a ^ after_z) & ~word & tops;
    return word | capital >> 2;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "word_load() puts the first byte lowest");

/* Up to eight bytes as a word. Two loads that overlap stand for a copy of unknown length. */
static inline uint64_t word_load(const char *ptr, size_t len)
{
    uint32_t head, tail;
    if (len >= 8) {
        uint64_t word;
        memcpy(&word, ptr, 8);
        return word;
    }
    if (len >= 4) {
        memcpy(&head, ptr, 4);
        memcpy(&tail, ptr + len - 4, 4);
        return head | (uint64_t)tail << (len - 4) * 8;
    }
    if (len == 0)
        return 0;
    uint64_t word = (unsigned char)ptr[0];
    word |= (uint64_t)(unsigned char)ptr[len / 2] << len / 2 * 8;
    return word | (uint64_t)(unsigned char)ptr[len - 1] << (len - 1) * 8;
}

bool name_fold(struct str text, struct name *out)
{
    if (text.len == 0 || text.len > NAME_MAX_BYTES)
        return false;
    out->len = text.len;
    if (likely(text.len <= 8)) { /* nearly all names */
        *out = (struct name){.len = text.len, .word[0] = word_lower(word_load(text.ptr, text.len))};
        return true;
    }
    for (size_t i = 0; i < NAME_WORDS; i++) {
        size_t at = i * 8;
        out->word[i] = at < text.len ? word_lower(word_load(text.ptr + at, text.len - at)) : 0;
    }
    return true;
}

/* Odd multipliers spread each word to the top bits, which then come down. */
static inline size_t name_hash(const struct name *name, size_t scope)
{
    uint64_t hash = name->word[0] * 0x9e3779b97f4a7c15ull ^ name->word[1] * 0xc2b2ae3d27d4eb4full;
    hash ^= name->word[2] * 0x165667b19e3779f9ull ^ name->word[3] * 0xd6e8feb86659fd93ull;
    hash = (hash ^ hash >> 32 ^ scope) * 0xff51afd7ed558ccdull;
    return (size_t)(hash >> 32);
}

/* Without branches: four words differ or they do not. */
static inline bool slot_holds(const struct slot *slot, const struct name *name, size_t scope)
{
    uint64_t differs = (slot->len ^ name->len) | (slot->scope ^ scope);
    for (size_t i = 0; i < NAME_WORDS; i++)
        differs |= slot->word[i] ^ name->word[i];
    return differs == 0;
}

/* ---- the table ---- */

static inline const struct command *find(const struct command_table *table, const struct name *name,
                                         size_t scope)
{
    for (size_t i = name_hash(name, scope);; i++) {
        const struct slot *slot = &table->slots[i & table->mask];
        if (!slot->command || slot_holds(slot, name, scope))
            return slot->command;
    }
}

const struct command *table_find(const struct command_table *table, const struct name *name,
                                 size_t scope)
{
    return find(table, name, scope);
}

void table_insert(struct command_table *table, const struct name *name, size_t scope,
                  const struct command *command)
{
    size_t i = name_hash(name, scope) & table->mask;
    while (table->slots[i].command)
        i = (i + 1) & table->mask;
    struct slot *slot = &table->slots[i];
    *slot = (struct slot){.command = command, .scope = (uint16_t)scope, .len = (uint16_t)name->len};
    memcpy(slot->word, name->word, sizeof(slot->word));
}

void table_insert_builtin(struct command_table *table)
{
    for (size_t i = 0; i < COMMAND_BUILTIN_COUNT; i++) {
        const struct command *command = &builtin[i];
        const char *own = command->parent ? strchr(command->name, '|') + 1 : command->name;
        struct name name;
        ASSERT(name_fold(str_of(own), &name));
        table_insert(table, &name, command->parent ? command->parent->id + 1u : 0, command);
    }
}

enum { BUILTIN_SLOTS = 2048 };
static struct slot builtin_slots[BUILTIN_SLOTS];
static struct command_table builtin_table = {.slots = builtin_slots, .mask = BUILTIN_SLOTS - 1};

static void builtin_complete(struct command *command)
{
    if (command->sub_count)
        command->first_sub = (uint16_t)(command->id + 1);
    classes_assign(command);
}

/* Before main(), so that threads need no lock and boot no order. */
__attribute__((constructor)) static void builtin_build(void)
{
    for (size_t i = 0; i < COMMAND_BUILTIN_COUNT; i++)
        builtin_complete(&builtin[i]);
    table_insert_builtin(&builtin_table);
}

const struct command_table *command_table_builtin(void)
{
    return &builtin_table;
}

size_t command_count(const struct command_table *table)
{
    return COMMAND_BUILTIN_COUNT + table->learned_count;
}

const struct command *command_by_id(const struct command_table *table, size_t id)
{
    if (id < COMMAND_BUILTIN_COUNT)
        return &builtin[id];
    id -= COMMAND_BUILTIN_COUNT;
    return id < table->learned_count ? &table->learned[id] : NULL;
}

const struct command *command_by_name(const struct command_table *table, struct str text)
{
    struct name name;
    const char *bar = text.len ? memchr(text.ptr, '|', text.len) : NULL;
    size_t own = bar ? (size_t)(bar - text.ptr) : text.len;
    if (!name_fold((struct str){text.ptr, own}, &name))
        return NULL;
    const struct command *command = find(table, &name, 0);
    if (!command || !bar)
        return command;
    if (!name_fold((struct str){bar + 1, text.len - own - 1}, &name))
        return NULL;
    return find(table, &name, command->id + 1u);
}

enum lookup command_lookup(const struct command_table *table, const struct str *argv, size_t argc,
                           const struct command **out)
{
    struct name name;
    *out = NULL;
    if (unlikely(argc == 0 || !name_fold(argv[0], &name)))
        return LOOKUP_UNKNOWN;
    const struct command *command = find(table, &name, 0);
    if (unlikely(!command))
        return LOOKUP_UNKNOWN;
    *out = command;
    if (likely(command->sub_count == 0 || argc == 1))
        return LOOKUP_FOUND;
    const struct command *sub = NULL;
    if (name_fold(argv[1], &name))
        sub = find(table, &name, command->id + 1u);
    if (!sub)
        return LOOKUP_UNKNOWN_SUB;
    *out = sub;
    return LOOKUP_FOUND;
}
