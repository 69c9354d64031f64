/* console.h - one connection to the console, and what its verbs may do with it. */
#ifndef RESPGATE_ADMIN_CONSOLE_H
#define RESPGATE_ADMIN_CONSOLE_H

#include "internal.h"
#include "table.h"

struct console {
    struct conn conn;
    struct admin *admin;
    struct list entry; /* of admin->consoles */
    struct parser *parser;
    struct address address;
    char who[96]; /* for the log: "console=3 addr=127.0.0.1:4242" */
    struct buf out;
    uint64_t id, since, active; /* loop ms */
    int resp;
    enum format format;
    bool passed;                     /* gave the password whose digest is credential */
    uint8_t credential[DIGEST_SIZE]; /* another one since then: must log in again */
    bool waiting;                    /* for letters; nothing is parsed until then */
    bool gone;                       /* closed while waiting: freed with the answer */
    bool eof, leaving;
    bool confirming;               /* its letter has a code */
    const struct table_kind *show; /* what its report is for */
    char show_by[32];
    size_t show_limit;
};

/* Whether it may do what needs the password; true as well where there is none. */
bool console_passed(const struct console *console);
/* An answer to the command under way, beginning with - + or *, is in console->out: written when
 * the verb returns, or by console_answer when it had to wait. */
void console_wait(struct console *console);
void console_answer(struct console *console); /* after console_wait; may free it */
void console_error(struct console *console, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void console_leave(struct console *console); /* closes when all is written */

/* ---- verbs (verbs.c, verbs_change.c) ---- */

typedef void verb_run(struct console *console, const struct str *argv, size_t argc);
#define VERB(id, words, privilege, arguments, help) verb_run verb_##id;
#include "respgate/console.def"
#undef VERB

enum privilege { OPEN, LOOK, CHANGE };
struct verb {
    const char *words, *arguments, *help;
    enum privilege privilege;
    verb_run *run;
};
extern const struct verb verbs[];
extern const size_t verb_count;
void console_run(struct console *console, const struct str *argv, size_t argc);

#endif
