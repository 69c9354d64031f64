/*
 * fuzz_config.c - any bytes as a configuration: no crash, no disagreement with inih, and what
 * loads prints to something that loads to the same.
 *
 * A libFuzzer target; without libFuzzer its main() replays the files it is given.
 */
#include "../../../src/config/option.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Inputs that would open files of the machine are left out. */
static bool names_files(struct str text)
{
    return memmem(text.ptr, text.len, "include", 7) ||
           memmem(text.ptr, text.len, "password-file", 13);
}

static bool has_secret(const struct config *config)
{
    bool secret = config->backend.url_password;
    for (size_t i = 0; i < config->user_count; i++)
        secret |= config->users[i].password_sha256.count > 0;
    return secret;
}

static void print_again(const struct config *config)
{
    struct buf once = {0}, twice = {0};
    struct problems problems = {0};
    config_print(config, &once);
    struct config *again = config_load_text("again", buf_view(&once), NULL, &problems);
    ASSERT(has_secret(config) ? !again : again != NULL);
    if (again) {
        config_print(again, &twice);
        ASSERT(str_equal(buf_view(&once), buf_view(&twice)));
        config_check_reload(config, again, &problems);
        ASSERT(problems.errors == 0);
    }
    config_free(again);
    problems_free(&problems);
    buf_free(&once);
    buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {size ? (const char *)data : "", size};
    struct problems problems = {0};
    if (size > 64 * 1024 || names_files(text))
        return 0;
    struct config *config = config_load_text("fuzz", text, NULL, &problems);
    ASSERT((config == NULL) == (problems.errors > 0));
    if (config)
        print_again(config);
    config_free(config);
    problems_free(&problems);
    return 0;
}

#ifndef WITH_LIBFUZZER
static void replay(const char *path)
{
    static uint8_t data[64 * 1024];
    FILE *file = fopen(path, "rb");
    if (!file)
        die("cannot open %s", path);
    LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof(data), file));
    fclose(file);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    return 0;
}
#endif
