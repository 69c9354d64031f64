/* info.c - INFO stays the backend's; asked for `respgate` or `everything` it ends with our section.
 *
 *   INFO respgate        answered here
 *   INFO everything ...  asked on the client's own link, alone; the section is put behind the reply
 */
#include <stdio.h>
#include <stdlib.h>

#include "links.h"
#include "stages.h"

struct info_ask {
    struct worker *worker;
    uint64_t client_id;
};

/* Counters of other workers are read while they count: each is a single number. */
static void info_section(const struct proxy *proxy, struct buf *out)
{
    uint64_t clients = 0;
    for (unsigned i = 0; i < proxy->worker_count; i++)
        clients += __atomic_load_n(&proxy->workers[i].client_count, __ATOMIC_RELAXED);
    buf_printf(out, "# respgate\r\nrespgate_version:%s\r\n", RESPGATE_VERSION);
    buf_printf(out, "respgate_uptime_in_seconds:%lld\r\n",
               (long long)(clock_wall() - proxy->started));
    buf_printf(out, "respgate_threads:%u\r\nrespgate_clients:%llu\r\n", proxy->worker_count,
               (unsigned long long)clients);
    buf_printf(out, "respgate_shared_links:%lld\r\nrespgate_pinned_links:%lld\r\n",
               (long long)__atomic_load_n(&proxy->links[LINK_SHARED], __ATOMIC_RELAXED),
               (long long)__atomic_load_n(&proxy->links[LINK_PINNED], __ATOMIC_RELAXED));
    for (int stat = 0; stat < STAT_COUNT; stat++) {
        uint64_t total = 0;
        for (unsigned i = 0; i < proxy->worker_count; i++)
            total += __atomic_load_n(&proxy->workers[i].stats[stat], __ATOMIC_RELAXED);
        buf_printf(out, "respgate_%s:%llu\r\n", stat_name(stat), (unsigned long long)total);
    }
}

static void info_reply(struct client *client, struct str backend)
{
    struct buf text = {0}, reply = {0};
    buf_str(&text, backend);
    if (backend.len)
        buf_text(&text, "\r\n");
    info_section(client->worker->proxy, &text);
    write_verbatim(&reply, buf_view(&text), client->resp);
    client_reply(client, &reply);
    buf_free(&text);
    buf_free(&reply);
}

/* The text of "$N\r\n...\r\n" or "=N\r\ntxt:...\r\n"; false: an error, or nothing of the kind. */
static bool info_text(struct str reply, struct str *out)
{
    const char *line = reply.len ? memchr(reply.ptr, '\n', reply.len) : NULL;
    if (!line || (*reply.ptr != '$' && *reply.ptr != '='))
        return false;
    size_t head = (size_t)(line - reply.ptr) + 1, mark = *reply.ptr == '=' ? 4 : 0;
    if (reply.len < head + mark + 2)
        return false;
    *out = (struct str){reply.ptr + head + mark, reply.len - head - mark - 2};
    return true;
}

static void info_done(struct req *req, struct link *link, struct str reply)
{
    struct info_ask *ask = req->context;
    struct client *client = worker_client(ask->worker, ask->client_id);
    struct str text;
    (void)link;
    free(ask);
    if (!client || client->wait != WAIT_ANSWER)
        return;
    if (!reply.ptr) {
        client_reply_away(client);
    } else if (info_text(reply, &text)) {
        info_reply(client, text);
    } else {
        struct buf whole = {0};
        buf_str(&whole, reply);
        client_reply(client, &whole);
        buf_free(&whole);
    }
    call_end(client);
    client_resume(client);
}

static bool info_names(const struct call *call, const char *section)
{
    for (size_t i = 1; i < call->request.argc; i++)
        if (str_equal_nocase(call->request.argv[i], str_of(section)))
            return true;
    return false;
}

/* Who may not speak to the store hears so from the store. */
enum step info_run(struct client *client, struct call *call)
{
    struct link *link = client->pinned ? client->pinned : client->pool->shared;
    bool ours = info_names(call, "respgate");
    if (likely(!ours && !info_names(call, "everything")))
        return NEXT;
    if (!link || link->state != LINK_READY || client->pool->noauth || client->pins)
        return NEXT;
    if (client->queue.head) {
        client_wait(client, WAIT_DRAIN);
        return PARKED;
    }
    if (ours && call->request.argc == 2) {
        info_reply(client, (struct str){0});
        return ANSWERED;
    }
    struct info_ask *ask = xmalloc(sizeof(*ask));
    *ask = (struct info_ask){client->worker, client->id};
    client_wait(client, WAIT_ANSWER);
    link_ask(link, span_hold(call->request.bytes), info_done, ask);
    return PARKED;
}
