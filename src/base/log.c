/* log.c - log lines and clocks. A line is one write(2), so threads need no lock to keep lines
 * whole; the descriptor is swapped with dup2, so a line never meets a closed one. */
#include "respgate/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct {
    char *path;
    int fd;
    enum log_level level;
    bool json;
} target = {NULL, STDERR_FILENO, LOG_INFO, false};

static const char *const level_names[] = {"error", "warn", "notice", "info", "debug"};

static bool target_set(const char *path)
{
    if (strcmp(path, "-") == 0) {
        int old = target.fd;
        target.fd = STDERR_FILENO;
        if (old != STDERR_FILENO)
            close(old);
        return true;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return false;
    if (target.fd == STDERR_FILENO) {
        target.fd = fd;
        return true;
    }
    dup3(fd, target.fd, O_CLOEXEC);
    close(fd);
    return true;
}

bool log_open(const char *path, enum log_level level, bool json)
{
    bool same = target.path && strcmp(target.path, path) == 0;
    if (!same && !target_set(path))
        return false;
    if (!same) {
        free(target.path);
        target.path = xstrdup(path);
    }
    target.level = level;
    target.json = json;
    return true;
}

bool log_reopen(void)
{
    return !target.path || target_set(target.path);
}

bool log_enabled(enum log_level level)
{
    return level <= target.level;
}

static void line_prefix(struct buf *line, enum log_level level, const char *who)
{
    struct timespec now;
    struct tm utc;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    if (!target.json) {
        buf_printf(line, "%s.%03ldZ %-6s ", stamp, now.tv_nsec / 1000000, level_names[level]);
        if (who)
            buf_printf(line, "[%s] ", who);
        return;
    }
    buf_printf(line, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",", stamp, now.tv_nsec / 1000000,
               level_names[level]);
    if (who) {
        buf_text(line, "\"who\":");
        buf_json(line, str_of(who));
        buf_text(line, ",");
    }
    buf_text(line, "\"text\":");
}

void log_line(enum log_level level, const char *who, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    char text[2048];
    struct buf line = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    line_prefix(&line, level, who);
    if (target.json) {
        buf_json(&line, str_of(text));
        buf_text(&line, "}");
    } else {
        for (char *c = text; *c; c++) /* a name with a newline must not forge a line */
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                *c = '?';
        buf_text(&line, text);
    }
    buf_text(&line, "\n");
    if (write(target.fd, line.ptr, line.len) < 0) {
        /* nowhere left to say it: a full disk must not stop the proxy */
    }
    buf_free(&line);
}

uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int64_t clock_wall(void)
{
    return time(NULL);
}

uint32_t random_below(uint32_t bound)
{
    static _Thread_local uint64_t state; /* xorshift64*, Vigna 2014 */
    if (!state)
        state = clock_ns() ^ (uint64_t)(uintptr_t)&state;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return bound ? (uint32_t)(((state * 0x2545f4914f6cdd1dull) >> 32) * bound >> 32) : 0;
}
