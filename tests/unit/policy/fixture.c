/* fixture.c - rules and requests out of one-line texts. */
#include "fixture.h"

#include <ctype.h>

void setup_init(struct setup *setup)
{
    *setup = (struct setup){.arena = arena_new()};
    setup->config.rules = setup->rules;
    setup->config.users = setup->users;
    setup->subject.address = (struct address){.ip = {10, 0, 0, 7}, .port = 4242};
}

void setup_free(struct setup *setup)
{
    policy_free(setup->policy);
    problems_free(&setup->problems);
    arena_free(setup->arena);
}

static struct str trim(const char *ptr, size_t len)
{
    while (len && isspace((unsigned char)*ptr))
        ptr++, len--;
    while (len && isspace((unsigned char)ptr[len - 1]))
        len--;
    return (struct str){ptr, len};
}

static void list_parse(struct setup *setup, struct text_list *list, struct str text, int line)
{
    list->items = arena_alloc(setup->arena, ARGS_CAP * sizeof(list->items[0]));
    list->where = arena_alloc(setup->arena, ARGS_CAP * sizeof(list->where[0]));
    for (const char *at = text.ptr, *end = text.ptr + text.len; at <= end && text.len;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        struct str item = trim(at, (size_t)((comma ? comma : end) - at));
        list->items[list->count] = (struct str){arena_str(setup->arena, item), item.len};
        list->where[list->count++] = (struct where){"test.conf", line};
        at = comma ? comma + 1 : end + 1;
    }
}

/* The place of a word in a list by spaces. */
static int word_index(struct str word, const char *words)
{
    for (int index = 0; *words; index++) {
        size_t len = strcspn(words, " ");
        if (str_equal(word, (struct str){words, len}))
            return index;
        words += len + (words[len] == ' ');
    }
    fail_msg("no such word: %.*s", (int)word.len, word.ptr);
    return -1;
}

static void option_set(struct setup *setup, struct config_rule *rule, struct str key,
                       struct str value)
{
    const struct {
        const char *name;
        struct text_list *list;
    } lists[] = {
        {"commands", &rule->commands}, {"keys", &rule->keys}, {"db", &rule->db},
        {"users", &rule->users},       {"from", &rule->from}, {"channels", &rule->channels}};
    const struct {
        const char *name;
        uint64_t *number;
    } numbers[] = {{"min-keys", &rule->min_keys},
                   {"min-bytes", &rule->min_bytes},
                   {"min-args", &rule->min_args},
                   {"min-elements", &rule->min_elements},
                   {"max-ttl", &rule->max_ttl}};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (str_equal(key, str_of(numbers[i].name))) {
            *numbers[i].number = strtoull(value.ptr, NULL, 10);
            return;
        }
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (str_equal(key, str_of(lists[i].name))) {
            list_parse(setup, lists[i].list, value, rule->where.line + (int)i + 1);
            return;
        }
    if (str_equal(key, STR("unbounded"))) {
        rule->unbounded = str_equal(value, STR("yes"));
    } else if (str_equal(key, STR("without-ttl"))) {
        rule->without_ttl = str_equal(value, STR("yes"));
    } else if (str_equal(key, STR("when"))) {
        rule->when = str_equal(value, STR("high"))       ? PRESSURE_HIGH
                     : str_equal(value, STR("critical")) ? PRESSURE_CRITICAL
                                                         : PRESSURE_NORMAL;
    } else if (str_equal(key, STR("action"))) {
        rule->has_action = true;
        rule->action =
            (enum rule_action)word_index(value, "deny allow limit delay log rewrite confirm");
    } else if (str_equal(key, STR("mode"))) {
        rule->mode = str_equal(value, STR("observe")) ? RULE_OBSERVE
                     : str_equal(value, STR("off"))   ? RULE_OFF
                                                      : RULE_ENFORCE;
    } else if (str_equal(key, STR("rate"))) { /* a second */
        rule->rate = strtod(value.ptr, NULL);
    } else if (str_equal(key, STR("burst"))) {
        rule->burst = strtoull(value.ptr, NULL, 10);
    } else if (str_equal(key, STR("per"))) {
        rule->per = (enum rule_per)word_index(value, "client ip user prefix rule");
    } else if (str_equal(key, STR("cost"))) {
        rule->cost = (enum rule_cost)word_index(value, "requests keys bytes");
    } else if (str_equal(key, STR("delay-max"))) { /* ms */
        rule->delay_max = strtoull(value.ptr, NULL, 10);
    } else if (str_equal(key, STR("exempt"))) {
        rule->exempt = str_equal(value, STR("yes"));
    } else if (str_equal(key, STR("read-from"))) {
        rule->read_from =
            (enum read_from)word_index(value, "(unset) primary prefer-replica nearest");
    } else if (str_equal(key, STR("add"))) {
        rule->add = arena_str(setup->arena, value);
    } else if (str_equal(key, STR("message"))) {
        rule->message = arena_str(setup->arena, value);
    } else {
        fail_msg("no such option: %.*s", (int)key.len, key.ptr);
    }
}

