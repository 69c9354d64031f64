/* verbs.c - the console's commands: who may, which one is meant, and those that only look. */
#include <stdio.h>

#include "console.h"

const struct verb verbs[] = {
#define VERB(id, text, level, usage, meaning) {text, usage, meaning, level, verb_##id},
#include "respgate/console.def"
#undef VERB
};
const size_t verb_count = ARRAY_LEN(verbs);

/* ---- which one ---- */

/* Words of the row that the arguments begin with; 0: it is not this one. */
static size_t verb_match(const struct verb *verb, const struct str *argv, size_t argc)
{
    const char *space = strchr(verb->words, ' ');
    size_t first = space ? (size_t)(space - verb->words) : strlen(verb->words);
    if (!str_equal_nocase((struct str){verb->words, first}, argv[0]))
        return 0;
    if (!space)
        return 1;
    return argc > 1 && str_equal_nocase(str_of(space + 1), argv[1]) ? 2 : 0;
}

static const struct verb *verb_find(const struct str *argv, size_t argc, size_t *words)
{
    for (size_t i = 0; i < verb_count; i++)
        if ((*words = verb_match(&verbs[i], argv, argc)))
            return &verbs[i];
    return NULL;
}

static void verb_unknown(struct console *console, struct str word)
{
    const char *names[32] = {NULL};
    struct buf shown = {0};
    ASSERT(verb_count < ARRAY_LEN(names));
    for (size_t i = 0; i < verb_count; i++)
        names[i] = verbs[i].words;
    const char *nearest = word_nearest(names, word);
    buf_printable(&shown, word, 64);
    if (nearest)
        console_error(console,
                      "ERR unknown command '%.*s', did you mean '%s'? SHOW lists what there is",
                      (int)shown.len, shown.ptr, nearest);
    else
        console_error(console, "ERR unknown command '%.*s'; SHOW lists what there is",
                      (int)shown.len, shown.len ? shown.ptr : "");
    buf_free(&shown);
}

/* A page in a browser can make it send to 127.0.0.1, and a request's lines could be commands. Redis
 * has the same two words (server.c, securityWarningCommand), and they come in the first lines. */
static bool is_browser(struct str word)
{
    static const char *const words[] = {"get",   "post",    "put",     "head",  "delete",
                                        "patch", "options", "connect", "trace", "host:"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_equal_nocase(word, str_of(words[i])))
            return true;
    return false;
}

static bool verb_allowed(struct console *console, const struct verb *verb)
{
    switch (verb->privilege) {
    case OPEN: return true;
    case LOOK: break;
    case CHANGE:
        if (admin_has_password(console->admin))
            break;
        console_error(console,
                      "NOPERM respgate: '%s' changes something: set [admin] password-file first, "
                      "then AUTH",
                      verb->words);
        return false;
    }
    if (console_passed(console))
        return true;
    console_error(console, "NOAUTH Authentication required.");
    return false;
}

void console_run(struct console *console, const struct str *argv, size_t argc)
{
    size_t words;
    const struct verb *verb = verb_find(argv, argc, &words);
    if (!verb && is_browser(argv[0])) {
        log_warn(console->who, "console: this is HTTP, most likely a page that tries to reach it "
                               "through a browser; closed");
        console_leave(console);
        return;
    }
    if (!verb && !console_passed(console))
        console_error(console, "NOAUTH Authentication required.");
    else if (!verb)
        verb_unknown(console, argv[0]);
    else if (verb_allowed(console, verb))
        verb->run(console, argv + words, argc - words);
}

/* ---- the protocol's own ---- */

static bool try_password(struct console *console, struct str password)
{
    struct admin *admin = console->admin;
    if (!admin_has_password(admin)) {
        console_error(console, "ERR AUTH was sent, but [admin] password-file is not set");
        return false;
    }
    switch (admin_pass(admin, &console->address, password)) {
    case PASS_RIGHT:
        console->passed = true;
        admin_credential(admin, console->credential);
        return true;
    case PASS_WRONG:
        log_warn(console->who, "console: wrong password");
        console_error(console, "WRONGPASS invalid username-password pair or user is disabled.");
        return false;
    case PASS_LATER:
        console_error(console, "ERR too many wrong passwords, try again in a second");
        return false;
    }
    return false;
}

void verb_auth(struct console *console, const struct str *argv, size_t argc)
{
    if (argc != 1 && argc != 2)
        console_error(console, "ERR wrong number of arguments for 'auth' command");
    else if (try_password(console, argv[argc - 1]))
        write_status(&console->out, "OK");
}

static void hello_answer(struct console *console)
{
    struct buf *out = &console->out;
    write_map(out, 7, console->resp);
    write_bulk(out, STR("server"));
    write_bulk(out, STR("respgate"));
    write_bulk(out, STR("version"));
    write_bulk(out, str_of(RESPGATE_VERSION));
    write_bulk(out, STR("proto"));
    write_int(out, console->resp);
    write_bulk(out, STR("id"));
    write_int(out, (int64_t)console->id);
    write_bulk(out, STR("mode"));
    write_bulk(out, STR("standalone"));
    write_bulk(out, STR("role"));
    write_bulk(out, STR("master"));
    write_bulk(out, STR("modules"));
    write_array(out, 0);
}

