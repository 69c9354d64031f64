/* test_request.c - requests whole, byte by byte and cut at every place. */
#include "transcript.h"

#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

/* A row's bytes and what they mean. Texts were taken from redis-server 7.0.15. */
static const struct row {
    const char *bytes, *text;
} rows[] = {
    {"*1\r\n$4\r\nPING\r\n", "[PING]\n"},
    {"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "[GET][]\n"},
    {"*2\r\n$3\r\nGET\r\n$4\r\n\r\n\r\n\r\n", "[GET][\r\n\r\n]\n"},
    {"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPONG\r\n", "[PING]\n[PONG]\n"},
    {"*0\r\n*-1\r\n*-2\r\n*1\r\n$1\r\nx\r\n", "empty\nempty\nempty\n[x]\n"},
    {"PING\r\n*1\r\n$1\r\nx\r\nGET k\n", "[PING]\n[x]\n[GET][k]\n"},
    /* only the CR of a header counts, and nobody looks behind the bytes of an argument */
    {"*1\rx$4\ryPINGzz*1\r\n$1\r\na\r\n", "[PING]\n[a]\n"},
    {"*1\n$4\nPING\r\n", "! Protocol error: invalid multibulk length\n"},
    {"*2\r\n$3\r\nGET\r\nx", "! Protocol error: expected '$', got 'x'\n"},
    {"*1\r\n*1\r\n$1\r\nx\r\n", "! Protocol error: expected '$', got '*'\n"},
    {"*1\r\n:1\r\n", "! Protocol error: expected '$', got ':'\n"},
    {"*1\r\n\r\n", "! Protocol error: expected '$', got ' '\n"},
    {"*1\r\n$-1\r\n", "! Protocol error: invalid bulk length\n"},
    {"*1\r\n$\r\n", "! Protocol error: invalid bulk length\n"},
    {"*1\r\n$01\r\nx\r\n", "! Protocol error: invalid bulk length\n"},
    {"*1\r\n$+1\r\nx\r\n", "! Protocol error: invalid bulk length\n"},
    {"*1\r\n$536870913\r\n", "! Protocol error: invalid bulk length\n"},
    {"*1\r\n$99999999999999999999\r\n", "! Protocol error: invalid bulk length\n"},
    {"*1\r\n$536870912\r\n", ""},
    {"*\r\n", "! Protocol error: invalid multibulk length\n"},
    {"*x\r\n", "! Protocol error: invalid multibulk length\n"},
    {"*01\r\n", "! Protocol error: invalid multibulk length\n"},
    {"*-0\r\n", "! Protocol error: invalid multibulk length\n"},
    {"*2147483648\r\n", "! Protocol error: invalid multibulk length\n"},
    {"*2147483647\r\n", ""},
    {"*2147483647\r\n$1\r\na\r\n", ""},
    {"*1\r\n$1\r\na\r\n*1\r\n!", "[a]\n! Protocol error: expected '$', got '!'\n"},
    /* inline */
    {"\r\n\n  \t\r\n", "empty\nempty\nempty\n"},
    {"  set  k\tv \r\n", "[set][k][v]\n"},
    {"a\r\r\n", "[a]\n"},
    {"a\rb\n", "[a][b]\n"},
    {"a\vb \v c\f\n", "[a\vb][c\f]\n"},
    {"set k \"a b\\n\\r\\t\\b\\a\\\"\\\\\\q\\x41\\x4g\"\n", "[set][k][a b\n\r\t\b\a\"\\qAx4g]\n"},
    {"set k 'a b\\n\\'\"'\n", "[set][k][a b\\n'\"]\n"},
    {"set \"\" ''\n", "[set][][]\n"},
    {"a\"b c\" d'e f'\n", "[ab c][de f]\n"},
    {"\"a\"\v\"b\"\n", "[a][b]\n"},
    {"\\x41 \\n\n", "[\\x41][\\n]\n"},
    {"a \"b\n", "! Protocol error: unbalanced quotes in request\n"},
    {"a 'b\n", "! Protocol error: unbalanced quotes in request\n"},
    {"a \"b\"c\n", "! Protocol error: unbalanced quotes in request\n"},
    {"a 'b'c\n", "! Protocol error: unbalanced quotes in request\n"},
    {"a \"b\\\"\n", "! Protocol error: unbalanced quotes in request\n"},
    {"a \"b\\\n", "! Protocol error: unbalanced quotes in request\n"},
    {"$4\r\nPING\r\n", "[$4]\n[PING]\n"},
};

/* Before AUTH. */
static const struct row rows_stranger[] = {
    {"*10\r\n", ""},
    {"*11\r\n", "! Protocol error: unauthenticated multibulk length\n"},
    {"*2147483648\r\n", "! Protocol error: invalid multibulk length\n"},
    {"*1\r\n$16384\r\n", ""},
    {"*1\r\n$16385\r\n", "! Protocol error: unauthenticated bulk length\n"},
    {"*1\r\n$536870913\r\n", "! Protocol error: invalid bulk length\n"},
};

static void row_check(const struct row *row, const struct buf *text, size_t cut)
{
    if (!text_equal(text, str_of(row->text)))
        fail_msg("bytes \"%s\" cut at %zu: \"%.*s\" instead of \"%s\"", row->bytes, cut,
                 (int)text->len, text->ptr, row->text);
}

static void rows_check(const struct row *row, size_t count, const struct request_limits *limits)
{
    for (; count > 0; row++, count--) {
        struct str bytes = str_of(row->bytes);
        for (size_t cut = 0; cut <= bytes.len; cut++) {
            struct buf text = {0};
            if (cut == 0)
                transcript_pieces(&text, limits, bytes, 1);
            else
                transcript_cut(&text, limits, bytes, cut);
            row_check(row, &text, cut);
            buf_free(&text);
        }
    }
}

static void test_rows(void **state)
{
    rows_check(rows, ARRAY_LEN(rows), &limits_user);
    rows_check(rows_stranger, ARRAY_LEN(rows_stranger), &limits_stranger);
}

/* `head`, then n times '1', then `tail`: lines without end. */
static void long_check(const char *head, size_t n, const char *tail, const char *expected)
{
    static const size_t pieces[] = {1 << 20, 1000, 4096, 65537};
    struct buf bytes = {0};
    buf_text(&bytes, head);
    for (size_t i = 0; i < n; i++)
        buf_add(&bytes, "1", 1);
    buf_text(&bytes, tail);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct buf text = {0};
        transcript_pieces(&text, &limits_user, buf_view(&bytes), pieces[i]);
        buf_add(&text, "", 1);
        assert_string_equal(text.ptr, expected);
        buf_free(&text);
    }
    buf_free(&bytes);
}

