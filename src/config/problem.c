/* problem.c - mistakes and warnings, one line each, collected so that one run shows them all. */
#include "respgate/config.h"

#include <stdio.h>

/* A file that is no configuration at all has a mistake on every line; nobody reads more. */
enum { ERRORS_SHOWN = 1000 };

static void where_add(struct buf *out, struct where where)
{
    if (where.file)
        buf_text(out, where.file);
    if (where.line > 0)
        buf_printf(out, ":%d", where.line);
    if (where.file)
        buf_text(out, ": ");
}

static void problem_add(struct problems *problems, struct where where, const char *kind,
                        const char *format, va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof(text), format, args);
    where_add(&problems->text, where);
    buf_printf(&problems->text, "%s%s\n", kind, text);
}

void problem_error(struct problems *problems, struct where where, const char *format, ...)
{
    va_list args;
    problems->errors++;
    if (problems->errors == ERRORS_SHOWN + 1)
        buf_text(&problems->text, "more mistakes are not shown\n");
    if (problems->errors > ERRORS_SHOWN)
        return;
    va_start(args, format);
    problem_add(problems, where, "", format, args);
    va_end(args);
}

void problem_warning(struct problems *problems, struct where where, const char *format, ...)
{
    va_list args;
    problems->warnings++;
    if (problems->warnings > ERRORS_SHOWN)
        return;
    va_start(args, format);
    problem_add(problems, where, "warning: ", format, args);
    va_end(args);
}

void problems_free(struct problems *problems)
{
    buf_free(&problems->text);
    *problems = (struct problems){0};
}
