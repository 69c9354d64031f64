/* address.c - where to listen and where the backend is: addresses and urls as written. */
#include "option.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>

enum { REDIS_PORT = 6379, SENTINEL_PORT = 26379, HOST_MAX = 253 };

static bool prefix_take(struct str *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || memcmp(text->ptr, prefix, len) != 0)
        return false;
    *text = (struct str){text->ptr + len, text->len - len};
    return true;
}

static bool port_parse(struct str text, uint16_t *port)
{
    uint64_t number;
    if (!value_number(text, &number) || number < 1 || number > 65535)
        return false;
    *port = (uint16_t)number;
    return true;
}

static bool is_digits(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    return text.len > 0;
}

static const char *name_parse(struct arena *arena, struct str text, const char **host)
{
    if (text.len == 0)
        return "the host is missing";
    if (text.len > HOST_MAX)
        return "the host is too long";
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == ':')
            return "an IPv6 address belongs into brackets: [::1]:6379";
        if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') && c != '.' &&
            c != '-' && c != '_')
            return "the host is neither a name nor an address";
    }
    *host = arena_str(arena, text);
    return NULL;
}

static const char *bracket_parse(struct arena *arena, struct str text, size_t end,
                                 const char **host)
{
    struct in6_addr address;
    *host = arena_str(arena, (struct str){text.ptr + 1, end - 1});
    return inet_pton(AF_INET6, *host, &address) == 1 ? NULL
                                                     : "not an IPv6 address between the brackets";
}

/* "host:port", "host" or "[v6]:port": *port stays 0 when there is none. */
static const char *host_port_parse(struct arena *arena, struct str text, const char **host,
                                   uint16_t *port)
{
    struct str rest = {text.ptr + text.len, 0};
    const char *error;
    if (text.len && text.ptr[0] == '[') {
        const char *close = memchr(text.ptr, ']', text.len);
        if (!close)
            return "a bracket is not closed";
        size_t end = (size_t)(close - text.ptr);
        rest = (struct str){close + 1, text.len - end - 1};
        error = bracket_parse(arena, text, end, host);
    } else {
        size_t end = text.len;
        while (end > 0 && text.ptr[end - 1] != ':')
            end--;
        if (end > 0)
            rest = (struct str){text.ptr + end - 1, text.len - end + 1};
        error = name_parse(arena, (struct str){text.ptr, text.len - rest.len}, host);
    }
    if (error || rest.len == 0)
        return error;
    if (rest.ptr[0] != ':')
        return "text behind the bracket";
    return port_parse((struct str){rest.ptr + 1, rest.len - 1}, port)
               ? NULL
               : "the port must be 1 to 65535";
}

