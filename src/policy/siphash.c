/* siphash.c - SipHash-1-3 (Aumasson and Bernstein): a short keyed hash clients cannot aim at. */
#include "siphash.h"

struct state {
    uint64_t v[4];
};

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void mix(struct state *s)
{
    s->v[0] += s->v[1];
    s->v[2] += s->v[3];
    s->v[1] = rotate(s->v[1], 13) ^ s->v[0];
    s->v[3] = rotate(s->v[3], 16) ^ s->v[2];
    s->v[0] = rotate(s->v[0], 32);
    s->v[2] += s->v[1];
    s->v[0] += s->v[3];
    s->v[1] = rotate(s->v[1], 17) ^ s->v[2];
    s->v[3] = rotate(s->v[3], 21) ^ s->v[0];
    s->v[2] = rotate(s->v[2], 32);
}

static void word(struct state *s, uint64_t m)
{
    s->v[3] ^= m;
    mix(s);
    s->v[0] ^= m;
}

uint64_t siphash(const uint64_t key[2], const void *ptr, size_t len)
{
    struct state s = {{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                       key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573}};
    const unsigned char *at = ptr;
    uint64_t m, last = (uint64_t)len << 56;
    for (size_t left = len; left >= 8; left -= 8, at += 8) {
        memcpy(&m, at, 8);
        word(&s, m);
    }
    for (size_t i = 0; i < len % 8; i++)
        last |= (uint64_t)at[i] << (8 * i);
    word(&s, last);
    s.v[2] ^= 0xff;
    mix(&s);
    mix(&s);
    mix(&s);
    return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}
