/* test_check.c - values, ranges, contradictions between options, overrides and reload. */
#include "helper.h"

#define SHA "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

static void defaults(void **state)
{
    struct config *config = loads("");
    assert_int_equal(config->proxy.listen_count, 1);
    assert_string_equal(config->proxy.listen[0].host, "127.0.0.1");
    assert_int_equal(config->proxy.listen[0].port, 6380);
    assert_int_equal(config->proxy.threads, 1);
    assert_int_equal(config->proxy.anonymous, ANONYMOUS_NO);
    assert_false(config->proxy.observe);
    assert_int_equal(config->proxy.client_output_soft_limit, 256 << 20);
    assert_int_equal(config->proxy.client_output_soft_time, 60000);
    assert_int_equal(config->proxy.max_value_size, 512 << 20);
    assert_int_equal(config->log.level, LOG_INFO);
    assert_string_equal(config->log.file, "-");
    assert_string_equal(config->backend.url[0].text, "redis://127.0.0.1:6379");
    assert_int_equal(config->backend.mode, MODE_AUTO);
    assert_true(config->backend.dial_rate == 10.0);
    assert_int_equal(config->backend.tls_verify, VERIFY_FULL);
    assert_null(config->backend.username);
    assert_null(config->backend.control_username);
    assert_int_equal(config->user_count, 0);
    assert_int_equal(config->rule_count, 0);
    config_free(config);
}

static void every_field_is_set(void **state)
{
    struct config *config = loads("[proxy]\nthreads = 0\nanonymous = backend\nobserve = yes\n"
                                  "client-output-soft-limit = 1mb   5s\nlearned = none\n"
                                  "[log]\nformat = json\nlevel = debug\n"
                                  "[backend]\nmode = standalone\ntls-verify = ca\n"
                                  "url = rediss://h\ndial-rate = 30/m\npark-timeout = 0\n"
                                  "[user u]\npassword-sha256 = " SHA "\nadmin = yes\n"
                                  "max-clients = 7\n"
                                  "[rule r]\ncommands = get\ndb = 0, 3\nfrom = 10.0.0.0/8\n"
                                  "action = allow\nmode = observe\n");
    assert_true(config->proxy.threads >= 1);
    assert_int_equal(config->proxy.anonymous, ANONYMOUS_BACKEND);
    assert_true(config->proxy.observe);
    assert_int_equal(config->proxy.client_output_soft_limit, 1 << 20);
    assert_int_equal(config->proxy.client_output_soft_time, 5000);
    assert_int_equal(config->proxy.learned, LEARNED_NONE);
    assert_true(config->log.json);
    assert_int_equal(config->log.level, LOG_DEBUG);
    assert_int_equal(config->backend.mode, MODE_STANDALONE);
    assert_int_equal(config->backend.tls_verify, VERIFY_CA);
    assert_true(config->backend.url[0].tls);
    assert_true(config->backend.dial_rate == 0.5);
    assert_int_equal(config->backend.park_timeout, 0);
    assert_true(config->users[0].admin);
    assert_int_equal(config->users[0].max_clients, 7);
    assert_int_equal(config->rules[0].action, ACTION_ALLOW);
    assert_true(config->rules[0].has_action);
    assert_int_equal(config->rules[0].mode, RULE_OBSERVE);
    assert_int_equal(config->rules[0].db.count, 2);
    config_free(config);
}

