/* req.c - requests in flight come from a small free list of their worker. */
#include <stdlib.h>

#include "count.h"
#include "links.h"
#include "respgate/pressure.h"

struct req *req_new(struct worker *worker)
{
    struct req *req = worker->free_reqs;
    if (req) {
        worker->free_reqs = req->next_client;
        worker->free_req_count--;
        memset(req, 0, offsetof(struct req, inline_marks));
    } else {
        req = xcalloc(1, sizeof(*req));
    }
    req->slot = SLOT_NONE;
    return req;
}

void req_free(struct worker *worker, struct req *req)
{
    redirect_free(req);
    if (unlikely(req->kind == REQ_GATHER && req->gather))
        gather_abandon(req->gather);
    span_drop(&req->bytes);
    spans_clear(&req->reply);
    charge_land(&req->charges);
    if (unlikely(req->marks))
        marks_free(req);
    if (unlikely(req->key))
        free(req->key);
    if (worker->free_req_count >= REQ_POOL) {
        free(req);
        return;
    }
    req->next_client = worker->free_reqs;
    worker->free_reqs = req;
    worker->free_req_count++;
}
