/* fuzz_scan.c - any backend bytes: the framer finds the same end in one piece and in two, the end
 * that the recursive model finds, and for RESP2 the one that hiredis' reader finds.
 *
 * The first byte chooses the cut. */
#include "../unit/resp/model.h"

#include <hiredis.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEEPEST = 2000 }; /* bytes: the model recurses, so its input must be short */

static int64_t scan_cut(struct str bytes, size_t cut)
{
    struct scan scan;
    size_t used = 0;
    scan_init(&scan);
    enum scan_status status = scan_feed(&scan, bytes.ptr, cut, &used);
    if (status == SCAN_MORE) {
        ASSERT(used == cut);
        status = scan_feed(&scan, bytes.ptr + cut, bytes.len - cut, &used);
        used += cut;
    }
    ASSERT(status != SCAN_END || (scan_at_start(&scan) && used > 0 && used <= bytes.len));
    return status == SCAN_ERROR ? -1 : status == SCAN_MORE ? 0 : (int64_t)used;
}

/* A whole RESP2 reply is one for hiredis too, unless it is nested too deeply for it. */
static void reader_check(struct str reply)
{
    struct arena *arena = arena_new();
    bool flat = true;
    for (size_t i = 1; i < reply.len; i++)
        flat &= reply.ptr[i] != '*';
    if (flat && strchr("+-:$", reply.ptr[0]))
        ASSERT(tree_parse(arena, reply.ptr, reply.len));
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > DEEPEST)
        return 0;
    struct str bytes = {(const char *)data + 1, size - 1};
    int64_t end = scan_cut(bytes, bytes.len), model = model_length(bytes);
    ASSERT(scan_cut(bytes, bytes.len * data[0] / 256) == end);
    /* the framer may know of an error before the line has come to an end */
    ASSERT(end == model || (end == -1 && model == 0));
    if (end > 0)
        reader_check((struct str){bytes.ptr, (size_t)end});
    return 0;
}
