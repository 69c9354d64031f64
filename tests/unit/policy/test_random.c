/*
 * test_random.c - random policies and requests against a slow evaluator that reads the rules as
 * the reference words them, and random client patterns against all keys they reach.
 *
 * The seed is fixed, so a failure repeats; RESPGATE_SEED and RESPGATE_ROUNDS change the run.
 */
#include "reference.h"

/* ---- random things ------------------------------------------------------------------------ */

static uint64_t random_state = 1;

static size_t pick(size_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state >> 11) % bound;
}
#define PICK(list) (list)[pick(ARRAY_LEN(list))]

static const char *const commands_pool[] = {
    "get",    "SET",      "del",       "rename",     "flushall", "config", "config|set", "copy",
    "@write", "@delete",  "@READ",     "@fast",      "*",        "@slow",  "move",       "select",
    "sort",   "ft.plain", "ft.search", "config|new", "@admin",   "swapdb", "expire",     "publish",
};
static const char *const keys_pool[] = {
    "a",  "a*",   "ab", "ab*", "abc",  "b*",  "b?", "*b",  "a*b",
    "!a", "!ab*", "!b", "*",   "[ab]", "!?c", "c",  "\\a", "!a*b",
};
static const char *const db_pool[] = {"0", "1", "2"};
static const char *const users_pool[] = {"app", "cron"};
static const char *const from_pool[] = {"10.0.0.0/8", "10.0.0.7", "unix", "::/0", "192.168.0.0/16"};
static const char *const channels_pool[] = {"n",   "n*",   "a*",   "*b",  "n?",
                                            "!nb", "!n*a", "[na]", "!a*", "?x*"};
static const char *const key_pool[] = {"a",  "b",   "c",  "aa",         "ab", "ba",
                                       "bb", "abc", "cb", "{respgate}", "abb"};

static void list_random(struct buf *out, const char *name, const char *const *pool, size_t count,
                        size_t likely_in_ten)
{
    if (pick(10) >= likely_in_ten)
        return;
    buf_printf(out, "%s = ", name);
    for (size_t left = 1 + pick(4); left > 0; left--)
        buf_printf(out, "%s%s", pool[pick(count)], left > 1 ? ", " : "; ");
}
#define LIST_RANDOM(out, name, pool, likely) list_random(out, name, pool, ARRAY_LEN(pool), likely)

static void number_random(struct buf *out, const char *name, const char *const *pool, size_t count)
{
    if (pick(12) == 0)
        buf_printf(out, "%s = %s; ", name, pool[pick(count)]);
}

/* What a rule asks of the size of a command, of its answer and of times. */
static void clauses_random(struct buf *out)
{
    static const char *const few[] = {"1", "2", "3"}, *const bytes[] = {"4", "8", "12", "20"},
                             *const times[] = {"1", "1000", "50000", "9000000000"},
                             *const levels[] = {"normal", "high", "critical"};
    number_random(out, "min-keys", few, ARRAY_LEN(few));
    number_random(out, "min-args", few, ARRAY_LEN(few));
    number_random(out, "min-bytes", bytes, ARRAY_LEN(bytes));
    number_random(out, "max-ttl", times, ARRAY_LEN(times));
    number_random(out, "when", levels, ARRAY_LEN(levels));
    if (pick(12) == 0)
        buf_text(out, "without-ttl = yes; ");
    if (pick(6) == 0)
        buf_text(out, pick(3) ? "unbounded = yes; min-elements = 4; " : "unbounded = yes; ");
}

static void rule_random(struct setup *setup)
{
    static const char *const actions[] = {"deny", "allow"};
    static const char *const modes[] = {"enforce", "enforce", "enforce", "observe", "off"};
    struct buf options = {0};
    LIST_RANDOM(&options, "commands", commands_pool, 9);
    LIST_RANDOM(&options, "keys", keys_pool, 5);
    LIST_RANDOM(&options, "db", db_pool, 2);
    LIST_RANDOM(&options, "users", users_pool, 2);
    LIST_RANDOM(&options, "from", from_pool, 2);
    LIST_RANDOM(&options, "channels", channels_pool, 2);
    clauses_random(&options);
    buf_printf(&options, "action = %s; mode = %s", PICK(actions), PICK(modes));
    setup_rule(setup, arena_printf(setup->arena, "r%zu", setup->config.rule_count),
               arena_str(setup->arena, buf_view(&options)));
    buf_free(&options);
}

