/* reference_main.c - the tool that prints the metrics reference: conf/METRICS.md is its output. */
#include <stdio.h>

#include "table.h"

int main(void)
{
    struct buf out = {0};
    metrics_reference(&out);
    fwrite(out.ptr, 1, out.len, stdout);
    buf_free(&out);
    return 0;
}
