/*
 * tls.c - one TLS connection: handshake, reading, writing, why it failed, who the peer is.
 *
 *   tls_settings -> tls_context (tls_context.c) -> tls_session, one for each socket
 *
 * With tls_context.c the one door to OpenSSL, which reads and writes the non-blocking socket
 * itself. Each call here is one SSL call; loops and fairness are the caller's.
 */
#include "tls_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- error texts ---- */

/* What OpenSSL calls by names that tell an operator little, in words that name the cure. */
static const struct {
    int reason;
    const char *text;
} causes[] = {
    {SSL_R_WRONG_VERSION_NUMBER, "peer does not speak TLS"},
    {SSL_R_HTTP_REQUEST, "peer does not speak TLS but HTTP"},
    {SSL_R_HTTPS_PROXY_REQUEST, "peer does not speak TLS but HTTP"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "peer speaks no TLS version that is allowed (1.2 and 1.3 are)"},
    {SSL_R_NO_PROTOCOLS_AVAILABLE, "no TLS version is left (see the system's OpenSSL settings)"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "peer allows neither TLS 1.2 nor 1.3"},
    {SSL_R_NO_SHARED_CIPHER, "no cipher in common with the peer"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "peer sent no certificate, and one is required"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED,
     "peer wants a certificate: set tls-cert-file and tls-key-file"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE,
     "peer refuses the handshake: it may want a certificate (tls-cert-file), or other ciphers"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "peer does not trust the CA of our certificate (tls-cert-file)"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "peer says our certificate has expired"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "peer refuses our certificate as bad"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "peer refuses our certificate"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, "peer refuses our kind of certificate"},
    {SSL_R_TLSV1_UNRECOGNIZED_NAME, "peer knows no server of that name: see tls-server-name"},
};

static const struct {
    long result;
    const char *cure;
} cures[] = {
    {X509_V_ERR_INVALID_PURPOSE,
     " (its extendedKeyUsage: servers need serverAuth, clients clientAuth)"},
    {X509_V_ERR_CERT_NOT_YET_VALID, " (are the clocks right?)"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, " (is its CA in tls-ca-file?)"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, " (is its CA in tls-ca-file?)"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, " (is it in tls-ca-file?)"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, " (is its CA in tls-ca-file?)"},
};

const char *tls_reason_text(unsigned long code)
{
    if (ERR_SYSTEM_ERROR(code))
        return strerror(ERR_GET_REASON(code));
    if (ERR_GET_LIB(code) == ERR_LIB_SSL)
        for (size_t i = 0; i < ARRAY_LEN(causes); i++)
            if (causes[i].reason == ERR_GET_REASON(code))
                return causes[i].text;
    const char *text = ERR_reason_error_string(code);
    return text ? text : "unknown TLS error";
}

/* Keeps the first failure. Names may come from the network (a redirect): control characters
 * must not break the log's line. */
static void __attribute__((format(printf, 2, 3)))
session_fail(struct tls_session *session, const char *format, ...)
{
    if (session->error)
        return;
    va_list args;
    va_start(args, format);
    session->error = xmalloc(TLS_ERROR_SIZE);
    vsnprintf(session->error, TLS_ERROR_SIZE, format, args);
    va_end(args);
    for (char *p = session->error; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
}

static void session_fail_verify(struct tls_session *session, long result)
{
    if (result == X509_V_ERR_HOSTNAME_MISMATCH || result == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        session_fail(session, "%s: certificate is not for %s (tls-server-name can name another)",
                     X509_verify_cert_error_string(result), session->server_name);
        return;
    }
    const char *cure = "";
    for (size_t i = 0; i < ARRAY_LEN(cures); i++)
        if (cures[i].result == result)
            cure = cures[i].cure;
    session_fail(session, "certificate verify failed: %s%s", X509_verify_cert_error_string(result),
                 cure);
}

static void session_fail_ssl(struct tls_session *session)
{
    unsigned long code = ERR_peek_error(); /* the earliest: later ones only pass it on */
    long verified = SSL_get_verify_result(session->ssl);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
        ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
        session_fail_verify(session, verified);
    else
        session_fail(session, "%s", tls_reason_text(code));
}

/* ---- session ---- */

static bool is_numeric(const char *name)
{
    unsigned char ip[16];
    return inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
}

/* Which name to ask for, and to find on the certificate. A failure is told by the handshake. */
static void session_set_name(struct tls_session *session)
{
    SSL *ssl = session->ssl;
    const char *name = session->server_name;
    bool numeric = is_numeric(name), set = true;
    if (*name == '\0') {
        if (session->context->verify_name)
            session_fail(session, "no name to verify the certificate by: set tls-server-name");
        return;
    }
    if (!numeric) /* RFC 6066: no addresses in SNI */
        set = SSL_set_tlsext_host_name(ssl, name);
    if (set && session->context->verify_name) {
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        set = numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name)
                      : SSL_set1_host(ssl, name);
    }
    if (!set)
        session_fail(session, "not a name a certificate can have: %s", name);
}

