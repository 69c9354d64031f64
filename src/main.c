/* main.c - the command line and the order of the start. */
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "respgate/admin.h"

static const char usage[] =
    "respgate - a gate in front of Redis: refuses what destroys, forwards the rest\n"
    "\n"
    "  respgate -c FILE                 run in the foreground with this configuration\n"
    "  respgate -t -c FILE              check it: \"ok\", or every mistake as FILE:LINE: text\n"
    "  respgate --listen 6380 --backend redis://127.0.0.1:6379\n"
    "                                   no file needed: the shipped rules are in force\n"
    "\n"
    "  -c, --config FILE                configuration file (see conf/README.md)\n"
    "  -t, --test                       check the configuration and exit\n"
    "      --connect                with -t: also log in to the backend and look at its settings\n"
    "      --listen ADDRESS             instead of [proxy] listen: PORT (on 127.0.0.1), "
    "HOST:PORT,\n"
    "                                   tls://HOST:PORT, unix:/PATH\n"
    "      --backend URL                instead of [backend] url: redis://, rediss://, unix://;\n"
    "                                   also from the environment: RESPGATE_BACKEND\n"
    "      --print-config               print the configuration in force and exit\n"
    "      --print-acl                  print ACL SETUSER lines: what the rules refuse, for the "
    "store\n"
    "                                   to refuse as well\n"
    "      --version                    print the version and exit\n"
    "  -h, --help                       this text\n"
    "\n"
    "Signals: SIGHUP reloads the configuration (all or nothing), SIGTERM and SIGINT drain and exit "
    "0,\n"
    "SIGUSR1 reopens the log file.\n";

struct command_line {
    const char *config;
    struct config_overrides overrides;
    bool test, connect, print_config, print_acl;
};

/* A URL may hold a password: others must not read it in the process list. */
static const char *hidden_copy(char *arg)
{
    char *copy = xstrdup(arg);
    memset(arg, 'x', strlen(arg));
    return copy;
}

/* -1: go on; else the exit code. */
static int read_command_line(int argc, char **argv, struct command_line *line)
{
    enum { LISTEN = 256, BACKEND, CONNECT, PRINT_CONFIG, PRINT_ACL, VERSION };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"test", no_argument, NULL, 't'},
        {"listen", required_argument, NULL, LISTEN},
        {"backend", required_argument, NULL, BACKEND},
        {"connect", no_argument, NULL, CONNECT},
        {"print-config", no_argument, NULL, PRINT_CONFIG},
        {"print-acl", no_argument, NULL, PRINT_ACL},
        {"version", no_argument, NULL, VERSION},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    char *from_env = getenv("RESPGATE_BACKEND");
    if (from_env && *from_env) {
        line->overrides.backend = hidden_copy(from_env);
        unsetenv("RESPGATE_BACKEND");
    }
    for (int option; (option = getopt_long(argc, argv, "c:th", options, NULL)) != -1;) {
        switch (option) {
        case 'c': line->config = optarg; break;
        case 't': line->test = true; break;
        case LISTEN: line->overrides.listen = optarg; break;
        case BACKEND: line->overrides.backend = hidden_copy(optarg); break;
        case CONNECT: line->connect = true; break;
        case PRINT_CONFIG: line->print_config = true; break;
        case PRINT_ACL: line->print_acl = true; break;
        case VERSION: printf("respgate %s\n", RESPGATE_VERSION); return 0;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs("Try 'respgate --help'.\n", stderr); return 1;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "respgate: unexpected argument '%s'. Try 'respgate --help'.\n",
                argv[optind]);
        return 1;
    }
    if (!line->config && !line->overrides.backend && !line->overrides.listen && !line->test &&
        !line->print_config && !line->print_acl) {
        fputs(usage, stderr);
        return 1;
    }
    return -1;
}

static void print_problems(struct problems *problems)
{
    if (problems->text.len)
        fwrite(problems->text.ptr, 1, problems->text.len, stderr);
    problems_free(problems);
}

static int print_config(const struct command_line *line)
{
    struct problems problems = {0};
    struct buf text = {0};
    struct config *config = config_load(line->config, &line->overrides, &problems);
    print_problems(&problems);
    if (!config)
        return 1;
    config_print(config, &text);
    fwrite(text.ptr, 1, text.len, stdout);
    buf_free(&text);
    config_free(config);
    return 0;
}

static int print_acl(struct snapshot *snapshot)
{
    struct buf text = {0};
    policy_acl(snapshot->policy, snapshot->config, snapshot->commands, &text);
    fwrite(text.ptr, 1, text.len, stdout);
    buf_free(&text);
    snapshot_drop(snapshot);
    return 0;
}

/* Large buffers come from the system and go back to it when freed; left to itself glibc would raise
 * this bound with every large one freed, and keep what a burst needed. */
enum { SYSTEM_ALLOCATION = 1024 * 1024 };

int main(int argc, char **argv)
{
    mallopt(M_MMAP_THRESHOLD, SYSTEM_ALLOCATION);
    static struct command_line line; /* its strings live as long as the process */
    struct problems problems = {0};
    int code = read_command_line(argc, argv, &line);
    if (code >= 0)
        return code;
    if (line.print_config)
        return print_config(&line);
    struct snapshot *snapshot = snapshot_load(line.config, &line.overrides, NULL, &problems);
    print_problems(&problems);
    if (!snapshot)
        return 1;
    if (line.print_acl)
        return print_acl(snapshot);
    if (line.test && line.connect) {
        bool reached = proxy_check_backend(snapshot);
        puts(reached ? "ok" : "the backend cannot be used");
        return reached ? 0 : 1;
    }
    if (line.test) {
        puts("ok");
        snapshot_drop(snapshot);
        return 0;
    }
    const struct config *config = snapshot->config;
    if (!log_open(config->log.file, config->log.level, config->log.json)) {
        fprintf(stderr, "respgate: cannot open the log file %s\n", config->log.file);
        return 1;
    }
    return proxy_run(snapshot, line.config, &line.overrides, &admin_side);
}