static const char *path_check(struct str path)
{
    if (path.len == 0 || path.ptr[0] != '/')
        return "the path of a unix socket begins with /";
    if (path.len >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return "the path is too long for a unix socket";
    return NULL;
}

const char *listen_parse(struct arena *arena, struct str text, struct listen_address *out)
{
    out->text = arena_str(arena, text);
    out->kind = LISTEN_TCP;
    if (prefix_take(&text, "unix:")) {
        prefix_take(&text, "//"); /* unix:///path as well */
        out->kind = LISTEN_UNIX;
        out->host = arena_str(arena, text);
        return path_check(text);
    }
    if (prefix_take(&text, "tls://"))
        out->kind = LISTEN_TLS;
    if (is_digits(text)) {
        out->host = "127.0.0.1";
        return port_parse(text, &out->port) ? NULL : "the port must be 1 to 65535";
    }
    if (text.len && text.ptr[0] == '*')
        return "'*' is not an address: 0.0.0.0 is every IPv4 one, [::] every IPv6 one";
    const char *error = host_port_parse(arena, text, &out->host, &out->port);
    return error ? error : out->port == 0 ? "the port is missing" : NULL;
}

bool listen_is_local(const struct listen_address *address)
{
    struct in_addr ipv4;
    if (address->kind == LISTEN_UNIX)
        return true;
    if (inet_pton(AF_INET, address->host, &ipv4) == 1)
        return ntohl(ipv4.s_addr) >> 24 == 127;
    struct in6_addr ipv6;
    if (inet_pton(AF_INET6, address->host, &ipv6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&ipv6);
    return str_equal_nocase(str_of(address->host), STR("localhost"));
}

/* ---- urls ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* NULL when a % is not followed by two hex digits, or hides a NUL or a line end. */
static const char *percent_decode(struct arena *arena, struct str text)
{
    char *copy = arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int byte = (unsigned char)text.ptr[i];
        if (byte == '%') {
            if (i + 2 >= text.len)
                return NULL;
            int high = hex_digit(text.ptr[i + 1]), low = hex_digit(text.ptr[i + 2]);
            if (high < 0 || low < 0)
                return NULL;
            byte = high * 16 + low;
            i += 2;
        }
        if (byte == 0 || byte == '\n' || byte == '\r')
            return NULL;
        copy[len++] = (char)byte;
    }
    return copy;
}

/* Takes "user:password@" off the front: up to the last @, as browsers do, because passwords
 * are often pasted without encoding. */
static const char *identity_take(struct arena *arena, struct str *text, struct str authority,
                                 struct url *out)
{
    size_t at = authority.len;
    while (at > 0 && authority.ptr[at - 1] != '@')
        at--;
    if (at == 0)
        return NULL;
    struct str user = {authority.ptr, at - 1}, password = {NULL, 0};
    const char *colon = memchr(user.ptr, ':', user.len);
    if (colon) {
        password = (struct str){colon + 1, (size_t)(user.ptr + user.len - colon - 1)};
        user.len = (size_t)(colon - user.ptr);
    }
    *text = (struct str){text->ptr + at, text->len - at};
    if (user.len && !(out->username = percent_decode(arena, user)))
        return "the user is not percent-encoded as it should be";
    if (password.len && !(out->password = percent_decode(arena, password)))
        return "the password is not percent-encoded as it should be";
    if (!out->username && !out->password)
        return "neither user nor password before the @";
    if (out->password && strcmp(out->password, "(hidden)") == 0)
        return "'(hidden)' stands for a password that was not printed: put it back";
    return NULL;
}

static const char *unix_url_parse(struct arena *arena, struct str text, struct url *out)
{
    const char *slash = memchr(text.ptr, '/', text.len);
    if (!slash)
        return "the path of a unix socket begins with /";
    struct str authority = {text.ptr, (size_t)(slash - text.ptr)};
    const char *error = identity_take(arena, &text, authority, out);
    if (error || (error = path_check(text)))
        return error;
    if (memchr(text.ptr, '?', text.len))
        return "parameters behind '?' are not known";
    out->address.path = arena_str(arena, text);
    out->address.text = arena_printf(arena, "unix://%s", out->address.path);
    return NULL;
}

/* What may stand behind host and port: nothing, / or the default database. */
static const char *tail_check(struct str tail)
{
    if (memchr(tail.ptr, '?', tail.len))
        return "parameters behind '?' are not known";
    if (tail.len == 0 || str_equal(tail, STR("/")) || str_equal(tail, STR("/0")))
        return NULL;
    return "a database cannot be chosen here: clients choose theirs with SELECT";
}

const char *url_parse(struct arena *arena, struct str text, struct url *out)
{
    *out = (struct url){0};
    if (prefix_take(&text, "unix://"))
        return unix_url_parse(arena, text, out);
    if (prefix_take(&text, "rediss://"))
        out->address.tls = true;
    else if (!prefix_take(&text, "redis://"))
        return "it must begin with redis://, rediss:// or unix://";
    const char *error = identity_take(arena, &text, text, out);
    if (error)
        return error;
    size_t end = 0;
    while (end < text.len && text.ptr[end] != '/' && text.ptr[end] != '?')
        end++;
    struct backend_address *address = &out->address;
    error = host_port_parse(arena, (struct str){text.ptr, end}, &address->host, &address->port);
    if (error || (error = tail_check((struct str){text.ptr + end, text.len - end})))
        return error;
    if (address->port == 0)
        address->port = REDIS_PORT;
    bool brackets = strchr(address->host, ':') != NULL;
    address->text = arena_printf(arena, "%s://%s%s%s:%u", address->tls ? "rediss" : "redis",
                                 brackets ? "[" : "", address->host, brackets ? "]" : "",
                                 (unsigned)address->port);
    return NULL;
}

const char *sentinel_parse(struct arena *arena, struct str text, struct backend_address *out)
{
    const char *error = host_port_parse(arena, text, &out->host, &out->port);
    if (error)
        return error;
    if (out->port == 0)
        out->port = SENTINEL_PORT;
    bool brackets = strchr(out->host, ':') != NULL;
    out->text = arena_printf(arena, "%s%s%s:%u", brackets ? "[" : "", out->host,
                             brackets ? "]" : "", (unsigned)out->port);
    return NULL;
}