static const char *request_random(struct arena *arena)
{
    static const char *const plain[] = {
        "flushall",         "config",         "config get x",  "config set x y",
        "config new",       "ping",           "publish n m",   "publish __keyspace@0__:a x",
        "ft.search i",      "ft.plain",       "ft.admin",      "ft.lua",
        "client",           "swapdb 0 1",     "swapdb 2 1",    "swapdb 3 x",
        "select 1",         "select 2",       "select",        "swapdb 0",
        "publish a m",      "publish nb",     "subscribe n",   "subscribe nb a x",
        "publish b x",      "psubscribe n*",  "psubscribe *",  "psubscribe ?b a",
        "psubscribe [ab]*", "psubscribe n*a", "psubscribe x*", "psubscribe n[^b]",
    };
    static const char *const forms[] = {
        "get %s",
        "set %s v",
        "del %s %s %s",
        "rename %s %s",
        "expire %s 1",
        "expire %s -1",
        "sort %s",
        "sort %s by w_*",
        "sort %s store %s",
        "copy %s %s",
        "copy %s %s db 1",
        "copy %s %s DB 2 replace",
        "move %s 1",
        "move %s x",
        "ft.add %s",
        "ft.risky %s",
        "spublish %s m",
        "del %s %s",
        "copy %s %s db",
        "copy %s %s db 0 db 2",
        "set %s v ex 50",
        "set %s v PX 51000 NX",
        "set %s v keepttl",
        "set %s v ex",
        "set %s v ex what",
        "set %s v bogus",
        "setex %s 60 v",
        "getex %s persist",
        "getex %s",
        "getex %s ex 2",
        "mset %s v",
        "expire %s 99999999999999999999",
        "lrange %s 0 -1",
        "lrange %s 0 3",
        "lrange %s -4 9",
        "lrange %s -9 -3",
        "lrange %s 2 -2",
        "lrange %s 7 3",
        "lrange %s -2 20",
        "lrange %s 0 9",
        "hgetall %s",
        "sunion %s %s",
        "srandmember %s -7",
        "srandmember %s 3",
        "expire %s 60",
        "expire %s 9223372036854775807",
    };
    if (pick(3) == 0)
        return PICK(plain);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    const char *form = PICK(forms), *one = PICK(key_pool), *two = PICK(key_pool);
    return arena_printf(arena, form, one, two, PICK(key_pool));
#pragma GCC diagnostic pop
}

static void subject_random(struct setup *setup)
{
    static const struct address addresses[] = {
        {.ip = {10, 0, 0, 7}}, {.ip = {10, 9, 9, 9}},         {.ip = {8, 8, 8, 8}},
        {.is_unix = true},     {.is_ipv6 = true, .ip = {32}}, {.ip = {192, 168, 1, 1}},
    };
    static const char *const users[] = {"", "app", "cron", "other"};
    setup->subject.address = PICK(addresses);
    setup->subject.user = str_of(PICK(users));
    setup->db = (int64_t)pick(3);
    setup->pressure = (enum pressure)pick(3);
    setup->asked = (enum elements_state)pick(3);
    setup->elements = (int64_t)pick(9) - 1;
}

/* ---- the reference ------------------------------------------------------------------------ */

static bool ref_is(const struct question *q, const char *name)
{
    return strcmp(q->command->name, name) == 0;
}

/* Whether the rule names the command itself: by its name, or its container's. */
static bool ref_named(const struct config_rule *rule, const struct question *q)
{
    for (size_t i = 0; i < rule->commands.count; i++) {
        struct str item = rule->commands.items[i];
        if (str_equal_nocase(item, str_of(q->command->name)) ||
            (q->command->parent && str_equal_nocase(item, str_of(q->command->parent->name))))
            return true;
    }
    return false;
}

static bool ref_commands(const struct config_rule *rule, const struct question *q)
{
    if (rule->commands.count == 0 || ref_named(rule, q))
        return true;
    for (size_t i = 0; i < rule->commands.count; i++) {
        struct str item = rule->commands.items[i];
        if (str_equal(item, STR("*")))
            return true;
        if (item.ptr[0] == '@' &&
            command_classes(q->command, q->argv, q->argc) & class_by_name(item))
            return true;
    }
    return false;
}

