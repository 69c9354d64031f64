/* changes.c - what a reload changed in the rules, one line each. */
#include "internal.h"

#include <stdlib.h>

static const char *mode_name(enum rule_mode mode)
{
    switch (mode) {
    case RULE_ENFORCE: return "enforce";
    case RULE_OBSERVE: return "observe";
    case RULE_OFF: return "off";
    }
    return "";
}

static void add_field(struct buf *out, const char *name)
{
    buf_text(out, out->len ? ", " : "");
    buf_text(out, name);
}

static void add_change(struct buf *out, const char *name, const char *from, const char *to)
{
    if (strcmp(from, to) == 0)
        return;
    add_field(out, name);
    buf_printf(out, " %s -> %s", from, to);
}

static const char *or_none(const char *text)
{
    return text ? text : "(none)";
}

static void add_changed(const struct rule *from, const struct rule *to, struct buf *out)
{
    struct buf fields = {0};
    for (enum clause_id id = 0; id < CLAUSE_COUNT; id++)
        if (strcmp(from->text[id], to->text[id]) != 0)
            add_field(&fields, clause_types[id].name);
    add_change(&fields, "action", action_name(from->action), action_name(to->action));
    add_change(&fields, "mode", mode_name(from->mode), mode_name(to->mode));
    for (enum detail detail = 0; detail < DETAIL_COUNT; detail++)
        add_change(&fields, action_details[detail], or_none(from->details[detail]),
                   or_none(to->details[detail]));
    if (strcmp(from->message ? from->message : "", to->message ? to->message : "") != 0)
        add_field(&fields, "message");
    if (fields.len)
        buf_printf(out, "rule '%s' changed: %.*s\n", to->name, (int)fields.len, fields.ptr);
    buf_free(&fields);
}

/* ---- places ---- */

/* Rules by name, to find each one's counterpart. */
struct named_rule {
    const char *name;
    size_t index;
};

static int name_compare(const void *a, const void *b)
{
    return strcmp(((const struct named_rule *)a)->name, ((const struct named_rule *)b)->name);
}

static struct named_rule *names_sorted(const struct policy *policy)
{
    struct named_rule *names = xcalloc(policy->rule_count, sizeof(*names));
    for (size_t i = 0; i < policy->rule_count; i++)
        names[i] = (struct named_rule){policy->rules[i].name, i};
    qsort(names, policy->rule_count, sizeof(*names), name_compare);
    return names;
}

size_t *rules_counterparts(const struct policy *of, const struct policy *in)
{
    struct named_rule *names = names_sorted(in);
    size_t *found = xcalloc(of->rule_count, sizeof(*found));
    for (size_t i = 0; i < of->rule_count; i++) {
        struct named_rule wanted = {of->rules[i].name, 0};
        const struct named_rule *hit =
            bsearch(&wanted, names, in->rule_count, sizeof(*names), name_compare);
        found[i] = hit ? hit->index : SIZE_MAX;
    }
    free(names);
    return found;
}

/* Marks the rules that kept their order: a longest increasing run of old places. The others
 * moved; so one rule taken to the front is one line, not one for each it passed. */
static bool *places_kept(const size_t *old_of, size_t count)
{
    size_t *tails = xcalloc(count, sizeof(*tails)); /* last rule of the best run of each length */
    size_t *before = xcalloc(count, sizeof(*before));
    bool *kept = xcalloc(count, sizeof(*kept));
    size_t longest = 0;
    for (size_t i = 0; i < count; i++) {
        if (old_of[i] == SIZE_MAX)
            continue;
        size_t low = 0, high = longest;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (old_of[tails[middle]] < old_of[i])
                low = middle + 1;
            else
                high = middle;
        }
        before[i] = low ? tails[low - 1] : SIZE_MAX;
        tails[low] = i;
        if (low == longest)
            longest++;
    }
    for (size_t at = longest ? tails[longest - 1] : SIZE_MAX; at != SIZE_MAX; at = before[at])
        kept[at] = true;
    free(tails);
    free(before);
    return kept;
}

/* ---- the whole ---- */

static void add_rules(const struct policy *old, const struct policy *new, const size_t *old_of,
                      struct buf *out)
{
    bool *kept = places_kept(old_of, new->rule_count);
    for (size_t i = 0; i < new->rule_count; i++) {
        const struct rule *rule = &new->rules[i];
        if (old_of[i] == SIZE_MAX) {
            buf_printf(out, "rule '%s' added: %s, mode %s\n", rule->name, action_name(rule->action),
                       mode_name(rule->mode));
            continue;
        }
        add_changed(&old->rules[old_of[i]], rule, out);
        if (!kept[i])
            buf_printf(out, "rule '%s' moved: place %zu -> %zu\n", rule->name, old_of[i] + 1,
                       i + 1);
    }
    free(kept);
}

void policy_changes(const struct policy *old, const struct policy *new, struct buf *out)
{
    size_t *new_of = rules_counterparts(old, new), *old_of = rules_counterparts(new, old);
    if (old->observe != new->observe)
        buf_printf(out, "rules %s\n", new->observe ? "only observe now" : "are enforced now");
    for (size_t i = 0; i < old->rule_count; i++)
        if (new_of[i] == SIZE_MAX)
            buf_printf(out, "rule '%s' removed\n", old->rules[i].name);
    add_rules(old, new, old_of, out);
    free(new_of);
    free(old_of);
}
