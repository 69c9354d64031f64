/* prefix_memory.c - memory after many distinct keys, each under a prefix of its own, which is the
 * hardest there is: resident bytes, and what the table says of itself. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "respgate/stats.h"

static unsigned long resident_kb(void)
{
    unsigned long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu %lu", &size, &resident) != 2)
        abort();
    fclose(file);
    return resident * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

/* "ghiklmno:x:" and the number: letters only, so that nothing in it looks like an id. */
static struct str key_of(uint64_t number, char room[40])
{
    for (int i = 0; i < 8; i++)
        room[i] = (char)('g' + (number >> 4 * i) % 16);
    int len = snprintf(room + 8, 32, ":x:%llu", (unsigned long long)number);
    return (struct str){room, 8 + (size_t)len};
}

static void add_keys(struct prefix_table *table, uint64_t from, uint64_t to)
{
    struct prefix_writer writer = {.origin = 1, .client = 1};
    char room[40];
    for (uint64_t i = from; i < to; i++)
        prefix_wrote(table, prefix_touch(table, key_of(i, room)), 100, &writer);
}

static void add_writes(const struct prefix_view *view, void *context)
{
    *(uint64_t *)context += view->counts[PREFIX_WRITES];
}

int main(int argc, char **argv)
{
    uint64_t keys = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000000, few = 10000, total = 0;
    struct prefix_scheme *scheme = prefix_scheme_new(':', 2, 1000, NULL, 0);
    struct prefix_table *table = prefix_table_new(scheme, 1);
    add_keys(table, 0, few);
    printf("%12llu distinct keys: %lu kB resident, table %zu bytes\n", (unsigned long long)few,
           resident_kb(), prefix_table_bytes(table));
    uint64_t start = clock_ns();
    add_keys(table, few, keys);
    double each = (double)(clock_ns() - start) / (double)(keys - few);
    prefix_each(table, add_writes, &total);
    printf("%12llu distinct keys: %lu kB resident, table %zu bytes, %.0f ns each, %llu counted\n",
           (unsigned long long)keys, resident_kb(), prefix_table_bytes(table), each,
           (unsigned long long)total);
    prefix_table_free(table);
    prefix_scheme_free(scheme);
    return total != keys;
}
