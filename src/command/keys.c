/* keys.c - where the keys of a request are: by the key specifications of Redis 7, and by hand for
 * the few commands whose specifications say "unknown", "incomplete" or look at the wrong word. */
#include "internal.h"

/* Counts all keys, keeps those that fit. */
struct found {
    struct key_ref *refs;
    size_t cap, count;
    bool unknown;
};

static inline void found_add(struct found *found, size_t arg, unsigned flags)
{
    if (found->count < found->cap)
        found->refs[found->count] = (struct key_ref){(uint32_t)arg, (uint16_t)flags};
    found->count++;
}

/* ---- by hand ---- */

typedef void key_function(const struct command *command, const struct str *argv, size_t argc,
                          struct found *found);

static void sort_keys(const struct command *command, const struct str *argv, size_t argc,
                      struct found *found)
{
    struct sort_options options = sort_options(argv, argc);
    if (argc > 1)
        found_add(found, 1, KEY_RO | KEY_ACCESS);
    if (options.store && command->id == COMMAND_SORT)
        found_add(found, options.store, KEY_OW | KEY_UPDATE);
    found->unknown |= options.looks_up;
}

/* Both destinations count when there are several, though the last one wins: the key
 * specification finds the first, and neither server nor rules shall be fooled by the other. */
static void georadius_keys(const struct command *command, const struct str *argv, size_t argc,
                           struct found *found)
{
    if (argc > 1)
        found_add(found, 1, KEY_RO | KEY_ACCESS);
    size_t store = 0;
    while ((store = georadius_store(command, argv, argc, store)) != 0)
        found_add(found, store, KEY_OW | KEY_UPDATE);
}

/* MIGRATE host port key db timeout [COPY] [REPLACE] [AUTH p | AUTH2 u p] [KEYS key ...]: a
 * password may be called "keys". An empty third argument stands for the list. */
static void migrate_keys(const struct command *command, const struct str *argv, size_t argc,
                         struct found *found)
{
    size_t list = 0;
    for (size_t i = 6; i < argc && !list; i++) {
        if (is_word(argv[i], "keys"))
            list = i + 1;
        else if (is_word(argv[i], "auth"))
            i++;
        else if (is_word(argv[i], "auth2"))
            i += 2;
    }
    if (argc > 3 && (!list || argv[3].len > 0))
        found_add(found, 3, KEY_RW | KEY_ACCESS | KEY_DELETE);
    for (size_t i = list; list && i < argc; i++)
        found_add(found, i, KEY_RW | KEY_ACCESS | KEY_DELETE);
}

static void xread_keys(const struct command *command, const struct str *argv, size_t argc,
                       struct found *found)
{
    struct xread_options options = xread_options(argv, argc);
    size_t count = options.streams ? (argc - options.streams) / 2 : 0;
    for (size_t i = 0; i < count; i++)
        found_add(found, options.streams + i, KEY_RO | KEY_ACCESS);
    found->unknown |= options.strange;
}

static void set_keys(const struct command *command, const struct str *argv, size_t argc,
                     struct found *found)
{
    unsigned flags = KEY_OW | KEY_UPDATE;
    for (size_t i = 3; i < argc; i++)
        if (is_word(argv[i], "get"))
            flags = KEY_RW | KEY_ACCESS | KEY_UPDATE;
    if (argc > 1)
        found_add(found, 1, flags);
}

static void bitfield_keys(const struct command *command, const struct str *argv, size_t argc,
                          struct found *found)
{
    bool reads = bitfield_only_reads(argv, argc);
    if (argc > 1)
        found_add(found, 1, reads ? KEY_RO | KEY_ACCESS : KEY_RW | KEY_ACCESS | KEY_UPDATE);
}

/* RANDOMKEY and CLUSTER GETKEYSINSLOT tell any key's name. DEBUG has no key specifications, but its
 * subcommands look at keys and make some. */
