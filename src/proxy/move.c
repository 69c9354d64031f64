/* move.c - a reload that changes [backend]: all workers move at one moment, or none does (house.h).
 *
 *   PREPARE -> HOLD -> SUBSCRIBE -> ENTER -> RESUME        an error before ENTER: back to the old
 *
 * Each phase is a visit to all workers, repeated until all are done with it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "house.h"
#include "stages.h"

enum {
    STEP_MS = 10,
    PREPARE_MS = 60000, /* dial-rate paces the links of subscribers */
    REACH_MS = 5000,    /* for one that does not answer, beyond connect-timeout */
    SUBSCRIBE_MS = 5000,
};

enum phase { PREPARE, HOLD, SUBSCRIBE, ENTER, RESUME, ABANDON };

struct move {
    struct visit visit; /* first: visits that are lost at the end are freed as this */
    struct snapshot *snapshot;
    enum phase phase;
    uint32_t serial;
    uint64_t deadline, began, held; /* loop ms */
    bool visiting, entered;         /* on its way round; has been at each worker in this phase */
    struct side_state state;
};

/* ---- at each worker ---- */

static void move_at(struct worker *worker, struct visit *visit)
{
    struct move *move = CONTAINER(visit, struct move, visit);
    bool first = !move->entered;
    switch (move->phase) {
    case PREPARE:
        if (first && !worker->drained)
            side_prepare(worker, move->snapshot, move->serial);
        side_ready(worker, &move->state);
        return;
    case HOLD:
        if (first)
            hold_change(worker, HOLD_MOVE, 0);
        hold_unblock(worker);
        move->state.done &= hold_quiet(worker, HOLD_MOVE);
        return;
    case SUBSCRIBE: side_subscribe(worker, &move->state); return;
    case ENTER: side_enter(worker); return;
    case RESUME: hold_change(worker, 0, HOLD_MOVE); return;
    case ABANDON:
        side_abandon(worker);
        hold_change(worker, 0, HOLD_MOVE);
        return;
    }
}

/* ---- from phase to phase ---- */

static void move_go(struct proxy *proxy);

static void move_enter_phase(struct proxy *proxy, enum phase phase, uint64_t ms)
{
    struct move *move = proxy->move;
    move->phase = phase;
    move->entered = false;
    move->deadline = loop_now(&proxy->loop) + ms;
    move_go(proxy);
}

static void move_over(struct proxy *proxy)
{
    struct move *move = proxy->move;
    proxy->move = NULL;
    snapshot_drop(move->snapshot);
    free(move);
}

static void move_fail(struct proxy *proxy, const char *reason)
{
    char text[320];
    snprintf(text, sizeof(text), "reload failed, the backend in force stays: %s", reason);
    log_error(NULL, "%s", text);
    audit_note(proxy, "reload", text);
    proxy->reload_failures++;
    proxy->reload_failed = true;
    move_enter_phase(proxy, ABANDON, 0);
}

static void move_done(struct proxy *proxy)
{
    struct move *move = proxy->move;
    uint64_t now = loop_now(&proxy->loop);
    log_notice(NULL, "moved to the new backend: requests were held for %llu ms",
               (unsigned long long)(now - move->held));
    functions_changed(proxy); /* those of another store */
    proxy_reload_done(proxy);
    move_over(proxy);
}

/* The new configuration, with the commands that are known by now: some may have been learned since
 * it was read, and calls that wait point at them. */
static struct snapshot *snapshot_current(struct proxy *proxy)
{
    struct snapshot *snapshot = proxy->move->snapshot;
    struct problems problems = {0};
    struct snapshot *fresh = NULL;
    if (snapshot->commands != proxy->snapshot->commands)
        fresh = snapshot_new(config_hold(snapshot->config), proxy->snapshot->commands, &problems);
    problems_free(&problems);
    return fresh ? fresh : snapshot_hold(snapshot);
}

static void move_next(struct proxy *proxy)
{
    struct move *move = proxy->move;
    const struct config *config = proxy->snapshot->config;
    switch (move->phase) {
    case PREPARE:
        move->held = loop_now(&proxy->loop);
        move_enter_phase(proxy, HOLD, config->backend.request_timeout);
        return;
    case HOLD: move_enter_phase(proxy, SUBSCRIBE, SUBSCRIBE_MS); return;
    case SUBSCRIBE:
        proxy_reload_adopt(proxy, snapshot_current(proxy));
        move_enter_phase(proxy, ENTER, 0);
        return;
    case ENTER: move_enter_phase(proxy, RESUME, 0); return;
    case RESUME: move_done(proxy); return;
    case ABANDON: move_over(proxy); return;
    }
}

static void move_late(struct proxy *proxy)
{
    const struct move *move = proxy->move;
    switch (move->phase) {
    case PREPARE:
        move_fail(proxy, move->state.error[0] ? move->state.error
                                              : "the new one could not be reached in time");
        return;
    case HOLD:
        log_warn(NULL, "some requests or transactions have not ended in time: they are cut off");
        move_next(proxy);
        return;
    case SUBSCRIBE: move_fail(proxy, "subscriptions could not be made there in time"); return;
    case ENTER:
    case RESUME:
    case ABANDON: return;
    }
}

static void move_home(struct visit *visit)
{
    struct move *move = CONTAINER(visit, struct move, visit);
    struct proxy *proxy = visit->proxy;
    uint64_t now = loop_now(&proxy->loop);
    const struct config *config = move->snapshot->config;
    bool refused = move->phase == PREPARE && move->state.error[0];
    move->visiting = false;
    move->entered = true;
    if (proxy->draining && move->phase < ENTER) {
        move_enter_phase(proxy, ABANDON, 0);
        return;
    }
    if (move->phase >= ENTER || (move->state.done && !move->state.error[0]))
        move_next(proxy);
    else if (move->phase == SUBSCRIBE && move->state.error[0])
        move_fail(proxy, move->state.error);
    else if (now >= move->deadline ||
             (refused && now >= move->began + config->backend.connect_timeout) ||
             (move->phase == PREPARE && !move->state.reached &&
              now >= move->began + config->backend.connect_timeout + REACH_MS))
        move_late(proxy);
    else
        loop_wake(&proxy->loop, now + STEP_MS);
}

static void move_go(struct proxy *proxy)
{
    struct move *move = proxy->move;
    if (move->visiting)
        return;
    move->visiting = true;
    move->state = (struct side_state){.done = true, .reached = true};
    proxy_visit(proxy, &move->visit, move_at, move_home);
}

static void move_alarm(struct loop *loop)
{
    struct proxy *proxy = CONTAINER(loop, struct proxy, loop);
    if (proxy->move && !proxy->draining)
        move_go(proxy);
}

bool move_start(struct proxy *proxy, struct snapshot *snapshot)
{
    static uint32_t serial; /* main thread only */
    if (proxy->move || proxy->draining)
        return false;
    proxy->loop.alarmed = move_alarm;
    proxy->move = xcalloc(1, sizeof(*proxy->move));
    proxy->move->snapshot = snapshot;
    proxy->move->serial = ++serial;
    proxy->move->began = loop_now(&proxy->loop);
    log_notice(NULL, "reload: [backend] has changed, moving to it");
    move_enter_phase(proxy, PREPARE, PREPARE_MS);
    return true;
}

void move_free(struct proxy *proxy)
{
    struct move *move = proxy->move;
    if (!move)
        return;
    snapshot_drop(move->snapshot);
    if (!move->visiting) /* else visits_free has it */
        free(move);
    proxy->move = NULL;
}