static bool ref_key(const struct config_rule *rule, struct str key)
{
    bool wanted = false, any_wanted = false;
    for (size_t i = 0; i < rule->keys.count; i++) {
        struct str glob = rule->keys.items[i];
        if (glob.ptr[0] == '!') {
            if (glob_match((struct str){glob.ptr + 1, glob.len - 1}, key))
                return false;
        } else {
            any_wanted = true;
            wanted |= glob_match(glob, key);
        }
    }
    return wanted || !any_wanted;
}

static bool ref_keys(const struct config_rule *rule, const struct question *q)
{
    size_t hits = 0;
    if (rule->keys.count == 0)
        return true;
    if (q->keys_unknown)
        return rule->action == ACTION_DENY;
    for (size_t i = 0; i < q->key_count; i++)
        hits += ref_key(rule, q->argv[q->keys[i].arg]);
    if (rule->action == ACTION_ALLOW)
        return q->key_count > 0 && hits == q->key_count;
    return hits > 0;
}

static bool ref_db_listed(const struct config_rule *rule, struct str number)
{
    for (size_t i = 0; i < rule->db.count; i++)
        if (str_equal(rule->db.items[i], number))
            return true;
    return false;
}

/* The databases a request is judged in, as text. */
static size_t ref_dbs(const struct config_rule *rule, const struct question *q, struct str *out)
{
    static const char *const texts[] = {"0", "1", "2", "3"};
    struct str present = str_of(texts[q->db]);
    size_t count = 0;
    if (ref_is(q, "swapdb")) {
        for (size_t i = 1; i < q->argc; i++)
            out[count++] = q->argv[i];
        return count;
    }
    if (ref_is(q, "flushall")) { /* in all of them, also one that no rule lists */
        for (; count < 4; count++)
            out[count] = str_of(texts[count]);
        out[count++] = STR("15");
        return count;
    }
    if (ref_is(q, "select") && q->argc > 1 && rule->action == ACTION_ALLOW) {
        out[0] = q->argv[1];
        return 1;
    }
    out[count++] = present;
    if (ref_is(q, "select") && q->argc > 1)
        out[count++] = q->argv[1];
    if (ref_is(q, "move"))
        out[count++] = q->argv[2];
    for (size_t i = 3; ref_is(q, "copy") && i + 1 < q->argc; i++)
        if (str_equal_nocase(q->argv[i], STR("db")))
            out[count++] = q->argv[i + 1];
    return count;
}

static bool ref_db(const struct config_rule *rule, const struct question *q)
{
    struct str dbs[ARGS_CAP];
    size_t count, hits = 0;
    if (rule->db.count == 0)
        return true;
    count = ref_dbs(rule, q, dbs);
    for (size_t i = 0; i < count; i++) {
        if (str_equal(dbs[i], STR("x"))) /* no number */
            return rule->action == ACTION_DENY;
        hits += ref_db_listed(rule, dbs[i]);
    }
    return rule->action == ACTION_ALLOW ? hits == count : hits > 0;
}

static bool ref_who(const struct config_rule *rule, const struct question *q)
{
    bool user = rule->users.count == 0, from = rule->from.count == 0;
    for (size_t i = 0; i < rule->users.count; i++)
        user |= str_equal(rule->users.items[i], q->subject->user);
    for (size_t i = 0; i < rule->from.count; i++) {
        struct network network;
        assert_true(network_parse(rule->from.items[i], &network));
        from |= network_contains(&network, &q->subject->address);
    }
    return user && from;
}

static bool ref_learned_closed(const struct setup *setup, const struct question *q)
{
    uint32_t flags = q->command->flags;
    if (!(flags & CMD_LEARNED) || setup->config.proxy.learned == LEARNED_ALL)
        return false;
    if (setup->config.proxy.learned == LEARNED_NONE)
        return true;
    bool keys = q->command->spec_count > 0 && !(q->command->specs[0].flags & KEY_NOT_KEY);
    return !(flags & CMD_READONLY || keys) || flags & (CMD_ADMIN | CMD_NOSCRIPT) ||
           q->command->classes & CLASS_DANGEROUS;
}

