/* verbs_change.c - the console's commands that change something; each is logged and audited. */
#include <stdio.h>
#include <stdlib.h>

#include "console.h"

static void note(struct console *console, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void note(struct console *console, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    log_notice(console->who, "console: %s", text);
    audit_note(console->admin->proxy, "admin", text);
}

/* ---- RULE ---- */

static bool mode_parse(struct str text, enum rule_mode *mode)
{
    for (*mode = RULE_ENFORCE; *mode <= RULE_OFF; ++*mode)
        if (str_equal_nocase(text, str_of(rule_mode_name(*mode))))
            return true;
    return false;
}

static const char *rule_nearest(const struct config *config, struct str name)
{
    const char **names = xcalloc(config->rule_count + 1, sizeof(*names));
    for (size_t i = 0; i < config->rule_count; i++)
        names[i] = config->rules[i].name;
    const char *nearest = word_nearest(names, name);
    free(names);
    return nearest;
}

static void rule_unknown(struct console *console, struct str name)
{
    const char *nearest = rule_nearest(console->admin->proxy->snapshot->config, name);
    struct buf shown = {0};
    buf_printable(&shown, name, 64);
    console_error(console, "ERR no rule '%.*s' in the file%s%s%s; SHOW RULES lists them",
                  (int)shown.len, shown.len ? shown.ptr : "", nearest ? ", did you mean '" : "",
                  nearest ? nearest : "", nearest ? "'?" : "");
    buf_free(&shown);
}

static bool rule_exists(const struct config *config, struct str name)
{
    for (size_t i = 0; i < config->rule_count; i++)
        if (str_equal(str_of(config->rules[i].name), name))
            return true;
    return false;
}

void verb_rule(struct console *console, const struct str *argv, size_t argc)
{
    struct proxy *proxy = console->admin->proxy;
    enum rule_mode mode;
    uint64_t ms = 0;
    bool timed = argc == 4 && str_equal_nocase(argv[2], STR("for"));
    if ((argc != 2 && !timed) || !mode_parse(argv[1], &mode) ||
        (timed && (!config_parse_duration(argv[3], &ms) || ms == 0)))
        console_error(console, "ERR syntax: RULE name OFF|OBSERVE|ENFORCE [FOR 10m]");
    else if (!rule_exists(proxy->snapshot->config, argv[0]))
        rule_unknown(console, argv[0]);
    else if (!proxy_switch_rule(proxy, console->who, argv[0], mode, ms))
        console_error(console, "ERR too many rules are switched by hand: RELOAD forgets them");
    else
        write_status(&console->out, "OK");
}

/* ---- RELOAD, DRAIN ---- */

void verb_reload(struct console *console, const struct str *argv, size_t argc)
{
    struct problems problems = {0};
    (void)argv;
    if (argc) {
        console_error(console, "ERR syntax: RELOAD");
        return;
    }
    note(console, "reload asked for");
    if (proxy_reload(console->admin->proxy, &problems)) {
        write_status(&console->out, console->admin->proxy->move
                                        ? "OK, moving to the new backend: the log tells how it ends"
                                        : "OK");
    } else {
        for (size_t i = 0; i + 1 < problems.text.len; i++)
            if (problems.text.ptr[i] == '\n')
                problems.text.ptr[i] = ';';
        write_error(&console->out, "ERR reload failed, the configuration in force stays: %.*s",
                    (int)problems.text.len, problems.text.ptr);
    }
    problems_free(&problems);
}

void verb_drain(struct console *console, const struct str *argv, size_t argc)
{
    (void)argv;
    if (argc) {
        console_error(console, "ERR syntax: DRAIN");
        return;
    }
    note(console, "drain asked for");
    write_status(&console->out, "OK");
    proxy_drain(console->admin->proxy);
}

/* ---- PAUSE, RESUME ---- */

enum { PAUSE_MS = 60 * 1000, PAUSE_MAX_MS = 3600 * 1000 };

static void pause_done(bool quiet, void *context)
{
    struct console *console = context;
    if (quiet)
        write_status(&console->out, "OK");
    else
        write_status(&console->out, "OK, but something that was under way has not ended yet");
    console_answer(console);
}

void verb_pause(struct console *console, const struct str *argv, size_t argc)
{
    struct proxy *proxy = console->admin->proxy;
    uint64_t ms = PAUSE_MS;
    bool writes = argc && str_equal_nocase(argv[0], STR("writes"));
    argv += writes;
    argc -= writes;
    bool timed = argc == 2 && str_equal_nocase(argv[0], STR("for")) &&
                 config_parse_duration(argv[1], &ms) && ms && ms <= PAUSE_MAX_MS;
    if (argc && !timed) {
        console_error(console, "ERR syntax: PAUSE [WRITES] [FOR 10s]; an hour at most");
    } else if (!proxy_pause(proxy, writes, ms, pause_done, console)) {
        console_error(console, "ERR another PAUSE waits for what is under way");
    } else {
        note(console, "%s are held for up to %llu ms", writes ? "writes" : "requests",
             (unsigned long long)ms);
        console_wait(console);
    }
}

void verb_resume(struct console *console, const struct str *argv, size_t argc)
{
    (void)argv;
    if (argc) {
        console_error(console, "ERR syntax: RESUME");
    } else if (!proxy_resume(console->admin->proxy)) {
        console_error(console, "ERR there is no pause");
    } else {
        note(console, "the pause is over");
        write_status(&console->out, "OK");
    }
}

/* ---- CLIENT KILL ---- */

struct kill_visit {
    struct visit visit; /* first: visits that are lost at the end are freed as this */
    struct console *console;
    uint64_t id;
    bool found;
};

static void kill_at(struct worker *worker, struct visit *visit)
{
    struct kill_visit *kill = CONTAINER(visit, struct kill_visit, visit);
    struct client *client = worker_client(worker, kill->id);
    if (!client)
        return;
    kill->found = true;
    log_notice(client_who(client), "killed from the console");
    client_close(client, REASON_KILLED);
}

static void kill_done(struct visit *visit)
{
    struct kill_visit *kill = CONTAINER(visit, struct kill_visit, visit);
    struct console *console = kill->console;
    if (kill->found) {
        note(console, "client %llu is killed", (unsigned long long)kill->id);
        write_status(&console->out, "OK");
    } else {
        console_error(console, "ERR No such client");
    }
    free(kill);
    console_answer(console);
}

void verb_kill(struct console *console, const struct str *argv, size_t argc)
{
    int64_t id;
    if (argc == 2 && str_equal_nocase(argv[0], STR("id"))) { /* as to Redis */
        argv++;
        argc--;
    }
    if (argc != 1 || !str_to_int(argv[0], &id) || id <= 0) {
        console_error(console, "ERR syntax: CLIENT KILL id");
        return;
    }
    struct kill_visit *kill = xcalloc(1, sizeof(*kill));
    kill->console = console;
    kill->id = (uint64_t)id;
    console_wait(console);
    proxy_visit(console->admin->proxy, &kill->visit, kill_at, kill_done);
}

/* ---- CONFIRM ---- */

static void confirm_list(struct console *console, const struct confirm_answer *answer)
{
    struct str rest = buf_view(&answer->lines);
    write_array(&console->out, answer->count);
    for (size_t i = 0; i < answer->count; i++) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
        buf_text(&console->out, "+");
        buf_printable(&console->out, (struct str){rest.ptr, len}, 500);
        buf_text(&console->out, "\r\n");
        rest = (struct str){rest.ptr + len + (end != NULL), rest.len - len - (end != NULL)};
    }
}

