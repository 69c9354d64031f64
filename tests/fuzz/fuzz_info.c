/* fuzz_info.c - any INFO: no crash, nothing below "unknown", texts that can be shown; parsed again
 * it says the same. */
#include "respgate/pressure.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void text_check(const char *text, size_t size)
{
    size_t len = strnlen(text, size);
    ASSERT(len < size);
    for (size_t i = 0; i < len; i++)
        ASSERT(text[i] > ' ' && text[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = xmalloc(size);
    if (size)
        memcpy(copy, data, size);
    struct str text = {copy, size}, name;
    struct info one, two;
    uint64_t calls;
    ASSERT(info_parse(text, &one) == info_parse(text, &two));
    ASSERT(memcmp(&one, &two, sizeof(one)) == 0);
#define NUMBER(field)     ASSERT(one.field >= INFO_UNKNOWN);
#define STATUS(field)     ASSERT(one.field >= INFO_UNKNOWN && one.field <= 1);
#define TEXT(field, room) text_check(one.field, room);
#include "respgate/info.def"
    ASSERT(one.keys >= INFO_UNKNOWN);
    while (info_next_command(&text, &name, &calls))
        ASSERT(name.ptr >= copy && name.ptr + name.len <= copy + size);
    free(copy);
    return 0;
}
