/* password.c - the admin password: compared in constant time, and guessed slowly. */
#include "internal.h"

enum {
    WINDOW_MS = 10 * 1000,
    FAILURES_FREE = 5, /* in that window; from then on one look a second */
    WAIT_MS = 1000,
};

bool admin_has_password(const struct admin *admin)
{
    return admin->proxy->snapshot->config->admin.password != NULL;
}

void admin_credential(const struct admin *admin, uint8_t out[DIGEST_SIZE])
{
    const char *password = admin->proxy->snapshot->config->admin.password;
    struct str text = str_of(password ? password : "");
    digest_parts(&text, 1, out);
}

/* The address's entry; without one a free or the oldest one, emptied. */
static struct guesser *guesser_get(struct admin *admin, const struct address *from, uint64_t now)
{
    char room[24];
    struct str key = address_key(from, room);
    struct guesser *oldest = &admin->guessers[0];
    for (size_t i = 0; i < GUESSERS_MAX; i++) {
        struct guesser *one = &admin->guessers[i];
        if (one->len && now > one->since + WINDOW_MS && now > one->tried + WAIT_MS)
            one->len = 0;
        if (one->len == key.len && memcmp(one->key, key.ptr, key.len) == 0)
            return one;
        if (!one->len || (oldest->len && one->since < oldest->since))
            oldest = one;
    }
    *oldest = (struct guesser){.len = (uint8_t)key.len, .since = now};
    memcpy(oldest->key, key.ptr, key.len);
    return oldest;
}

enum pass admin_pass(struct admin *admin, const struct address *from, struct str given)
{
    uint8_t right[DIGEST_SIZE], ours[DIGEST_SIZE];
    uint64_t now = loop_now(&admin->proxy->loop);
    struct guesser *guesser = guesser_get(admin, from, now);
    if (guesser->failures >= FAILURES_FREE && now < guesser->tried + WAIT_MS)
        return PASS_LATER;
    guesser->tried = now;
    admin_credential(admin, right);
    digest_parts(&given, 1, ours);
    if (admin_has_password(admin) && digest_equal(right, ours, DIGEST_SIZE)) {
        guesser->len = 0;
        return PASS_RIGHT;
    }
    if (guesser->failures < FAILURES_FREE)
        guesser->failures++;
    return PASS_WRONG;
}
