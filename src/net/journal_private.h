/* journal_private.h - what the queue and the writer of a journal share. */
#ifndef RESPGATE_JOURNAL_PRIVATE_H
#define RESPGATE_JOURNAL_PRIVATE_H

#include "respgate/net.h"

/* The queue is a ring of bytes, whole lines in it. Everything here is under `lock`; what the
 * writer does with the file is its own (struct writer). */
struct journal {
    uv_mutex_t lock;
    uv_cond_t changed; /* to the writer: lines, another file, the end */
    uv_cond_t ended;   /* from the writer */
    uv_thread_t thread;
    bool running, stopping, finished;

    char *ring;
    size_t size, reserve;  /* of size, kept for urgent lines */
    uint64_t added, taken; /* bytes ever put in and taken out: their difference waits */
    uint64_t lost;         /* lines, not yet noted in the file */
    uint64_t lost_total;
    void (*note_lost)(struct buf *out, uint64_t count);

    char *path;         /* NULL: no file */
    uint64_t opening;   /* how often a file was asked for */
    uint64_t switch_at; /* bytes added when it was: up to there lines go to the file before */

    struct buf *tail; /* the last lines, a ring of tail_size */
    size_t tail_size;
    uint64_t tail_count;
};

void journal_writer(void *journal); /* the thread */
/* Under the lock: a line about the lost ones goes in as soon as there is room. */
void journal_note_lost(struct journal *journal);
/* Under the lock: whole lines, at most room bytes. */
size_t journal_take(struct journal *journal, char *out, size_t room);

#endif
