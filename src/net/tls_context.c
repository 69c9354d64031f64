/*
 * tls_context.c - certificates and settings of TLS connections, and the sessions they resume.
 *
 * A context is made once from its files and shared by threads; only its store of sessions changes
 * after that, and has a lock. TLS 1.2 is the oldest version spoken.
 */
#include "tls_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    /* Enough for the links that come back together after a server's restart; a session with its
     * certificate takes some kB. */
    RESUMABLE_PER_NAME = 4,
    RESUMABLE_MAX = 128,
};

/* A session some server gave us, kept for the next connection to the same name. */
struct resumable {
    struct list node;
    SSL_SESSION *session;
    char name[];
};

/* ---- sessions to resume ---- */

static void resumable_drop(struct tls_context *context, struct resumable *entry)
{
    list_remove(&entry->node);
    context->resumable_count--;
    SSL_SESSION_free(entry->session);
    free(entry);
}

/* Makes room: never more than the last few of one name, nor of all. */
static void resumable_trim(struct tls_context *context, const char *name)
{
    struct resumable *oldest = NULL;
    size_t same = 0;
    list_each (it, &context->resumable) {
        struct resumable *entry = CONTAINER(it, struct resumable, node);
        if (strcmp(entry->name, name) != 0)
            continue;
        if (same++ == 0)
            oldest = entry;
    }
    if (same >= RESUMABLE_PER_NAME)
        resumable_drop(context, oldest);
    else if (context->resumable_count >= RESUMABLE_MAX)
        resumable_drop(context, CONTAINER(context->resumable.next, struct resumable, node));
}

/* OpenSSL's new-session callback; with TLS 1.3 it comes from a read, once for each ticket. */
static int resumable_store(SSL *ssl, SSL_SESSION *ssl_session)
{
    struct tls_session *session = SSL_get_app_data(ssl);
    struct tls_context *context = session->context;
    size_t size = strlen(session->server_name) + 1;
    struct resumable *entry = xmalloc(sizeof(*entry) + size);
    entry->session = ssl_session;
    memcpy(entry->name, session->server_name, size);

    pthread_mutex_lock(&context->lock);
    resumable_trim(context, entry->name);
    list_append(&context->resumable, &entry->node);
    context->resumable_count++;
    pthread_mutex_unlock(&context->lock);
    return 1; /* the reference is ours now */
}

static bool resumable_fresh(const SSL_SESSION *session)
{
    int64_t age = clock_wall() - SSL_SESSION_get_time(session);
    return SSL_SESSION_is_resumable(session) && age < SSL_SESSION_get_timeout(session);
}

SSL_SESSION *tls_resumable_take(struct tls_context *context, const char *name)
{
    struct resumable *newest = NULL;
    SSL_SESSION *session = NULL;
    pthread_mutex_lock(&context->lock);
    list_each_safe (it, &context->resumable) {
        struct resumable *entry = CONTAINER(it, struct resumable, node);
        if (!resumable_fresh(entry->session))
            resumable_drop(context, entry);
        else if (strcmp(entry->name, name) == 0)
            newest = entry;
    }
    if (newest) {
        session = newest->session;
        SSL_SESSION_up_ref(session);
        /* RFC 8446 C.4: a 1.3 ticket is used once, or who listens can tie connections together.
         * A 1.2 session comes once and serves until it expires. */
        if (SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION)
            resumable_drop(context, newest);
    }
    pthread_mutex_unlock(&context->lock);
    return session;
}

/* ---- context ---- */

/* OpenSSL's default would ask on the terminal, and a daemon would hang there. */
static int password_refuse(char *buffer, int size, int writing, void *asked)
{
    if (asked)
        *(bool *)asked = true;
    return -1;
}

static bool fail_file(char error[TLS_ERROR_SIZE], const char *option, const char *path,
                      const char *reason)
{
    snprintf(error, TLS_ERROR_SIZE, "%s %s: %s", option, path, reason);
    return false;
}

