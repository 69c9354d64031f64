/* test_net_proxy_protocol.c - headers as senders write them, as nobody may, and at random. */
#include "respgate/net.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MARK2 "\r\n\r\n\0\r\nQUIT\n"
/* Version and command, family and transport, length of what follows. */
#define HEAD2(command, family, len_hi, len_lo) MARK2 command family len_hi len_lo
#define IPV4_BLOCK                             "\xcb\0\x71\x07\x0a\0\0\x01\xc8\x22\x18\xeb" /* 203.0.113.7:51234 */
#define FFFF_IP                                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

struct fixture {
    struct str bytes;
    enum proxy_header_status status;
    const char *ip; /* with DONE */
    uint16_t port;
};

static const struct fixture fixtures[] = {
    {STR("PROXY TCP4 203.0.113.7 10.0.0.1 51234 6379\r\n"), PROXY_HEADER_DONE, "203.0.113.7",
     51234},
    {STR("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), PROXY_HEADER_DONE, "0.0.0.0", 0},
    {STR("PROXY TCP6 2001:db8::7 2001:DB8::1 1 2\r\n"), PROXY_HEADER_DONE, "2001:db8::7", 1},
    {STR("PROXY TCP6 ::ffff:10.1.2.3 ::1 7 8\r\n"), PROXY_HEADER_DONE, "10.1.2.3", 7},
    {STR("PROXY TCP6 " FFFF_IP " " FFFF_IP " 65535 65535\r\n"), PROXY_HEADER_DONE, FFFF_IP, 65535},
    {STR("PROXY UNKNOWN\r\n"), PROXY_HEADER_LOCAL, NULL, 0},
    {STR("PROXY UNKNOWN " FFFF_IP " " FFFF_IP " 65535 65535\r\n"), PROXY_HEADER_LOCAL, NULL, 0},
    {STR("PROXY UNKNOWN anything \r goes\r\n"), PROXY_HEADER_LOCAL, NULL, 0},
    {STR("PROXY UNKNOWNX\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY \r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY UNKNOWN\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY \n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("proxy UNKNOWN\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 1.1.1.1 2.2.2.2 1 99999999999999999999\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 256.1.1.1 2.2.2.2 1 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 1.1.1.1\0x 2.2.2.2 1 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP4 ::1 ::1 1 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP6 ::1 2.2.2.2 1 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("*1\r\n$4\r\nPING\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("PING\r\n"), PROXY_HEADER_BAD, NULL, 0},
    {STR("\x16\x03\x01"), PROXY_HEADER_BAD, NULL, 0}, /* TLS */

    {STR(HEAD2("\x21", "\x11", "\0", "\x0c") IPV4_BLOCK), PROXY_HEADER_DONE, "203.0.113.7", 51234},
    {STR(HEAD2("\x21", "\x11", "\0", "\x11") IPV4_BLOCK "\x02\0\x02hi"), PROXY_HEADER_DONE,
     "203.0.113.7", 51234},
    {STR(HEAD2("\x21", "\x21", "\0", "\x24") "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
                                             "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                                             "\0\x01\0\x02"),
     PROXY_HEADER_DONE, "2001:db8::7", 1},
    {STR(HEAD2("\x21", "\x21", "\0", "\x24") "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x01\x02\x03"
                                             "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
                                             "\0\x07\0\x08"),
     PROXY_HEADER_DONE, "10.1.2.3", 7},
    {STR(HEAD2("\x20", "\0", "\0", "\0")), PROXY_HEADER_LOCAL, NULL, 0},
    {STR(HEAD2("\x20", "\x11", "\0", "\x0c") IPV4_BLOCK), PROXY_HEADER_LOCAL, NULL, 0},
    {STR(HEAD2("\x20", "\xff", "\0", "\x02") "xx"), PROXY_HEADER_LOCAL, NULL, 0},
    {STR(HEAD2("\x21", "\0", "\0", "\x03") "\x04\0\0"), PROXY_HEADER_LOCAL, NULL, 0},
    {STR(HEAD2("\x21", "\x12", "\0", "\x0c") IPV4_BLOCK), PROXY_HEADER_LOCAL, NULL, 0},
    {STR(HEAD2("\x21", "\x31", "\0", "\0")), PROXY_HEADER_LOCAL, NULL,
     0}, /* unix: no address of ours */
    {STR(HEAD2("\x21", "\x11", "\0", "\x0b")), PROXY_HEADER_BAD, NULL, 0},
    {STR(HEAD2("\x21", "\x21", "\0", "\x23")), PROXY_HEADER_BAD, NULL, 0},
    {STR(HEAD2("\x22", "\x11", "\0", "\x0c")), PROXY_HEADER_BAD, NULL, 0},
    {STR(HEAD2("\x11", "\x11", "\0", "\x0c")), PROXY_HEADER_BAD, NULL, 0},
    {STR(HEAD2("\x21", "\x41", "\0", "\x0c")), PROXY_HEADER_BAD, NULL, 0},
    {STR(HEAD2("\x21", "\x13", "\0", "\x0c")), PROXY_HEADER_BAD, NULL, 0},
    {STR(HEAD2("\x21", "\x11", "\x03", "\xf1")), PROXY_HEADER_BAD, NULL,
     0}, /* one over the limit */
    {STR(HEAD2("\x21", "\x11", "\xff", "\xff")), PROXY_HEADER_BAD, NULL, 0},
};

/* In memory of exactly that size, so that the sanitizer sees a read past the end. */
static enum proxy_header_status parse(struct str bytes, struct address *source, size_t *used)
{
    char *exact = xmalloc(bytes.len ? bytes.len : 1);
    memcpy(exact, bytes.ptr, bytes.len);
    enum proxy_header_status status = proxy_header_parse(exact, bytes.len, source, used);
    free(exact);
    return status;
}

static const struct address untouched = {.is_unix = true, .port = 4242};

static void check_fixture(const struct fixture *fixture, struct str bytes)
{
    struct address source = untouched;
    size_t used = 0;
    enum proxy_header_status status = parse(bytes, &source, &used);
    if (status != fixture->status)
        fail_msg("fixture %zu: %d, not %d", (size_t)(fixture - fixtures), status, fixture->status);
    if (fixture->status == PROXY_HEADER_BAD)
        return;
    assert_int_equal(used, fixture->bytes.len);
    if (fixture->status == PROXY_HEADER_LOCAL) {
        assert_memory_equal(&source, &untouched, sizeof(source));
        return;
    }
    char text[INET6_ADDRSTRLEN];
    inet_ntop(source.is_ipv6 ? AF_INET6 : AF_INET, source.ip, text, sizeof(text));
    assert_string_equal(text, fixture->ip);
    assert_int_equal(source.port, fixture->port);
    assert_false(source.is_unix);
}

static void test_fixtures(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(fixtures); i++)
        check_fixture(&fixtures[i], fixtures[i].bytes);
}

static void test_request_behind_the_header_is_left_alone(void **state)
{
    static const char request[] = "*1\r\n$4\r\nPING\r\n";
    for (size_t i = 0; i < ARRAY_LEN(fixtures); i++) {
        struct buf buf = {0};
        buf_str(&buf, fixtures[i].bytes);
        buf_text(&buf, request);
        check_fixture(&fixtures[i], buf_view(&buf));
        buf_free(&buf);
    }
}

static void test_byte_by_byte(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(fixtures); i++) {
        struct str bytes = fixtures[i].bytes;
        for (size_t len = 0; len < bytes.len; len++) {
            struct address source;
            size_t used;
            enum proxy_header_status status = parse((struct str){bytes.ptr, len}, &source, &used);
            if (fixtures[i].status != PROXY_HEADER_BAD)
                assert_int_equal(status, PROXY_HEADER_MORE);
            else /* may be known early, and never becomes anything else */
                assert_true(status == PROXY_HEADER_MORE || status == PROXY_HEADER_BAD);
        }
    }
}

static void test_limits(void **state)
{
    char bytes[PROXY_HEADER_MAX + 1];
    struct address source;
    size_t used;
    memset(bytes, 'x', sizeof(bytes));
    memcpy(bytes, "PROXY UNKNOWN ", 14);
    assert_int_equal(parse((struct str){bytes, 106}, &source, &used), PROXY_HEADER_MORE);
    assert_int_equal(parse((struct str){bytes, 107}, &source, &used), PROXY_HEADER_BAD);
    memcpy(bytes + 105, "\r\n", 2);
    assert_int_equal(parse((struct str){bytes, 107}, &source, &used), PROXY_HEADER_LOCAL);
    assert_int_equal(used, 107);

    memcpy(bytes, HEAD2("\x21", "\x11", "\x03", "\xf0") IPV4_BLOCK, 28);
    assert_int_equal(parse((struct str){bytes, PROXY_HEADER_MAX - 1}, &source, &used),
                     PROXY_HEADER_MORE);
    assert_int_equal(parse((struct str){bytes, PROXY_HEADER_MAX + 1}, &source, &used),
                     PROXY_HEADER_DONE);
    assert_int_equal(used, PROXY_HEADER_MAX);
}

/* A small generator of its own: the same bytes on every machine, so a failure can be repeated. */
static uint32_t noise_seed = 20240517;
static uint32_t noise(uint32_t bound)
{
    noise_seed = noise_seed * 1664525 + 1013904223;
    return (noise_seed >> 8) % bound;
}

/* Fixtures with a few bytes changed, cut, doubled or taken from another one. */
static struct str mutant(char out[2 * PROXY_HEADER_MAX])
{
    struct str from = fixtures[noise(ARRAY_LEN(fixtures))].bytes;
    struct str other = fixtures[noise(ARRAY_LEN(fixtures))].bytes;
    size_t head = noise((uint32_t)from.len + 1), skip = noise((uint32_t)other.len + 1);
    struct str tail = noise(2) ? (struct str){from.ptr + head, from.len - head}
                               : (struct str){other.ptr + skip, other.len - skip};
    memcpy(out, from.ptr, head);
    memcpy(out + head, tail.ptr, tail.len);
    size_t len = head + tail.len;
    static const char telling[] = " \r\n\0.:0129f/T46\x11\x21\xff";
    for (uint32_t i = noise(4); i > 0 && len > 0; i--)
        out[noise((uint32_t)len)] = noise(2) ? telling[noise(sizeof(telling))] : (char)noise(256);
    return (struct str){out, len};
}

/* Whatever the bytes: no read past them, and a decision once made stays with more of them. */
static void test_mutants(void **state)
{
    size_t seen[PROXY_HEADER_BAD + 1] = {0};
    for (int i = 0; i < 20000; i++) {
        char bytes[2 * PROXY_HEADER_MAX];
        struct str whole = mutant(bytes);
        struct address last = {0}, now = {0};
        size_t last_used = 0, used = 0;
        enum proxy_header_status status = PROXY_HEADER_MORE;
        for (size_t len = 0; len <= whole.len; len += 1 + noise(8)) {
            enum proxy_header_status next = parse((struct str){whole.ptr, len}, &now, &used);
            if (status != PROXY_HEADER_MORE) {
                assert_int_equal(next, status);
                assert_int_equal(used, last_used);
                assert_memory_equal(&now, &last, sizeof(now));
            }
            if (next == PROXY_HEADER_DONE || next == PROXY_HEADER_LOCAL)
                assert_true(used > 0 && used <= len && used <= PROXY_HEADER_MAX);
            assert_true(next != PROXY_HEADER_MORE || len < PROXY_HEADER_MAX);
            status = next, last = now, last_used = used;
        }
        seen[status]++;
    }
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        assert_true(seen[i] > 100); /* the mutants reach every outcome */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixtures),
        cmocka_unit_test(test_request_behind_the_header_is_left_alone),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_mutants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
