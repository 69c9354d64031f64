/*
 * test_net_tls.c - both ends of TLS connections in one thread, taking turns on a socket pair.
 */
#include "tls_private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define CERT(name) CERTS_DIR "/" name ".crt"
#define KEY(name)  CERTS_DIR "/" name ".key"

enum { CLIENT, SERVER };

static int64_t clock_ahead; /* seconds */
int64_t __real_clock_wall(void);
int64_t __wrap_clock_wall(void); /* all calls of clock_wall come here */
int64_t __wrap_clock_wall(void)
{
    return __real_clock_wall() + clock_ahead;
}

/* Mutual TLS with all in order; the tests below change one thing each. */
static const struct tls_settings client_settings = {
    .ca_file = CERT("ca"),
    .cert_file = CERT("client"),
    .key_file = KEY("client"),
    .verify_peer = true,
    .verify_name = true,
};
static const struct tls_settings server_settings = {
    .server = true,
    .ca_file = CERT("ca"),
    .cert_file = CERT("server"),
    .key_file = KEY("server"),
    .verify_peer = true,
};

static struct tls_context *context_make(const struct tls_settings *settings)
{
    char error[256] = "";
    struct tls_context *context = tls_context_new(settings, error);
    if (!context)
        fail_msg("%s", error);
    return context;
}

/* ---- two ends ------------------------------------------------------------------------------ */

struct pair {
    int fd[2];
    struct tls_session *end[2];
    enum tls_result result[2]; /* of the handshake */
};

static void pair_open(struct pair *pair, struct tls_context *client, struct tls_context *server,
                      const char *name)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair->fd), 0);
    pair->end[CLIENT] = tls_session_new(client, pair->fd[CLIENT], name);
    pair->end[SERVER] = tls_session_new(server, pair->fd[SERVER], NULL);
}

static bool is_final(enum tls_result result)
{
    return result != TLS_WANT_READ && result != TLS_WANT_WRITE;
}

/* Until both know the outcome. A client of TLS 1.3 is done before the server has judged its
 * certificate, and learns of the refusal from its first read. */
static void pair_handshake(struct pair *pair)
{
    pair->result[CLIENT] = pair->result[SERVER] = TLS_WANT_READ;
    for (int turn = 0; turn < 100; turn++)
        for (int end = CLIENT; end <= SERVER; end++)
            if (!is_final(pair->result[end]))
                pair->result[end] = tls_handshake(pair->end[end]);
    char byte;
    size_t count;
    if (pair->result[CLIENT] == TLS_DONE)
        pair->result[CLIENT] = tls_read(pair->end[CLIENT], &byte, 1, &count);
    if (pair->result[CLIENT] == TLS_WANT_READ) /* nothing came: the handshake stands */
        pair->result[CLIENT] = TLS_DONE;
}

static void pair_close(struct pair *pair)
{
    for (int end = CLIENT; end <= SERVER; end++) {
        tls_shutdown(pair->end[end]);
        tls_session_free(pair->end[end]);
        close(pair->fd[end]);
    }
}

static void pair_connect(struct pair *pair, struct tls_context *client, struct tls_context *server,
                         const char *name)
{
    pair_open(pair, client, server, name);
    pair_handshake(pair);
    for (int end = CLIENT; end <= SERVER; end++)
        if (pair->result[end] != TLS_DONE)
            fail_msg("%s: %s", end == CLIENT ? "client" : "server",
                     tls_session_error(pair->end[end]));
}

static void send_text(struct tls_session *session, const char *text)
{
    size_t count;
    assert_int_equal(tls_write(session, text, strlen(text), &count), TLS_DONE);
    assert_int_equal(count, strlen(text));
}

static void expect_text(struct tls_session *session, const char *text)
{
    char bytes[64];
    size_t count;
    assert_int_equal(tls_read(session, bytes, sizeof(bytes), &count), TLS_DONE);
    assert_int_equal(count, strlen(text));
    assert_memory_equal(bytes, text, count);
}

