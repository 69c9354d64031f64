/* switches.c - rules switched by hand on the console: a snapshot with other modes, made of the
 * configuration in force. A reload forgets them. */
#include <stdio.h>
#include <stdlib.h>

#include "respgate/proxy.h"

static bool switches_apply(struct proxy *proxy)
{
    struct problems problems = {0};
    struct config *config =
        config_with_modes(proxy->snapshot->config, proxy->switches, proxy->switch_count);
    struct snapshot *snapshot = snapshot_new(config, proxy->snapshot->commands, &problems);
    if (snapshot) {
        audit_changes(proxy, snapshot, "admin");
        proxy_adopt(proxy, snapshot);
    } else {
        log_error(NULL, "a rule could not be switched: %.*s", (int)problems.text.len,
                  problems.text.ptr);
    }
    problems_free(&problems);
    return snapshot != NULL;
}

static const char *rule_find(const struct proxy *proxy, struct str name)
{
    const struct config *config = proxy->snapshot->config;
    for (size_t i = 0; i < config->rule_count; i++)
        if (str_equal(str_of(config->rules[i].name), name))
            return config->rules[i].name;
    return NULL;
}

static void switch_note(struct proxy *proxy, const char *who, const struct rule_switch *one,
                        uint64_t ms)
{
    char text[160], span[40] = "until the next reload";
    if (ms)
        snprintf(span, sizeof(span), "for %llu s", (unsigned long long)(ms + 999) / 1000);
    snprintf(text, sizeof(text), "rule '%s' is switched to %s, %s", one->name,
             rule_mode_name(one->mode), span);
    log_notice(who, "%s", text);
    audit_note(proxy, "admin", text);
}

/* The entry of that rule, or a new one; NULL: there are too many. */
static struct rule_switch *switch_get(struct proxy *proxy, const char *name)
{
    for (size_t i = 0; i < proxy->switch_count; i++)
        if (strcmp(proxy->switches[i].name, name) == 0)
            return &proxy->switches[i];
    if (proxy->switch_count == RULE_SWITCHES_MAX)
        return NULL;
    if (!proxy->switches)
        proxy->switches = xcalloc(RULE_SWITCHES_MAX, sizeof(*proxy->switches));
    struct rule_switch *fresh = &proxy->switches[proxy->switch_count++];
    *fresh = (struct rule_switch){0};
    snprintf(fresh->name, sizeof(fresh->name), "%s", name);
    return fresh;
}

bool proxy_switch_rule(struct proxy *proxy, const char *who, struct str name, enum rule_mode mode,
                       uint64_t ms)
{
    const char *rule = rule_find(proxy, name);
    struct rule_switch *entry = rule ? switch_get(proxy, rule) : NULL;
    if (!entry)
        return false;
    entry->mode = mode;
    entry->until = ms ? loop_now(&proxy->loop) + ms : 0;
    if (!switches_apply(proxy))
        return false;
    switch_note(proxy, who, entry, ms);
    return true;
}

void proxy_switches_tick(struct proxy *proxy)
{
    uint64_t now = loop_now(&proxy->loop);
    size_t kept = 0;
    for (size_t i = 0; i < proxy->switch_count; i++) {
        if (proxy->switches[i].until && now >= proxy->switches[i].until)
            log_notice(NULL, "rule '%s' is as in the file again: its time is over",
                       proxy->switches[i].name);
        else
            proxy->switches[kept++] = proxy->switches[i];
    }
    if (kept == proxy->switch_count)
        return;
    proxy->switch_count = kept;
    switches_apply(proxy);
    audit_note(proxy, "admin", "a rule is as in the file again: its time is over");
}
