/* internal.h - what the parts of the operator's side share. */
#ifndef RESPGATE_ADMIN_INTERNAL_H
#define RESPGATE_ADMIN_INTERNAL_H

#include "respgate/admin.h"

struct http;

/* One address that guessed the password wrong. */
struct guesser {
    char key[24];
    uint8_t len; /* 0: free */
    uint8_t failures;
    uint64_t since, tried; /* loop ms: first failure of the window, last one that was looked at */
};
enum { GUESSERS_MAX = 64 };

struct admin {
    struct proxy *proxy;
    struct listener *console, *http_door;
    struct list consoles;
    size_t console_count;
    struct http *http;
    struct guesser guessers[GUESSERS_MAX];
    uint64_t next_sample; /* loop ms */
};

/* ---- password (password.c) ---- */

enum pass {
    PASS_RIGHT,
    PASS_WRONG,
    PASS_LATER, /* too many wrong ones from there: not even looked at */
};
bool admin_has_password(const struct admin *admin);
enum pass must_check admin_pass(struct admin *admin, const struct address *from, struct str given);
/* Tells whether the password that let somebody in is still the one in force. */
void admin_credential(const struct admin *admin, uint8_t out[DIGEST_SIZE]);

/* ---- console (console.c) ---- */

void console_accept(void *owner, struct listener *listener, int fd);
void consoles_tick(struct admin *admin);
void consoles_close(struct admin *admin);

/* ---- HTTP (http.c) ---- */

struct http *http_new(struct admin *admin);
void http_accept(void *owner, struct listener *listener, int fd);
void http_tick(struct http *http);
void http_close(struct http *http);

#endif
