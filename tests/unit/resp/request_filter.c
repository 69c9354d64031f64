/* request_filter.c - prints what the parser makes of stdin: the tool of tests that compare with a
 * live Redis. Argument 1: bytes for each feed (0: all), argument 2: "stranger" before AUTH. */
#include "transcript.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    size_t piece = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    bool stranger = argc > 2 && strcmp(argv[2], "stranger") == 0;
    struct buf bytes = {0}, text = {0};
    char part[65536];
    ssize_t len;
    while ((len = read(STDIN_FILENO, part, sizeof(part))) > 0)
        buf_add(&bytes, part, (size_t)len);
    transcript_pieces(&text, stranger ? &limits_stranger : &limits_user, buf_view(&bytes),
                      piece ? piece : bytes.len + 1);
    fwrite(text.ptr, 1, text.len, stdout);
    buf_free(&bytes);
    buf_free(&text);
    return 0;
}
