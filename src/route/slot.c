/* slot.c - which of the 16384 slots a key belongs to. */
#include "respgate/route.h"

static uint16_t table[256];

/* CRC16-CCITT, polynomial 0x1021, initial value 0, most significant bit first (XMODEM), as the
 * cluster specification has it. */
__attribute__((constructor)) static void table_make(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned crc = byte << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0);
        table[byte] = (uint16_t)crc;
    }
}

static unsigned crc16(const char *ptr, size_t len)
{
    unsigned crc = 0;
    for (size_t i = 0; i < len; i++)
        crc = ((crc << 8) ^ table[((crc >> 8) ^ (uint8_t)ptr[i]) & 0xff]) & 0xffff;
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
