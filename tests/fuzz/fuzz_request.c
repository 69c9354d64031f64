/* fuzz_request.c - any client bytes: parsed at once and cut in two they mean the same.
 *
 * The first two bytes choose the cut and the limits. */
#include "../unit/resp/transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct request_limits limits = data[1] & 1 ? limits_stranger : limits_user;
    struct str bytes = {(const char *)data + 2, size - 2};
    size_t cut = bytes.len * data[0] / 256;
    struct buf whole = {0}, halves = {0}, single = {0};
    if (data[1] & 2)
        limits.max_request = 40;
    transcript_pieces(&whole, &limits, bytes, bytes.len + 1);
    transcript_cut(&halves, &limits, bytes, cut);
    transcript_pieces(&single, &limits, bytes, 1);
    ASSERT(text_equal(&whole, buf_view(&halves)));
    ASSERT(text_equal(&whole, buf_view(&single)));
    buf_free(&whole);
    buf_free(&halves);
    buf_free(&single);
    return 0;
}