/* Asked first because OpenSSL's own words for it depend on the loader. */
static bool file_readable(const char *option, const char *path, char error[TLS_ERROR_SIZE])
{
    struct stat info;
    if (stat(path, &info) < 0 || access(path, R_OK) < 0)
        return fail_file(error, option, path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return fail_file(error, option, path, strerror(EISDIR));
    return true;
}

/* What was to be read is not there: OpenSSL says "no start line", "unsupported" or the like. */
static bool fail_pem(char error[TLS_ERROR_SIZE], const char *option, const char *path)
{
    unsigned long code = ERR_peek_error();
    int lib = ERR_GET_LIB(code), reason = ERR_GET_REASON(code);
    if (lib == ERR_LIB_PEM || lib == ERR_LIB_OSSL_DECODER ||
        (lib == ERR_LIB_X509 && reason == X509_R_NO_CERTIFICATE_OR_CRL_FOUND))
        return fail_file(error, option, path, "holds nothing of that kind in PEM form");
    return fail_file(error, option, path, tls_reason_text(code));
}

static bool load_key(SSL_CTX *ssl_ctx, const char *path, char error[TLS_ERROR_SIZE])
{
    bool encrypted = false;
    SSL_CTX_set_default_passwd_cb_userdata(ssl_ctx, &encrypted);
    int loaded = SSL_CTX_use_PrivateKey_file(ssl_ctx, path, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(ssl_ctx, NULL);
    if (encrypted)
        return fail_file(error, "tls-key-file", path,
                         "is encrypted: decrypt it (openssl pkey -in FILE), mode 0600");
    if (!loaded && ERR_GET_LIB(ERR_peek_error()) != ERR_LIB_X509)
        return fail_pem(error, "tls-key-file", path);
    /* Of another kind than the certificate's the key loads, but has nothing to belong to. */
    if (!loaded || !SSL_CTX_check_private_key(ssl_ctx)) {
        snprintf(error, TLS_ERROR_SIZE, "tls-key-file does not match tls-cert-file: %s", path);
        return false;
    }
    return true;
}

static bool load_own(SSL_CTX *ssl_ctx, const struct tls_settings *settings,
                     char error[TLS_ERROR_SIZE])
{
    const char *cert = settings->cert_file, *key = settings->key_file;
    if (!cert && !key && !settings->server)
        return true;
    if (!cert || !key) {
        snprintf(error, TLS_ERROR_SIZE, "%s is not set%s", cert ? "tls-key-file" : "tls-cert-file",
                 cert || key ? ": a certificate and its key come together"
                             : ": a TLS listener needs a certificate and its key");
        return false;
    }
    if (!file_readable("tls-cert-file", cert, error) || !file_readable("tls-key-file", key, error))
        return false;
    if (!SSL_CTX_use_certificate_chain_file(ssl_ctx, cert))
        return fail_pem(error, "tls-cert-file", cert);
    return load_key(ssl_ctx, key, error);
}

static bool load_ca(SSL_CTX *ssl_ctx, const struct tls_settings *settings,
                    char error[TLS_ERROR_SIZE])
{
    const char *path = settings->ca_file;
    if (!path && settings->server && settings->verify_peer) {
        /* The system's store would let in whoever has bought a certificate somewhere. */
        snprintf(error, TLS_ERROR_SIZE, "tls-ca-file is not set: tls-auth-clients needs it");
        return false;
    }
    if (!path) {
        if (!settings->server)
            SSL_CTX_set_default_verify_paths(ssl_ctx);
        return true;
    }
    if (!file_readable("tls-ca-file", path, error))
        return false;
    if (!SSL_CTX_load_verify_file(ssl_ctx, path))
        return fail_pem(error, "tls-ca-file", path);
    /* Tells clients that have several certificates which to choose. */
    if (settings->server && settings->verify_peer)
        SSL_CTX_set_client_CA_list(ssl_ctx, SSL_load_client_CA_file(path));
    return true;
}

int64_t tls_certificate_expiry(const X509 *certificate)
{
    struct tm tm;
    const ASN1_TIME *end = certificate ? X509_get0_notAfter(certificate) : NULL;
    return end && ASN1_TIME_to_tm(end, &tm) ? (int64_t)timegm(&tm) : 0;
}

static int64_t store_expiry(X509_STORE *store)
{
    int64_t earliest = 0;
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        int64_t expiry =
            tls_certificate_expiry(X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i)));
        if (expiry && (!earliest || expiry < earliest))
            earliest = expiry;
    }
    return earliest;
}

