/* key_names.c - how a key is shown where people look: [log] key-names. */
#include "respgate/stats.h"
#include "stages.h"

enum { KEY_SHOWN_MAX = 128, HASH_SHOWN = 8 };

/* What it is counted under, and never more. */
static void add_prefix(const struct snapshot *snapshot, struct str key, struct buf *out)
{
    int declared = prefix_declared(snapshot->prefixes, key);
    struct str prefix = declared >= 0 ? prefix_declared_name(snapshot->prefixes, declared)
                                      : prefix_discover(snapshot->prefixes, key);
    buf_str(out, prefix);
    if (prefix.len)
        buf_text(out, snapshot->config->prefixes.delimiter);
    buf_text(out, "*");
}

static void add_hash(const uint8_t secret[DIGEST_SIZE], struct str key, struct buf *out)
{
    uint8_t digest[DIGEST_SIZE];
    struct str parts[] = {{(const char *)secret, DIGEST_SIZE}, key};
    digest_parts(parts, ARRAY_LEN(parts), digest);
    for (size_t i = 0; i < HASH_SHOWN; i++)
        buf_printf(out, "%02x", digest[i]);
}

void key_text(const struct proxy *proxy, const struct snapshot *snapshot, struct str key,
              struct buf *out)
{
    switch (snapshot->config->log.key_names) {
    case KEY_NAMES_PREFIX: add_prefix(snapshot, key, out); return;
    case KEY_NAMES_HASH: add_hash(proxy->key_secret, key, out); return;
    case KEY_NAMES_FULL:
        buf_add(out, key.ptr, key.len < KEY_SHOWN_MAX ? key.len : KEY_SHOWN_MAX);
        if (key.len > KEY_SHOWN_MAX)
            buf_text(out, "...");
        return;
    }
}

void key_shown(const struct proxy *proxy, const struct snapshot *snapshot, struct str key,
               struct buf *out)
{
    struct buf text = {0};
    key_text(proxy, snapshot, key, &text);
    buf_json(out, buf_view(&text));
    buf_free(&text);
}