static void ref_judge(const struct setup *setup, const struct question *q, struct verdict *out)
{
    *out = (struct verdict){.kind = VERDICT_ALLOW, .rule = POLICY_NO_RULE};
    for (size_t i = 0; i < q->key_count; i++)
        if (str_equal(q->argv[q->keys[i].arg], STR("{respgate}")))
            *out = (struct verdict){.kind = VERDICT_DENY, .rule = POLICY_RESERVED_KEYS};
    for (size_t i = 1; q->keys_unknown && i < q->argc; i++)
        if (str_equal(q->argv[i], STR("{respgate}")))
            *out = (struct verdict){.kind = VERDICT_DENY, .rule = POLICY_RESERVED_KEYS};
    if (ref_is(q, "publish") && q->argv[1].ptr[0] == '_')
        *out = (struct verdict){.kind = VERDICT_DENY, .rule = POLICY_RESERVED_CHANNELS};
    if (out->kind == VERDICT_DENY)
        return;
    bool closed = ref_learned_closed(setup, q);
    for (size_t i = 0; i < setup->config.rule_count; i++) {
        const struct config_rule *rule = &setup->rules[i];
        bool ask;
        if (rule->mode == RULE_OFF || !ref_commands(rule, q) || !ref_keys(rule, q) ||
            !ref_db(rule, q) || !ref_who(rule, q) || !ref_clauses(rule, q, &ask))
            continue;
        if (closed && rule->action == ACTION_ALLOW && !ref_named(rule, q))
            continue;
        if (ask) {
            *out = (struct verdict){.kind = VERDICT_ASK, .rule = (uint16_t)i};
            return;
        }
        if (rule->mode == RULE_ENFORCE && !setup->config.proxy.observe) {
            out->kind = rule->action == ACTION_ALLOW ? VERDICT_ALLOW : VERDICT_DENY;
            out->rule = (uint16_t)i;
            return;
        }
        if (out->observed_count < OBSERVED_MAX)
            out->observed[out->observed_count++] = (uint16_t)i;
        if (rule->mode == RULE_ENFORCE)
            return;
    }
    if (closed && !setup->config.proxy.observe) {
        out->kind = VERDICT_DENY;
        out->rule = POLICY_LEARNED;
    } else if (closed && out->observed_count < OBSERVED_MAX) {
        out->observed[out->observed_count++] = POLICY_LEARNED;
    }
}

/* ---- the comparison ----------------------------------------------------------------------- */

static void rules_print(const struct setup *setup, const char *request)
{
    for (size_t i = 0; i < setup->config.rule_count; i++) {
        const struct config_rule *rule = &setup->rules[i];
        const struct text_list *lists[] = {&rule->commands, &rule->keys, &rule->db,
                                           &rule->users,    &rule->from, &rule->channels};
        fprintf(stderr, "rule %zu %s mode %d:", i, rule->action == ACTION_ALLOW ? "allow" : "deny",
                (int)rule->mode);
        for (size_t l = 0; l < ARRAY_LEN(lists); l++, fputs(" |", stderr))
            for (size_t j = 0; j < lists[l]->count; j++)
                fprintf(stderr, " %s", lists[l]->items[j].ptr);
        fprintf(stderr,
                " args %d keys %d bytes %d max-ttl %lld without %d unbounded %d elements %d "
                "when %d\n",
                (int)rule->min_args, (int)rule->min_keys, (int)rule->min_bytes,
                (long long)rule->max_ttl, rule->without_ttl, rule->unbounded,
                (int)rule->min_elements, (int)rule->when);
    }
    fprintf(stderr, "db %d user %s pressure %d asked %d elements %d: %s\n", (int)setup->db,
            setup->subject.user.ptr, (int)setup->pressure, (int)setup->asked, (int)setup->elements,
            request);
}