static void session_set_client(struct tls_session *session, const char *server_name)
{
    SSL_set_connect_state(session->ssl);
    session->server_name = xstrdup(server_name ? server_name : "");
    size_t len = strlen(session->server_name);
    if (len > 1 && session->server_name[len - 1] == '.')
        session->server_name[len - 1] = '\0'; /* "redis.svc.": no certificate has the dot */
    session_set_name(session);
    SSL_SESSION *old = tls_resumable_take(session->context, session->server_name);
    if (old) {
        SSL_set_session(session->ssl, old);
        SSL_SESSION_free(old); /* SSL_set_session has its own reference */
    }
}

struct tls_session *tls_session_new(struct tls_context *context, int fd, const char *server_name)
{
    struct tls_session *session = xcalloc(1, sizeof(*session));
    ERR_clear_error();
    session->context = tls_context_hold(context);
    session->ssl = SSL_new(context->ssl_ctx);
    if (!session->ssl || !SSL_set_fd(session->ssl, fd))
        die("OpenSSL gives no session: %s", tls_reason_text(ERR_peek_error()));
    SSL_set_app_data(session->ssl, session);
    if (context->server)
        SSL_set_accept_state(session->ssl);
    else
        session_set_client(session, server_name);
    return session;
}

void tls_session_free(struct tls_session *session)
{
    if (!session)
        return;
    /* Unless told that both sides said goodbye, OpenSSL spoils the session for resumption, and
     * links that broke are just those which come back. After an alert it is spoilt already. */
    if (SSL_is_init_finished(session->ssl))
        SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(session->ssl);
    ERR_clear_error();
    tls_context_drop(session->context);
    free((char *)(uintptr_t)session->subject.ptr);
    free((char *)(uintptr_t)session->common_name.ptr);
    free(session->server_name);
    free(session->error);
    free(session);
}

/* Before every SSL call: what other calls of this thread left behind is not this one's result. */
static void call_begin(void)
{
    ERR_clear_error();
    errno = 0;
}

static enum tls_result call_failed(struct tls_session *session, int ret)
{
    int saved = errno;
    switch (SSL_get_error(session->ssl, ret)) {
    case SSL_ERROR_WANT_READ: return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE: return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN: return TLS_CLOSED;
    case SSL_ERROR_SYSCALL:
        if (saved == 0)
            return TLS_CLOSED;
        session_fail(session, "%s", strerror(saved));
        return TLS_FAILED;
    default: session_fail_ssl(session); return TLS_FAILED;
    }
}

/* A resumed handshake shows no certificate, and each may lead to the next: without this a peer
 * could go on for ever after its certificate has expired. */
static bool resumed_still_valid(struct tls_session *session)
{
    if (!SSL_session_reused(session->ssl) || SSL_get_verify_mode(session->ssl) == SSL_VERIFY_NONE)
        return true;
    int64_t expiry = tls_certificate_expiry(SSL_get0_peer_certificate(session->ssl));
    if (expiry == 0 || clock_wall() < expiry)
        return true;
    session_fail_verify(session, X509_V_ERR_CERT_HAS_EXPIRED);
    return false;
}

enum tls_result tls_handshake(struct tls_session *session)
{
    if (session->error)
        return TLS_FAILED;
    call_begin();
    int ret = SSL_do_handshake(session->ssl);
    if (ret == 1)
        return resumed_still_valid(session) ? TLS_DONE : TLS_FAILED;
    enum tls_result result = call_failed(session, ret);
    if (result != TLS_CLOSED)
        return result;
    /* A port probe that says nothing and leaves is no failure; leaving halfway is. */
    if (session->context->server && BIO_number_read(SSL_get_rbio(session->ssl)) == 0)
        return TLS_CLOSED;
    session_fail(session, "peer closed the connection in the handshake (does it speak TLS?)");
    return TLS_FAILED;
}

