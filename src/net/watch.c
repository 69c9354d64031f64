/* watch.c - another library's descriptor on our loop: tells its owner that there is something. */
#include <stdlib.h>

#include "respgate/net.h"

struct watch {
    uv_poll_t poll;
    void (*ready)(void *owner);
    void *owner;
};

static void watch_event(uv_poll_t *handle, int status, int events)
{
    struct watch *watch = handle->data;
    (void)status; /* the library finds out by itself */
    (void)events;
    watch->ready(watch->owner);
}

struct watch *watch_new(struct loop *loop, int fd, void (*ready)(void *owner), void *owner)
{
    struct watch *watch = xcalloc(1, sizeof(*watch));
    watch->ready = ready;
    watch->owner = owner;
    if (uv_poll_init(&loop->uv, &watch->poll, fd) != 0)
        die("cannot watch a descriptor");
    watch->poll.data = watch;
    uv_poll_start(&watch->poll, UV_READABLE, watch_event);
    return watch;
}

static void watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void watch_close(struct watch *watch)
{
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, watch_closed);
}
