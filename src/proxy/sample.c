/*
 * sample.c - collections without a time to live, counted by samples.
 *
 * No argument of RPUSH or HSET can carry a time to live, so the clause without-ttl cannot speak of
 * collections. Where a rule has it, about one in a thousand requests is looked at: when it writes a
 * collection, PTTL of its key follows it on the same link.
 */
#include "stages.h"

enum { SAMPLE_EVERY = 1000 };

/* Never the same distance twice, so that no rhythm of a client hides its keys. */
bool sample_due(struct worker *worker)
{
    if (likely(worker->sample_in-- > 0))
        return false;
    worker->sample_in = random_below(2 * SAMPLE_EVERY);
    return policy_samples_ttl(worker->snapshot->policy);
}

static bool writes_collection(const struct command *command)
{
    const uint64_t collections =
        CLASS_SET | CLASS_SORTEDSET | CLASS_LIST | CLASS_HASH | CLASS_STREAM;
    return command->flags & CMD_WRITE && command->classes & CLASS_GROWTH &&
           command->classes & collections;
}

struct span sample_question(struct client *client, struct call *call)
{
    struct buf bytes = {0};
    if (!writes_collection(call->command) || call_keys(client->worker, call) == 0 ||
        call->keys[0].flags & KEY_NOT_KEY)
        return (struct span){0};
    const struct str argv[2] = {STR("PTTL"), call->request.argv[call->keys[0].arg]};
    write_command(&bytes, 2, argv);
    struct span question = span_copy(bytes.ptr, bytes.len);
    buf_free(&bytes);
    return question;
}

/* -1: there is none; -2: the key is gone, and errors: nothing is known. */
static void sample_done(struct req *req, struct link *link, struct str reply)
{
    struct worker *worker = link->pool->node->worker;
    int64_t ttl;
    if (reply.len < 4 || reply.ptr[0] != ':' ||
        !str_to_int((struct str){reply.ptr + 1, reply.len - 3}, &ttl) || ttl < -1)
        return;
    count(worker, STAT_TTL_SAMPLES);
    if (ttl == -1)
        count(worker, STAT_TTL_SAMPLES_WITHOUT);
}

void sample_send(struct pool *pool, struct span question)
{
    if (question.ptr && pool->shared && pool->shared->state == LINK_READY)
        link_ask(pool->shared, question, sample_done, NULL);
    else
        span_drop(&question);
}