static void expect_str(struct str got, const char *expected)
{
    if (got.len != strlen(expected) || memcmp(got.ptr, expected, got.len) != 0)
        fail_msg("'%.*s' is not '%s'", (int)got.len, got.ptr, expected);
}

static void expect_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
    assert_null(strchr(text, '\n'));
}

/* ---- identity ------------------------------------------------------------------------------ */

static void test_mutual(void **state)
{
    struct tls_context *client = context_make(&client_settings);
    struct tls_context *server = context_make(&server_settings);
    struct pair pair;
    pair_connect(&pair, client, server, "localhost");
    assert_false(tls_resumed(pair.end[CLIENT]));
    expect_str(tls_peer_subject(pair.end[SERVER]), "CN=app,O=respgate test");
    expect_str(tls_peer_common_name(pair.end[SERVER]), "app");
    expect_str(tls_peer_common_name(pair.end[CLIENT]), "localhost");
    send_text(pair.end[CLIENT], "PING");
    expect_text(pair.end[SERVER], "PING");
    send_text(pair.end[SERVER], "PONG");
    expect_text(pair.end[CLIENT], "PONG");
    pair_close(&pair);
    tls_context_drop(client);
    tls_context_drop(server);
}

static void test_unverified_peer_has_no_identity(void **state)
{
    struct tls_settings lax = client_settings, open = server_settings;
    lax.verify_peer = lax.verify_name = false;
    open.verify_peer = false;
    open.cert_file = CERT("stranger");
    open.key_file = KEY("stranger");
    struct tls_context *client = context_make(&lax), *server = context_make(&open);
    struct pair pair;
    pair_connect(&pair, client, server, "no.such.name");
    expect_str(tls_peer_subject(pair.end[CLIENT]), "");
    expect_str(tls_peer_common_name(pair.end[CLIENT]), "");
    expect_str(tls_peer_subject(pair.end[SERVER]), "");
    pair_close(&pair);
    tls_context_drop(client);
    tls_context_drop(server);
}

static void test_accepted_names(void **state)
{
    static const char *const names[] = {"localhost", "localhost.", "LOCALHOST", "127.0.0.1"};
    struct tls_context *client = context_make(&client_settings);
    struct tls_context *server = context_make(&server_settings);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct pair pair;
        pair_connect(&pair, client, server, names[i]);
        const char *sni = SSL_get_servername(pair.end[SERVER]->ssl, TLSEXT_NAMETYPE_host_name);
        if (names[i][0] == '1')
            assert_null(sni); /* RFC 6066: addresses are not sent */
        else
            assert_int_equal(strncmp(sni, names[i], strlen("localhost")), 0);
        pair_close(&pair);
    }
    tls_context_drop(client);
    tls_context_drop(server);
}

