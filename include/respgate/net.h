/*
 * net.h - sockets: loop, connections (plain and TLS), listeners, mailbox, name look-up.
 *
 * The only user of libuv and OpenSSL. A connection is one non-blocking socket watched with
 * uv_poll: one read(2) a loop turn keeps turns fair without extra code, OpenSSL works on the
 * socket itself, and an idle connection owns no buffer.
 */
#ifndef RESPGATE_NET_H
#define RESPGATE_NET_H

#include <uv.h>

#include "respgate/base.h"
#include "respgate/policy.h" /* struct address */

/* ---- TLS (tls.c) --------------------------------------------------------------------------- */

struct tls_context; /* certificates and settings; immutable, refcounted, shared by threads */
struct tls_session; /* one connection's state */

struct tls_settings {
    bool server;
    const char *ca_file, *cert_file, *key_file; /* NULL: not set; client without ca_file: system's */
    bool verify_peer;                           /* server: ask for and require a certificate */
    bool verify_name;                           /* client: the certificate must name the host */
};
/* NULL with a one-line reason in *error (static or arena-free text copied into error). */
struct tls_context *tls_context_new(const struct tls_settings *settings, char error[256]);
struct tls_context *tls_context_hold(struct tls_context *context);
void tls_context_drop(struct tls_context *context);
/* Seconds since 1970 at which the own certificate (or, without one, the CA) expires; 0 unknown. */
int64_t tls_context_expiry(const struct tls_context *context);

/* server_name: SNI and the name to verify (client side; a numeric address is verified as IP and
 * sends no SNI). Resumes the context's last session with that name when there is one. */
struct tls_session *tls_session_new(struct tls_context *context, int fd, const char *server_name);
void tls_session_free(struct tls_session *session);

enum tls_result {
    TLS_DONE,       /* handshake finished; or *count bytes moved */
    TLS_WANT_READ,
    TLS_WANT_WRITE,
    TLS_CLOSED,     /* the peer said goodbye */
    TLS_FAILED,     /* tls_session_error() says why */
};
enum tls_result must_check tls_handshake(struct tls_session *session);
enum tls_result must_check tls_read(struct tls_session *session, char *ptr, size_t len, size_t *count);
enum tls_result must_check tls_write(struct tls_session *session, const char *ptr, size_t len,
                                     size_t *count);
bool tls_readable(const struct tls_session *session); /* decrypted bytes wait inside OpenSSL */
void tls_shutdown(struct tls_session *session);       /* sends close_notify, never waits */
const char *tls_session_error(const struct tls_session *session);
/* Subject of the verified peer certificate, RFC 2253 ("CN=app,O=corp"), and its common name;
 * empty when there is none. Valid as long as the session. */
struct str tls_peer_subject(struct tls_session *session);
struct str tls_peer_common_name(struct tls_session *session);
bool tls_resumed(const struct tls_session *session);
