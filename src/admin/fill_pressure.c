/* fill_pressure.c - tables of what the poller knows of nodes, queues and who goes round the gate.
 */
#include "fill.h"

#include "respgate/pressure.h"

static void table_known(struct table *table, int64_t number)
{
    table_number(table, number < 0 ? NUMBER_UNKNOWN : (uint64_t)number);
}

void fill_PRESSURE(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    for (size_t i = 0; i < report->pressures_count; i++) {
        const struct report_pressure *node = &report->pressures[i];
        table_text(table, node->node);
        table_text(table, pressure_name((enum pressure)node->memory_level));
        table_known(table, node->used);
        table_known(table, node->limit);
        table_known(table, node->memory_full);
        table_known(table, node->growth);
        table_text(table, node->growth > 0 ? report->growth : "");
        table_text(table, pressure_name((enum pressure)node->disk_level));
        table_known(table, node->disk);
        table_known(table, node->disk_limit);
        table_known(table, node->disk_full);
        table_known(table, node->aof);
        table_known(table, node->aof_growth);
        const int64_t numbers[] = {node->memory_level, node->disk_level,  node->keys,
                                   node->clients,      node->clients_max, node->blocked,
                                   node->evicted,      node->connects,    node->rejected,
                                   node->slowlog,      node->replicas,    node->aof_ok,
                                   node->rdb_ok,       node->rdb_saved,   node->outside,
                                   node->polled};
        for (size_t at = 0; at < ARRAY_LEN(numbers); at++)
            table_known(table, numbers[at]);
    }
}

/* Queues are named in the configuration: their keys are no secret. */
void fill_QUEUES(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    for (size_t i = 0; i < report->queues_count; i++) {
        const struct report_queue *queue = &report->queues[i];
        table_str(table, queue->key);
        table_text(table, queue->name);
        table_text(table, queue->type);
        const uint64_t numbers[] = {queue->length, queue->max_length, queue->pending, queue->lag,
                                    queue->groups, queue->consumers,  queue->dead};
        for (size_t at = 0; at < ARRAY_LEN(numbers); at++)
            table_number(table, numbers[at]);
    }
}

void fill_ADVICE(struct table *table, const struct source *source)
{
    for (size_t i = 0; i < source->report->advice_count; i++) {
        const struct report_advice *row = &source->report->advice[i];
        table_text(table, row->node);
        table_text(table, row->name);
        table_text(table, row->text);
    }
}

void fill_OUTSIDE(struct table *table, const struct source *source)
{
    for (size_t i = 0; i < source->report->outside_count; i++) {
        const struct report_outside *row = &source->report->outside[i];
        table_text(table, row->node);
        table_text(table, row->address);
        table_text(table, row->user);
        table_text(table, row->name);
        table_number(table, row->connections);
        table_text(table, row->commands);
    }
}
