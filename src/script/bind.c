/* bind.c - gives parameters what their functions are called with.
 *
 * A function is followed when it is only ever held by one local that is only ever called (or
 * handed to pcall, or registered). Any other may be called with anything. */
#include "internal.h"

static bool is_followed(const struct local *local)
{
    if (local->parameter || local->escapes || local->moves || !local->sources.first)
        return false;
    for (const struct source *source = local->sources.first; source; source = source->next)
        if (source->kind != SOURCE_FUNCTION)
            return false;
    return true;
}

/* The same sources go to several parameters: copies, but of no more than may be judged. */
static void local_give(struct parser *parser, struct local *local, const struct sources *sources)
{
    const struct source *source = sources->first;
    for (; source && parser->verdict == SCRIPT_ACCEPTED; source = source->next) {
        struct source copy = *source;
        copy.next = NULL;
        sources_add(parser, &local->sources, copy);
    }
}

/* What is behind the last parameter goes into "...", of which only the first is known. */
static void varargs_give(struct parser *parser, struct local *varargs,
                         const struct argument *argument, const struct arguments *arguments)
{
    if (argument)
        local_give(parser, varargs, &argument->sources);
    else if (arguments->more)
        local_give(parser, varargs, &arguments->rest);
    for (; argument; argument = argument->next)
        sources_escape(parser, &argument->sources);
    sources_escape(parser, &arguments->rest);
}

static void site_bind(struct parser *parser, const struct site *site,
                      const struct function *function)
{
    const struct argument *argument = site->arguments.first;
    for (struct parameter *to = function->parameters; to; to = to->next) {
        if (argument)
            local_give(parser, to->local, &argument->sources);
        else if (site->arguments.more)
            local_give(parser, to->local, &site->arguments.rest);
        argument = argument ? argument->next : NULL;
    }
    if (function->varargs)
        varargs_give(parser, function->varargs, argument, &site->arguments);
}

static void site_escape(struct parser *parser, const struct site *site)
{
    const struct argument *argument = site->arguments.first;
    for (; argument; argument = argument->next)
        sources_escape(parser, &argument->sources);
    sources_escape(parser, &site->arguments.rest);
}

static void local_bind_calls(struct parser *parser, struct local *local, bool followed)
{
    struct source *source = local->sources.first;
    for (; source && parser->verdict == SCRIPT_ACCEPTED; source = source->next) {
        if (source->kind != SOURCE_FUNCTION)
            continue;
        source->function->open |= !followed;
        source->function->registered |= local->registered;
        for (struct site *site = local->sites; site && followed; site = site->next)
            site_bind(parser, site, source->function);
    }
    for (struct site *site = local->sites; site && !followed; site = site->next)
        site_escape(parser, site);
}

static void table_give(struct parser *parser, struct local *local, uint8_t table)
{
    sources_add(parser, &local->sources, (struct source){.kind = SOURCE_TABLE, .table = table});
}

/* By Redis, or by whoever got hold of it. */
static void function_bind(struct parser *parser, struct function *function)
{
    struct parameter *to = function->parameters;
    struct sources any = {0};
    if (!function->open && function->registered) {
        for (uint8_t table = 0; to && table < TABLE_COUNT; table++, to = to->next)
            table_give(parser, to->local, table);
        any = sources_any(parser);
        to = NULL;
    } else if (function->open) {
        any = sources_any(parser);
    }
    for (; to; to = to->next)
        local_give(parser, to->local, &any);
    if (function->varargs)
        local_give(parser, function->varargs, &any);
}

/* Functions among the arguments of a call are not followed. */
static void arguments_open(const struct arguments *arguments)
{
    for (struct argument *argument = arguments->first; argument; argument = argument->next)
        functions_open(&argument->sources);
}

void calls_bind(struct parser *parser)
{
    for (struct local *local = parser->locals; local; local = local->next) {
        for (struct site *site = local->sites; site; site = site->next)
            arguments_open(&site->arguments);
        local->followed = is_followed(local);
    }
    for (struct local *local = parser->locals; local; local = local->next)
        local_bind_calls(parser, local, local->followed);
    for (struct function *function = parser->functions; function; function = function->next)
        function_bind(parser, function);
}