/* A certificate authority that signs anything: itself, under a name made to mislead. */
static void write_self_signed(const char *path, const char *key_path, const char *common_name,
                              int len, bool twice)
{
    FILE *file = fopen(key_path, "r");
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    for (int i = 0; i < (twice ? 2 : 1); i++)
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name,
                                   len, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_sign(certificate, key, EVP_sha256());
    file = fopen(path, "w");
    PEM_write_X509(file, certificate);
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void check_odd_name(const char *common_name, int len, bool twice, const char *subject)
{
    write_self_signed(CERT("odd"), KEY("client"), common_name, len, twice);
    struct tls_settings odd_client = client_settings, odd_server = server_settings;
    odd_client.cert_file = odd_server.ca_file = CERT("odd");
    struct tls_context *client = context_make(&odd_client), *server = context_make(&odd_server);
    struct pair pair;
    pair_connect(&pair, client, server, "localhost");
    expect_str(tls_peer_common_name(pair.end[SERVER]), "");
    expect_str(tls_peer_subject(pair.end[SERVER]), subject);
    pair_close(&pair);
    tls_context_drop(client);
    tls_context_drop(server);
}

static void test_misleading_names_are_refused(void **state)
{
    check_odd_name("app\0.evil", 9, false, "");
    check_odd_name("app", 3, true, "CN=app,CN=app");
}

/* ---- failures ------------------------------------------------------------------------------ */

struct failure {
    const char *client_cert, *server_cert, *name;
    const char *client_error, *server_error; /* NULL: that end has no complaint */
};
static const struct failure failures[] = {
    {"client", "stranger", "localhost",
     "certificate verify failed: unable to get local issuer certificate (is its CA in "
     "tls-ca-file?)",
     "peer does not trust the CA of our certificate"},
    {"client", "expired", "localhost", "certificate verify failed: certificate has expired",
     "peer says our certificate has expired"},
    {"client", "wrong-name", "localhost", "hostname mismatch: certificate is not for localhost",
     "peer refuses our certificate"},
    {"client", "server", "127.0.0.2", "IP address mismatch: certificate is not for 127.0.0.2",
     "peer refuses our certificate"},
    {"client", "server", "evil\nname", "certificate is not for evil?name",
     "peer refuses our certificate"},
    {"client", "server", NULL, "no name to verify the certificate by", NULL},
    {NULL, "server", "localhost", "peer wants a certificate: set tls-cert-file",
     "peer sent no certificate, and one is required"},
    {"stranger", "server", "localhost", "peer does not trust the CA of our certificate",
     "certificate verify failed: unable to get local issuer certificate"},
    {"expired", "server", "localhost", "peer says our certificate has expired",
     "certificate verify failed: certificate has expired"},
};

static void check_failure(const struct failure *failure)
{
    char paths[4][256];
    snprintf(paths[0], sizeof(paths[0]), CERT("%s"), failure->client_cert);
    snprintf(paths[1], sizeof(paths[1]), KEY("%s"), failure->client_cert);
    snprintf(paths[2], sizeof(paths[2]), CERT("%s"), failure->server_cert);
    snprintf(paths[3], sizeof(paths[3]), KEY("%s"), failure->server_cert);
    struct tls_settings client_set = client_settings, server_set = server_settings;
    client_set.cert_file = failure->client_cert ? paths[0] : NULL;
    client_set.key_file = failure->client_cert ? paths[1] : NULL;
    server_set.cert_file = paths[2];
    server_set.key_file = paths[3];

    struct tls_context *client = context_make(&client_set), *server = context_make(&server_set);
    struct pair pair;
    pair_open(&pair, client, server, failure->name);
    pair_handshake(&pair);
    assert_int_equal(pair.result[CLIENT], TLS_FAILED);
    expect_contains(tls_session_error(pair.end[CLIENT]), failure->client_error);
    if (failure->server_error) {
        assert_int_equal(pair.result[SERVER], TLS_FAILED);
        expect_contains(tls_session_error(pair.end[SERVER]), failure->server_error);
    }
    pair_close(&pair);
    tls_context_drop(client);
    tls_context_drop(server);
}

static void test_failures(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(failures); i++)
        check_failure(&failures[i]);
}

/* One end speaks plain text, or leaves: what the other says of it. */
static void check_plain_peer(int end, const char *text, enum tls_result result, const char *error)
{
    const struct tls_settings *settings = end == CLIENT ? &client_settings : &server_settings;
    struct tls_context *context = context_make(settings);
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    assert_int_equal(write(fd[1], text, strlen(text)), strlen(text));
    shutdown(fd[1], SHUT_WR);
    struct tls_session *session = tls_session_new(context, fd[0], "localhost");
    assert_int_equal(tls_handshake(session), result);
    expect_contains(tls_session_error(session), error);
    tls_session_free(session);
    tls_context_drop(context);
    close(fd[0]);
    close(fd[1]);
}

static void test_plain_peers(void **state)
{
    check_plain_peer(SERVER, "*1\r\n$4\r\nPING\r\n", TLS_FAILED, "peer does not speak TLS");
    check_plain_peer(SERVER, "GET / HTTP/1.1\r\n\r\n", TLS_FAILED,
                     "peer does not speak TLS but HTTP");
    check_plain_peer(SERVER, "", TLS_CLOSED, ""); /* a probe */
    check_plain_peer(SERVER, "\x16\x03", TLS_FAILED, "peer closed the connection in the handshake");
    check_plain_peer(CLIENT, "-ERR Protocol error\r\n", TLS_FAILED, "peer does not speak TLS");
    check_plain_peer(CLIENT, "", TLS_FAILED, "peer closed the connection in the handshake");
}