static void test_long_lines(void **state)
{
    enum { LIMIT = 64 * 1024 };
    long_check("*", LIMIT - 1, "", "");
    long_check("*", LIMIT, "", "! Protocol error: too big mbulk count string\n");
    long_check("*", LIMIT, "\r\n", "! Protocol error: too big mbulk count string\n");
    long_check("*", LIMIT - 1, "\r\n", "! Protocol error: invalid multibulk length\n");
    long_check("*1\r\n$", LIMIT - 1, "", "");
    long_check("*1\r\n$", LIMIT, "", "! Protocol error: too big bulk count string\n");
    long_check("*1\r\n$", LIMIT - 1, "\r\n", "! Protocol error: invalid bulk length\n");
    long_check("", LIMIT, "", "");
    long_check("", LIMIT + 1, "\n", "! Protocol error: too big inline request\n");
    long_check("\" ", LIMIT - 2, "\n", "! Protocol error: unbalanced quotes in request\n");
}

/* A NUL in an inline line hides its end, as in Redis: nothing comes until the line is too long. */
static void test_inline_nul(void **state)
{
    struct buf text = {0};
    transcript_pieces(&text, &limits_user, STR("PING\0\r\nPING\r\n"), 100);
    assert_int_equal(text.len, 0);
    buf_free(&text);
}

static void test_max_request(void **state)
{
    static const char over[] = "! Protocol error: request exceeds max-request-size\n";
    const struct row rows_small[] = {
        {"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "[GET][k]\n"},
        {"*2\r\n$3\r\nGET\r\n$2\r\n", over},
        {"*9\r\n$4\r\nMSET\r\n$0\r\n\r\n", ""},
        {"*9\r\n$4\r\nMSET\r\n$0\r\n\r\n$0\r\n", over},
        {"GET k\r\nGET kk\r\n", "[GET][k]\n! Protocol error: request exceeds max-request-size\n"},
    };
    struct request_limits limits = limits_user;
    limits.max_request = strlen(rows_small[0].bytes);
    for (size_t i = 0; i < ARRAY_LEN(rows_small); i++)
        for (size_t piece = 1; piece < 40; piece++) {
            struct buf text = {0};
            transcript_pieces(&text, &limits, str_of(rows_small[i].bytes), piece);
            row_check(&rows_small[i], &text, piece);
            buf_free(&text);
        }
}

static void random_request(struct buf *bytes, struct buf *text)
{
    static char noise[9000];
    struct str argv[12];
    size_t argc = 1 + random_below(ARRAY_LEN(argv));
    for (size_t i = 0; i < argc; i++)
        argv[i] = (struct str){noise, random_below(random_below(8) ? 30 : sizeof(noise))};
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (char)random_below(256);
    write_command(bytes, argc, argv);
    for (size_t i = 0; i < argc; i++) {
        buf_text(text, "[");
        buf_str(text, argv[i]);
        buf_text(text, "]");
    }
    buf_text(text, "\n");
}

/* Deep pipelines of any bytes, read in pieces of any length. */
static void test_random_pipelines(void **state)
{
    for (int round = 0; round < 60; round++) {
        struct buf bytes = {0}, expected = {0}, text = {0};
        for (unsigned n = 1 + random_below(60); n > 0; n--)
            random_request(&bytes, &expected);
        size_t piece = 1 + random_below(random_below(2) ? 200 : 70000);
        transcript_pieces(&text, &limits_user, buf_view(&bytes), piece);
        assert_true(text_equal(&text, buf_view(&expected)));
        buf_free(&bytes);
        buf_free(&expected);
        buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_inline_nul),
        cmocka_unit_test(test_max_request),
        cmocka_unit_test(test_random_pipelines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
