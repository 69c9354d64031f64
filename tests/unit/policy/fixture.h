/*
 * fixture.h - a small command table of its own, rules written as one line, requests as one line.
 *
 * The table is made by hand so that each test knows its facts: classes that arguments decide on,
 * containers, learned commands. test_builtin.c runs on the real one.
 */
#ifndef POLICY_FIXTURE_H
#define POLICY_FIXTURE_H

#include "respgate/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { RULES_CAP = 64, USERS_CAP = 4, ARGS_CAP = 64 };

/* A configuration that grows rule by rule, and who asks. */
struct setup {
    struct arena *arena;
    struct config config;
    struct config_rule rules[RULES_CAP];
    struct config_user users[USERS_CAP];
    struct problems problems;
    struct policy *policy;
    const struct command_table *table; /* NULL is the one of table.c */
    struct subject subject;
    int64_t db;
    enum pressure pressure;
    enum elements_state asked;
    int64_t elements;
};
void setup_init(struct setup *setup);
void setup_free(struct setup *setup);
/* setup_rule(s, "x", "commands = get, set; keys = a*; action = deny; message = no"). The rule's
 * line is 10 for the first, 20 for the next, and so on. */
void setup_rule(struct setup *setup, const char *name, const char *options);
/* Compiles; a failure ends the test. */
void setup_compile(struct setup *setup);
/* Compiles; one that succeeds ends the test, and so does one without this text. */
void setup_refused(struct setup *setup, const char *text);
bool setup_warned(const struct setup *setup, const char *text);

/* One request: arguments by spaces. */
struct asked {
    struct str argv[ARGS_CAP];
    struct key_ref keys[ARGS_CAP];
    struct question question;
    struct verdict verdict;
    char text[1024];
};
void asked_parse(struct asked *asked, const struct setup *setup, const char *request);
/* The rule that denied, "allow:NAME" for one that allowed, "-" when none decided. */
const char *decided(const struct setup *setup, const char *request);
/* Names of the observed rules, by spaces. */
const char *observed(const struct setup *setup, const char *request);
const char *refusal(const struct setup *setup, const char *request);

#endif