/* ---- ends of a connection ------------------------------------------------------------------ */

static void check_end(bool goodbye)
{
    struct tls_context *client = context_make(&client_settings);
    struct tls_context *server = context_make(&server_settings);
    struct pair pair;
    char byte;
    size_t count;
    pair_connect(&pair, client, server, "localhost");
    send_text(pair.end[CLIENT], "QUIT");
    if (goodbye)
        tls_shutdown(pair.end[CLIENT]);
    else
        shutdown(pair.fd[CLIENT], SHUT_WR);
    assert_true(tls_read(pair.end[SERVER], &byte, 1, &count) == TLS_DONE && byte == 'Q');
    assert_true(tls_readable(pair.end[SERVER]));
    expect_text(pair.end[SERVER], "UIT");
    assert_int_equal(tls_read(pair.end[SERVER], &byte, 1, &count), TLS_CLOSED);
    assert_int_equal(tls_read(pair.end[SERVER], &byte, 1, &count), TLS_CLOSED);
    assert_false(tls_readable(pair.end[SERVER]));
    pair_close(&pair);
    tls_context_drop(client);
    tls_context_drop(server);
}

static void test_close_notify(void **state)
{
    check_end(true);
}

static void test_end_without_goodbye(void **state)
{
    check_end(false);
}

/* A TCP connection on loopback, in *fd with both ends non-blocking. */
static void tcp_pair(int fd[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&address, &size);
    fd[CLIENT] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd[CLIENT], (struct sockaddr *)&address, size), 0);
    fd[SERVER] = accept(listener, NULL, NULL);
    close(listener);
    for (int end = CLIENT; end <= SERVER; end++)
        fcntl(fd[end], F_SETFL, O_NONBLOCK);
}

