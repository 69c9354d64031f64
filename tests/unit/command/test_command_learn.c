/* test_command_learn.c - commands from COMMAND replies: of old and new servers, and hostile ones.
 */
#include "requests.h"

static size_t malformed;

/* Rows are written as JSON-like text: [..] array, 'x' bulk, +x status, digits integer, ~ nil. */
static struct tree *parse(struct arena *arena, const char **text)
{
    struct tree *tree = arena_alloc(arena, sizeof(*tree));
    *text += strspn(*text, " ");
    char first = **text;
    if (first == '[') {
        struct tree items[64];
        ++*text;
        tree->type = TREE_ARRAY;
        while (*(*text += strspn(*text, " ")) != ']')
            items[tree->count++] = *parse(arena, text);
        ++*text;
        tree->items = arena_alloc(arena, tree->count * sizeof(*items) + 1);
        memcpy(tree->items, items, tree->count * sizeof(*items));
    } else if (first == '\'' || first == '+') {
        size_t len = strcspn(*text + 1, first == '+' ? " ]" : "'");
        tree->type = first == '+' ? TREE_STATUS : TREE_STRING;
        tree->text = (struct str){*text + 1, len};
        *text += len + 1 + (first == '\'');
    } else if (first == '~') {
        tree->type = TREE_NULL;
        ++*text;
    } else {
        char *end;
        tree->type = TREE_INT;
        tree->integer = strtoll(*text, &end, 10);
        assert_ptr_not_equal(end, *text);
        *text = end;
    }
    return tree;
}

static struct command_table *learn(const char *text)
{
    struct arena *arena = arena_new();
    struct command_table *table = command_table_learn(parse(arena, &text), &malformed);
    arena_free(arena); /* the table must not point into the reply */
    return table;
}

static const struct command *only(struct command_table *table, const char *name)
{
    const struct command *command = command_by_name(table, str_of(name));
    assert_non_null(command);
    assert_true(command->flags & CMD_LEARNED);
    assert_ptr_equal(command_by_id(table, command->id), command);
    return command;
}

static void row_of_redis_7(void **state)
{
    struct command_table *table = learn(
        "[['GET' 2 [+readonly] 1 1 1 [] [] [] []]"
        " ['Mod.Put' -3 [+write +denyoom +module +future] 1 1 1 [+@write +@hash +@future +@drain]"
        "  ['request_policy:multi_shard' 'response_policy:agg_sum' 'other']"
        "  [['notes' ~ 'flags' [+RW +insert +Future] 'begin_search' ['type' 'index' 'spec' "
        "['index' 1]]"
        "    'find_keys' ['type' 'range' 'spec' ['lastkey' -1 'keystep' 2 'limit' 0]]]] []]]");
    const struct command *command = only(table, "mod.put");
    struct test_request request = request_of("MOD.PUT a 1 b 2");
    const struct command *found;
    struct key_ref refs[4];
    bool unknown;
    assert_int_equal(malformed, 0);
    assert_int_equal(command_count(table), COMMAND_BUILTIN_COUNT + 1);
    assert_int_equal(command->id, COMMAND_BUILTIN_COUNT);
    assert_int_equal(command->flags, CMD_WRITE | CMD_DENYOOM | CMD_LEARNED);
    assert_true(command->classes == (CLASS_WRITE | CLASS_HASH | CLASS_SLOW | CLASS_GROWTH));
    assert_int_equal(command->request_policy, REQUEST_MULTI_SHARD);
    assert_int_equal(command->response_policy, RESPONSE_AGG_SUM);
    assert_int_equal(command_lookup(table, request.argv, request.argc, &found), LOOKUP_FOUND);
    assert_ptr_equal(found, command);
    assert_int_equal(command_keys(command, request.argv, request.argc, refs, 4, &unknown), 2);
    assert_int_equal(refs[1].arg, 3);
    assert_false(unknown);
    assert_true(command_classes(command, request.argv, request.argc) == command->classes);
    assert_int_equal(command_lookup(command_table_builtin(), request.argv, 1, &found),
                     LOOKUP_UNKNOWN);
    request_free(&request);
    command_table_free(table);
}

