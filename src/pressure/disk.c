/*
 * disk.c - whether a rewrite of the AOF should be asked for now.
 *
 * While it runs the old AOF and the new one lie on the volume side by side:
 *
 *   |---- other files and the old AOF ----|---- new AOF, up to the data ----|   | size
 *
 * So it comes when the volume is as full as aof-rewrite-at says, or earlier when waiting that long
 * would leave no room for both; but never for an AOF that holds little else than data.
 */
#include "respgate/pressure.h"

enum { GAIN_MIN_PERCENT = 10 }; /* of the volume: what a rewrite must promise to give back */

enum rewrite rewrite_judge(const struct volume *volume, unsigned rewrite_at)
{
    uint64_t data = volume->data < volume->aof ? volume->data : volume->aof;
    uint64_t due = pressure_amount(volume->size, rewrite_at);
    /* A rewrite begun later than this would not fit; an eighth is left to what is written
     * meanwhile. */
    uint64_t room = volume->size - volume->size / 8;
    uint64_t last = data < room ? room - data : 0;
    if (volume->size == 0 || rewrite_at == 0 || (volume->used < due && volume->used < last))
        return REWRITE_NOT_YET;
    uint64_t gain = volume->aof - data;
    if (gain < pressure_amount(volume->size, GAIN_MIN_PERCENT))
        return volume->used >= due ? REWRITE_USELESS : REWRITE_NOT_YET;
    if (volume->used + data > volume->size)
        return REWRITE_NO_ROOM;
    return REWRITE_NOW;
}
