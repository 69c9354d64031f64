/* slot.c - nanoseconds from a key to the index of the node that owns its slot. */
#include "respgate/route.h"

#include <stdio.h>

enum { ROUNDS = 20000000, KEYS = 64 };

int main(void)
{
    static struct slot_map map;
    char texts[KEYS][32];
    struct str keys[KEYS];
    uint64_t sum = 0;
    for (int i = 0; i < KEYS; i++) {
        int len =
            snprintf(texts[i], sizeof(texts[i]), i % 2 ? "wf:run:{%010d}" : "job:state:%010d", i);
        keys[i] = (struct str){texts[i], (size_t)len};
    }
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++)
        map.owner[slot] = (uint16_t)(slot % 3);
    uint64_t began = clock_ns();
    for (int i = 0; i < ROUNDS; i++)
        sum += map.owner[key_slot(keys[i % KEYS])];
    printf("slot look-up: %.1f ns a key of about 20 bytes (%llu)\n",
           (double)(clock_ns() - began) / ROUNDS, (unsigned long long)sum % 10);
    return 0;
}