void setup_rule(struct setup *setup, const char *name, const char *options)
{
    struct config_rule *rule = &setup->rules[setup->config.rule_count++];
    *rule = (struct config_rule){.name = name,
                                 .where = {"test.conf", (int)setup->config.rule_count * 10}};
    for (const char *at = options; *at;) {
        size_t len = strcspn(at, ";");
        const char *equals = memchr(at, '=', len);
        assert_non_null(equals);
        option_set(setup, rule, trim(at, (size_t)(equals - at)),
                   trim(equals + 1, (size_t)(at + len - equals - 1)));
        at += len + (at[len] == ';');
    }
}

static const char *problem_text(const struct setup *setup)
{
    return setup->problems.text.len ? arena_str(setup->arena, buf_view(&setup->problems.text)) : "";
}

void setup_compile(struct setup *setup)
{
    policy_free(setup->policy);
    setup->policy = policy_compile(&setup->config, setup->table, &setup->problems);
    if (!setup->policy)
        fail_msg("refused: %s", problem_text(setup));
    policy_inherit(setup->policy, NULL, 0);
}

void setup_refused(struct setup *setup, const char *text)
{
    struct policy *policy = policy_compile(&setup->config, setup->table, &setup->problems);
    assert_null(policy);
    assert_true(setup->problems.errors > 0);
    if (!strstr(problem_text(setup), text))
        fail_msg("'%s' is not in: %s", text, problem_text(setup));
}

bool setup_warned(const struct setup *setup, const char *text)
{
    return setup->problems.warnings > 0 && strstr(problem_text(setup), text) != NULL;
}

/* ---- requests ----------------------------------------------------------------------------- */

void asked_parse(struct asked *asked, const struct setup *setup, const char *request)
{
    struct question *question = &asked->question;
    *question = (struct question){.argv = asked->argv,
                                  .keys = asked->keys,
                                  .db = setup->db,
                                  .pressure = setup->pressure,
                                  .asked = setup->asked,
                                  .elements = setup->elements,
                                  .subject = &setup->subject};
    snprintf(asked->text, sizeof(asked->text), "%s", request);
    for (char *save, *word = strtok_r(asked->text, " ", &save); word;
         word = strtok_r(NULL, " ", &save))
        asked->argv[question->argc++] = str_of(word);
    if (command_lookup(setup->table, asked->argv, question->argc, &question->command) !=
        LOOKUP_FOUND)
        fail_msg("no such command: %s", request);
    size_t found = command_keys(question->command, asked->argv, question->argc, asked->keys,
                                ARGS_CAP, &question->keys_unknown);
    for (size_t i = 0; i < found; i++)
        if (!(asked->keys[i].flags & KEY_NOT_KEY))
            asked->keys[question->key_count++] = asked->keys[i];
}

/* As a caller does it: what no rule concerns and has no reserved key is not judged. */
static void asked_judge(struct asked *asked, const struct setup *setup, const char *request)
{
    asked_parse(asked, setup, request);
    const struct question *question = &asked->question;
    asked->verdict = (struct verdict){.rule = POLICY_NO_RULE};
    if (policy_concerns(setup->policy, question->command, question->argc, NULL) ||
        policy_reserved_among(question->argv, question->argc))
        policy_judge(setup->policy, question, &asked->verdict);
}

const char *decided(const struct setup *setup, const char *request)
{
    struct asked asked;
    asked_judge(&asked, setup, request);
    if (asked.verdict.rule == POLICY_NO_RULE) {
        assert_int_equal(asked.verdict.kind, VERDICT_ALLOW);
        return "-";
    }
    const char *name = policy_rule_name(setup->policy, asked.verdict.rule);
    return asked.verdict.kind == VERDICT_DENY ? name : arena_printf(setup->arena, "allow:%s", name);
}

const char *observed(const struct setup *setup, const char *request)
{
    struct asked asked;
    struct buf names = {0};
    asked_judge(&asked, setup, request);
    for (size_t i = 0; i < asked.verdict.observed_count; i++) {
        buf_text(&names, i ? " " : "");
        buf_text(&names, policy_rule_name(setup->policy, asked.verdict.observed[i]));
    }
    const char *text = arena_str(setup->arena, buf_view(&names));
    buf_free(&names);
    return text;
}

const char *refusal(const struct setup *setup, const char *request)
{
    struct asked asked;
    struct buf out = {0};
    asked_judge(&asked, setup, request);
    assert_int_equal(asked.verdict.kind, VERDICT_DENY);
    policy_refusal(setup->policy, &asked.question, &asked.verdict, &out);
    const char *text = arena_str(setup->arena, buf_view(&out));
    buf_free(&out);
    return text;
}
