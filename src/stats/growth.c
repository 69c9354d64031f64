/* growth.c - whose writes the growth of the last minute is: by bytes written, for what is deleted
 * is not known by size. */
#include <stdio.h>

#include "internal.h"

enum { TEXT_MAX = 160 };
enum { MOST_PERCENT = 90 }; /* of a prefix's bytes: then nobody else is worth a word */

bool report_growth(const struct report *report, struct report_growth *out)
{
    const struct report_prefix *most = NULL;
    uint64_t total = 0;
    for (size_t i = 0; i < report->prefixes_count; i++) {
        const struct report_prefix *row = &report->prefixes[i];
        total += row->minute_bytes;
        if (row->minute_bytes && (!most || row->minute_bytes > most->minute_bytes))
            most = row;
    }
    if (!most)
        return false;
    *out = (struct report_growth){
        .prefix = most->name,
        .address = most->writer.address ? most->writer.address : "",
        .percent = (unsigned)(most->minute_bytes * 100 / total),
        .writer_percent = (unsigned)(most->writer.bytes * 100 / most->minute_bytes),
    };
    return true;
}

/* Without the port: who it is, not which of its connections. */
static int address_length(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon ? (int)(colon - address) : (int)strlen(address);
}

const char *report_growth_text(struct report *report)
{
    struct report_growth growth;
    char text[TEXT_MAX];
    if (!report_growth(report, &growth))
        return "";
    int used = snprintf(text, sizeof(text), "%u %% of the growth is %.*s", growth.percent,
                        (int)growth.prefix.len, growth.prefix.ptr);
    size_t left = used < TEXT_MAX ? sizeof(text) - (size_t)used : 0;
    int length = address_length(growth.address);
    if (length && left && growth.writer_percent >= MOST_PERCENT)
        snprintf(text + used, left, " from %.*s", length, growth.address);
    else if (length && left)
        snprintf(text + used, left, ", %u %% of that from %.*s", growth.writer_percent, length,
                 growth.address);
    return report_text(report, text);
}