static void ranges(void **state)
{
    refused("[proxy]\nmax-clients = 0\n", "t:2: max-clients: '0' is too small, at least 1\n");
    refused("[proxy]\nthreads = 257\n", "t:2: threads: '257' is too large, at most 256\n");
    refused("[proxy]\nthreads = -1\n", "t:2: threads: '-1' is not a whole number\n");
    refused("[proxy]\nthreads =\n", "t:2: threads: '' is not a whole number\n");
    refused("[proxy]\nhandshake-timeout = 0\n",
            "t:2: handshake-timeout: '0' is too small, at least 1ms\n");
    refused("[proxy]\nhandshake-timeout = 10\n",
            "t:2: handshake-timeout: '10' is not a duration such as 500ms, 10s, 5m or 7d\n");
    refused("[proxy]\ndrain-timeout = 3651d\n",
            "t:2: drain-timeout: '3651d' is too large, at most 3650d\n");
    refused("[proxy]\nmax-key-size = 64kbit\n",
            "t:2: max-key-size: '64kbit' is not a size such as 64kb, 10mb or 1gb\n");
    refused("[proxy]\nmax-request-size = 1125899906842625\n",
            "t:2: max-request-size: '1125899906842625' is too large, at most 1048576gb\n");
    refused(
        "[proxy]\nclient-output-soft-limit = 1mb\n",
        "t:2: client-output-soft-limit: '1mb' is not a size and a duration such as 256mb 60s\n");
    refused("[backend]\ndial-rate = 10\n",
            "t:2: dial-rate: '10' is not a rate such as 100/s or 5000/m\n");
    refused("[proxy]\nobserve = true\n", "t:2: observe: 'true' is not one of no, yes\n");
    refused("[proxy]\nobserve = Yes\n",
            "t:2: observe: 'Yes' is not one of no, yes; did you mean 'yes'?\n");
    config_free(loads("[proxy]\nthreads = 256\nmax-clients = 1\ndrain-timeout = 3650d\n"));
}

/* What no file says is no word. */
static void choice_not_set(void **state)
{
    struct config *config = loads("[rule a]\naction = allow\n"
                                  "[rule b]\naction = allow\nread-from = nearest\n");
    assert_int_equal(config->backend.read_from, READ_PRIMARY);
    assert_int_equal(config->rules[0].read_from, READ_UNSET);
    assert_int_equal(config->rules[1].read_from, READ_NEAREST);
    config_free(config);
    refused("[rule r]\naction = allow\nread-from =\n",
            "t:3: read-from: '' is not one of primary, prefer-replica, nearest\n");
    refused("[backend]\nread-from = \"\"\n",
            "t:2: read-from: '' is not one of primary, prefer-replica, nearest\n");
}

static void seeds(void **state)
{
    config_free(loads("[backend]\nurl = redis://a, redis://b\n"));
    config_free(loads("[backend]\nurl = rediss://a, rediss://b\nmode = cluster\n"));
    refused("[backend]\nurl = redis://a, redis://b\nmode = standalone\n",
            "t:2: url: several addresses belong to a cluster, and mode is standalone\n");
    refused("[backend]\nurl = redis://a, rediss://b\n",
            "t:2: url: redis:// and rediss:// do not go together\n");
    refused("[backend]\nurl = redis://a, unix:///r.sock\n",
            "t:2: url: a unix socket is no seed of a cluster\n");
}

static void limits_in_order(void **state)
{
    refused("[proxy]\nmax-request-size = 1mb\nmax-value-size = 2mb\n",
            "t:3: 'max-value-size' is above 'max-request-size'\n");
    refused("[proxy]\nmax-value-size = 2gb\n",
            "t:2: 'max-value-size' is above 'max-request-size'\n");
    refused("[proxy]\nclient-output-soft-limit = 2gb 1s\n",
            "t:2: 'client-output-soft-limit' is above 'client-output-limit'\n");
    refused("[backend]\nmax-links = 1\nlinks = 2\n", "t:3: 'links' is above 'max-links'\n");
    config_free(loads("[proxy]\nmax-request-size = 1mb\nclient-output-limit = 1mb\n"));
    config_free(loads("[proxy]\nmax-request-size = 1mb\nmax-value-size = 1mb\n"));
    config_free(loads("[proxy]\nclient-output-limit = 0\nclient-output-soft-limit = 2gb 1s\n"));
    config_free(loads("[proxy]\nclient-output-soft-limit = 0 0\n"));
}

