/* count_keys.c - keys of a request: marked when it is sent, counted when its reply is no error.
 *
 * A mark holds the place of a key's prefix and what it will count there. Commands queued in MULTI
 * give theirs to the transaction, and EXEC brings them all: none counts when it is refused.
 */
#include <stdlib.h>

#include "count.h"
#include "stages.h"

/* How the keys of a command count; for most of them its flags tell all. */
enum { EACH_KEY = 1 << 5, OWN_VALUES = 1 << 6, MAY_EXPIRE = 1 << 7 };

/* One key is one thing: read, written or deleted by name. Elements taken out of it are a write. */
static uint8_t use_of(const struct command *command, uint16_t flags)
{
    bool whole = (flags & KEY_DELETE) && (command->classes & CLASS_DELETE);
    if ((flags & KEY_RM) || whole)
        return MARK_DELETE;
    return flags & (KEY_RW | KEY_OW) ? MARK_WRITE : MARK_READ;
}

uint8_t counting_of(const struct command *command)
{
    bool own_values = command->id == COMMAND_MSET || command->id == COMMAND_MSETNX;
    uint8_t expires = policy_may_expire(command) ? MAY_EXPIRE : 0;
    if (!command->spec_count)
        return 0;
    const struct key_spec *spec = command->specs;
    bool one = command->spec_count == 1 && spec->begin == BEGIN_INDEX && spec->index > 0 &&
               spec->find == FIND_RANGE && spec->last == 0 && !(spec->flags & KEY_NOT_KEY) &&
               !(command->flags & CMD_MOVABLEKEYS);
    if (one && (command->id == COMMAND_SET || !(spec->flags & KEY_VARIABLE_FLAGS)))
        return use_of(command, spec->flags) | expires;
    return EACH_KEY | (own_values ? OWN_VALUES : 0) | expires;
}

