/* tables.c - names and meanings of what is counted, from its rows. */
#include "respgate/stats.h"

struct row {
    const char *name, *help;
};

#define STAT(id, name, help)         {name, help},
#define PREFIX_COUNT(id, name, help) {name, help},
#define RULE_COUNT(id, name, help)   {name, help},
static const struct row stats[] = {
#include "respgate/stats.def"
};
static const struct row prefix_counts[] = {
#include "respgate/prefix_counts.def"
};
static const struct row rule_counts[] = {
#include "respgate/rule_counts.def"
};

const char *stat_name(enum stat_id stat)
{
    return stats[stat].name;
}

const char *stat_help(enum stat_id stat)
{
    return stats[stat].help;
}

const char *prefix_count_name(enum prefix_count count)
{
    return prefix_counts[count].name;
}

const char *prefix_count_help(enum prefix_count count)
{
    return prefix_counts[count].help;
}

const char *rule_count_name(enum rule_count count)
{
    return rule_counts[count].name;
}

const char *rule_count_help(enum rule_count count)
{
    return rule_counts[count].help;
}
