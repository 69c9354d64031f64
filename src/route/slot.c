/* slot.c - which of the 16384 slots a key belongs to. */
#include "respgate/route.h"

/* tables[k][b]: what byte b does to the sum when k more bytes follow it in the same step of eight
 * ("slicing by 8", Kounavis and Berry 2005). */
static uint16_t tables[8][256];

/* CRC16-CCITT, polynomial 0x1021, initial value 0, most significant bit first (XMODEM), as the
 * cluster specification has it. */
__attribute__((constructor)) static void tables_make(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned crc = byte << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0);
        tables[0][byte] = (uint16_t)crc;
    }
    for (int k = 1; k < 8; k++)
        for (unsigned byte = 0; byte < 256; byte++) {
            unsigned crc = tables[k - 1][byte];
            tables[k][byte] = (uint16_t)((crc << 8) ^ tables[0][crc >> 8]);
        }
}

static unsigned crc16(const char *ptr, size_t len)
{
    const uint8_t *p = (const uint8_t *)ptr;
    unsigned crc = 0;
    for (; len >= 8; p += 8, len -= 8)
        crc = tables[7][(crc >> 8) ^ p[0]] ^ tables[6][(crc & 0xff) ^ p[1]] ^ tables[5][p[2]] ^
              tables[4][p[3]] ^ tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^
              tables[0][p[7]];
    for (; len; p++, len--)
        crc = ((crc << 8) & 0xffff) ^ tables[0][(crc >> 8) ^ *p];
    return crc;
}

unsigned key_slot(struct str key)
{
    const char *open = key.len ? memchr(key.ptr, '{', key.len) : NULL;
    if (open) {
        const char *tag = open + 1;
        const char *close = memchr(tag, '}', key.len - (size_t)(tag - key.ptr));
        if (close && close > tag)
            return crc16(tag, (size_t)(close - tag)) % SLOT_COUNT;
    }
    return crc16(key.ptr, key.len) % SLOT_COUNT;
}

int keys_slot(const struct str *argv, const struct key_ref *keys, size_t count)
{
    if (!count)
        return SLOT_NONE;
    unsigned slot = key_slot(argv[keys[0].arg]);
    for (size_t i = 1; i < count; i++)
        if (key_slot(argv[keys[i].arg]) != slot)
            return SLOT_MANY;
    return (int)slot;
}
