/* journal_writer.c - the thread that has a journal's file: it opens, writes, and waits for both.
 *
 * A file that takes nothing (a full disk, no folder, a pipe nobody reads) is tried again a few
 * times a second; meanwhile lines wait in the ring. A line is in one file whole or, where a disk
 * filled up in its middle and the file was changed then, again from its beginning in the next.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal_private.h"

enum { BATCH = 64 * 1024, RETRY_MS = 200 };

struct writer {
    struct journal *journal;
    int fd;
    char *path;                /* of the file asked for last; NULL: none */
    uint64_t opened;           /* the `opening` it answers */
    bool troubled;             /* said so in the log */
    size_t len, written, line; /* of batch: bytes, those in the file, where the line begun starts */
    char batch[BATCH];
};

static void trouble(struct writer *writer, const char *what)
{
    if (!writer->troubled)
        log_error(NULL, "cannot %s %s: %s; lines wait, those beyond the queue are dropped", what,
                  writer->path, strerror(errno));
    writer->troubled = true;
}

static void file_close(struct writer *writer)
{
    if (writer->fd > STDERR_FILENO)
        close(writer->fd);
    writer->fd = -1;
}

/* Non-blocking: the far end of a pipe may not be there, or may not read. */
static void file_open(struct writer *writer)
{
    file_close(writer);
    writer->written = writer->line;
    if (!writer->path)
        return;
    if (strcmp(writer->path, "-") == 0)
        writer->fd = STDERR_FILENO;
    else
        writer->fd = open(writer->path,
                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    if (writer->fd < 0)
        trouble(writer, "open");
}

/* Somebody removed the file without a SIGUSR1: lines must not go where nobody can read them. */
static bool file_removed(const struct writer *writer)
{
    struct stat stat;
    return fstat(writer->fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_nlink == 0;
}

static void batch_advance(struct writer *writer, size_t count)
{
    writer->written += count;
    const char *end = memrchr(writer->batch, '\n', writer->written);
    writer->line = end ? (size_t)(end - writer->batch) + 1 : 0;
    if (writer->written == writer->len)
        writer->len = writer->written = writer->line = 0;
}

/* Whoever reads the pipe has a moment to do so. */
static bool pipe_ready(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    bool ready = poll(&poll_fd, 1, RETRY_MS) > 0;
    errno = EAGAIN;
    return ready;
}

/* False: try again later. */
static bool batch_write(struct writer *writer)
{
    if (writer->fd < 0 || file_removed(writer))
        file_open(writer);
    if (writer->fd < 0)
        return !writer->path;
    ssize_t count =
        write(writer->fd, writer->batch + writer->written, writer->len - writer->written);
    if (count < 0 && errno == EAGAIN && pipe_ready(writer->fd))
        return true;
    if (count < 0) {
        if (errno == EPIPE || errno == EBADF)
            file_close(writer);
        if (errno != EINTR)
            trouble(writer, "write");
        return errno == EINTR;
    }
    if (writer->troubled)
        log_notice(NULL, "%s is written again", writer->path);
    writer->troubled = false;
    batch_advance(writer, (size_t)count);
    return true;
}

/* Under the lock: another file was asked for. What was added before goes to the old one, unless
 * that takes nothing. */
static void writer_switch(struct writer *writer)
{
    struct journal *journal = writer->journal;
    bool old_first = writer->path && !writer->troubled && writer->fd >= 0 &&
                     (writer->len || journal->taken < journal->switch_at);
    if (writer->opened == journal->opening || old_first)
        return;
    free(writer->path);
    writer->path = journal->path ? xstrdup(journal->path) : NULL;
    writer->opened = journal->opening;
    writer->troubled = false;
    uv_mutex_unlock(&journal->lock);
    file_open(writer);
    uv_mutex_lock(&journal->lock);
}

/* Under the lock: waits until there is something to do. False: the end. */
static bool writer_wait(struct writer *writer, bool retry)
{
    struct journal *journal = writer->journal;
    if (retry && !journal->stopping)
        uv_cond_timedwait(&journal->changed, &journal->lock, RETRY_MS * 1000000ull);
    for (;;) {
        writer_switch(writer);
        if (!writer->path && writer->opened != journal->opening)
            continue; /* asked for while the lock was open: lines for that file may wait already */
        if (!writer->path) { /* no file: nothing is kept for it */
            journal->taken = journal->added;
            writer->len = writer->written = writer->line = 0;
        }
        if (writer->len == 0)
            journal_note_lost(journal);
        if (writer->len == 0)
            writer->len = journal_take(journal, writer->batch, BATCH);
        if (writer->len)
            return !(journal->stopping && retry);
        if (journal->stopping)
            return false;
        if (writer->opened == journal->opening)
            uv_cond_wait(&journal->changed, &journal->lock);
    }
}

void journal_writer(void *arg)
{
    struct journal *journal = arg;
    struct writer *writer = xcalloc(1, sizeof(*writer));
    writer->journal = journal;
    writer->fd = -1;
    bool retry = false;
    uv_mutex_lock(&journal->lock);
    while (writer_wait(writer, retry)) {
        uv_mutex_unlock(&journal->lock);
        retry = !batch_write(writer);
        uv_mutex_lock(&journal->lock);
    }
    size_t left = writer->len - writer->written + (size_t)(journal->added - journal->taken);
    if (left)
        log_error(NULL, "the last %zu bytes for %s were not written", left, writer->path);
    journal->finished = true;
    uv_cond_signal(&journal->ended);
    uv_mutex_unlock(&journal->lock);
    file_close(writer);
    free(writer->path);
    free(writer);
}
