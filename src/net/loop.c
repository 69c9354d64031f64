/* loop.c - one thread's turn: timers -> poll callbacks -> every written-to connection flushed once.
 *
 *   uv_run:   timers   prepare(flush)   [ poll: reads, mail ]   check(again, flush)
 *
 * Flushing once a turn, not at every reply, is what makes fifty clients' requests one write to
 * the backend. It runs before the poll too, because timers may have queued something.
 */
#include <stdlib.h>

#include "respgate/net.h"

static void loop_flush(struct loop *loop)
{
    while (!list_empty(&loop->flush)) {
        struct conn *conn = CONTAINER(loop->flush.next, struct conn, flush);
        list_remove(&conn->flush);
        conn_flush(conn);
    }
}

/* Before each flush: the write wakes whoever waits for it, and the scheduler may let them go
 * first, so that a clock read behind it would have the backend's time in it. */
static void loop_turn_over(struct loop *loop)
{
    if (!loop->turn_us)
        return;
    uint64_t end = clock_ns() / 1000;
    loop->turn_ends[loop->turn % LOOP_TURNS] = (uint32_t)end;
    if (loop->turn_over)
        loop->turn_over(loop, end);
    loop->turn_us = 0;
    loop->turn++;
}

static void loop_before_poll(uv_prepare_t *handle)
{
    loop_turn_over(handle->data);
    loop_flush(handle->data);
}

/* Owners that asked for another turn get exactly one: those that ask again while it runs come
 * after the next poll, so nobody starves. */
static void loop_after_poll(uv_check_t *handle)
{
    struct loop *loop = handle->data;
    struct list turn;
    list_init(&turn);
    while (!list_empty(&loop->again)) {
        struct list *node = loop->again.next;
        list_remove(node);
        list_append(&turn, node);
    }
    while (!list_empty(&turn)) {
        struct conn *conn = CONTAINER(turn.next, struct conn, again);
        list_remove(&conn->again);
        if (conn->state == CONN_OPEN)
            conn->ops->readable(conn);
    }
    loop_turn_over(loop);
    loop_flush(loop);
    if (list_empty(&loop->again))
        uv_idle_stop(&loop->idle);
}

static void loop_idle(uv_idle_t *handle)
{
    (void)handle; /* being active is its whole work: the poll returns at once */
}

static void loop_mail(uv_async_t *handle)
{
    struct loop *loop = handle->data;
    for (;;) {
        uv_mutex_lock(&loop->mail_lock);
        struct list *node = loop->mail.next;
        bool empty = list_empty(&loop->mail);
        if (!empty)
            list_remove(node);
        uv_mutex_unlock(&loop->mail_lock);
        if (empty)
            return;
        struct mail *mail = CONTAINER(node, struct mail, node);
        mail->run(loop, mail);
    }
}

static void loop_tick(uv_timer_t *handle)
{
    struct loop *loop = handle->data;
    loop->tick(loop);
}

static void loop_alarm(uv_timer_t *handle)
{
    struct loop *loop = handle->data;
    loop->alarm_at = 0;
    loop->alarmed(loop);
}

void loop_wake(struct loop *loop, uint64_t at)
{
    uint64_t now = loop_now(loop);
    if (loop->alarm_at && loop->alarm_at <= at)
        return;
    loop->alarm_at = at;
    uv_timer_start(&loop->alarm, loop_alarm, at > now ? at - now : 0, 0);
}

void loop_init(struct loop *loop, void (*tick)(struct loop *loop))
{
    if (uv_loop_init(&loop->uv) != 0)
        die("cannot make an event loop");
    list_init(&loop->flush);
    list_init(&loop->again);
    list_init(&loop->mail);
    loop->tick = tick;
    if (uv_mutex_init(&loop->mail_lock) != 0)
        die("cannot make a lock");
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    uv_idle_init(&loop->uv, &loop->idle);
    uv_timer_init(&loop->uv, &loop->timer);
    uv_timer_init(&loop->uv, &loop->alarm);
    loop->alarm.data = loop;
    loop->alarm_at = 0;
    if (uv_async_init(&loop->uv, &loop->wakeup, loop_mail) != 0)
        die("cannot make a mailbox");
    loop->prepare.data = loop->check.data = loop->idle.data = loop->timer.data = loop->wakeup.data =
        loop;
    uv_prepare_start(&loop->prepare, loop_before_poll);
    uv_check_start(&loop->check, loop_after_poll);
    uv_timer_start(&loop->timer, loop_tick, LOOP_TICK_MS, LOOP_TICK_MS);
}

void loop_again(struct loop *loop, struct conn *conn)
{
    list_append(&loop->again, &conn->again);
    uv_idle_start(&loop->idle, loop_idle);
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

void loop_free(struct loop *loop)
{
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->idle, NULL);
    uv_close((uv_handle_t *)&loop->timer, NULL);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
    uv_close((uv_handle_t *)&loop->wakeup, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT); /* lets close callbacks and look-ups under way end */
    ASSERT(uv_loop_close(&loop->uv) == 0);
    uv_mutex_destroy(&loop->mail_lock);
}

void loop_post(struct loop *loop, struct mail *mail)
{
    list_init(&mail->node);
    uv_mutex_lock(&loop->mail_lock);
    list_append(&loop->mail, &mail->node);
    uv_mutex_unlock(&loop->mail_lock);
    uv_async_send(&loop->wakeup);
}