static void listeners(void **state)
{
    refused("[proxy]\nlisten = 6380, 6381\nlisten = 6380\n",
            "t:3: listen: '6380' is listed twice\n");
    refused("[proxy]\nlisten = *:6380\n",
            "t:2: listen: '*:6380' is no address: '*' is not an address: 0.0.0.0 is every IPv4 "
            "one, [::] every IPv6 one\n");
    refused("[proxy]\nlisten = tls://6390\n",
            "t:2: listen: 'tls://6390' needs tls-cert-file and tls-key-file\n");
    refused("[proxy]\ntls-cert-file = c\n", "t:2: tls-cert-file and tls-key-file go together\n");
    refused("[proxy]\ntls-auth-clients = yes\n",
            "t:2: 'tls-auth-clients = yes' needs tls-ca-file\n"
            "t:2: 'tls-auth-clients = yes' guards nothing: no listener is tls://\n");
    refused("[proxy]\nlisten = 0.0.0.0:1\nanonymous = backend\n",
            "t:2: 'anonymous = backend' opens '0.0.0.0:1' to everybody: it is neither loopback nor "
            "unix nor TLS with tls-auth-clients\n");
    refused("[proxy]\nlisten = tls://0.0.0.0:1\nanonymous = backend\ntls-cert-file = c\n"
            "tls-key-file = k\n",
            "t:2: 'anonymous = backend' opens 'tls://0.0.0.0:1' to everybody: it is neither "
            "loopback nor unix nor TLS with tls-auth-clients\n");
    config_free(loads("[proxy]\nlisten = tls://0.0.0.0:1, unix:/a, [::1]:2, 3\n"
                      "anonymous = backend\ntls-cert-file = c\ntls-key-file = k\n"
                      "tls-ca-file = a\ntls-auth-clients = yes\n"));
}

static void users(void **state)
{
    refused("[user a]\n", "t:1: [user a] cannot log in: neither password-sha256 nor tls-subject\n");
    refused("[user a]\ntls-subject = CN=a\n",
            "t:1: [user a] has a tls-subject: needs 'tls-auth-clients = yes' in [proxy]\n");
    refused("[user a]\npassword-sha256 = " SHA "\nbackend-username = b\n",
            "t:1: [user a]: backend-username and backend-password-file go together\n");
    refused("[user a]\npassword-sha256 = " SHA "0\npassword-sha256 = g" SHA "\n",
            "t:2: password-sha256: not a SHA-256 of 64 hex digits\n"
            "t:3: password-sha256: not a SHA-256 of 64 hex digits\n"
            "t:1: [user a] cannot log in: neither password-sha256 nor tls-subject\n");
    struct config *config =
        loads("[user default]\npassword-sha256 = "
              "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08, " SHA "\n");
    assert_int_equal(config->users[0].password_sha256.count, 2);
    assert_string_equal(config->users[0].password_sha256.items[0].ptr, SHA);
    config_free(config);
}

static void identities(void **state)
{
    struct config *config = loads("[backend]\nurl = redis://u:p@h\n");
    assert_string_equal(config->backend.username, "u");
    assert_string_equal(config->backend.password, "p");
    assert_string_equal(config->backend.control_username, "u");
    assert_string_equal(config->backend.control_password, "p");
    assert_null(strchr(config->backend.url[0].text, '@'));
    config_free(config);
    refused("[backend]\nurl = redis://u:p@h\nusername = v\n",
            "t:3: 'username' is set and the url has one too\n");
    refused("[backend]\nusername = v\n", "t:2: a username needs a password: set password-file\n");
    refused("[backend]\nurl = redis://v@h\n",
            "t:2: a username needs a password: set password-file\n");
    refused("[backend]\ncontrol-username = v\n",
            "t:2: 'control-username' needs control-password-file\n");
    refused("[backend]\nurl = redis://h/3\n",
            "t:2: url: a database cannot be chosen here: clients choose theirs with SELECT\n");
}

static void warnings(void **state)
{
    struct problems problems = {0};
    struct config *config =
        config_load_text("t", STR("[backend]\ntls-ca-file = a\n"), NULL, &problems);
    assert_non_null(config);
    assert_string_equal(problems_text(&problems),
                        "t:2: warning: 'tls-ca-file' means nothing: the url is not rediss://\n");
    assert_int_equal(problems.warnings, 1);
    config_free(config);
    problems_free(&problems);
}

