/* scalars.c - the rows of scalars.def: numbers of the process as a whole. */
#include "table.h"

#define COUNT COLUMN_COUNT
#define BYTES COLUMN_BYTES
#define US    COLUMN_US
#define TIME  COLUMN_TIME

const struct scalar scalars[] = {
#define SCALAR(id, type, value, meaning) {.name = #id, .help = meaning, .kind = type},
#include "respgate/scalars.def"
#undef SCALAR
};
const size_t scalar_count = ARRAY_LEN(scalars);

void scalars_read(const struct report *report, uint64_t *out)
{
#define SCALAR(id, type, value, meaning) *out++ = (uint64_t)(value);
#include "respgate/scalars.def"
#undef SCALAR
}