void verb_hello(struct console *console, const struct str *argv, size_t argc)
{
    int64_t version = console->resp;
    if (argc && (!str_to_int(argv[0], &version) || version < 2 || version > 3)) {
        console_error(console, "NOPROTO unsupported protocol version");
        return;
    }
    for (size_t i = 1; i < argc;) {
        if (str_equal_nocase(argv[i], STR("auth")) && i + 2 < argc) {
            if (!try_password(console, argv[i + 2]))
                return;
            i += 3;
        } else if (str_equal_nocase(argv[i], STR("setname")) && i + 1 < argc) {
            i += 2;
        } else {
            console_error(console, "ERR Syntax error in HELLO option");
            return;
        }
    }
    if (!console_passed(console)) {
        console_error(console, "NOAUTH HELLO must be called with the client already authenticated, "
                               "otherwise the HELLO AUTH <user> <pass> option can be used");
        return;
    }
    console->resp = (int)version;
    if (argc)
        console->format = version == 3 ? FORMAT_MAPS : FORMAT_ARRAYS;
    hello_answer(console);
}

void verb_ping(struct console *console, const struct str *argv, size_t argc)
{
    if (argc)
        write_bulk(&console->out, argv[0]);
    else
        write_status(&console->out, "PONG");
}

void verb_quit(struct console *console, const struct str *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    write_status(&console->out, "OK");
    console_leave(console);
}

void verb_select(struct console *console, const struct str *argv, size_t argc)
{
    if (argc == 1 && str_equal(argv[0], STR("0")))
        write_status(&console->out, "OK");
    else
        console_error(console, "ERR the console has no databases");
}

/* Libraries say what they are; redis-cli and people do not. */
void verb_setinfo(struct console *console, const struct str *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    if (console->resp == 2)
        console->format = FORMAT_ARRAYS;
    write_status(&console->out, "OK");
}

/* redis-cli asks for COMMAND DOCS when it starts, and completes words from the answer. */
void verb_command(struct console *console, const struct str *argv, size_t argc)
{
    struct buf *out = &console->out;
    if (argc && str_equal_nocase(argv[0], STR("count"))) {
        write_int(out, (int64_t)verb_count);
        return;
    }
    if (argc != 1 || !str_equal_nocase(argv[0], STR("docs"))) {
        write_array(out, 0);
        return;
    }
    write_map(out, verb_count, console->resp);
    for (size_t i = 0; i < verb_count; i++) {
        write_bulk(out, str_of(verbs[i].words));
        write_map(out, 2, console->resp);
        write_bulk(out, STR("summary"));
        write_bulk(out, str_of(verbs[i].help));
        write_bulk(out, STR("group"));
        write_bulk(out, STR("server"));
    }
}

/* ---- HELP and SHOW ---- */

static void help_line(struct buf *out, const char *before, const char *words, const char *arguments,
                      const char *help)
{
    char left[80];
    int len = snprintf(left, sizeof(left), "%s%s", before, words);
    for (int i = 0; i < len; i++)
        left[i] = (char)(left[i] >= 'a' && left[i] <= 'z' ? left[i] - 32 : left[i]);
    snprintf(left + len, sizeof(left) - (size_t)len, "%s%s", arguments[0] ? " " : "", arguments);
    buf_printf(out, "+%-46s %s\r\n", left, help);
}

/* redis-cli keeps HELP for itself, so SHOW alone tells the same. */
void verb_help(struct console *console, const struct str *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    write_array(&console->out, TABLE_COUNT + verb_count);
    for (size_t i = 0; i < TABLE_COUNT; i++)
        help_line(&console->out, "show ", table_kinds[i].name, "", table_kinds[i].help);
    for (size_t i = 0; i < verb_count; i++)
        help_line(&console->out, "", verbs[i].words, verbs[i].arguments, verbs[i].help);
}

static void show_done(struct report *report, void *context)
{
    struct console *console = context;
    struct source source = {console->admin->proxy, report};
    struct table table;
    table_make(&table, console->show, &source);
    if (console->show_by[0] && !table_sort(&table, str_of(console->show_by))) {
        console_error(console, "ERR no column '%s' in SHOW %s", console->show_by,
                      console->show->name);
    } else {
        table_limit(&table, console->show_limit);
        render_resp(&table, console->format, &console->out);
    }
    table_free(&table);
    report_free(report);
    console_answer(console);
}

/* [BY column] [LIMIT n] in any order; false: neither. */
static bool show_options(struct console *console, const struct str *argv, size_t argc)
{
    for (size_t i = 0; i < argc; i += 2) {
        int64_t number = 0;
        bool more = i + 1 < argc;
        if (more && str_equal_nocase(argv[i], STR("by")) &&
            argv[i + 1].len < sizeof(console->show_by))
            snprintf(console->show_by, sizeof(console->show_by), "%.*s", (int)argv[i + 1].len,
                     argv[i + 1].ptr);
        else if (more && str_equal_nocase(argv[i], STR("limit")) &&
                 str_to_int(argv[i + 1], &number) && number > 0)
            console->show_limit = (size_t)number;
        else
            return false;
    }
    return true;
}

void verb_show(struct console *console, const struct str *argv, size_t argc)
{
    enum { ROWS = 1000 };
    if (!argc) {
        verb_help(console, argv, argc);
        return;
    }
    const struct table_kind *kind = table_by_name(argv[0]);
    if (!kind) {
        const char *nearest = table_nearest(argv[0]);
        console_error(console, "ERR no such table%s%s%s; SHOW lists them",
                      nearest ? ", did you mean '" : "", nearest ? nearest : "",
                      nearest ? "'?" : "");
        return;
    }
    console->show = kind;
    console->show_limit = ROWS;
    snprintf(console->show_by, sizeof(console->show_by), "%s", kind->sorted_by);
    if (!show_options(console, argv + 1, argc - 1)) {
        console_error(console, "ERR syntax: SHOW %s [BY column] [LIMIT n]", kind->name);
        return;
    }
    console_wait(console);
    proxy_report(console->admin->proxy, table_of_clients(kind) ? REPORT_CLIENTS : REPORT_COUNTS,
                 show_done, console);
}