static void any_keys(const struct command *command, const struct str *argv, size_t argc,
                     struct found *found)
{
    found->unknown |= command->id != COMMAND_DEBUG || argc > 2;
}

static key_function *const key_functions[COMMAND_BUILTIN_COUNT] = {
    [COMMAND_SORT] = sort_keys,           [COMMAND_SORT_RO] = sort_keys,
    [COMMAND_GEORADIUS] = georadius_keys, [COMMAND_GEORADIUSBYMEMBER] = georadius_keys,
    [COMMAND_MIGRATE] = migrate_keys,     [COMMAND_XREAD] = xread_keys,
    [COMMAND_XREADGROUP] = xread_keys,    [COMMAND_SET] = set_keys,
    [COMMAND_BITFIELD] = bitfield_keys,   [COMMAND_RANDOMKEY] = any_keys,
    [COMMAND_DEBUG] = any_keys,           [COMMAND_CLUSTER_GETKEYSINSLOT] = any_keys,
};

/* ---- by specification ---- */

/* Positions are 64 bits wide here, so no sum of 16-bit facts and argument counts overflows. */

/* Where a search begins, or 0 when the keyword is missing. A keyword as the last argument has
 * nothing behind it; a negative index searches from the end backwards. */
static int64_t spec_begin(const struct key_spec *spec, const struct str *argv, int64_t argc)
{
    if (spec->begin == BEGIN_INDEX)
        return spec->index;
    int64_t step = spec->index > 0 ? 1 : -1;
    int64_t i = spec->index > 0 ? spec->index : argc + spec->index;
    for (; i >= 1 && i < argc; i += step)
        if (is_word(argv[i], spec->keyword))
            return i + 1;
    return 0;
}

static int64_t range_last(const struct key_spec *spec, int64_t first, int64_t argc)
{
    if (spec->last >= 0)
        return first + spec->last;
    if (spec->limit > 1)
        return first + (argc - first) / spec->limit + spec->last;
    return argc + spec->last;
}

/* How many keys a numkeys argument promises, at most argc. One that is no number is refused by
 * the server; here its keys count as unknown, so that no allow rule meets it. */
static int64_t keynum_count(const struct key_spec *spec, const struct str *argv, int64_t argc,
                            int64_t begin, struct found *found)
{
    int64_t count = 0, at = begin + spec->numkeys;
    if (at < 1 || at >= argc)
        return 0;
    if (!str_to_int(argv[at], &count))
        found->unknown = true;
    return count > argc ? argc : count;
}

static void spec_keys(const struct key_spec *spec, const struct str *argv, int64_t argc,
                      struct found *found)
{
    if (spec->begin == BEGIN_UNKNOWN || spec->find == FIND_UNKNOWN) {
        found->unknown = true;
        return;
    }
    int64_t first = spec_begin(spec, argv, argc), last;
    if (first < 1)
        return;
    if (spec->find == FIND_RANGE) {
        last = range_last(spec, first, argc);
    } else {
        int64_t count = keynum_count(spec, argv, argc, first, found);
        first += spec->first;
        last = first + count * spec->step - 1;
    }
    if (last >= argc)
        last = argc - 1;
    for (int64_t i = first; i <= last; i += spec->step)
        found_add(found, (size_t)i, spec->flags);
    found->unknown |= (spec->flags & KEY_INCOMPLETE) != 0;
}

size_t command_keys(const struct command *command, const struct str *argv, size_t argc,
                    struct key_ref *refs, size_t cap, bool *unknown)
{
    struct found found = {.refs = refs, .cap = cap};
    key_function *by_hand = command->id < COMMAND_BUILTIN_COUNT ? key_functions[command->id] : NULL;
    if (by_hand)
        by_hand(command, argv, argc, &found);
    else
        for (size_t i = 0; i < command->spec_count; i++)
            spec_keys(&command->specs[i], argv, (int64_t)argc, &found);
    *unknown = found.unknown;
    return found.count;
}