static uint32_t capped(size_t bytes)
{
    return bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

/* Bytes from an argument on: a key and all that is written to it. */
static uint32_t bytes_from(const struct call *call, size_t arg)
{
    size_t bytes = 0;
    for (size_t i = arg; i < call->request.argc; i++)
        bytes += call->request.argv[i].len;
    return capped(bytes);
}

static uint8_t expiry_marks(const struct call *call)
{
    const struct request *request = &call->request;
    if (call->command->id == COMMAND_SET && request->argc == 3)
        return MARK_WITHOUT_TTL;
    switch (policy_expiry(call->command, request->argv, request->argc)) {
    case EXPIRY_UNTOUCHED: return 0;
    case EXPIRY_GIVEN: return MARK_EXPIRY;
    case EXPIRY_REMOVED: return MARK_WITHOUT_TTL;
    }
    return 0;
}

static inline void mark_one(struct worker *worker, struct key_mark *mark, struct str key,
                            uint8_t what, uint32_t bytes)
{
    struct counts *counts = worker->counts;
    mark->ref = prefix_touch(counts->prefixes, key);
    mark->bytes = bytes;
    mark->what = what;
    if (unlikely(--counts->sample_in == 0)) {
        counts->sample_in = 1 + random_below(2 * HOT_SAMPLE - 1);
        hot_add(&counts->hot, key);
    }
}

/* Keys the request has beyond the first: their own bytes, and MSET's values. What else is written
 * counts with the first key that is. */
static void mark_each(struct worker *worker, struct call *call, struct req *req, uint8_t counting,
                      uint8_t expiry)
{
    const struct str *argv = call->request.argv;
    size_t argc = call->request.argc, marked = 0;
    if (!call->key_count)
        return;
    struct key_mark *marks = req->inline_marks;
    if (call->key_count > ARRAY_LEN(req->inline_marks))
        marks = req->marks = xmalloc(call->key_count * sizeof(*marks));
    uint32_t rest = bytes_from(call, call->keys[0].arg);
    for (size_t i = 0; i < call->key_count; i++)
        rest -= argv[call->keys[i].arg].len < rest ? (uint32_t)argv[call->keys[i].arg].len : rest;
    for (size_t i = 0; i < call->key_count; i++) {
        struct key_ref key = call->keys[i];
        uint8_t use = use_of(call->command, key.flags);
        size_t bytes = argv[key.arg].len;
        if (key.flags & KEY_NOT_KEY)
            continue;
        if (counting & OWN_VALUES) {
            bytes += key.arg + 1 < argc ? argv[key.arg + 1].len : 0;
        } else if (use == MARK_WRITE) {
            bytes += rest;
            rest = 0;
        }
        mark_one(worker, &marks[marked++], argv[key.arg], use | (use == MARK_WRITE ? expiry : 0),
                 capped(bytes));
    }
    req->mark_count = (uint32_t)marked;
    req->key_arg = call->keys[0].arg < UINT8_MAX ? (uint8_t)call->keys[0].arg : 0;
}

void call_count(struct client *client, struct call *call, struct req *req)
{
    struct worker *worker = client->worker;
    uint8_t counting = worker->snapshot->counting[call->command->id];
    if (!COUNTING)
        return;
    req->arrived = call->arrived;
    if (unlikely(req->kind == REQ_EXEC)) {
        req->marks = client->exec_marks;
        req->mark_count = (uint32_t)client->exec_mark_count;
        client->exec_marks = NULL;
        client->exec_mark_count = 0;
        return;
    }
    if (!counting || call->request.argc < 2)
        return;
    uint8_t expiry = counting & MAY_EXPIRE ? expiry_marks(call) : 0;
    if (unlikely(counting & EACH_KEY)) {
        mark_each(worker, call, req, counting, expiry);
    } else {
        uint8_t use = counting & MARK_USES;
        size_t arg = (size_t)call->command->specs[0].index;
        if (unlikely(arg >= call->request.argc))
            return;
        mark_one(worker, &req->inline_marks[0], call->request.argv[arg], use | expiry,
                 use == MARK_WRITE ? bytes_from(call, arg) : 0);
        req->mark_count = 1;
        req->key_arg = (uint8_t)arg;
    }
    if (unlikely(req->kind == REQ_QUEUED))
        marks_keep(client->transaction, req);
}

static struct key_mark *marks_of(struct req *req)
{
    return req->marks ? req->marks : req->inline_marks;
}

void marks_free(struct req *req)
{
    free(req->marks);
    req->marks = NULL;
    req->mark_count = 0;
}

void marks_keep(struct transaction *transaction, struct req *req)
{
    size_t want = transaction->mark_count + req->mark_count;
    if (!req->mark_count)
        return; /* nothing to copy, and perhaps nowhere to */
    if (want > transaction->mark_room) {
        transaction->mark_room = want * 2;
        transaction->marks =
            xrealloc(transaction->marks, transaction->mark_room * sizeof(*transaction->marks));
    }
    memcpy(transaction->marks + transaction->mark_count, marks_of(req),
           req->mark_count * sizeof(struct key_mark));
    transaction->mark_count = want;
    marks_free(req);
}

static void mark_land(struct prefix_table *prefixes, const struct key_mark *mark,
                      const struct prefix_writer *writer)
{
    if (likely(mark->what == MARK_READ)) {
        prefix_add(prefixes, mark->ref, PREFIX_READS, 1);
        return;
    }
    if (mark->what & MARK_READ) /* GETEX reads and sets */
        prefix_add(prefixes, mark->ref, PREFIX_READS, 1);
    if (mark->what & MARK_WRITE)
        prefix_wrote(prefixes, mark->ref, mark->bytes, writer);
    if (mark->what & MARK_DELETE)
        prefix_add(prefixes, mark->ref, PREFIX_DELETES, 1);
    if (mark->what & MARK_EXPIRY)
        prefix_add(prefixes, mark->ref, PREFIX_EXPIRIES, 1);
    if (mark->what & MARK_WITHOUT_TTL)
        prefix_add(prefixes, mark->ref, PREFIX_WITHOUT_TTL, 1);
}

void marks_land(struct client *client, struct req *req)
{
    const struct key_mark *marks = marks_of(req);
    for (uint32_t i = 0; i < req->mark_count; i++)
        mark_land(client->worker->counts->prefixes, &marks[i], &client->writer);
}

void count_refused(struct worker *worker, const struct question *question, enum prefix_count count)
{
    struct prefix_table *prefixes = worker->counts->prefixes;
    for (size_t i = 0; i < question->key_count; i++) {
        struct str key = question->argv[question->keys[i].arg];
        prefix_add(prefixes, prefix_find(prefixes, key), count, 1);
    }
}
