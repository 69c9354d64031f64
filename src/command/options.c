/* options.c - walks through the options of the few commands whose keys or effect depend on them,
 * each in the order and with the skips of the Redis function that executes the command. */
#include "internal.h"

struct xread_options xread_options(const struct str *argv, size_t argc)
{
    struct xread_options options = {0};
    for (size_t i = 1; i < argc; i++) {
        if (is_word(argv[i], "streams")) {
            options.streams = i + 1;
            break;
        } else if (is_word(argv[i], "block")) {
            options.block = true;
            i++;
        } else if (is_word(argv[i], "count")) {
            i++;
        } else if (is_word(argv[i], "group")) {
            i += 2;
        } else if (!is_word(argv[i], "noack")) {
            options.strange = true;
        }
    }
    return options;
}

struct sort_options sort_options(const struct str *argv, size_t argc)
{
    struct sort_options options = {0};
    for (size_t i = 2; i < argc; i++) {
        size_t left = argc - i - 1;
        if (left >= 2 && is_word(argv[i], "limit")) {
            i += 2;
        } else if (left >= 1 && is_word(argv[i], "store")) {
            options.store = ++i;
        } else if (left >= 1 && is_word(argv[i], "by")) {
            options.looks_up |= !is_word(argv[++i], "nosort");
        } else if (left >= 1 && is_word(argv[i], "get")) {
            options.looks_up |= !is_word(argv[++i], "#");
        }
    }
    return options;
}

size_t georadius_store(const struct command *command, const struct str *argv, size_t argc,
                       size_t from)
{
    /* Behind the unit: "key x y radius unit" or "key member radius unit". */
    size_t options = command->id == COMMAND_GEORADIUS ? 6 : 5;
    for (size_t i = from ? from + 1 : options; i + 1 < argc; i++) {
        if (is_word(argv[i], "store") || is_word(argv[i], "storedist"))
            return i + 1;
        if (is_word(argv[i], "count"))
            i++;
    }
    return 0;
}

bool bitfield_only_reads(const struct str *argv, size_t argc)
{
    for (size_t i = 2; i < argc;) {
        size_t left = argc - i - 1;
        if (left >= 2 && is_word(argv[i], "get"))
            i += 3;
        else if (left >= 1 && is_word(argv[i], "overflow"))
            i += 2;
        else
            return false;
    }
    return true;
}
