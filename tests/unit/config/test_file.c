/* test_file.c - files: includes, permissions, password files, and where a mistake is told. */
#include "helper.h"

static struct config *load_file(const char *path, struct problems *problems)
{
    *problems = (struct problems){0};
    return config_load(path, NULL, problems);
}

static void file_refused(const char *path, const char *expected)
{
    struct problems problems;
    assert_null(load_file(path, &problems));
    assert_string_equal(problems_text(&problems), expected);
    problems_free(&problems);
}

static void file_loads(const char *path, const char *warnings)
{
    struct problems problems;
    struct config *config = load_file(path, &problems);
    assert_string_equal(problems_text(&problems), warnings);
    assert_non_null(config);
    config_free(config);
    problems_free(&problems);
}

static void openings(void **state)
{
    file_refused("missing", "missing: cannot open 'missing': No such file or directory\n");
    file_refused(".", ".: '.' is a directory\n");
    file_refused("/dev/null", "/dev/null: '/dev/null' is not a file\n");
    file_loads(file_write("empty", "", 0644), "");
}

static void writable_by_others(void **state)
{
    file_refused(file_write("g", "", 0664),
                 "g: 'g' can be written by group or others (mode 664): chmod go-w\n");
    file_refused(file_write("o", "", 0602),
                 "o: 'o' can be written by group or others (mode 602): chmod go-w\n");
    file_write("part", "", 0620);
    file_refused(file_write("main", "\ninclude = part\n", 0600),
                 "main:2: 'part' can be written by group or others (mode 620): chmod go-w\n");
}

static void readable_secrets(void **state)
{
    file_loads(file_write("url", "[backend]\nurl = redis://:p@h\n", 0644),
               "url:2: warning: url: a password stands here and the file can be read by all\n");
    file_loads(file_write("url", "[backend]\nurl = redis://:p@h\n", 0640), "");
    file_write("pw", "p\n", 0644);
    file_loads(file_write("file", "[backend]\npassword-file = pw\n", 0644),
               "file:2: warning: 'pw' holds a secret and can be read by all\n");
}

static const char *password_of(const char *text)
{
    static char password[64];
    struct problems problems;
    file_write("secret", text, 0600);
    struct config *config =
        load_file(file_write("p.conf", "[backend]\nusername = u\npassword-file = secret\n", 0600),
                  &problems);
    assert_non_null(config);
    snprintf(password, sizeof(password), "%s", config->backend.password);
    assert_string_equal(config->backend.control_password, password);
    config_free(config);
    problems_free(&problems);
    return password;
}

static void password_files(void **state)
{
    assert_string_equal(password_of("pass word "), "pass word ");
    assert_string_equal(password_of("one\ntwo\n"), "one");
    assert_string_equal(password_of("crlf\r\n"), "crlf");
    file_write("secret", "\nx\n", 0600);
    file_refused("p.conf", "p.conf:3: the first line of 'secret' is empty\n");
    file_write("secret", "x\n", 0622);
    file_refused("p.conf", "p.conf:3: 'secret' can be written by group or others (mode 622): "
                           "chmod go-w\n");
    unlink("secret");
    file_refused("p.conf", "p.conf:3: cannot open 'secret': No such file or directory\n");
    file_write("q.conf", "[backend]\nusername = u\npassword-file = /\n", 0600);
    file_refused("q.conf", "q.conf:3: '/' is a directory\n");
}

/* The lines stand in the section of the include, and it goes on behind it. */
static void include_in_place(void **state)
{
    struct problems problems;
    mkdir("d", 0700);
    file_write("d/b", "max-clients = 5\n[rule b]\naction = deny\ninclude = c\nmode = off\n", 0600);
    file_write("d/c", "message = m\n[rule c]\naction = allow", 0600);
    struct config *config = load_file(
        file_write("main",
                   "[rule a]\naction = deny\n[proxy]\nthreads = 2\ninclude = \"d/b\" ; x\n"
                   "max-handshakes = 3\n[rule d]\naction = deny\n",
                   0600),
        &problems);
    assert_string_equal(problems_text(&problems), "");
    assert_non_null(config);
    assert_int_equal(config->proxy.max_clients, 5);
    assert_int_equal(config->proxy.max_handshakes, 3);
    assert_int_equal(config->rule_count, 4);
    const char *const names[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(config->rules[i].name, names[i]);
    assert_string_equal(config->rules[1].message, "m");
    assert_int_equal(config->rules[1].mode, RULE_OFF);
    assert_string_equal(config->rules[2].where.file, "d/c");
    assert_int_equal(config->rules[2].where.line, 2);
    config_free(config);
    problems_free(&problems);
}

static void mistakes_in_includes(void **state)
{
    file_write("b", "[proxy]\nlisen = 1\n", 0600);
    file_refused(file_write("main", "[proxy]\nthreads = x\ninclude = b\nzzzz = 1\n", 0600),
                 "main:2: threads: 'x' is not a whole number\n"
                 "b:1: section [proxy] is already at main:1\n"
                 "b:2: unknown option 'lisen', did you mean 'listen'?\n"
                 "main:4: unknown option 'zzzz' in [proxy]\n");
    file_refused(file_write("main", "include = none\ninclude =\n", 0600),
                 "main:1: cannot open 'none': No such file or directory\n"
                 "main:2: 'include' has no file\n");
}

static void include_depth(void **state)
{
    char name[16], text[32];
    for (int i = 0; i <= 9; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        snprintf(text, sizeof(text), i < 9 ? "include = f%d\n" : "[proxy]\n", i + 1);
        file_write(name, text, 0600);
    }
    file_loads("f1", "");
    file_refused("f0", "f8:1: include: more than 8 deep: f0 > f1 > f2 > f3 > f4 > f5 > f6 > f7 > "
                       "f8 > f9\n");
    file_refused(file_write("loop", "[proxy]\ninclude = loop2\n", 0600),
                 "loop:2: cannot open 'loop2': No such file or directory\n");
    file_write("loop2", "\n\ninclude = ./loop\n", 0600);
    file_refused("loop", "loop2:3: include: a loop: loop > loop2 > ./loop\n");
    /* Twice the same file, one after the other, is no loop. */
    file_write("part", "users = a\n", 0600);
    file_loads(file_write("twice", "[rule r]\naction = deny\ninclude = part\ninclude = part\n",
                          0600),
               "");
}

/* All relative names start where the file is that has them. */
static void relative_paths(void **state)
{
    struct problems problems;
    mkdir("e", 0700);
    file_write("e/pw", "s\n", 0600);
    struct config *config =
        load_file(file_write("e/conf",
                             "[proxy]\ntls-ca-file = ca\n[log]\nfile = -\n"
                             "[backend]\npassword-file = pw\ntls-verify = full\n",
                             0600),
                  &problems);
    assert_non_null(config);
    assert_string_equal(config->proxy.tls_ca_file, "e/ca");
    assert_string_equal(config->log.file, "-");
    assert_string_equal(config->backend.password_file, "e/pw");
    assert_string_equal(config->backend.password, "s");
    config_free(config);
    problems_free(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openings),         cmocka_unit_test(writable_by_others),
        cmocka_unit_test(readable_secrets), cmocka_unit_test(password_files),
        cmocka_unit_test(include_in_place), cmocka_unit_test(mistakes_in_includes),
        cmocka_unit_test(include_depth),    cmocka_unit_test(relative_paths),
    };
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
