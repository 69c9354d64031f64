/* script_cache.c - judged bodies of one worker: found by the digest of the text or by SHA-1, the
 * one used longest ago is forgotten first. A new one is told to the other workers. */
#include <stdlib.h>

#include "scripting.h"

enum { BUCKETS = 2048 }; /* a power of two; max-scripts is some 1000 */

struct script_cache {
    struct list by_digest[BUCKETS], by_sha1[BUCKETS];
    struct list used; /* newest last */
    size_t count;
};

/* ---- bodies ---- */

struct script_body *script_body_hold(struct script_body *body)
{
    __atomic_fetch_add(&body->refs, 1, __ATOMIC_RELAXED);
    return body;
}

void script_body_drop(struct script_body *body)
{
    if (!body || __atomic_sub_fetch(&body->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    arena_free(body->arena);
    free(body);
}

static void body_digest(enum script_kind kind, struct str text, uint8_t out[DIGEST_SIZE])
{
    const struct str parts[] = {kind == SCRIPT_EVAL ? STR("eval") : STR("library"), text};
    digest_parts(parts, ARRAY_LEN(parts), out);
}

static struct script_body *body_new(enum script_kind kind, struct str text,
                                    const uint8_t digest[DIGEST_SIZE])
{
    struct script_body *body = xcalloc(1, sizeof(*body));
    body->refs = 1;
    body->kind = kind;
    memcpy(body->digest, digest, DIGEST_SIZE);
    digest_sha1(text, body->sha1);
    body->arena = arena_new();
    body->script = script_inspect(body->arena, kind, text);
    return body;
}

/* ---- the cache ---- */

struct script_cache *script_cache_new(void)
{
    struct script_cache *cache = xcalloc(1, sizeof(*cache));
    for (size_t i = 0; i < BUCKETS; i++) {
        list_init(&cache->by_digest[i]);
        list_init(&cache->by_sha1[i]);
    }
    list_init(&cache->used);
    return cache;
}

static void entry_free(struct script_cache *cache, struct script_entry *entry)
{
    list_remove(&entry->by_digest);
    list_remove(&entry->by_sha1);
    list_remove(&entry->used);
    cache->count--;
    script_body_drop(entry->body);
    free(entry->calls);
    free(entry);
}

void script_cache_free(struct script_cache *cache)
{
    list_each_safe (it, &cache->used)
        entry_free(cache, CONTAINER(it, struct script_entry, used));
    free(cache);
}

static struct list *digest_bucket(struct script_cache *cache, const uint8_t *digest)
{
    return &cache->by_digest[(digest[0] | (unsigned)digest[1] << 8) % BUCKETS];
}

static unsigned hex_value(char c)
{
    return (unsigned)(c >= 'a' ? c - 'a' + 10 : c - '0');
}

static struct list *sha1_bucket(struct script_cache *cache, const char *sha1)
{
    unsigned hash = 0;
    for (int i = 0; i < 4; i++)
        hash = hash << 4 | hex_value(sha1[i]);
    return &cache->by_sha1[hash % BUCKETS];
}

/* Makes the entry the newest, and ready for the rules of now. */
static struct script_entry *entry_use(struct worker *worker, struct script_entry *entry)
{
    list_remove(&entry->used);
    list_append(&worker->scripts->used, &entry->used);
    if (unlikely(entry->generation != worker->snapshot->generation))
        script_entry_compile(worker, entry);
    return entry;
}

static struct script_entry *entry_of_digest(struct script_cache *cache, const uint8_t *digest)
{
    list_each (it, digest_bucket(cache, digest)) {
        struct script_entry *entry = CONTAINER(it, struct script_entry, by_digest);
        if (memcmp(entry->body->digest, digest, DIGEST_SIZE) == 0)
            return entry;
    }
    return NULL;
}

static struct script_entry *entry_of_sha1(struct script_cache *cache, const char *sha1)
{
    list_each (it, sha1_bucket(cache, sha1)) {
        struct script_entry *entry = CONTAINER(it, struct script_entry, by_sha1);
        if (memcmp(entry->body->sha1, sha1, SHA1_SIZE * 2) == 0)
            return entry;
    }
    return NULL;
}

/* Takes over the reference. */
static struct script_entry *entry_add(struct worker *worker, struct script_body *body)
{
    struct script_cache *cache = worker->scripts;
    struct script_entry *entry = xcalloc(1, sizeof(*entry));
    entry->body = body;
    list_append(digest_bucket(cache, body->digest), &entry->by_digest);
    list_init(&entry->by_sha1); /* only scripts are called by it */
    entry->forged = body->kind == SCRIPT_EVAL && entry_of_sha1(cache, body->sha1);
    if (body->kind == SCRIPT_EVAL && !entry->forged)
        list_append(sha1_bucket(cache, body->sha1), &entry->by_sha1);
    list_append(&cache->used, &entry->used);
    cache->count++;
    while (cache->count > worker->snapshot->config->scripts.max_scripts && cache->count > 1)
        entry_free(cache, CONTAINER(cache->used.next, struct script_entry, used));
    return entry;
}

struct script_entry *script_cache_body(struct worker *worker, struct script_body *body)
{
    struct script_entry *entry = entry_of_digest(worker->scripts, body->digest);
    return entry_use(worker, entry ? entry : entry_add(worker, script_body_hold(body)));
}

/* ---- telling the others ---- */

struct body_mail {
    struct mail mail;
    struct script_body *body;
};

static void body_arrive(struct loop *loop, struct mail *mail)
{
    struct worker *worker = CONTAINER(loop, struct worker, loop);
    struct body_mail *letter = CONTAINER(mail, struct body_mail, mail);
    if (!entry_of_digest(worker->scripts, letter->body->digest))
        entry_add(worker, script_body_hold(letter->body));
    script_body_drop(letter->body);
    free(letter);
}

/* A client loads a body over one connection and runs it over another, at another worker. */
static void body_tell(struct worker *worker, struct script_body *body)
{
    struct proxy *proxy = worker->proxy;
    for (unsigned i = 0; i < proxy->worker_count; i++) {
        if (i == worker->index)
            continue;
        struct body_mail *letter = xcalloc(1, sizeof(*letter));
        letter->mail.run = body_arrive;
        letter->body = script_body_hold(body);
        loop_post(&proxy->workers[i].loop, &letter->mail);
    }
}

struct script_entry *script_cache_text(struct worker *worker, enum script_kind kind,
                                       struct str text)
{
    uint8_t digest[DIGEST_SIZE];
    body_digest(kind, text, digest);
    struct script_entry *entry = entry_of_digest(worker->scripts, digest);
    if (likely(entry))
        return entry_use(worker, entry);
    struct script_body *body = body_new(kind, text, digest);
    count(worker, STAT_SCRIPTS_INSPECTED);
    if (body->script->verdict == SCRIPT_ACCEPTED)
        body_tell(worker, body);
    return entry_use(worker, entry_add(worker, body));
}

struct script_entry *script_cache_sha1(struct worker *worker, struct str sha1)
{
    char lower[SHA1_SIZE * 2];
    if (sha1.len != sizeof(lower))
        return NULL;
    for (size_t i = 0; i < sizeof(lower); i++) {
        lower[i] =
            sha1.ptr[i] >= 'A' && sha1.ptr[i] <= 'F' ? (char)(sha1.ptr[i] + 32) : sha1.ptr[i];
        if (!memchr("0123456789abcdef", lower[i], 16))
            return NULL;
    }
    struct script_entry *entry = entry_of_sha1(worker->scripts, lower);
    return entry ? entry_use(worker, entry) : NULL;
}

/* ---- trusted bodies ---- */

struct trusted {
    size_t count;
    char sha1[][SHA1_SIZE * 2 + 1];
};

static int sha1_compare(const void *a, const void *b)
{
    return memcmp(a, b, SHA1_SIZE * 2);
}

struct trusted *trusted_new(const struct config *config)
{
    const struct text_list *bodies = &config->scripts.bodies, *named = &config->scripts.allow_sha1;
    size_t room = bodies->count + named->count;
    struct trusted *trusted = xcalloc(1, sizeof(*trusted) + room * sizeof(trusted->sha1[0]));
    for (size_t i = 0; i < bodies->count; i++)
        digest_sha1(bodies->items[i], trusted->sha1[trusted->count++]);
    for (size_t i = 0; i < named->count; i++)
        memcpy(trusted->sha1[trusted->count++], named->items[i].ptr, SHA1_SIZE * 2);
    qsort(trusted->sha1, trusted->count, sizeof(trusted->sha1[0]), sha1_compare);
    return trusted;
}

void trusted_free(struct trusted *trusted)
{
    free(trusted);
}

bool trusted_has(const struct trusted *trusted, struct str sha1)
{
    char lower[SHA1_SIZE * 2];
    if (!trusted->count || sha1.len != sizeof(lower))
        return false;
    for (size_t i = 0; i < sizeof(lower); i++)
        lower[i] =
            sha1.ptr[i] >= 'A' && sha1.ptr[i] <= 'F' ? (char)(sha1.ptr[i] + 32) : sha1.ptr[i];
    return bsearch(lower, trusted->sha1, trusted->count, sizeof(trusted->sha1[0]), sha1_compare);
}
