/* digest.c - SHA-256, the SHA-1 that names scripts, random bytes and comparison in constant time,
 * by OpenSSL. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "respgate/net.h"

static void digest_add(EVP_MD_CTX *context, const void *ptr, size_t len)
{
    if (EVP_DigestUpdate(context, ptr, len) != 1)
        die("SHA-256 failed");
}

static EVP_MD_CTX *digest_begin(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        die("SHA-256 is not available");
    return context;
}

static void digest_end(EVP_MD_CTX *context, uint8_t out[DIGEST_SIZE])
{
    if (EVP_DigestFinal_ex(context, out, NULL) != 1)
        die("SHA-256 failed");
    EVP_MD_CTX_free(context);
}

void digest_parts(const struct str *parts, size_t count, uint8_t out[DIGEST_SIZE])
{
    EVP_MD_CTX *context = digest_begin();
    for (size_t i = 0; i < count; i++) {
        digest_add(context, &parts[i].len, sizeof(parts[i].len));
        digest_add(context, parts[i].ptr, parts[i].len);
    }
    digest_end(context, out);
}

static void hex_of(const uint8_t *bytes, size_t count, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[count * 2] = '\0';
}

void digest_sha1(struct str text, char out[SHA1_SIZE * 2 + 1])
{
    uint8_t bytes[SHA1_SIZE];
    if (EVP_Digest(text.ptr, text.len, bytes, NULL, EVP_sha1(), NULL) != 1)
        die("SHA-1 failed");
    hex_of(bytes, sizeof(bytes), out);
}

void digest_hex(struct str text, char out[DIGEST_SIZE * 2 + 1])
{
    uint8_t bytes[DIGEST_SIZE];
    EVP_MD_CTX *context = digest_begin();
    digest_add(context, text.ptr, text.len);
    digest_end(context, bytes);
    hex_of(bytes, sizeof(bytes), out);
}

bool digest_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void random_bytes(void *out, size_t len)
{
    if (RAND_bytes(out, (int)len) != 1)
        die("no random bytes to be had");
}

void secret_wipe(void *ptr, size_t len)
{
    OPENSSL_cleanse(ptr, len);
}