static void overrides_replace(void **state)
{
    struct problems problems = {0};
    struct config_overrides overrides = {"7000, unix:/x", "rediss://o:q@host"};
    struct config *config =
        config_load_text("t", STR("[proxy]\nlisten = 1, 2, 3\n[backend]\nurl = redis://u:p@h\n"),
                         &overrides, &problems);
    assert_non_null(config);
    assert_int_equal(config->proxy.listen_count, 2);
    assert_int_equal(config->proxy.listen[0].port, 7000);
    assert_string_equal(config->backend.url[0].text, "rediss://host:6379");
    assert_string_equal(config->backend.username, "o");
    assert_string_equal(config->backend.password, "q");
    config_free(config);
    overrides = (struct config_overrides){"70000", "redis://:secret@h/7"};
    assert_null(config_load_text("t", STR("[proxy]\nlisten = x\n"), &overrides, &problems));
    assert_string_equal(problems_text(&problems),
                        "t:2: listen: 'x' is no address: the port is missing\n"
                        "(command line): listen: '70000' is no address: the port must be 1 to "
                        "65535\n"
                        "(command line): url: a database cannot be chosen here: clients choose "
                        "theirs with SELECT\n");
    problems_free(&problems);
}

static void reload_is(const char *old_text, const char *new_text, const char *expected)
{
    struct config *old = loads(old_text), *new = loads(new_text);
    struct problems problems = {0};
    config_check_reload(old, new, &problems);
    assert_string_equal(problems_text(&problems), expected);
    problems_free(&problems);
    config_free(old);
    config_free(new);
}

static void reloads(void **state)
{
    reload_is("", "", "");
    reload_is("[proxy]\nmax-clients = 1\n[log]\nlevel = debug\n",
              "[backend]\nrequest-timeout = 9s\n[rule a]\naction = deny\n", "");
    reload_is("", "[proxy]\nlisten = 1\nthreads = 2\n",
              "t:2: 'listen' cannot change at run time: restart respgate\n"
              "t:3: 'threads' cannot change at run time: restart respgate\n");
    reload_is("[proxy]\nthreads = 2\n", "",
              "t: 'threads' cannot change at run time: restart respgate\n");
}

static bool moves(const char *old_text, const char *new_text)
{
    struct config *old = loads(old_text), *new = loads(new_text);
    bool result = config_moves(old, new);
    config_free(old);
    config_free(new);
    return result;
}

static void reload_that_moves(void **state)
{
    assert_false(moves("", ""));
    assert_false(moves("", "[backend]\nurl = redis://127.0.0.1:6379\npark-timeout = 5s\n"));
    assert_true(moves("", "[backend]\nurl = redis://other\n"));
    assert_true(moves("", "[backend]\nmode = cluster\n"));
    assert_true(moves("[backend]\nurl = redis://:a@h\n", "[backend]\nurl = redis://:b@h\n"));
    assert_true(moves("[backend]\nurl = redis://a:x@h\n", "[backend]\nurl = redis://b:x@h\n"));
    assert_true(moves("[backend]\nurl = rediss://h\n",
                      "[backend]\nurl = rediss://h\ntls-server-name = other\n"));
}

static void scripts(void **state)
{
    refused("[scripts]\nmode = acl\n", "t:2: 'mode = acl' needs username and password-file\n");
    refused("[scripts]\nallow-sha1 = 6b1b\n",
            "t:2: allow-sha1: '6b1b' is not a SHA-1 of 40 hex digits\n");
    refused("[scripts]\nallow-files = none-*.lua\n", "t:2: there is no file 'none-*.lua'\n");
    file_write("one.lua", "return 1", 0600);
    file_write("two.lua", "return 2\n", 0600);
    struct config *config = loads("[scripts]\nallow-files = one.lua, t*.lua\n");
    assert_int_equal(config->scripts.bodies.count, 2);
    assert_true(str_equal(config->scripts.bodies.items[1], STR("return 2\n")));
    assert_int_equal(config->scripts.mode, SCRIPTS_INSPECT);
    config_free(config);
    file_write("open.lua", "return 3", 0622);
    refused("[scripts]\nallow-files = open.lua\n",
            "t:2: 'open.lua' can be written by group or others (mode 622): chmod go-w\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_field_is_set),
        cmocka_unit_test(ranges),
        cmocka_unit_test(choice_not_set),
        cmocka_unit_test(seeds),
        cmocka_unit_test(limits_in_order),
        cmocka_unit_test(listeners),
        cmocka_unit_test(users),
        cmocka_unit_test(identities),
        cmocka_unit_test(warnings),
        cmocka_unit_test(overrides_replace),
        cmocka_unit_test(reloads),
        cmocka_unit_test(reload_that_moves),
        cmocka_unit_test(scripts),
    };
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
