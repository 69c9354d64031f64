/* bytes.c - how many bytes a write may reach: usually what it brings, but an offset of forty bytes
 * can make the store allocate 512 MB (SETRANGE k 536870911 x). */
#include "internal.h"

static uint64_t add_capped(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* What is no number, or below zero, the store refuses: it reaches nothing. */
static uint64_t offset_of(struct str text)
{
    int64_t offset;
    return str_to_int(text, &offset) && offset > 0 ? (uint64_t)offset : 0;
}

static uint64_t setrange_reach(const struct str *argv, size_t argc)
{
    return argc > 3 ? add_capped(offset_of(argv[2]), argv[3].len) : 0;
}

static uint64_t setbit_reach(const struct str *argv, size_t argc)
{
    return argc > 2 ? offset_of(argv[2]) / 8 + 1 : 0;
}

/* One operation "SET u8 #5 1": where its field ends. The offset "#5" counts fields. */
static uint64_t field_reach(struct str type, struct str offset)
{
    uint64_t width = type.len > 1 ? offset_of((struct str){type.ptr + 1, type.len - 1}) : 64;
    bool fields = offset.len > 0 && offset.ptr[0] == '#';
    uint64_t bits = offset_of(fields ? (struct str){offset.ptr + 1, offset.len - 1} : offset);
    if (width > 64) /* no such type */
        width = 64;
    if (fields && __builtin_mul_overflow(bits, width, &bits))
        return UINT64_MAX;
    uint64_t end = add_capped(bits, width);
    return end / 8 + (end % 8 != 0);
}

static uint64_t bitfield_reach(const struct str *argv, size_t argc)
{
    uint64_t reach = 0;
    for (size_t i = 2; i + 2 < argc; i++) {
        bool writes =
            str_equal_nocase(argv[i], STR("set")) || str_equal_nocase(argv[i], STR("incrby"));
        uint64_t end = writes ? field_reach(argv[i + 1], argv[i + 2]) : 0;
        if (end > reach)
            reach = end;
    }
    return reach;
}

bool bytes_by_offset(const struct command *command)
{
    return command->id == COMMAND_SETRANGE || command->id == COMMAND_SETBIT ||
           command->id == COMMAND_BITFIELD;
}

uint64_t policy_bytes(const struct command *command, const struct str *argv, size_t argc)
{
    uint64_t sent = 0, reach = 0;
    for (size_t i = 0; i < argc; i++)
        sent += argv[i].len;
    switch (command->id) {
    case COMMAND_SETRANGE: reach = setrange_reach(argv, argc); break;
    case COMMAND_SETBIT: reach = setbit_reach(argv, argc); break;
    case COMMAND_BITFIELD: reach = bitfield_reach(argv, argc); break;
    }
    return reach > sent ? reach : sent;
}
