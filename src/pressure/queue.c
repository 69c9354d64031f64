/* queue.c - how much a command adds to a queue. Commands of scripts are not seen here: a library's
 * scripts move jobs on as well as adding them, and refusing those would stop what drains. */
#include "respgate/pressure.h"

/* ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member ... */
static uint64_t zadd_adds(const struct str *argv, size_t argc)
{
    static const char *const options[] = {"nx", "xx", "gt", "lt", "ch", "incr"};
    size_t at = 2;
    for (bool more = true; more && at < argc;) {
        more = false;
        for (size_t i = 0; i < ARRAY_LEN(options) && !more; i++)
            more = str_equal_nocase(argv[at], str_of(options[i]));
        if (more && str_equal_nocase(argv[at], STR("xx")))
            return 0;
        at += more;
    }
    return (argc - at) / 2;
}

uint64_t queue_adds(const struct command *command, const struct str *argv, size_t argc, size_t arg)
{
    switch (command->id) {
    case COMMAND_XADD: return 1;
    case COMMAND_LPUSH:
    case COMMAND_RPUSH:
    case COMMAND_LPUSHX:
    case COMMAND_RPUSHX: return argc > 2 ? argc - 2 : 0;
    case COMMAND_LINSERT:
    case COMMAND_ZINCRBY: return 1;
    case COMMAND_ZADD: return zadd_adds(argv, argc);
    case COMMAND_LMOVE:
    case COMMAND_BLMOVE:
    case COMMAND_RPOPLPUSH:
    case COMMAND_BRPOPLPUSH: return arg == 2;
    }
    return 0;
}
