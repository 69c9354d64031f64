/* identity.c - names and passwords at the backend, interned, so that a class of links can be told
 * by a pointer. Found by a keyed digest: no secret is ever compared byte by byte. */
#include <stdlib.h>

#include "respgate/proxy.h"

static void identity_digest(struct worker *worker, const char *username, struct str password,
                            uint8_t out[DIGEST_SIZE])
{
    const struct str parts[] = {{(char *)worker->identity_key, DIGEST_SIZE},
                                username ? str_of(username) : STR(""),
                                password};
    digest_parts(parts, ARRAY_LEN(parts), out);
}

struct identity *identity_get(struct worker *worker, const char *username, struct str password)
{
    uint8_t digest[DIGEST_SIZE];
    identity_digest(worker, username, password, digest);
    list_each (it, &worker->identities) {
        struct identity *identity = CONTAINER(it, struct identity, node);
        if (identity->password && digest_equal(identity->digest, digest, DIGEST_SIZE))
            return identity_hold(identity);
    }
    struct identity *identity = xcalloc(1, sizeof(*identity));
    memcpy(identity->digest, digest, DIGEST_SIZE);
    identity->refs = 1;
    identity->username = username ? xstrdup(username) : NULL;
    identity->password = xmalloc(password.len + 1);
    memcpy(identity->password, password.ptr, password.len);
    identity->password[password.len] = '\0';
    list_append(&worker->identities, &identity->node);
    return identity;
}

struct identity *identity_none(struct worker *worker)
{
    struct identity *identity = xcalloc(1, sizeof(*identity));
    identity->refs = 1;
    list_append(&worker->identities, &identity->node);
    return identity;
}

struct identity *identity_hold(struct identity *identity)
{
    identity->refs++;
    return identity;
}

void identity_drop(struct identity *identity)
{
    if (!identity || --identity->refs > 0)
        return;
    list_remove(&identity->node);
    if (identity->password)
        secret_wipe(identity->password, strlen(identity->password));
    free(identity->username);
    free(identity->password);
    free(identity);
}