static void confirm_done(struct confirm_answer *answer, void *context)
{
    struct console *console = context;
    if (console->confirming) {
        console->confirming = false;
        if (answer->armed) {
            note(console, "a command is confirmed");
            write_status(&console->out, "OK");
        } else {
            console_error(console, "ERR no command waits for this code; CONFIRM alone lists those "
                                   "that wait");
        }
    } else {
        confirm_list(console, answer);
    }
    console_answer(console);
}

void verb_confirm(struct console *console, const struct str *argv, size_t argc)
{
    char code[32] = "";
    if (argc > 1 || (argc && argv[0].len >= sizeof(code))) {
        console_error(console, "ERR syntax: CONFIRM [code]");
        return;
    }
    if (argc)
        memcpy(code, argv[0].ptr, argv[0].len);
    console->confirming = argc > 0;
    console_wait(console);
    proxy_confirm(console->admin->proxy, argc ? code : NULL, confirm_done, console);
}

/* ---- RESET COUNTERS ---- */

struct reset_visit {
    struct visit visit; /* first, as in kill_visit */
    struct console *console;
};

static void reset_at(struct worker *worker, struct visit *visit)
{
    (void)visit;
    counts_zero(worker);
}

static void reset_done(struct visit *visit)
{
    struct reset_visit *reset = CONTAINER(visit, struct reset_visit, visit);
    struct console *console = reset->console;
    free(reset);
    note(console, "counters are reset");
    write_status(&console->out, "OK");
    console_answer(console);
}

void verb_reset(struct console *console, const struct str *argv, size_t argc)
{
    (void)argv;
    if (argc) {
        console_error(console, "ERR syntax: RESET COUNTERS");
        return;
    }
    struct reset_visit *reset = xcalloc(1, sizeof(*reset));
    reset->console = console;
    console_wait(console);
    proxy_visit(console->admin->proxy, &reset->visit, reset_at, reset_done);
}
