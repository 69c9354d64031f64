/* replay.c - runs a fuzz target over the files of a corpus, with any compiler. */
#include "respgate/base.h"

#include <dirent.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void file_run(const char *folder, const char *name)
{
    char path[4096], part[4096];
    struct buf data = {0};
    size_t len;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        die("%s cannot be read", path);
    while ((len = fread(part, 1, sizeof(part), file)) > 0)
        buf_add(&data, part, len);
    fclose(file);
    LLVMFuzzerTestOneInput((const uint8_t *)data.ptr, data.len);
    buf_free(&data);
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    size_t files = 0;
    if (!folder)
        die("usage: replay CORPUS");
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.') {
            file_run(argv[1], entry->d_name);
            files++;
        }
    closedir(folder);
    printf("%zu files\n", files);
    return files > 0 ? 0 : 1;
}
