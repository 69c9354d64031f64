/* fill.h - the functions that fill the tables of tables.def, one each. */
#ifndef RESPGATE_ADMIN_FILL_H
#define RESPGATE_ADMIN_FILL_H

#include "table.h"

#define TABLE(id, name, sorted_by, help)                                                           \
    void fill_##id(struct table *table, const struct source *source);
#define COLUMN(name, kind, metric, help)
#define END(id)
#include "respgate/tables.def"
#undef TABLE
#undef COLUMN
#undef END

#endif