static void compare(const struct setup *setup, const char *request)
{
    struct asked asked;
    struct verdict expected, got;
    uint64_t who[2]; /* policies here have fewer than 64 rules */
    asked_parse(&asked, setup, request);
    ref_judge(setup, &asked.question, &expected);
    assert_true(policy_who_words(setup->policy) <= ARRAY_LEN(who));
    policy_who(setup->policy, asked.question.subject, asked.question.db, who);
    asked.question.who = pick(2) ? who : NULL;
    policy_judge(setup->policy, &asked.question, &got);
    bool same = expected.kind == got.kind && expected.rule == got.rule &&
                expected.observed_count == got.observed_count;
    for (size_t i = 0; same && i < got.observed_count; i++)
        same = expected.observed[i] == got.observed[i];
    /* What the caller may skip must have had no effect. */
    if (!policy_concerns(setup->policy, asked.question.command, asked.question.argc, who) &&
        !policy_reserved_among(asked.question.argv, asked.question.argc))
        same &= got.rule == POLICY_NO_RULE && got.observed_count == 0;
    if (same)
        return;
    rules_print(setup, request);
    fail_msg("expected kind %d rule %d observed %d, got %d %d %d", expected.kind, expected.rule,
             expected.observed_count, got.kind, got.rule, got.observed_count);
}

static size_t rounds(size_t usual)
{
    const char *text = getenv("RESPGATE_ROUNDS");
    return text ? (size_t)atoi(text) : usual;
}

static void test_random_policies(void **state)
{
    for (size_t round = rounds(4000); round > 0; round--) {
        struct setup setup;
        setup_init(&setup);
        setup.config.proxy.observe = pick(8) == 0;
        setup.config.proxy.learned = (enum learned_mode)pick(3);
        for (size_t left = pick(12); left > 0; left--)
            rule_random(&setup);
        setup_compile(&setup);
        for (int i = 0; i < 40; i++) {
            subject_random(&setup);
            compare(&setup, request_random(setup.arena));
        }
        setup_free(&setup);
    }
}

/* ---- patterns of clients ------------------------------------------------------------------ */

/* All texts of up to three letters of a small alphabet: the keys that exist. */
enum { UNIVERSE = 1 + 3 + 9 + 27 };
static char universe[UNIVERSE][4];

static void universe_fill(void)
{
    size_t count = 1;
    for (size_t from = 0; count < UNIVERSE; from++)
        for (const char *c = "abc"; *c; c++, count++) {
            memcpy(universe[count], universe[from], sizeof(universe[0]));
            universe[count][strlen(universe[from])] = *c;
        }
}

/* A deny that does not hold must protect no key the pattern reaches; an allow that holds must
 * allow all of them. */
static void pattern_check(const struct setup *setup, const char *pattern, bool held)
{
    const struct config_rule *rule = &setup->rules[0];
    for (size_t i = 0; i < UNIVERSE; i++) {
        struct str key = str_of(universe[i]);
        if (!glob_match(str_of(pattern), key))
            continue;
        if (rule->action == ACTION_DENY ? !held && ref_key(rule, key)
                                        : held && !ref_key(rule, key)) {
            rules_print(setup, pattern);
            fail_msg("held %d, but the pattern reaches '%s'", held, universe[i]);
        }
    }
}

static void test_random_patterns(void **state)
{
    static const char *const patterns[] = {"*",   "a*",  "ab*",  "a",   "b?",     "a*b",  "[ab]*",
                                           "?",   "ab",  "a\\*", "*c",  "abc*",   "[^a]", "a?*",
                                           "\\a", "c*c", "a*b*", "b*a", "a[a-c]", "*b",   "b"};
    size_t held_count = 0;
    universe_fill();
    for (size_t round = rounds(4000); round > 0; round--) {
        struct setup setup;
        struct buf options = {0};
        setup_init(&setup);
        LIST_RANDOM(&options, "keys", keys_pool, 10);
        buf_text(&options, pick(2) ? "action = deny" : "action = allow");
        setup_rule(&setup, "r", arena_str(setup.arena, buf_view(&options)));
        setup_compile(&setup);
        const char *pattern = PICK(patterns);
        bool scan = pick(2) == 0;
        const char *request =
            arena_printf(setup.arena, scan ? "scan 0 match %s" : "keys %s", pattern);
        bool held = strcmp(decided(&setup, request), "-") != 0;
        pattern_check(&setup, pattern, held);
        held_count += held;
        buf_free(&options);
        setup_free(&setup);
    }
    assert_in_range(held_count, rounds(4000) / 10, rounds(4000) * 9 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_policies),
        cmocka_unit_test(test_random_patterns),
    };
    const char *seed = getenv("RESPGATE_SEED");
    random_state = seed ? strtoull(seed, NULL, 10) : 20;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