static size_t keys_of(struct command_table *table, const char *line, bool *unknown)
{
    struct test_request request = request_of(line);
    const struct command *command;
    assert_int_equal(command_lookup(table, request.argv, request.argc, &command), LOOKUP_FOUND);
    size_t count = command_keys(command, request.argv, request.argc, NULL, 0, unknown);
    request_free(&request);
    return count;
}

static void rows_of_old_servers(void **state)
{
    struct command_table *table = learn("[['old.get' 2 [+readonly] 1 1 1]"
                                        " ['old.mget' -2 [+write] 1 -1 2]"
                                        " ['old.range' -2 [+write] 2 3 1]"
                                        " ['old.eval' -2 [+movablekeys] 0 0 0]"
                                        " ['old.adm' -2 [+admin] 0 0 0]"
                                        " ['WAITAOF' 4 [+noscript] 0 0 0]]");
    bool unknown;
    assert_int_equal(malformed, 0);
    assert_int_equal(keys_of(table, "old.get a", &unknown), 1);
    assert_int_equal(keys_of(table, "old.mget a b c d e", &unknown), 3);
    assert_int_equal(keys_of(table, "old.range x a b c", &unknown), 2);
    assert_false(unknown);
    assert_int_equal(keys_of(table, "old.eval a", &unknown), 0);
    assert_true(unknown);
    assert_true(only(table, "old.adm")->classes & CLASS_DESTRUCTIVE);
    assert_true(only(table, "old.adm")->classes & CLASS_DANGEROUS);
    assert_true(only(table, "old.mget")->classes & CLASS_DRAIN);
    assert_true(only(table, "old.mget")->classes & CLASS_DELETE);
    assert_true(command_blocks(only(table, "waitaof"), NULL, 0));
    command_table_free(table);
}

static void specifications_that_cannot_be_read(void **state)
{
    struct command_table *table = learn(
        "[['m.a' 2 [+write] 0 0 0 [] [] [['flags' [+RW] 'begin_search' ['type' 'unknown' 'spec' []]"
        "   'find_keys' ['type' 'unknown' 'spec' []]]] []]"
        " ['m.b' 2 [+write] 0 0 0 [] [] ['junk' 7 []] []]"
        " ['m.c' 2 [+write] 0 0 0 [] [] [['flags' [] 'begin_search' ['type' 'index' 'spec' "
        "['index' 0]]"
        "   'find_keys' ['type' 'range' 'spec' ['lastkey' 0 'keystep' 0 'limit' 0]]]] []]"
        " ['m.d' 2 [+write] 0 0 0 [] [] [['flags' [] 'begin_search' ['type' 'keyword' 'spec' "
        "['keyword' 'KEYS' 'startfrom' -2]]"
        "   'find_keys' ['type' 'range' 'spec' ['lastkey' -1 'keystep' 1 'limit' 0]]]] []]"
        " ['m.g' 2 [+write] 0 0 0 [] [] [['flags' [] 'begin_search' ['type' 'keyword' 'spec' "
        "['keyword' '' 'startfrom' 1]]"
        "   'find_keys' ['type' 'range' 'spec' ['lastkey' -1 'keystep' 1 'limit' 0]]]] []]"
        " ['m.e' 2 [+write] 0 0 0 [] [] [['flags' [] 'begin_search' ['type' 'index' 'spec' "
        "['index' 99999999999]]"
        "   'find_keys' ['type' 'keynum' 'spec' ['keynumidx' 0 'firstkey' 1 'keystep' 1]]]] []]"
        " ['m.f' 2 [+write +movablekeys] 1 1 1 [] [] [['flags' [] 'begin_search' ['type' 'index' "
        "'spec' ['index' 1]]"
        "   'find_keys' ['type' 'range' 'spec' ['lastkey' 0 'keystep' 1 'limit' 0]]]] []]]");
    bool unknown;
    assert_int_equal(malformed, 0);
    for (const char *line = "m.a x\0m.b x\0m.c x\0m.e x\0m.f x\0m.g x\0"; *line;
         line += strlen(line) + 1) {
        keys_of(table, line, &unknown);
        assert_true(unknown);
    }
    assert_int_equal(keys_of(table, "m.d x keys a b", &unknown), 2);
    assert_int_equal(keys_of(table, "m.d x a b", &unknown), 0);
    assert_false(unknown);
    command_table_free(table);
}

