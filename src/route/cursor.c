/* cursor.c - SCAN's cursor over all nodes: one number that needs no memory in respgate, so that
 * any respgate can go on with it.
 *
 *   pass (4) | fingerprint (9) | node (8) | the node's own cursor (32)         53 bits
 */
#include "respgate/route.h"

#define FITS(value, bits) ((uint64_t)(value) < (1ull << (bits)))

bool cursor_pack(const struct scan_cursor *cursor, uint64_t *out)
{
    if (!FITS(cursor->pass, CURSOR_PASS_BITS) || !FITS(cursor->fingerprint, CURSOR_PRINT_BITS) ||
        !FITS(cursor->node, CURSOR_NODE_BITS) || !FITS(cursor->inner, CURSOR_INNER_BITS))
        return false;
    *out = cursor->pass;
    *out = *out << CURSOR_PRINT_BITS | cursor->fingerprint;
    *out = *out << CURSOR_NODE_BITS | cursor->node;
    *out = *out << CURSOR_INNER_BITS | cursor->inner;
    return true;
}

static uint64_t take(uint64_t *number, unsigned bits)
{
    uint64_t value = *number & ((1ull << bits) - 1);
    *number >>= bits;
    return value;
}

bool cursor_parse(struct str text, struct scan_cursor *cursor)
{
    int64_t number;
    if (!str_to_int(text, &number) || number < 0)
        return false;
    uint64_t rest = (uint64_t)number;
    cursor->inner = take(&rest, CURSOR_INNER_BITS);
    cursor->node = (unsigned)take(&rest, CURSOR_NODE_BITS);
    cursor->fingerprint = (unsigned)take(&rest, CURSOR_PRINT_BITS);
    cursor->pass = (unsigned)take(&rest, CURSOR_PASS_BITS);
    return rest == 0;
}

unsigned cursor_print(uint64_t fingerprint)
{
    return (unsigned)(fingerprint % ((1u << CURSOR_PRINT_BITS) - 1)) + 1;
}
