/* journal.c - lines from any thread to one file that a thread of its own writes.
 *
 *   journal_add --> ring of bytes (bounded) --> journal_writer.c --> file
 *            \----> the last lines, kept to be shown
 *
 * Who adds a line never waits for the file: when the ring is full the line is lost, counted, and
 * the count stands in the file at the place where lines are missing.
 */
#include <stdlib.h>

#include "journal_private.h"

enum { GOODBYE_MS = 1000 }; /* a file that takes nothing must not hold up the end */

static size_t waiting(const struct journal *journal)
{
    return (size_t)(journal->added - journal->taken);
}

static void ring_put(struct journal *journal, struct str line)
{
    size_t at = (size_t)(journal->added % journal->size), first = journal->size - at;
    if (first > line.len)
        first = line.len;
    memcpy(journal->ring + at, line.ptr, first);
    memcpy(journal->ring, line.ptr + first, line.len - first);
    journal->added += line.len;
}

void journal_note_lost(struct journal *journal)
{
    struct buf line = {0};
    if (!journal->lost)
        return;
    journal->note_lost(&line, journal->lost);
    if (line.len <= journal->size - waiting(journal)) {
        ring_put(journal, buf_view(&line));
        journal->lost = 0;
    }
    buf_free(&line);
}

static bool ring_add(struct journal *journal, struct str line, bool urgent)
{
    size_t room = journal->size - (urgent ? 0 : journal->reserve);
    if (waiting(journal) + line.len <= room) {
        journal_note_lost(journal); /* in the reserve: it stands before what comes after */
        if (waiting(journal) + line.len <= journal->size) {
            ring_put(journal, line);
            return true;
        }
    }
    journal->lost++;
    journal->lost_total++;
    return false;
}

static void tail_add(struct journal *journal, struct str line)
{
    if (!journal->tail_size)
        return;
    struct buf *slot = &journal->tail[journal->tail_count++ % journal->tail_size];
    slot->len = 0;
    buf_str(slot, line);
}

bool journal_add(struct journal *journal, struct str line, bool urgent)
{
    bool fits = true, wake = false;
    uv_mutex_lock(&journal->lock);
    tail_add(journal, line);
    if (journal->path) {
        wake = waiting(journal) == 0; /* else the writer is at it anyway */
        fits = ring_add(journal, line, urgent);
    }
    uv_mutex_unlock(&journal->lock);
    if (wake)
        uv_cond_signal(&journal->changed);
    return fits;
}

void journal_tail(struct journal *journal, size_t count, struct buf *out)
{
    uv_mutex_lock(&journal->lock);
    uint64_t end = journal->tail_count;
    uint64_t kept = end < journal->tail_size ? end : journal->tail_size;
    for (uint64_t at = end - (count < kept ? count : kept); at < end; at++)
        buf_str(out, buf_view(&journal->tail[at % journal->tail_size]));
    uv_mutex_unlock(&journal->lock);
}

uint64_t journal_lost(struct journal *journal)
{
    uv_mutex_lock(&journal->lock);
    uint64_t lost = journal->lost_total;
    uv_mutex_unlock(&journal->lock);
    return lost;
}

size_t journal_take(struct journal *journal, char *out, size_t room)
{
    size_t len = waiting(journal), at = (size_t)(journal->taken % journal->size);
    if (len > room)
        len = room;
    size_t first = journal->size - at < len ? journal->size - at : len;
    memcpy(out, journal->ring + at, first);
    memcpy(out + first, journal->ring, len - first);
    while (len && out[len - 1] != '\n') /* a line is shorter than room: one ends in there */
        len--;
    journal->taken += len;
    return len;
}

void journal_open(struct journal *journal, const char *path)
{
    uv_mutex_lock(&journal->lock);
    char *old = journal->path;
    journal->path = path ? xstrdup(path) : NULL;
    journal->opening++;
    journal->switch_at = journal->added;
    if (path && !journal->running) {
        journal->ring = xmalloc(journal->size);
        if (uv_thread_create(&journal->thread, journal_writer, journal) != 0)
            die("cannot start the thread that writes %s", path);
        journal->running = true;
    }
    uv_mutex_unlock(&journal->lock);
    free(old);
    uv_cond_signal(&journal->changed);
}

struct journal *journal_new(const struct journal_settings *settings)
{
    struct journal *journal = xcalloc(1, sizeof(*journal));
    ASSERT(settings->size >= 2 * JOURNAL_LINE_MAX && settings->reserve < settings->size);
    journal->size = settings->size;
    journal->reserve = settings->reserve;
    journal->note_lost = settings->note_lost;
    journal->tail_size = settings->tail;
    journal->tail = xcalloc(settings->tail, sizeof(*journal->tail));
    if (uv_mutex_init(&journal->lock) != 0 || uv_cond_init(&journal->changed) != 0 ||
        uv_cond_init(&journal->ended) != 0)
        die("cannot make a lock");
    return journal;
}

/* False: the writer hangs in the kernel, and keeps what it uses. */
static bool writer_end(struct journal *journal)
{
    uint64_t until = uv_hrtime() + GOODBYE_MS * 1000000ull;
    uv_mutex_lock(&journal->lock);
    journal->stopping = true;
    uv_cond_signal(&journal->changed);
    while (!journal->finished && uv_hrtime() < until)
        uv_cond_timedwait(&journal->ended, &journal->lock, GOODBYE_MS * 1000000ull);
    bool finished = journal->finished;
    uv_mutex_unlock(&journal->lock);
    if (finished)
        uv_thread_join(&journal->thread);
    return finished;
}

void journal_free(struct journal *journal)
{
    if (!journal || (journal->running && !writer_end(journal)))
        return;
    for (size_t i = 0; i < journal->tail_size; i++)
        buf_free(&journal->tail[i]);
    uv_cond_destroy(&journal->changed);
    uv_cond_destroy(&journal->ended);
    uv_mutex_destroy(&journal->lock);
    free(journal->tail);
    free(journal->ring);
    free(journal->path);
    free(journal);
}