static void subcommands(void **state)
{
    struct command_table *table = learn(
        "[['config' -2 [] 0 0 0 [] [] [] [['config|get' -3 [+admin] 0 0 0]"
        "   ['config|future' -3 [+admin] 0 0 0] ['acl|x' 2 [] 0 0 0] ['config|a|b' 2 [] 0 0 0]]]"
        " ['get' 2 [] 0 0 0 [] [] [] [['get|all' 2 [] 0 0 0]]]"
        " ['m.box' -2 [] 0 0 0 [] [] [] [['m.box|one' 2 [+write] 0 0 0] ['m.box|TWO' 2 [] 0 0 0]"
        "   ['m.box|one' 2 [] 0 0 0]]]]");
    const struct command *found, *box = only(table, "m.box");
    struct str future[] = {STR("Config"), STR("FUTURE")}, two[] = {STR("m.box"), STR("two")};
    struct str none[] = {STR("m.box"), STR("none")};
    assert_int_equal(malformed, 4);
    assert_int_equal(command_lookup(table, future, 2, &found), LOOKUP_FOUND);
    assert_string_equal(found->name, "config|future");
    assert_int_equal(found->parent->id, COMMAND_CONFIG);
    assert_true(found->classes & CLASS_DESTRUCTIVE);
    assert_int_equal(box->sub_count, 2);
    assert_int_equal(command_lookup(table, two, 2, &found), LOOKUP_FOUND);
    assert_string_equal(found->name, "m.box|two");
    assert_int_equal(found->id, box->first_sub + 1);
    assert_int_equal(command_lookup(table, none, 2, &found), LOOKUP_UNKNOWN_SUB);
    assert_ptr_equal(found, box);
    command_table_free(table);
}

static void hostile_rows_are_left_out(void **state)
{
    struct command_table *table =
        learn("[7 ~ [] ['x'] 'text' ['a b' 1 [] 0 0 0] ['' 1 [] 0 0 0] ['a|b' 1 [] 0 0 0]"
              " ['<script>' 1 [] 0 0 0] ['x' 99999 [] 0 0 0] ['x' 1 ~ 0 0 0] ['x' 1 [] -1 0 0]"
              " ['x' 1 [] 1 1 0] ['x' 1 [] 5 2 1] ['x' 1 [] 1 1 'q'] [+x 1 [] 1 99999999 1]"
              " ['anameofmorethanthirtytwobytesisrefused' 1 [] 0 0 0]"
              " ['ok' 1 [7 ~ [] +write] 0 0 0 7 7 7 7] ['OK' 1 [] 0 0 0]]");
    assert_int_equal(malformed, 18);
    assert_int_equal(command_count(table), COMMAND_BUILTIN_COUNT + 1);
    assert_true(only(table, "ok")->flags & CMD_WRITE);
    command_table_free(table);
    table = learn("'ERR no'");
    assert_int_equal(malformed, 1);
    assert_int_equal(command_count(table), COMMAND_BUILTIN_COUNT);
    command_table_free(table);
    table = command_table_learn(NULL, &malformed);
    assert_int_equal(malformed, 1);
    command_table_free(table);
    command_table_free(NULL);
}