static void set_modes(SSL_CTX *ssl_ctx)
{
    SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION);
    /* A stream that was cut counts as ended, not as failed: RESP tells its own lengths, so the
     * framer notices a reply or request that is not whole, and peers often leave without goodbye.
     */
    SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* Idle connections keep no record buffers (34 kB otherwise); what waits for the socket may be
     * copied elsewhere meanwhile. */
    SSL_CTX_set_mode(ssl_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    /* One read(2) for a record instead of one for its head and one for its body. */
    SSL_CTX_set_read_ahead(ssl_ctx, 1);
    SSL_CTX_set_default_passwd_cb(ssl_ctx, password_refuse);
}

static void set_verification(SSL_CTX *ssl_ctx, const struct tls_settings *settings)
{
    int mode = SSL_VERIFY_NONE;
    if (settings->server && settings->verify_peer)
        mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    /* A name on a certificate anyone could have made proves nothing: names imply the chain. */
    else if (!settings->server && (settings->verify_peer || settings->verify_name))
        mode = SSL_VERIFY_PEER;
    SSL_CTX_set_verify(ssl_ctx, mode, NULL);
}

static void set_resumption(SSL_CTX *ssl_ctx, bool server)
{
    static const unsigned char id_context[] = "respgate";
    if (server) {
        /* Tickets carry the state, so nothing is stored here. They die with the context, and so
         * does what an old CA file had let in. */
        SSL_CTX_set_session_id_context(ssl_ctx, id_context, sizeof(id_context) - 1);
        SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_num_tickets(ssl_ctx, 1);
    } else {
        SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ssl_ctx, resumable_store);
    }
}

struct tls_context *tls_context_new(const struct tls_settings *settings, char error[256])
{
    ERR_clear_error();
    SSL_CTX *ssl_ctx = SSL_CTX_new(settings->server ? TLS_server_method() : TLS_client_method());
    if (!ssl_ctx)
        die("OpenSSL gives no context: %s", tls_reason_text(ERR_peek_error()));
    set_modes(ssl_ctx);
    if (!load_own(ssl_ctx, settings, error) || !load_ca(ssl_ctx, settings, error)) {
        SSL_CTX_free(ssl_ctx);
        ERR_clear_error();
        return NULL;
    }
    set_verification(ssl_ctx, settings);
    set_resumption(ssl_ctx, settings->server);

    struct tls_context *context = xcalloc(1, sizeof(*context));
    atomic_init(&context->refs, 1);
    context->ssl_ctx = ssl_ctx;
    context->server = settings->server;
    context->verify_name = settings->verify_name && !settings->server;
    X509 *own = SSL_CTX_get0_certificate(ssl_ctx);
    if (own)
        context->expiry = tls_certificate_expiry(own);
    else if (settings->ca_file)
        context->expiry = store_expiry(SSL_CTX_get_cert_store(ssl_ctx));
    pthread_mutex_init(&context->lock, NULL);
    list_init(&context->resumable);
    ERR_clear_error();
    return context;
}

struct tls_context *tls_context_hold(struct tls_context *context)
{
    atomic_fetch_add(&context->refs, 1);
    return context;
}

void tls_context_drop(struct tls_context *context)
{
    if (!context || atomic_fetch_sub(&context->refs, 1) != 1)
        return;
    list_each_safe (it, &context->resumable)
        resumable_drop(context, CONTAINER(it, struct resumable, node));
    pthread_mutex_destroy(&context->lock);
    SSL_CTX_free(context->ssl_ctx);
    free(context);
}

int64_t tls_context_expiry(const struct tls_context *context)
{
    return context->expiry;
}