static void test_reset_and_broken_pipe(void **state)
{
    struct tls_context *client = context_make(&client_settings);
    struct tls_context *server = context_make(&server_settings);
    struct pair pair;
    tcp_pair(pair.fd);
    pair.end[CLIENT] = tls_session_new(client, pair.fd[CLIENT], "localhost");
    pair.end[SERVER] = tls_session_new(server, pair.fd[SERVER], NULL);
    pair_handshake(&pair);
    assert_int_equal(pair.result[SERVER], TLS_DONE);
    struct linger at_once = {.l_onoff = 1};
    setsockopt(pair.fd[CLIENT], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    tls_session_free(pair.end[CLIENT]);
    close(pair.fd[CLIENT]);

    char byte;
    size_t count;
    assert_int_equal(tls_read(pair.end[SERVER], &byte, 1, &count), TLS_FAILED);
    expect_contains(tls_session_error(pair.end[SERVER]), "Connection reset by peer");
    assert_int_equal(tls_write(pair.end[SERVER], "x", 1, &count), TLS_FAILED);
    tls_shutdown(pair.end[SERVER]);
    tls_session_free(pair.end[SERVER]);
    close(pair.fd[SERVER]);
    tls_context_drop(client);
    tls_context_drop(server);
}

/* ---- resumption ---------------------------------------------------------------------------- */

/* Connects, says how it went, and leaves without a goodbye as a broken link does. */
static bool connect_resumed(struct tls_context *client, struct tls_context *server,
                            const char *name)
{
    struct pair pair;
    pair_connect(&pair, client, server, name);
    bool resumed = tls_resumed(pair.end[CLIENT]);
    assert_int_equal(tls_resumed(pair.end[SERVER]), resumed);
    expect_str(tls_peer_subject(pair.end[SERVER]), "CN=app,O=respgate test");
    expect_str(tls_peer_common_name(pair.end[CLIENT]), "localhost");
    for (int end = CLIENT; end <= SERVER; end++) {
        tls_session_free(pair.end[end]);
        close(pair.fd[end]);
    }
    return resumed;
}

static void check_resumption(int version)
{
    struct tls_context *client = context_make(&client_settings);
    struct tls_context *server = context_make(&server_settings);
    SSL_CTX_set_max_proto_version(server->ssl_ctx, version);
    assert_false(connect_resumed(client, server, "localhost"));
    for (int i = 0; i < 5; i++) /* each 1.3 connection brings the ticket for the next */
        assert_true(connect_resumed(client, server, "localhost"));
    /* A name verified once proves nothing for another one. */
    assert_false(connect_resumed(client, server, "127.0.0.1"));
    assert_true(connect_resumed(client, server, "127.0.0.1"));

    /* A new certificate of the server's (a restart, a reload) means a full handshake, no failure.
     */
    tls_context_drop(server);
    server = context_make(&server_settings);
    SSL_CTX_set_max_proto_version(server->ssl_ctx, version);
    assert_false(connect_resumed(client, server, "localhost"));
    tls_context_drop(client);
    tls_context_drop(server);
}

static void test_resumption_1_2(void **state)
{
    check_resumption(TLS1_2_VERSION);
}

static void test_resumption_1_3(void **state)
{
    check_resumption(TLS1_3_VERSION);
}

static void test_resumable_sessions_are_bounded(void **state)
{
    struct tls_settings lax = client_settings;
    lax.verify_name = false;
    struct tls_context *client = context_make(&lax), *server = context_make(&server_settings);
    SSL_CTX_set_num_tickets(server->ssl_ctx, 7);
    connect_resumed(client, server, "localhost");
    assert_int_equal(client->resumable_count, 4);
    for (int i = 0; i < 50; i++) {
        char name[32];
        snprintf(name, sizeof(name), "node%d", i);
        connect_resumed(client, server, name);
    }
    assert_int_equal(client->resumable_count, 128);
    tls_context_drop(client);
    tls_context_drop(server);
}

/* Each resumed connection could lead to the next, for ever; a certificate's end must still count.
 */
static void check_resumption_after_expiry(int version)
{
    write_self_signed(CERT("odd"), KEY("client"), "brief", 5, false); /* valid for an hour */
    struct tls_settings brief_client = client_settings, brief_server = server_settings;
    brief_client.cert_file = brief_server.ca_file = CERT("odd");
    struct tls_context *client = context_make(&brief_client), *server = context_make(&brief_server);
    SSL_CTX_set_max_proto_version(server->ssl_ctx, version);
    struct pair pair;
    pair_connect(&pair, client, server, "localhost");
    pair_close(&pair);
    clock_ahead = 3610;
    pair_open(&pair, client, server, "localhost");
    pair_handshake(&pair);
    clock_ahead = 0;
    assert_true(tls_resumed(pair.end[SERVER]));
    assert_int_equal(pair.result[SERVER], TLS_FAILED);
    expect_contains(tls_session_error(pair.end[SERVER]),
                    "certificate verify failed: certificate has expired");
    char byte;
    size_t count;
    assert_int_equal(tls_read(pair.end[SERVER], &byte, 1, &count), TLS_FAILED);
    assert_int_equal(tls_write(pair.end[SERVER], "x", 1, &count), TLS_FAILED);
    pair_close(&pair);
    tls_context_drop(client);
    tls_context_drop(server);
}

static void test_resumption_ends_with_the_certificate(void **state)
{
    check_resumption_after_expiry(TLS1_2_VERSION);
    check_resumption_after_expiry(TLS1_3_VERSION);
}

/* ---- many bytes, many threads -------------------------------------------------------------- */

enum { TRANSFER = 3 * 1024 * 1024 + 7 };

/* What both ends know of the byte at a place, so that no copy of the stream is needed. */
static char byte_at(size_t at)
{
    return (char)(at * 2654435761u >> 13);
}

/* As the caller's flush: gathers into one place that moves, tries again with no fewer bytes. */
static size_t send_some(struct tls_session *session, size_t at)
{
    size_t len = TRANSFER - at < 40000 ? TRANSFER - at : 40000, count = 0;
    char *moving = xmalloc(len);
    for (size_t i = 0; i < len; i++)
        moving[i] = byte_at(at + i);
    enum tls_result result = tls_write(session, moving, len, &count);
    assert_true(result == TLS_DONE || result == TLS_WANT_WRITE);
    free(moving);
    return at + count;
}

static size_t receive_some(struct tls_session *session, size_t at)
{
    char bytes[5000];
    size_t count = 0;
    do {
        enum tls_result result = tls_read(session, bytes, sizeof(bytes), &count);
        assert_true(result == TLS_DONE || result == TLS_WANT_READ);
        for (size_t i = 0; i < count; i++)
            if (bytes[i] != byte_at(at + i))
                fail_msg("byte %zu differs", at + i);
        at += count;
    } while (tls_readable(session)); /* the socket would not tell of these */
    return at;
}

static void test_transfer_through_tiny_buffers(void **state)
{
    struct tls_context *client = context_make(&client_settings);
    struct tls_context *server = context_make(&server_settings);
    struct pair pair;
    size_t sent[2] = {0}, received[2] = {0};
    pair_connect(&pair, client, server, "localhost");
    for (int end = CLIENT; end <= SERVER; end++) {
        int size = 4096;
        setsockopt(pair.fd[end], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
    while (received[CLIENT] < TRANSFER || received[SERVER] < TRANSFER)
        for (int end = CLIENT; end <= SERVER; end++) { /* both directions at once */
            sent[end] = send_some(pair.end[end], sent[end]);
            received[end] = receive_some(pair.end[end], received[end]);
        }
    assert_int_equal(received[CLIENT] + received[SERVER], 2 * TRANSFER);
    pair_close(&pair);
    tls_context_drop(client);
    tls_context_drop(server);
}

/* Half a record is in OpenSSL's buffer, but nothing to be had from it: a caller that went by
 * "something is pending" would spin until the rest comes. */
static void test_half_a_record_is_not_readable(void **state)
{
    struct tls_context *client = context_make(&client_settings);
    struct tls_context *server = context_make(&server_settings);
    struct pair pair;
    static char bytes[16384];
    int size = 1;
    size_t count;
    pair_connect(&pair, client, server, "localhost");
    setsockopt(pair.fd[CLIENT], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    assert_int_equal(tls_write(pair.end[CLIENT], bytes, sizeof(bytes), &count), TLS_WANT_WRITE);
    assert_int_equal(tls_read(pair.end[SERVER], bytes, sizeof(bytes), &count), TLS_WANT_READ);
    assert_true(SSL_has_pending(pair.end[SERVER]->ssl));
    assert_false(tls_readable(pair.end[SERVER]));
    pair_close(&pair);
    tls_context_drop(client);
    tls_context_drop(server);
}

static struct tls_context *shared[2];

/* No assertions in threads other than cmocka's own: failures are counted. */
static void *connect_often(void *failed)
{
    for (int i = 0; i < 60; i++) {
        struct pair pair;
        pair_open(&pair, shared[CLIENT], shared[SERVER], i & 1 ? "localhost" : "127.0.0.1");
        pair_handshake(&pair);
        if (pair.result[CLIENT] != TLS_DONE || pair.result[SERVER] != TLS_DONE)
            (*(int *)failed)++;
        pair_close(&pair);
    }
    return NULL;
}

static void check_threads(int version)
{
    pthread_t threads[2];
    int failed[2] = {0};
    shared[CLIENT] = context_make(&client_settings);
    shared[SERVER] = context_make(&server_settings);
    SSL_CTX_set_max_proto_version(shared[SERVER]->ssl_ctx, version);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, connect_often, &failed[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(failed[0] + failed[1], 0);
    tls_context_drop(shared[CLIENT]);
    tls_context_drop(shared[SERVER]);
}

static void test_threads_share_a_context(void **state)
{
    check_threads(TLS1_2_VERSION);
    check_threads(TLS1_3_VERSION);
}

/* ---- contexts ------------------------------------------------------------------------------ */

static const struct {
    struct tls_settings settings;
    const char *error;
} bad_settings[] = {
    {{.ca_file = "/no/such/file"}, "tls-ca-file /no/such/file: No such file or directory"},
    {{.ca_file = CERTS_DIR}, "tls-ca-file " CERTS_DIR ": Is a directory"},
    {{.ca_file = CERTS_SH}, "tls-ca-file " CERTS_SH ": holds nothing of that kind"},
    {{.cert_file = "/x", .key_file = KEY("client")}, "tls-cert-file /x: No such file"},
    {{.cert_file = CERT("client"), .key_file = "/x/y"}, "tls-key-file /x/y: No such file"},
    {{.cert_file = CERT("client")}, "tls-key-file is not set"},
    {{.key_file = KEY("client")}, "tls-cert-file is not set"},
    {{.cert_file = KEY("client"), .key_file = KEY("client")},
     "tls-cert-file " KEY("client") ": holds nothing of that kind"},
    {{.cert_file = CERT("client"), .key_file = CERT("client")},
     "tls-key-file " CERT("client") ": holds nothing of that kind"},
    {{.cert_file = CERT("client"), .key_file = KEY("server")},
     "tls-key-file does not match tls-cert-file"},
    {{.cert_file = CERT("client"), .key_file = KEY("rsa")},
     "tls-key-file does not match tls-cert-file"},
    {{.cert_file = CERT("client"), .key_file = KEY("encrypted")},
     "tls-key-file " KEY("encrypted") ": is encrypted"},
    {{.server = true}, "tls-cert-file is not set"},
    {{.server = true, .verify_peer = true, .cert_file = CERT("server"), .key_file = KEY("server")},
     "tls-ca-file is not set: tls-auth-clients needs it"},
};

static void test_bad_settings(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad_settings); i++) {
        char error[256] = "";
        struct tls_context *context = tls_context_new(&bad_settings[i].settings, error);
        assert_null(context);
        expect_contains(error, bad_settings[i].error);
    }
}

static void test_expiry(void **state)
{
    struct tls_settings settings = server_settings;
    settings.cert_file = CERT("expired");
    settings.key_file = KEY("expired");
    struct tls_context *context = context_make(&settings);
    assert_int_equal(tls_context_expiry(context), 1580515200); /* 2020-02-01 */
    tls_context_drop(context);

    context = context_make(&(struct tls_settings){.ca_file = CERT("ca")});
    int64_t years = (tls_context_expiry(context) - time(NULL)) / (365 * 86400);
    assert_true(years >= 8 && years <= 10);
    tls_context_drop(context);

    context = context_make(&(struct tls_settings){.verify_peer = true});
    assert_int_equal(tls_context_expiry(context), 0);
    struct tls_context *held = tls_context_hold(context);
    tls_context_drop(context);
    assert_int_equal(tls_context_expiry(held), 0);
    tls_context_drop(held);
    tls_context_drop(NULL);
}

static int certificates_make(void **state)
{
    signal(SIGPIPE, SIG_IGN); /* as main does */
    return system("sh " CERTS_SH " " CERTS_DIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mutual),
        cmocka_unit_test(test_unverified_peer_has_no_identity),
        cmocka_unit_test(test_accepted_names),
        cmocka_unit_test(test_misleading_names_are_refused),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_plain_peers),
        cmocka_unit_test(test_close_notify),
        cmocka_unit_test(test_end_without_goodbye),
        cmocka_unit_test(test_reset_and_broken_pipe),
        cmocka_unit_test(test_resumption_1_2),
        cmocka_unit_test(test_resumption_1_3),
        cmocka_unit_test(test_resumable_sessions_are_bounded),
        cmocka_unit_test(test_resumption_ends_with_the_certificate),
        cmocka_unit_test(test_transfer_through_tiny_buffers),
        cmocka_unit_test(test_half_a_record_is_not_readable),
        cmocka_unit_test(test_threads_share_a_context),
        cmocka_unit_test(test_bad_settings),
        cmocka_unit_test(test_expiry),
    };
    return cmocka_run_group_tests(tests, certificates_make, NULL);
}