static void too_many_rows(void **state)
{
    enum { ROWS = 20000 };
    static char names[ROWS][12];
    struct tree *rows = xcalloc(ROWS, sizeof(*rows)), *items = xcalloc(ROWS * 6, sizeof(*items));
    for (size_t i = 0; i < ROWS; i++) {
        struct tree *item = &items[i * 6];
        size_t len = 0;
        for (size_t n = i + 1; n; n /= 10)
            names[i][len++] = (char)('0' + n % 10);
        item[0] = (struct tree){.type = TREE_STRING, .text = {names[i], len}};
        for (size_t j = 1; j < 6; j++)
            item[j].type = j == 2 ? TREE_ARRAY : TREE_INT;
        rows[i] = (struct tree){.type = TREE_ARRAY, .count = 6, .items = item};
    }
    struct tree reply = {.type = TREE_ARRAY, .count = ROWS, .items = rows};
    struct command_table *table = command_table_learn(&reply, &malformed);
    size_t learned = command_count(table) - COMMAND_BUILTIN_COUNT;
    assert_in_range(learned, 1000, 10000);
    assert_int_equal(learned + malformed, ROWS);
    assert_non_null(command_by_name(table, STR("1")));
    command_table_free(table);
    free(rows);
    free(items);
}

static struct tree random_tree(struct arena *arena, int depth)
{
    static const char *const texts[] = {"x",     "get",          "config|y",  "config",
                                        "type",  "index",        "spec",      "flags",
                                        "write", "begin_search", "find_keys", "range"};
    struct tree tree = {.type = (enum tree_type)random_below(TREE_ARRAY + 1)};
    if (depth > 3 || random_below(2))
        tree.type = TREE_ARRAY;
    if (depth > 4)
        tree.type = random_below(2) ? TREE_INT : TREE_STRING;
    tree.text = str_of(texts[random_below(ARRAY_LEN(texts))]);
    tree.integer = (int64_t)random_below(5) - 2;
    if (random_below(20) == 0)
        tree.integer = INT64_MIN + random_below(3);
    if (tree.type == TREE_ARRAY) {
        tree.count = random_below(12);
        tree.items = arena_alloc(arena, tree.count * sizeof(tree) + 1);
        for (size_t i = 0; i < tree.count; i++)
            tree.items[i] = random_tree(arena, depth + 1);
    }
    return tree;
}

/* A row whose head is sound and whose rest is anything. */
static void random_replies(void **state)
{
    for (int round = 0; round < 3000; round++) {
        struct arena *arena = arena_new();
        struct tree row[10], reply = {.type = TREE_ARRAY, .count = 1}, whole;
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
            row[i] = random_tree(arena, 2);
        row[0] = (struct tree){.type = TREE_STRING,
                               .text = random_below(2) ? STR("config") : STR("m.x")};
        row[1] = (struct tree){.type = TREE_INT, .integer = -2};
        row[2].type = TREE_ARRAY;
        row[2].count = row[2].items ? row[2].count : 0;
        for (size_t i = 3; i < 6; i++)
            row[i] = (struct tree){.type = TREE_INT, .integer = random_below(3)};
        whole = (struct tree){.type = TREE_ARRAY, .count = ARRAY_LEN(row), .items = row};
        reply.items = &whole;
        struct command_table *table = command_table_learn(&reply, &malformed);
        struct test_request request = request_of("m.x 1 2 x 3 x");
        for (size_t id = COMMAND_BUILTIN_COUNT; id < command_count(table); id++) {
            bool unknown;
            const struct command *command = command_by_id(table, id);
            for (size_t argc = 1; argc <= request.argc; argc++)
                command_keys(command, request.argv, argc, NULL, 0, &unknown);
        }
        request_free(&request);
        command_table_free(table);
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_of_redis_7),
        cmocka_unit_test(rows_of_old_servers),
        cmocka_unit_test(specifications_that_cannot_be_read),
        cmocka_unit_test(subcommands),
        cmocka_unit_test(hostile_rows_are_left_out),
        cmocka_unit_test(too_many_rows),
        cmocka_unit_test(random_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
