/* memory.c - allocation that never returns NULL, and arenas. */
#include "respgate/base.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void die_at(const char *file, int line, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "respgate: fatal: %s:%d: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

void *xmalloc(size_t size)
{
    void *ptr = malloc(size ? size : 1);
    if (!ptr)
        die("out of memory (%zu bytes)", size);
    return ptr;
}

void *xcalloc(size_t count, size_t size)
{
    void *ptr = calloc(count ? count : 1, size ? size : 1);
    if (!ptr)
        die("out of memory (%zu x %zu bytes)", count, size);
    return ptr;
}

void *xrealloc(void *old, size_t size)
{
    void *ptr = realloc(old, size ? size : 1);
    if (!ptr)
        die("out of memory (%zu bytes)", size);
    return ptr;
}

char *xstrdup(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(xmalloc(size), text, size);
}

/* A chain of blocks, newest first; only the newest has room. */
struct arena_block {
    struct arena_block *next;
    size_t size, used;
    char data[] __attribute__((aligned(16)));
};
struct arena {
    struct arena_block *blocks;
};
enum { ARENA_BLOCK = 8 * 1024 };

struct arena *arena_new(void)
{
    return xcalloc(1, sizeof(struct arena));
}

void *arena_alloc(struct arena *arena, size_t size)
{
    struct arena_block *block = arena->blocks;
    size = (size + 15) & ~(size_t)15;
    if (!block || block->size - block->used < size) {
        size_t room = size > ARENA_BLOCK ? size : ARENA_BLOCK;
        block = xmalloc(sizeof(*block) + room);
        *block = (struct arena_block){.next = arena->blocks, .size = room};
        arena->blocks = block;
    }
    void *ptr = block->data + block->used;
    block->used += size;
    return memset(ptr, 0, size);
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    free(arena);
}

char *arena_str(struct arena *arena, struct str text)
{
    char *copy = arena_alloc(arena, text.len + 1);
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = arena_alloc(arena, (size_t)len + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}
