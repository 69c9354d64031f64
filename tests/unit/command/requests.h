/* requests.h - requests for the tests of the command layer, in memory of exactly their size. */
#ifndef TESTS_COMMAND_REQUESTS_H
#define TESTS_COMMAND_REQUESTS_H

#include "respgate/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

struct test_request {
    struct str *argv;
    size_t argc;
};

static inline void request_add(struct test_request *request, const char *ptr, size_t len)
{
    char *bytes = xmalloc(len);
    if (len)
        memcpy(bytes, ptr, len);
    request->argv = xrealloc(request->argv, (request->argc + 1) * sizeof(struct str));
    request->argv[request->argc++] = (struct str){bytes, len};
}

/* Words between single spaces; '' is an empty argument. */
static inline struct test_request request_of(const char *line)
{
    struct test_request request = {0};
    while (*line) {
        size_t len = strcspn(line, " ");
        bool empty = len == 2 && memcmp(line, "''", 2) == 0;
        request_add(&request, line, empty ? 0 : len);
        line += len + (line[len] == ' ');
    }
    return request;
}

static inline void request_free(struct test_request *request)
{
    for (size_t i = 0; i < request->argc; i++)
        free((char *)request->argv[i].ptr);
    free(request->argv);
}

static inline const struct command *request_command(const struct test_request *request)
{
    const struct command *command = NULL;
    assert_int_equal(command_lookup(command_table_builtin(), request->argv, request->argc,
                                    &command),
                     LOOKUP_FOUND);
    return command;
}

#endif
