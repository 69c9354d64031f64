/* test_network.c - what a network text means, and which addresses are in it. */
#include "fixture.h"

#include <arpa/inet.h>

static struct address address_of(const char *text)
{
    struct address address = {.is_ipv6 = strchr(text, ':') != NULL};
    if (strcmp(text, "unix") == 0)
        return (struct address){.is_unix = true};
    assert_int_equal(inet_pton(address.is_ipv6 ? AF_INET6 : AF_INET, text, address.ip), 1);
    return address;
}

static void test_contains(void **state)
{
    static const struct {
        const char *network, *address;
        bool inside;
    } cases[] = {
        {"10.0.0.0/8", "10.255.1.2", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.1.2.3/8", "10.9.9.9", true}, /* bits behind the prefix do not count */
        {"10.0.0.0/9", "10.127.0.1", true},
        {"10.0.0.0/9", "10.128.0.1", false},
        {"10.0.0.7", "10.0.0.7", true},
        {"10.0.0.7", "10.0.0.6", false},
        {"10.0.0.7/32", "10.0.0.7", true},
        {"10.0.0.6/31", "10.0.0.7", true},
        {"0.0.0.0/0", "1.2.3.4", true},
        {"0.0.0.0/0", "::1", false},
        {"0.0.0.0/0", "unix", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "1.2.3.4", false},
        {"2001:db8::/32", "2001:db8:1::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "11.1.2.3", false},
        {"::ffff:10.0.0.7", "10.0.0.7", true},
        {"::ffff:0:0/96", "1.2.3.4", true},
        {"unix", "unix", true},
        {"unix", "127.0.0.1", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct network network;
        struct address address = address_of(cases[i].address);
        assert_true(network_parse(str_of(cases[i].network), &network));
        if (network_contains(&network, &address) != cases[i].inside)
            fail_msg("%s in %s: expected %d", cases[i].address, cases[i].network, cases[i].inside);
    }
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "10",
        "10.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "/8",
        "10.0.0.0/-1",
        "10.0.0.0/8 ",
        "10.0.0.0/8/8",
        "10.0.0.256",
        "010.0.0.1",
        "::1/129",
        "::g",
        "Unix",
        "unix:/x",
        "localhost",
        "fe80::1%eth0",
        "10.0.0.0/a",
        "[::1]",
        "10.0.0.1:80",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:1",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct network network;
        if (network_parse(str_of(texts[i]), &network))
            fail_msg("'%s' was taken", texts[i]);
    }
    struct network network;
    assert_false(network_parse((struct str){"10.0.0.1\0x", 10}, &network));
    assert_false(network_parse((struct str){NULL, 0}, &network));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contains),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
