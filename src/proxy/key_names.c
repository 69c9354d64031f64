/* key_names.c - how a key is shown where people look: [log] key-names. */
#include <stdio.h>

#include "stages.h"

enum { SEGMENT_MAX = 32, DEPTH = 2, KEY_SHOWN_MAX = 128, HASH_SHOWN = 8 };

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* A UUID, eight hex digits and more, four digits and more, long or unprintable: somebody's, and
 * maybe secret. */
static bool looks_like_id(struct str segment)
{
    size_t digits = 0, hex = 0, dashes = 0;
    if (segment.len > SEGMENT_MAX)
        return true;
    for (size_t i = 0; i < segment.len; i++) {
        unsigned char c = (unsigned char)segment.ptr[i];
        if (c < 0x20 || c > 0x7e)
            return true;
        digits += c >= '0' && c <= '9';
        hex += is_hex(segment.ptr[i]);
        dashes += c == '-';
    }
    return (digits == segment.len && digits >= 4) || (hex + dashes == segment.len && hex >= 8);
}

/* The bytes of a key that name its kind and not its owner: without the last segment, and without
 * anything from the first that looks like an id. */
static size_t prefix_len(struct str key)
{
    size_t end = 0, start = 0;
    for (unsigned depth = 0; depth < DEPTH; depth++) {
        const char *colon = memchr(key.ptr + start, ':', key.len - start);
        if (!colon)
            break;
        size_t next = (size_t)(colon - key.ptr);
        if (looks_like_id((struct str){key.ptr + start, next - start}))
            break;
        end = next + 1;
        start = end;
    }
    return end;
}

void key_text(const struct config *config, const uint8_t secret[DIGEST_SIZE], struct str key,
              struct buf *out)
{
    uint8_t digest[DIGEST_SIZE];
    struct str parts[] = {{(const char *)secret, DIGEST_SIZE}, key};
    switch (config->log.key_names) {
    case KEY_NAMES_PREFIX:
        buf_add(out, key.ptr, prefix_len(key));
        buf_text(out, "*");
        break;
    case KEY_NAMES_HASH:
        digest_parts(parts, ARRAY_LEN(parts), digest);
        for (size_t i = 0; i < HASH_SHOWN; i++)
            buf_printf(out, "%02x", digest[i]);
        break;
    case KEY_NAMES_FULL:
        buf_add(out, key.ptr, key.len < KEY_SHOWN_MAX ? key.len : KEY_SHOWN_MAX);
        if (key.len > KEY_SHOWN_MAX)
            buf_text(out, "...");
        break;
    }
}

void key_shown(const struct config *config, const uint8_t secret[DIGEST_SIZE], struct str key,
               struct buf *out)
{
    struct buf text = {0};
    key_text(config, secret, key, &text);
    buf_json(out, buf_view(&text));
    buf_free(&text);
}
