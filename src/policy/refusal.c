/* refusal.c - what a denied client reads. */
#include "internal.h"

#include <arpa/inet.h>

enum { KEY_SHOWN_MAX = 64 };

/* As a client would type it: "config|set" is CONFIG SET. */
static void add_command(struct buf *out, const struct question *question, const struct rule *rule)
{
    for (const char *c = question->command->name; *c; c++) {
        char shown = *c == '|' ? ' ' : *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
        buf_add(out, &shown, 1);
    }
}

/* The first key the rule's patterns match, else the first one. */
static struct str key_meant(const struct question *question, const struct rule *rule)
{
    if (question->key_count == 0)
        return STR("");
    for (size_t i = 0; rule && rule->keys && i < question->key_count; i++) {
        struct str key = question->argv[question->keys[i].arg];
        if (key_patterns_match(rule->keys, key))
            return key;
    }
    return question->argv[question->keys[0].arg];
}

static void add_key(struct buf *out, const struct question *question, const struct rule *rule)
{
    struct str key = key_meant(question, rule);
    for (size_t i = 0; i < key.len && i < KEY_SHOWN_MAX; i++) {
        char shown = key.ptr[i] >= 0x20 && key.ptr[i] <= 0x7e ? key.ptr[i] : '.';
        buf_add(out, &shown, 1);
    }
}

static void add_client(struct buf *out, const struct question *question, const struct rule *rule)
{
    const struct address *address = &question->subject->address;
    char text[INET6_ADDRSTRLEN] = "";
    if (address->is_unix) {
        buf_text(out, "unix");
        return;
    }
    inet_ntop(address->is_ipv6 ? AF_INET6 : AF_INET, address->ip, text, sizeof(text));
    buf_printf(out, address->is_ipv6 ? "[%s]:%u" : "%s:%u", text, (unsigned)address->port);
}

static const struct placeholder {
    struct str text;
    void (*add)(struct buf *out, const struct question *question, const struct rule *rule);
} placeholders[] = {
    {{"{key}", 5}, add_key},
    {{"{command}", 9}, add_command},
    {{"{client}", 8}, add_client},
};

static const struct placeholder *placeholder_at(struct str text)
{
    for (size_t i = 0; i < ARRAY_LEN(placeholders); i++)
        if (text.len >= placeholders[i].text.len &&
            memcmp(text.ptr, placeholders[i].text.ptr, placeholders[i].text.len) == 0)
            return &placeholders[i];
    return NULL;
}

/* One pass over the message: what is filled in is not looked at again. */
static void add_message(struct buf *out, const char *message, const struct question *question,
                        const struct rule *rule)
{
    struct str rest = str_of(message);
    while (rest.len > 0) {
        const struct placeholder *found = placeholder_at(rest);
        size_t len = found ? found->text.len : 1;
        if (found)
            found->add(out, question, rule);
        else
            buf_add(out, rest.ptr, 1);
        rest = (struct str){rest.ptr + len, rest.len - len};
    }
}

/* An error is one line: whatever a configuration held, no control character leaves. A text that
 * is cut is not cut inside a UTF-8 character. */
static void text_finish(struct buf *out, size_t start)
{
    if (out->len - start > POLICY_REFUSAL_MAX) {
        out->len = start + POLICY_REFUSAL_MAX;
        while (out->len > start && ((unsigned char)out->ptr[out->len] & 0xc0) == 0x80)
            out->len--;
    }
    for (size_t i = start; i < out->len; i++)
        if ((unsigned char)out->ptr[i] < 0x20 || out->ptr[i] == 0x7f)
            out->ptr[i] = '.';
}

void policy_refusal(const struct policy *policy, const struct question *question,
                    const struct verdict *verdict, struct buf *out)
{
    size_t start = out->len;
    ASSERT(verdict->kind == VERDICT_DENY);
    const struct rule *rule =
        verdict->rule < policy->rule_count ? &policy->rules[verdict->rule] : NULL;
    const char *message = rule ? rule->message : builtin_message(verdict->rule);
    buf_text(out, "NOPERM respgate: '");
    add_command(out, question, rule);
    buf_text(out, "' is denied by rule '");
    buf_text(out, policy_rule_name(policy, verdict->rule));
    buf_text(out, "'");
    if (message && *message) {
        buf_text(out, ": ");
        add_message(out, message, question, rule);
    }
    text_finish(out, start);
}

void policy_confirmation(const struct policy *policy, const struct question *question,
                         const struct verdict *verdict, const char *text, struct buf *out)
{
    size_t start = out->len;
    ASSERT(verdict->kind == VERDICT_CONFIRM);
    buf_text(out, "NOPERM respgate: '");
    add_command(out, question, NULL);
    buf_printf(out, "' needs confirmation (rule '%s'): %s", policy_rule_name(policy, verdict->rule),
               text);
    text_finish(out, start);
}

bool policy_confirm_console(const struct policy *policy, uint16_t rule)
{
    return rule < policy->rule_count && policy->rules[rule].console;
}
