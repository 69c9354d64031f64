/* req.c - requests in flight come from a small free list of their worker. */
#include <stdlib.h>

#include "respgate/pressure.h"
#include "respgate/proxy.h"

struct req *req_new(struct worker *worker)
{
    struct req *req = worker->free_reqs;
    if (!req)
        return xcalloc(1, sizeof(*req));
    worker->free_reqs = req->next_client;
    worker->free_req_count--;
    memset(req, 0, sizeof(*req));
    return req;
}

void req_free(struct worker *worker, struct req *req)
{
    span_drop(&req->bytes);
    spans_clear(&req->reply);
    charge_land(&req->charges);
    if (worker->free_req_count >= REQ_POOL) {
        free(req);
        return;
    }
    req->next_client = worker->free_reqs;
    worker->free_reqs = req;
    worker->free_req_count++;
}
