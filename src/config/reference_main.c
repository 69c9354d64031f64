/* reference_main.c - prints conf/README.md, or with --rows what tests compare: one option a line.
 */
#include "option.h"

#include <stdio.h>

static void print_rows(void)
{
    option_each(option)
        printf("%s\t%s\t%s\n", section_kinds[option->section].name, option->key, option->value);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--rows") == 0) {
        print_rows();
        return 0;
    }
    struct buf text = {0};
    config_reference(&text);
    fwrite(text.ptr, 1, text.len, stdout);
    buf_free(&text);
    return 0;
}
