/* tls_private.h - what tls.c and tls_context.c share; nothing else includes it. */
#ifndef RESPGATE_TLS_PRIVATE_H
#define RESPGATE_TLS_PRIVATE_H

#include "respgate/net.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

enum { TLS_ERROR_SIZE = 256 };

struct tls_context {
    atomic_uint refs;
    SSL_CTX *ssl_ctx;
    bool server, verify_name;
    int64_t expiry;
    pthread_mutex_t lock;  /* of the two below */
    struct list resumable; /* oldest first */
    size_t resumable_count;
};

struct tls_session {
    SSL *ssl;
    struct tls_context *context;
    char *server_name; /* client: without the dot of a full name; "" when none was given */
    char *error;       /* the first failure, which is the cause of those after it */
    struct str subject, common_name;
    bool identified; /* the two above are filled in */
    bool drained;    /* the last read found less than a record */
};

/* An OpenSSL error code in words for an operator. */
const char *tls_reason_text(unsigned long code);
/* As UTC seconds since 1970; 0 when there is none. */
int64_t tls_certificate_expiry(const X509 *certificate);
/* The newest session for that name, with a reference for the caller; NULL when there is none. */
SSL_SESSION *tls_resumable_take(struct tls_context *context, const char *name);

#endif
