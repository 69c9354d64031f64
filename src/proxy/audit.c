/* audit.c - what was refused, limited, observed and changed, and who did it: one JSON object a
 * line.
 *
 * Lines go to [log] audit-file through a journal (net/journal.c), so that no disk holds up
 * traffic; the last ones are kept for the console and the page. Values never appear, and keys as
 * [log] key-names says.
 */
#include <stdio.h>
#include <sys/time.h>
#include <time.h>

#include "stages.h"

enum {
    QUEUE_SIZE = 4 * 1024 * 1024,
    QUEUE_RESERVE = 64 * 1024, /* a flood of refusals must not push out a reload or an alert */
    KEYS_SHOWN_MAX = 10,
    NAME_SHOWN_MAX = 64,
    DETAIL_MAX = 4096,
};

/* What an action is called when it has happened. */
static const struct {
    const char *action, *event;
} events[] = {
    {"deny", "denied"},       {"limit", "limited"},   {"delay", "delayed"}, {"log", "logged"},
    {"rewrite", "rewritten"}, {"confirm", "confirm"}, {"shed", "shed"},
};

static const char *event_of(const char *action)
{
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        if (strcmp(events[i].action, action) == 0)
            return events[i].event;
    return action;
}

/* ---- lines ---- */

static void line_begin(struct buf *line, const char *event)
{
    struct timespec now;
    struct tm utc;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    buf_printf(line, "{\"time\":\"%s.%03ldZ\",\"event\":\"%s\"", stamp, now.tv_nsec / 1000000,
               event);
}

static void line_end(struct buf *line)
{
    buf_text(line, "}\n");
}

static void add_text(struct buf *line, const char *field, struct str text, size_t max)
{
    if (text.len > max)
        text.len = max;
    buf_printf(line, ",\"%s\":", field);
    buf_json(line, text);
}

static void add_client(struct buf *line, const struct client *client)
{
    char address[64];
    address_text(&client->subject.address, address);
    add_text(line, "client", str_of(address), sizeof(address));
    buf_printf(line, ",\"id\":%llu", (unsigned long long)client->id);
    if (client->name)
        add_text(line, "name", str_of(client->name), NAME_SHOWN_MAX);
    if (client->user_name)
        add_text(line, "user", str_of(client->user_name), NAME_SHOWN_MAX);
}

static void add_keys(struct buf *line, const struct client *client, const struct call *call)
{
    const struct worker *worker = client->worker;
    size_t count = 0;
    for (size_t i = 0; i < call->key_count; i++) {
        if (call->keys[i].flags & KEY_NOT_KEY)
            continue;
        if (count++ >= KEYS_SHOWN_MAX)
            continue;
        buf_text(line, count == 1 ? ",\"keys\":[" : ",");
        key_shown(worker->proxy, worker->snapshot, call->request.argv[call->keys[i].arg], line);
    }
    if (count)
        buf_printf(line, "],\"key_count\":%zu", count);
}

static void note_lost(struct buf *line, uint64_t count)
{
    line_begin(line, "dropped");
    buf_printf(line, ",\"dropped\":%llu", (unsigned long long)count);
    line_end(line);
}

/* ---- what others call ---- */

void audit_request(struct client *client, const struct call *call, int64_t db, uint16_t rule,
                   const char *action, bool observed)
{
    struct worker *worker = client->worker;
    struct buf line = {0};
    line_begin(&line, observed ? "observed" : event_of(action));
    add_client(&line, client);
    buf_printf(&line, ",\"db\":%lld", (long long)db);
    add_text(&line, "command", str_of(call->command->name), NAME_SHOWN_MAX);
    add_keys(&line, client, call);
    if (rule != POLICY_NO_RULE)
        add_text(&line, "rule", str_of(policy_rule_name(worker->snapshot->policy, rule)),
                 NAME_SHOWN_MAX);
    buf_printf(&line, ",\"action\":\"%s\",\"mode\":\"%s\",\"size\":%zu", action,
               observed ? "observe" : "enforce", call->request.bytes.len);
    line_end(&line);
    if (!journal_add(worker->proxy->audit, buf_view(&line), false))
        count(worker, STAT_AUDIT_DROPPED);
    buf_free(&line);
}

void audit_note(struct proxy *proxy, const char *event, const char *detail)
{
    struct buf line = {0};
    line_begin(&line, event);
    add_text(&line, "detail", str_of(detail), DETAIL_MAX);
    line_end(&line);
    (void)!journal_add(proxy->audit, buf_view(&line), true);
    buf_free(&line);
}

void audit_changes(struct proxy *proxy, const struct snapshot *next, const char *event)
{
    struct buf text = {0};
    char line[DETAIL_MAX];
    config_changes(proxy->snapshot->config, next->config, &text);
    policy_changes(proxy->snapshot->policy, next->policy, &text);
    for (size_t at = 0; at < text.len;) {
        const char *end = memchr(text.ptr + at, '\n', text.len - at);
        snprintf(line, sizeof(line), "%.*s", (int)(end - text.ptr - (ptrdiff_t)at), text.ptr + at);
        log_notice(NULL, "%s", line);
        audit_note(proxy, event, line);
        at = (size_t)(end - text.ptr) + 1;
    }
    buf_free(&text);
}

/* Not in the audit file: nothing was refused. */
void slow_log(struct client *client, const struct slow *slow)
{
    struct worker *worker = client->worker;
    struct buf key = {0};
    if (!may_log(worker))
        return;
    if (slow->key.ptr) {
        buf_text(&key, " key ");
        key_shown(worker->proxy, worker->snapshot, (struct str){slow->key.ptr, slow->key.len},
                  &key);
    }
    uint32_t total = slow->queue + slow->backend;
    log_notice(client_who(client),
               "slow: '%s' took %u.%03u ms: queue %u.%03u, backend %s %u.%03u%.*s",
               command_by_id(worker->snapshot->commands, slow->command)->name, total / 1000,
               total % 1000, slow->queue / 1000, slow->queue % 1000, slow->node,
               slow->backend / 1000, slow->backend % 1000, (int)key.len, key.ptr ? key.ptr : "");
    buf_free(&key);
}

void audit_tail(struct proxy *proxy, size_t count, struct buf *out)
{
    journal_tail(proxy->audit, count, out);
}

/* ---- life ---- */

void audit_init(struct proxy *proxy)
{
    static const struct journal_settings settings = {
        .size = QUEUE_SIZE,
        .reserve = QUEUE_RESERVE,
        .tail = AUDIT_TAIL,
        .note_lost = note_lost,
    };
    proxy->audit = journal_new(&settings);
    random_bytes(proxy->key_secret, sizeof(proxy->key_secret));
}

void audit_open(struct proxy *proxy, const char *old)
{
    const char *path = proxy->snapshot->config->log.audit_file;
    if (strcmp(path ? path : "", old ? old : "") != 0)
        journal_open(proxy->audit, path);
}

void audit_reopen(struct proxy *proxy)
{
    const char *path = proxy->snapshot->config->log.audit_file;
    if (path)
        journal_open(proxy->audit, path);
}

void audit_free(struct proxy *proxy)
{
    journal_free(proxy->audit);
}
