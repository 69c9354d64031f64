/* req.c - requests in flight come from a small free list of their worker. */
#include <stdlib.h>

#include "respgate/pressure.h"
#include "count.h"

struct req *req_new(struct worker *worker)
{
    struct req *req = worker->free_reqs;
    if (!req)
        return xcalloc(1, sizeof(*req));
    worker->free_reqs = req->next_client;
    worker->free_req_count--;
    memset(req, 0, offsetof(struct req, inline_marks));
    return req;
}

void req_free(struct worker *worker, struct req *req)
{
    span_drop(&req->bytes);
    spans_clear(&req->reply);
    charge_land(&req->charges);
    if (unlikely(req->marks))
        marks_free(req);
    if (worker->free_req_count >= REQ_POOL) {
        free(req);
        return;
    }
    req->next_client = worker->free_reqs;
    worker->free_reqs = req;
    worker->free_req_count++;
}
