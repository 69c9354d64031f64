/* helper.h - loads a text and shows what came of it; shared by the tests of the config layer. */
#ifndef RESPGATE_TEST_CONFIG_HELPER_H
#define RESPGATE_TEST_CONFIG_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../../src/config/option.h"

static inline const char *problems_text(struct problems *problems)
{
    buf_add(&problems->text, "", 1);
    problems->text.len--;
    return problems->text.ptr;
}

/* The text loads; free the configuration with config_free(). */
static inline struct config *loads(const char *text)
{
    struct problems problems = {0};
    struct config *config = config_load_text("t", str_of(text), NULL, &problems);
    if (!config)
        fail_msg("not loaded:\n%s", problems_text(&problems));
    problems_free(&problems);
    return config;
}

/* The text is refused with just these lines. */
#define refused(text, expected)                                                                    \
    do {                                                                                           \
        struct problems problems_ = {0};                                                           \
        struct config *config_ = config_load_text("t", str_of(text), NULL, &problems_);            \
        assert_null(config_);                                                                      \
        assert_string_equal(problems_text(&problems_), expected);                                  \
        problems_free(&problems_);                                                                 \
    } while (0)

/* A file in the test's own folder, with just this mode. */
static inline const char *file_write(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(name, mode), 0);
    return name;
}

/* cmocka group setup: an empty folder that is the working directory. */
static inline int folder_enter(void **state)
{
    static char path[] = "/tmp/respgate-config-XXXXXX";
    *state = path;
    return mkdtemp(path) && chdir(path) == 0 ? 0 : -1;
}
static inline int folder_leave(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", (char *)*state);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

#endif
