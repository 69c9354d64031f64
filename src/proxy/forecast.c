/*
 * forecast.c - "memory full in 14 min": said once while there is time to act, with who does it.
 *
 *   worker 0: INFO was read, full within the hour -> main: proxy_report() -> the log
 *
 * The node's slope tells when; the minute's writes by prefix and writer tell who.
 */
#include <stdio.h>

#include "health.h"

enum { FORECAST_S = 60 * 60, FORECAST_PAUSE_MS = 5 * 60 * 1000, TEXT_MAX = 256 };

/* ---- with the report, on the main thread ---- */

static void forecast_say(struct report *report, void *context)
{
    struct forecast *forecast = context;
    const struct health *health = CONTAINER(forecast, struct health, forecast);
    const char *who = report->growth;
    char line[TEXT_MAX];
    snprintf(line, sizeof(line), "node %s: %s full in %lld min%s%s", health->name, forecast->what,
             (long long)forecast->left / 60, *who ? ", " : "", who);
    log_warn(NULL, "%s", line);
    audit_note(forecast->proxy, "forecast", line);
    __atomic_store_n(&forecast->asking, false, __ATOMIC_RELEASE);
    report_free(report);
}

static void forecast_ask(struct loop *loop, struct mail *mail)
{
    struct forecast *forecast = CONTAINER(mail, struct forecast, mail);
    (void)loop;
    proxy_report(forecast->proxy, REPORT_COUNTS, forecast_say, forecast);
}

/* ---- on the poller's thread ---- */

static bool is_near(int64_t left)
{
    return left >= 0 && left <= FORECAST_S;
}

void forecast_tick(struct proxy *proxy, struct health *health, uint64_t now)
{
    struct forecast *forecast = &health->forecast;
    bool memory = health->memory_bound != UINT64_MAX && is_near(health->memory_full_s) &&
                  health->memory_level != PRESSURE_CRITICAL;
    bool disk = is_near(health->disk_full_s) && health->disk_level != PRESSURE_CRITICAL;
    if ((!memory && !disk) || (forecast->said && now < forecast->said + FORECAST_PAUSE_MS) ||
        __atomic_load_n(&forecast->asking, __ATOMIC_ACQUIRE))
        return;
    bool sooner = memory && (!disk || health->memory_full_s <= health->disk_full_s);
    forecast->said = now;
    forecast->asking = true;
    forecast->proxy = proxy;
    forecast->what = sooner ? "memory" : "the AOF's volume";
    forecast->left = sooner ? health->memory_full_s : health->disk_full_s;
    forecast->mail.run = forecast_ask;
    loop_post(&proxy->loop, &forecast->mail);
}
