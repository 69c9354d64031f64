/* history.c - the last minutes, one sample a second, so that the page has curves from its first
 * look on. Percentiles come from what a second added to the histograms, and only while somebody
 * looks: they cost a report each. */
#include "http.h"

enum { SAMPLES = 300, SAMPLE_MS = 1000, WATCHED_MS = 10 * 1000 };

struct sample {
    uint64_t at; /* loop ms; 0: none */
    uint64_t requests, denied, in, out;
    uint64_t p50, p99; /* us; UINT64_MAX: not known */
};
static struct {
    struct sample samples[SAMPLES];
    size_t next;
    uint64_t due, watched;
    struct histogram before; /* all requests up to the last report */
    bool known;              /* before is filled */
    struct sample *asking;   /* gets the percentiles of the report under way */
} history;

static uint64_t total(const struct proxy *proxy, enum stat_id stat)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < proxy->worker_count; i++)
        sum += __atomic_load_n(&proxy->workers[i].stats[stat], __ATOMIC_RELAXED);
    return sum;
}

/* The smallest time that this part of what was added since `before` is not above. */
static uint64_t added_percentile(const struct histogram *now, const struct histogram *before,
                                 double part)
{
    uint64_t added = now->count - before->count, low = 0, high = now->max;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        uint64_t seen = histogram_below(now, middle) - histogram_below(before, middle);
        if ((double)seen >= part * (double)added)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void history_report(struct report *report, void *context)
{
    const struct histogram *now = &report->backend;
    (void)context;
    if (history.known && now->count > history.before.count && now->sum >= history.before.sum) {
        history.asking->p50 = added_percentile(now, &history.before, 0.50);
        history.asking->p99 = added_percentile(now, &history.before, 0.99);
    }
    histogram_clear(&history.before);
    histogram_merge(&history.before, now);
    history.known = true;
    history.asking = NULL;
    report_free(report);
}

void history_watched(uint64_t now)
{
    history.watched = now;
}

void history_tick(struct admin *admin, uint64_t now)
{
    const struct proxy *proxy = admin->proxy;
    if (now < history.due)
        return;
    history.due = now + SAMPLE_MS;
    struct sample *sample = &history.samples[history.next++ % SAMPLES];
    *sample = (struct sample){
        .at = now,
        .requests = total(proxy, STAT_REQUESTS),
        .denied = total(proxy, STAT_REQUESTS_DENIED),
        .in = total(proxy, STAT_BYTES_IN),
        .out = total(proxy, STAT_BYTES_OUT),
        .p50 = UINT64_MAX,
        .p99 = UINT64_MAX,
    };
    if (!history.watched || now > history.watched + WATCHED_MS)
        history.known = false; /* what comes next would be an average over a long time */
    else if (!history.asking) {
        history.asking = sample;
        proxy_report(admin->proxy, REPORT_COUNTS, history_report, NULL);
    }
}

static void json_time(uint64_t us, struct buf *out)
{
    if (us == UINT64_MAX)
        buf_text(out, ",null");
    else
        buf_printf(out, ",%llu", (unsigned long long)us);
}

/* [[ms, requests, denied, bytes in, bytes out, p50, p99], ...]: totals, oldest first. */
void history_json(struct buf *out)
{
    size_t count = history.next < SAMPLES ? history.next : SAMPLES;
    buf_text(out, "[");
    for (size_t i = history.next - count; i < history.next; i++) {
        const struct sample *sample = &history.samples[i % SAMPLES];
        buf_printf(out, "%s[%llu,%llu,%llu,%llu,%llu", i > history.next - count ? "," : "",
                   (unsigned long long)sample->at, (unsigned long long)sample->requests,
                   (unsigned long long)sample->denied, (unsigned long long)sample->in,
                   (unsigned long long)sample->out);
        json_time(sample->p50, out);
        json_time(sample->p99, out);
        buf_text(out, "]");
    }
    buf_text(out, "]");
}

void history_free(void)
{
    histogram_clear(&history.before);
}
