/*
 * share.h - shared subscriptions ([backend] share-channels): what their files tell each other.
 *
 *   client -- share_member -- share_channel -- share      share.c, one share a worker and identity;
 *                                                |        share_command.c: what clients send
 *                                                |  mail
 *                      hub_channel -- hub -- link        hub.c, on worker 0: the one subscription
 *
 * Two tallies of the process tell what the numbers of PUBLISH and PUBSUB NUMSUB lack.
 */
#ifndef RESPGATE_SHARE_H
#define RESPGATE_SHARE_H

#include <uthash.h>

#include "links.h"

enum { SHARE_CHANNEL, SHARE_PATTERN, SHARE_KINDS };
/* A frame's head is read up to 4 KiB (link.c): a longer name is not shared. */
enum { SHARE_NAME_MAX = 2048 };

enum share_event {
    SHARE_JOIN, /* to the hub: this worker wants the channel */
    SHARE_LEAVE,
    SHARE_JOINED, /* from the hub: the backend has confirmed it */
    SHARE_REFUSED,
    SHARE_MESSAGE,
    SHARE_LOST, /* the link died: messages may be missing */
};

enum share_state { SHARE_IS_JOINING, SHARE_IS_JOINED, SHARE_IS_REFUSED };

struct share_channel {
    UT_hash_handle hh;
    enum share_state state;
    struct list members;
    uint64_t since; /* loop ms of its state */
    char *error;    /* the backend's, with CRLF, when REFUSED */
    size_t len;     /* of key */
    char key[];     /* kind, then the name */
};
struct share_member {
    struct list by_channel, by_client;
    struct client *client;
    struct share *share;
    struct share_channel *channel;
};
/* Lives as long as its worker: there are no more of them than identities that logged in. */
struct share {
    struct list entry; /* of worker->shares */
    struct worker *worker;
    struct identity *identity;
    struct share_channel *channels;
    struct list waiters; /* clients, by wait_entry */
    struct hub *hub;     /* worker 0's */
};
static inline struct str share_channel_name(const struct share_channel *channel)
{
    return (struct str){channel->key + 1, channel->len - 1};
}

struct share_mail {
    struct mail mail;
    enum share_event event;
    struct share *share; /* of the worker it comes from or goes to */
    uint8_t kind;
    size_t name_len, len;
    char bytes[]; /* the channel's name, then len bytes: a frame, or an error */
};
struct share_mail *share_mail_new(enum share_event event, struct share *share, int kind,
                                  struct str name, size_t len);
static inline struct str share_mail_name(const struct share_mail *mail)
{
    return (struct str){mail->bytes, mail->name_len};
}

/* share.c */
struct share *share_of(struct client *client); /* of its identity */
struct share_channel *share_channel_find(const struct share *share, int kind, struct str name);
/* The same, asked for from the hub when it was not there. */
struct share_channel *share_channel_join(struct share *share, int kind, struct str name);
void share_member_add(struct client *client, struct share *share, struct share_channel *channel);
void share_member_remove(struct share_member *member); /* the last one ends the channel here */
struct worker *share_worker(const struct share *share);
const struct identity *share_identity(const struct share *share);
/* The place of worker 0's hub for this share: only worker 0 touches it. */
struct hub **share_hub(struct share *share);
void share_arrive(struct loop *loop, struct mail *mail); /* letters from the hub */
/* A message for the channel's subscribers of this worker; frame is in RESP2. */
void share_deliver(struct share *share, int kind, struct str name, const struct spans *frame);

/* hub.c */
void hub_arrive(struct loop *loop, struct mail *mail); /* letters to the hub, on worker 0 */

/* Who is subscribed in the whole process: members are clients, hubs the subscriptions they share.
 */
static inline struct str share_key(int kind, struct str name, char room[SHARE_NAME_MAX + 1])
{
    room[0] = (char)kind;
    memcpy(room + 1, name.ptr, name.len);
    return (struct str){room, name.len + 1};
}

#endif
