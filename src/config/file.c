/* file.c - opens what a configuration names: nobody but its owner may be able to change it. */
#include "option.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <unistd.h>

/* More is not a configuration, and a pipe may never end. */
enum { FILE_MAX = 4 * 1024 * 1024, PASSWORD_MAX = 4096 };

const char *path_resolve(const struct scope *scope, struct str path)
{
    if (!scope->directory || path.ptr[0] == '/')
        return arena_str(scope->arena, path);
    return arena_printf(scope->arena, "%s/%.*s", scope->directory, (int)path.len, path.ptr);
}

static bool file_check(const struct scope *scope, const char *path, const struct stat *info)
{
    if (S_ISDIR(info->st_mode))
        problem_error(scope->problems, scope->where, "'%s' is a directory", path);
    else if (!S_ISREG(info->st_mode) && !S_ISFIFO(info->st_mode))
        problem_error(scope->problems, scope->where, "'%s' is not a file", path);
    else if (info->st_mode & (S_IWGRP | S_IWOTH))
        problem_error(scope->problems, scope->where,
                      "'%s' can be written by group or others (mode %03o): chmod go-w", path,
                      (unsigned)info->st_mode & 0777);
    else
        return true;
    return false;
}

static bool file_fill(const struct scope *scope, const char *path, int fd, struct buf *out)
{
    char block[16 * 1024];
    for (;;) {
        ssize_t got = read(fd, block, sizeof(block));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            problem_error(scope->problems, scope->where, "cannot read '%s': %s", path,
                          strerror(errno));
            return false;
        }
        if (got == 0)
            return true;
        buf_add(out, block, (size_t)got);
        if (out->len > FILE_MAX) {
            problem_error(scope->problems, scope->where, "'%s' is larger than 4mb", path);
            return false;
        }
    }
}

bool file_read(const struct scope *scope, const char *path, struct buf *out, struct stat *info)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        problem_error(scope->problems, scope->where, "cannot open '%s': %s", path, strerror(errno));
        return false;
    }
    /* The open file is judged, not the name: it cannot be exchanged in between. */
    bool fine =
        fstat(fd, info) == 0 && file_check(scope, path, info) && file_fill(scope, path, fd, out);
    close(fd);
    return fine;
}

bool bodies_read(const struct scope *scope, const char *path, struct text_list *bodies)
{
    glob_t found;
    bool fine = glob(path, GLOB_NOSORT, NULL, &found) == 0;
    if (!fine)
        problem_error(scope->problems, scope->where, "there is no file '%s'", path);
    for (size_t i = 0; fine && i < found.gl_pathc; i++) {
        struct buf text = {0};
        struct stat info;
        fine = file_read(scope, found.gl_pathv[i], &text, &info);
        if (fine)
            text_list_add(scope, bodies, text.len ? buf_view(&text) : STR(""));
        buf_free(&text);
    }
    globfree(&found);
    return fine;
}

const char *password_read(const struct scope *scope, const char *path)
{
    struct buf text = {0};
    struct stat info;
    const char *password = NULL;
    if (!file_read(scope, path, &text, &info))
        goto done;
    if (info.st_mode & S_IROTH)
        problem_warning(scope->problems, scope->where, "'%s' holds a secret and can be read by all",
                        path);
    struct str line = buf_view(&text);
    const char *end = line.len ? memchr(line.ptr, '\n', line.len) : NULL;
    if (end)
        line.len = (size_t)(end - line.ptr);
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0)
        problem_error(scope->problems, scope->where, "the first line of '%s' is empty", path);
    else if (line.len > PASSWORD_MAX || memchr(line.ptr, 0, line.len))
        problem_error(scope->problems, scope->where, "the first line of '%s' is not a password",
                      path);
    else
        password = arena_str(scope->arena, line);
done:
    if (text.ptr)
        explicit_bzero(text.ptr, text.cap);
    buf_free(&text);
    return password;
}