enum tls_result tls_read(struct tls_session *session, char *ptr, size_t len, size_t *count)
{
    *count = 0;
    if (session->error) /* OpenSSL itself would go on after a refusal that was ours */
        return TLS_FAILED;
    call_begin();
    int ret = SSL_read_ex(session->ssl, ptr, len, count);
    enum tls_result result = ret == 1 ? TLS_DONE : call_failed(session, ret);
    session->drained = result != TLS_DONE;
    /* Taking in a 1.3 ticket leaves a write buffer of 16 kB behind until the next write, which an
     * idle link may never make. Refuses by itself while there is something in a buffer. */
    SSL_free_buffers(session->ssl);
    return result;
}

enum tls_result tls_write(struct tls_session *session, const char *ptr, size_t len, size_t *count)
{
    *count = 0;
    if (session->error)
        return TLS_FAILED;
    if (len == 0) /* would send an empty record */
        return TLS_DONE;
    call_begin();
    int ret = SSL_write_ex(session->ssl, ptr, len, count);
    return ret == 1 ? TLS_DONE : call_failed(session, ret);
}

bool tls_readable(const struct tls_session *session)
{
    /* Read-ahead holds records that are not decrypted yet, and SSL_has_pending tells of them, but
     * of the half of one too: only a new read can tell whether that is all. */
    return !session->drained && SSL_has_pending(session->ssl);
}

void tls_shutdown(struct tls_session *session)
{
    /* After a failure OpenSSL must not be asked to send; in the handshake it cannot. */
    if (session->error || !SSL_is_init_finished(session->ssl))
        return;
    call_begin();
    SSL_shutdown(session->ssl);
    ERR_clear_error();
}

const char *tls_session_error(const struct tls_session *session)
{
    return session->error ? session->error : "no TLS error";
}

bool tls_resumed(const struct tls_session *session)
{
    return SSL_session_reused(session->ssl);
}

/* ---- the peer's identity ---- */

/* As UTF-8 in *out, to be OPENSSL_free'd; false for what no honest CA signs: bytes that are not of
 * the stated type, or a NUL in the middle, which C programs take for the end ("app\0.evil"). */
static bool entry_text(X509_NAME *name, int index, unsigned char **out, int *len)
{
    *len = ASN1_STRING_to_UTF8(out, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
    if (*len < 0)
        return false;
    if (!memchr(*out, '\0', (size_t)*len))
        return true;
    OPENSSL_free(*out);
    return false;
}

static bool name_sound(X509_NAME *name)
{
    for (int i = 0; i < X509_NAME_entry_count(name); i++) {
        unsigned char *text = NULL;
        int len;
        if (!entry_text(name, i, &text, &len))
            return false;
        OPENSSL_free(text);
    }
    return true;
}

static struct str text_copy(const void *ptr, size_t len)
{
    char *copy = xmalloc(len + 1);
    memcpy(copy, ptr, len);
    copy[len] = '\0';
    return (struct str){copy, len};
}

static struct str name_subject(X509_NAME *name)
{
    struct str subject = {0};
    BIO *bio = BIO_new(BIO_s_mem());
    char *ptr = NULL;
    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        size_t len = (size_t)BIO_get_mem_data(bio, &ptr);
        subject = text_copy(ptr, len);
    }
    BIO_free(bio);
    return subject;
}

static struct str name_common(X509_NAME *name)
{
    int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1), len;
    unsigned char *text = NULL;
    /* With two common names, which one is meant would be a guess. */
    if (index < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, index) >= 0 ||
        !entry_text(name, index, &text, &len))
        return (struct str){0};
    struct str common = text_copy(text, (size_t)len);
    OPENSSL_free(text);
    return common;
}

static void session_identify(struct tls_session *session)
{
    SSL *ssl = session->ssl;
    if (session->identified || !SSL_is_init_finished(ssl))
        return;
    session->identified = true;
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (!certificate || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE ||
        SSL_get_verify_result(ssl) != X509_V_OK)
        return;
    X509_NAME *name = X509_get_subject_name(certificate);
    if (!name_sound(name))
        return;
    session->subject = name_subject(name);
    session->common_name = name_common(name);
}

struct str tls_peer_subject(struct tls_session *session)
{
    session_identify(session);
    return session->subject.ptr ? session->subject : STR("");
}

struct str tls_peer_common_name(struct tls_session *session)
{
    session_identify(session);
    return session->common_name.ptr ? session->common_name : STR("");
}
