/* test_refusal.c - texts a denied client reads, and what a reload changed. */
#include "fixture.h"

#include <unistd.h>

static struct setup s;

static int before(void **state)
{
    setup_init(&s);
    return 0;
}

static int after(void **state)
{
    setup_free(&s);
    return 0;
}

/* ---- refusals ----------------------------------------------------------------------------- */

static void test_texts(void **state)
{
    setup_rule(&s, "no-flush", "commands = flushall; action = deny; message = use UNLINK");
    setup_rule(&s, "no-set", "commands = config|set, get; action = deny");
    setup_compile(&s);
    assert_string_equal(refusal(&s, "flushall async"),
                        "NOPERM respgate: 'FLUSHALL' is denied by rule 'no-flush': use UNLINK");
    assert_string_equal(refusal(&s, "config set a b"),
                        "NOPERM respgate: 'CONFIG SET' is denied by rule 'no-set'");
}

static void test_builtin_texts(void **state)
{
    setup_compile(&s);
    assert_string_equal(refusal(&s, "set {respgate}:x 1"),
                        "NOPERM respgate: 'SET' is denied by rule 'reserved-keys': keys that begin "
                        "with {respgate} belong to the proxy");
    assert_non_null(strstr(refusal(&s, "publish __redis__:x y"), "rule 'reserved-channels': "));
    assert_non_null(strstr(refusal(&s, "ft.plain"), "'FT.PLAIN' is denied by rule 'learned': "));
}

static void test_placeholders(void **state)
{
    setup_rule(&s, "r",
               "commands = *; keys = b*; action = deny; "
               "message = {command} of {key} by {client} {other} {");
    setup_compile(&s);
    assert_non_null(strstr(refusal(&s, "del a b1 b2"), ": DEL of b1 by 10.0.0.7:4242 {other} {"));
    /* What is filled in is not filled in again; the first key where none is known to match. */
    assert_non_null(strstr(refusal(&s, "get b{client}"), "GET of b{client} by 10."));
    assert_non_null(strstr(refusal(&s, "sort a by w_*"), "SORT of a by 10."));
    s.subject.address = (struct address){.is_ipv6 = true, .ip = {[15] = 1}, .port = 7};
    assert_non_null(strstr(refusal(&s, "get b"), "by [::1]:7 "));
    s.subject.address = (struct address){.is_unix = true};
    assert_non_null(strstr(refusal(&s, "get b"), "by unix "));
}

static void test_no_key(void **state)
{
    setup_rule(&s, "r", "commands = flushall; action = deny; message = key '{key}'");
    setup_compile(&s);
    assert_non_null(strstr(refusal(&s, "flushall"), "key ''"));
}

/* Nothing a client or a file says breaks the line of the reply. */
static void test_one_line(void **state)
{
    setup_rule(&s, "a\r\nb", "commands = *; action = deny; message = {key}\r\n+OK\t\x7f \xc3\xa4");
    setup_compile(&s);
    const char *text = refusal(&s, "get k\r\n\xff\x01z");
    assert_string_equal(text, "NOPERM respgate: 'GET' is denied by rule 'a..b': "
                              "k....z..+OK.. \xc3\xa4");
}

static void test_lengths(void **state)
{
    char request[300] = "get ", message[3000] = "commands = get; action = deny; message = {key}";
    memset(request + 4, 'k', 200);
    setup_rule(&s, "r", message);
    setup_compile(&s);
    const char *shown = strrchr(refusal(&s, request), ' ') + 1;
    assert_int_equal(strlen(shown), 64);
    for (size_t at = strlen(message); at + 3 < sizeof(message); at += 2)
        memcpy(message + at, "\xc3\xa4", 3); /* an umlaut, so a cut could fall inside one */
    for (int odd = 0; odd < 2; odd++) {
        s.config.rule_count = 0;
        setup_rule(&s, odd ? "rr" : "r", message);
        setup_compile(&s);
        const char *text = refusal(&s, "get k");
        assert_in_range(strlen(text), POLICY_REFUSAL_MAX - 1, POLICY_REFUSAL_MAX);
        assert_int_equal((unsigned char)text[strlen(text) - 1], 0xa4);
    }
}

static void test_appends(void **state)
{
    struct asked asked;
    struct buf out = {0};
    setup_rule(&s, "r", "commands = *; action = deny");
    setup_compile(&s);
    buf_text(&out, "-\r\n");
    asked_parse(&asked, &s, "get a");
    policy_judge(s.policy, &asked.question, &asked.verdict);
    policy_refusal(s.policy, &asked.question, &asked.verdict, &out);
    assert_memory_equal(out.ptr, "-\r\nNOPERM", 9);
    buf_free(&out);
}

/* ---- what a reload changed ------------------------------------------------------------------- */

static void reload(struct setup *new, const char *lines[])
{
    setup_compile(&s);
    setup_compile(new);
    struct buf out = {0};
    policy_changes(s.policy, new->policy, &out);
    buf_add(&out, "", 1);
    const char *text = out.ptr;
    size_t count = 0;
    for (const char *at = text; *at; at++)
        count += *at == '\n';
    for (; *lines; lines++, count--)
        if (!strstr(text, *lines))
            fail_msg("'%s' is not in: %s", *lines, text);
    if (count)
        fail_msg("%zu lines too many in: %s", count, text);
    buf_free(&out);
    setup_free(new);
}

static void test_no_changes(void **state)
{
    struct setup new;
    setup_init(&new);
    setup_rule(&s, "a", "commands = get; action = deny; message = x");
    setup_rule(&new, "a", "commands =  get; action = deny; message = x");
    reload(&new, (const char *[]){NULL});
}

static void test_changes(void **state)
{
    struct setup new;
    setup_init(&new);
    new.config.proxy.observe = true;
    setup_rule(&s, "gone", "commands = get; action = deny");
    setup_rule(&s, "same", "commands = get; action = deny");
    setup_rule(&s, "edit", "commands = get; keys = a; action = deny; message = x");
    setup_rule(&new, "same", "commands = get; action = deny");
    setup_rule(&new, "edit", "commands = get; keys = a, b; action = allow; mode = off; db = 1");
    setup_rule(&new, "new", "commands = get; action = deny; mode = observe");
    reload(&new,
           (const char *[]){"rule 'gone' removed",
                            "rule 'edit' changed: db, keys, action deny -> allow, mode "
                            "enforce -> off, message",
                            "rule 'new' added: deny, mode observe", "only observe now", NULL});
}

static void test_moves(void **state)
{
    struct setup new;
    const char *before_names[] = {"a", "b", "c", "d"}, *after_names[] = {"d", "a", "x", "b", "c"};
    setup_init(&new);
    for (size_t i = 0; i < ARRAY_LEN(before_names); i++)
        setup_rule(&s, before_names[i], "commands = get; keys = k; action = deny");
    for (size_t i = 0; i < ARRAY_LEN(after_names); i++)
        setup_rule(&new, after_names[i], "commands = get; keys = k; action = deny");
    reload(&new, (const char *[]){"rule 'x' added", "rule 'd' moved: place 4 -> 1", NULL});
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, before, after)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_texts),   TEST(test_builtin_texts), TEST(test_placeholders),
        TEST(test_no_key),  TEST(test_one_line),      TEST(test_lengths),
        TEST(test_appends), TEST(test_no_changes),    TEST(test_changes),
        TEST(test_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
