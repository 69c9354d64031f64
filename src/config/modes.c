/* modes.c - rules switched by hand: the same configuration with other modes. */
#include "option.h"

const char *rule_mode_name(enum rule_mode mode)
{
    return option_find(SECTION_RULE, STR("mode"))->words[mode];
}

struct config *config_with_modes(struct config *config, const struct rule_switch *switches,
                                 size_t count)
{
    struct config *base = config->base ? config->base : config;
    struct arena *arena = arena_new();
    struct config *copy = arena_alloc(arena, sizeof(*copy));
    *copy = *base;
    copy->arena = arena;
    copy->base = config_hold(base);
    copy->refs = 0;
    copy->rules = arena_alloc(arena, (base->rule_count + 1) * sizeof(*copy->rules));
    for (size_t i = 0; i < base->rule_count; i++) {
        copy->rules[i] = base->rules[i];
        for (size_t j = 0; j < count; j++)
            if (strcmp(switches[j].name, base->rules[i].name) == 0)
                copy->rules[i].mode = switches[j].mode;
    }
    return copy;
}
