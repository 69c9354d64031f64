/* tree.c - a RESP2 reply as a tree in an arena, built by hiredis' reader. */
#include "respgate/resp.h"

#include <hiredis.h>

/* COMMAND nests seven deep with its subcommands' key specs; hiredis 0.14 knows no more. */
enum { DEPTH_MAX = 7, VALUE_MIN = 3 /* bytes of the shortest value, "+\r\n" */ };

struct tree_reader {
    struct arena *arena;
    redisReader *reader;
};

/* The place of this value: in its parent's items, or a root of its own. */
static struct tree *tree_place(const redisReadTask *task, enum tree_type type)
{
    struct tree_reader *self = task->privdata;
    struct tree *tree;
    if (task->parent)
        tree = &((struct tree *)task->parent->obj)->items[task->idx];
    else
        tree = arena_alloc(self->arena, sizeof(*tree));
    tree->type = type;
    return tree;
}

static void *string_add(const redisReadTask *task, char *ptr, size_t len)
{
    struct tree_reader *self = task->privdata;
    enum tree_type type;
    if (task->type == REDIS_REPLY_STRING)
        type = TREE_STRING;
    else if (task->type == REDIS_REPLY_STATUS)
        type = TREE_STATUS;
    else if (task->type == REDIS_REPLY_ERROR)
        type = TREE_ERROR;
    else
        return NULL; /* RESP3 */
    struct tree *tree = tree_place(task, type);
    tree->text = (struct str){arena_str(self->arena, (struct str){ptr, len}), len};
    return tree;
}

static void *integer_add(const redisReadTask *task, long long value)
{
    struct tree *tree = tree_place(task, TREE_INT);
    tree->integer = value;
    return tree;
}

static void *null_add(const redisReadTask *task)
{
    return tree_place(task, TREE_NULL);
}

/* A count is believed only as far as the bytes that came can hold so many values. */
static void *array_place(const redisReadTask *task, size_t count)
{
    struct tree_reader *self = task->privdata;
    redisReader *reader = self->reader;
    if (task->type != REDIS_REPLY_ARRAY || reader->ridx > DEPTH_MAX ||
        count > (reader->len - reader->pos) / VALUE_MIN)
        return NULL;
    struct tree *tree = tree_place(task, TREE_ARRAY);
    tree->count = count;
    tree->items = arena_alloc(self->arena, count * sizeof(*tree->items));
    return tree;
}

#if HIREDIS_MAJOR < 1
static void *array_add(const redisReadTask *task, int count)
{
    return array_place(task, (size_t)count);
}
#else
static void *array_add(const redisReadTask *task, size_t count)
{
    return array_place(task, count);
}

static void *double_refuse(const redisReadTask *task, double value, char *ptr, size_t len)
{
    return NULL;
}

static void *bool_refuse(const redisReadTask *task, int value)
{
    return NULL;
}
#endif

static redisReplyObjectFunctions object_functions = {
    .createString = string_add,
    .createArray = array_add,
    .createInteger = integer_add,
    .createNil = null_add,
#if HIREDIS_MAJOR >= 1
    .createDouble = double_refuse,
    .createBool = bool_refuse,
#endif
};

struct tree *tree_parse(struct arena *arena, const char *ptr, size_t len)
{
    void *tree = NULL;
    redisReader *reader = redisReaderCreateWithFunctions(&object_functions);
    if (!reader)
        die("out of memory");
    struct tree_reader self = {arena, reader};
    reader->privdata = &self;
    if (redisReaderFeed(reader, ptr, len) != REDIS_OK ||
        redisReaderGetReply(reader, &tree) != REDIS_OK || reader->pos != reader->len)
        tree = NULL;
    redisReaderFree(reader);
    return tree;
}

const struct tree *tree_get(const struct tree *tree, const char *name)
{
    if (!tree || tree->type != TREE_ARRAY)
        return NULL;
    for (size_t i = 0; i + 1 < tree->count; i += 2) {
        const struct tree *key = &tree->items[i];
        if ((key->type == TREE_STRING || key->type == TREE_STATUS) &&
            str_equal(key->text, str_of(name)))
            return &tree->items[i + 1];
    }
    return NULL;
}
