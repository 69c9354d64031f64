/* test_slot.c - slots: values of the cluster specification and of a live server, hash tags, and a
 * bit-by-bit CRC as the model. */
#include "respgate/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

static void known_slots(void **state)
{
    /* CLUSTER KEYSLOT of Redis 7.0 */
    static const struct {
        const char *key;
        unsigned slot;
    } cases[] = {
        {"123456789", 0x31c3},
        {"foo", 12182},
        {"bar", 5061},
        {"hello", 866},
        {"", 0},
        {"{foo}.a", 12182},
        {"a{foo}b", 12182},
        {"a{foo}{bar}", 12182},
        {"foo{}{bar}", 8363},
        {"foo{{bar}}zap", 4015},
        {"}{foo}", 12182},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(key_slot(str_of(cases[i].key)), cases[i].slot);
}

static unsigned model_crc(const char *ptr, size_t len)
{
    unsigned crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned)(uint8_t)ptr[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    }
    return crc & 0xffff;
}

/* Redis' own way to say it (cluster.c keyHashSlot). */
static unsigned model_slot(struct str key)
{
    size_t s = 0, e;
    while (s < key.len && key.ptr[s] != '{')
        s++;
    if (s == key.len)
        return model_crc(key.ptr, key.len) & 0x3fff;
    for (e = s + 1; e < key.len && key.ptr[e] != '}';)
        e++;
    if (e == key.len || e == s + 1)
        return model_crc(key.ptr, key.len) & 0x3fff;
    return model_crc(key.ptr + s + 1, e - s - 1) & 0x3fff;
}

static void any_key(void **state)
{
    (void)state;
    for (int round = 0; round < 200000; round++) {
        char key[24];
        size_t len = random_below(sizeof(key));
        for (size_t i = 0; i < len; i++)
            key[i] = random_below(3) ? "{}ab"[random_below(4)] : (char)random_below(256);
        struct str text = {key, len};
        assert_int_equal(key_slot(text), model_slot(text));
    }
}

static void many_keys(void **state)
{
    struct str argv[] = {STR("MGET"), STR("{a}1"), STR("{a}2"), STR("b")};
    struct key_ref keys[] = {{1, 0}, {2, 0}, {3, 0}};
    (void)state;
    assert_int_equal(keys_slot(argv, keys, 0), SLOT_NONE);
    assert_int_equal(keys_slot(argv, keys, 2), key_slot(STR("a")));
    assert_int_equal(keys_slot(argv, keys, 3), SLOT_MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_slots),
        cmocka_unit_test(any_key),
        cmocka_unit_test(many_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
