/*
 * proxy_protocol.c - the header a load balancer puts before a connection to name its real client.
 *
 * After HAProxy's proxy-protocol.txt, versions 1 (a line of text) and 2 (binary). A pure function
 * of the bytes so far: it is called again with the grown buffer until it has decided, and what it
 * has decided does not change with more bytes.
 */
#include "respgate/net.h"

#include <arpa/inet.h>

enum {
    V1_MAX = 107,                 /* the longest UNKNOWN line, with its CRLF */
    V2_HEAD = 16,                 /* signature, version and command, family and protocol, length */
    V2_IPV4_SIZE = 2 * 4 + 2 * 2, /* two addresses, two ports */
    V2_IPV6_SIZE = 2 * 16 + 2 * 2,
    ADDRESS_TEXT_MAX = 45, /* "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255" */
};

static const char v1_mark[] = "PROXY ";
static const char v2_mark[] = "\r\n\r\n\0\r\nQUIT\n";

/* Version 2's families (high nibble) and transports (low nibble). */
enum { FAMILY_UNSPEC, FAMILY_IPV4, FAMILY_IPV6, FAMILY_UNIX };
enum { TRANSPORT_UNSPEC, TRANSPORT_STREAM, TRANSPORT_DGRAM };
enum { COMMAND_LOCAL, COMMAND_PROXY };

/* Rules are written for IPv4: an IPv4 client of an IPv6 socket must meet them too. */
static void address_set(struct address *out, bool is_ipv6, const void *ip, uint16_t port)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const char *from = ip;
    if (is_ipv6 && memcmp(from, mapped, sizeof(mapped)) == 0) {
        is_ipv6 = false;
        from += sizeof(mapped);
    }
    *out = (struct address){.is_ipv6 = is_ipv6, .port = port};
    memcpy(out->ip, from, is_ipv6 ? 16 : 4);
}

/* ---- version 1: "PROXY TCP4 10.0.0.7 10.0.0.1 51234 6379\r\n" ---- */

/* The text up to the next space, or the rest; line begins behind it after. */
static struct str field_next(struct str *line)
{
    const char *space = memchr(line->ptr, ' ', line->len);
    struct str field = {line->ptr, space ? (size_t)(space - line->ptr) : line->len};
    size_t skip = field.len + (space ? 1 : 0);
    *line = (struct str){line->ptr + skip, line->len - skip};
    return field;
}

static bool ip_parse(struct str field, bool is_ipv6, uint8_t ip[16])
{
    char text[ADDRESS_TEXT_MAX + 1];
    if (field.len > ADDRESS_TEXT_MAX || memchr(field.ptr, '\0', field.len))
        return false;
    memcpy(text, field.ptr, field.len);
    text[field.len] = '\0';
    return inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text, ip) == 1;
}

static bool port_parse(struct str field, uint16_t *port)
{
    int64_t value;
    if (!str_to_int(field, &value) || value < 0 || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

/* All between "PROXY " and CRLF. The destination is of no use here but must be right: a sender
 * that is sloppy there is not one to take a client's identity from. */
static enum proxy_header_status v1_line(struct str line, struct address *source)
{
    struct str protocol = field_next(&line);
    if (str_equal(protocol, STR("UNKNOWN")))
        return PROXY_HEADER_LOCAL;
    bool is_ipv6 = str_equal(protocol, STR("TCP6"));
    if (!is_ipv6 && !str_equal(protocol, STR("TCP4")))
        return PROXY_HEADER_BAD;

    struct str from = field_next(&line), to = field_next(&line);
    struct str from_port = field_next(&line), to_port = line;
    uint8_t source_ip[16], target_ip[16];
    uint16_t source_port, target_port;
    if (!ip_parse(from, is_ipv6, source_ip) || !ip_parse(to, is_ipv6, target_ip) ||
        !port_parse(from_port, &source_port) || !port_parse(to_port, &target_port))
        return PROXY_HEADER_BAD;
    address_set(source, is_ipv6, source_ip, source_port);
    return PROXY_HEADER_DONE;
}

static enum proxy_header_status v1_parse(const char *ptr, size_t len, struct address *source,
                                         size_t *used)
{
    size_t mark = sizeof(v1_mark) - 1, seen = len < V1_MAX ? len : V1_MAX;
    const char *end = memchr(ptr, '\n', seen);
    if (!end)
        return len < V1_MAX ? PROXY_HEADER_MORE : PROXY_HEADER_BAD;
    if (end[-1] != '\r' || end - 1 < ptr + mark)
        return PROXY_HEADER_BAD;
    *used = (size_t)(end + 1 - ptr);
    return v1_line((struct str){ptr + mark, (size_t)(end - 1 - (ptr + mark))}, source);
}

/* ---- version 2 ---- */

static uint16_t read_be16(const uint8_t *ptr)
{
    return (uint16_t)(ptr[0] << 8 | ptr[1]);
}

/* Addresses: source, destination, source port, destination port. */
static void v2_address(const uint8_t *block, bool is_ipv6, struct address *source)
{
    size_t ip_size = is_ipv6 ? 16 : 4;
    address_set(source, is_ipv6, block, read_be16(block + 2 * ip_size));
}

static enum proxy_header_status v2_parse(const uint8_t *ptr, size_t len, struct address *source,
                                         size_t *used)
{
    if (len < V2_HEAD)
        return PROXY_HEADER_MORE;
    unsigned version = ptr[12] >> 4, command = ptr[12] & 15;
    unsigned family = ptr[13] >> 4, transport = ptr[13] & 15;
    size_t size = read_be16(ptr + 14);
    if (version != 2 || command > COMMAND_PROXY || V2_HEAD + size > PROXY_HEADER_MAX)
        return PROXY_HEADER_BAD;
    /* With LOCAL the family says nothing, even a wrong one. */
    if (command == COMMAND_PROXY && (family > FAMILY_UNIX || transport > TRANSPORT_DGRAM))
        return PROXY_HEADER_BAD;
    /* A unix client of the balancer is not taken for one of ours: rules trust `from = unix` as
     * somebody on this machine. The specification allows to treat it as unknown. */
    bool is_ipv6 = family == FAMILY_IPV6;
    bool is_tcp = command == COMMAND_PROXY && transport == TRANSPORT_STREAM &&
                  (family == FAMILY_IPV4 || is_ipv6);
    if (is_tcp && size < (is_ipv6 ? V2_IPV6_SIZE : V2_IPV4_SIZE))
        return PROXY_HEADER_BAD;
    if (len < V2_HEAD + size)
        return PROXY_HEADER_MORE;

    *used = V2_HEAD + size; /* with what follows the addresses: TLVs nobody here needs */
    if (!is_tcp)
        return PROXY_HEADER_LOCAL;
    v2_address(ptr + V2_HEAD, is_ipv6, source);
    return PROXY_HEADER_DONE;
}

/* Whether the bytes so far may be, or already are, the start of a mark. */
static bool begins_with(const char *ptr, size_t len, const char *mark, size_t mark_len)
{
    return memcmp(ptr, mark, len < mark_len ? len : mark_len) == 0;
}

enum proxy_header_status proxy_header_parse(const char *ptr, size_t len, struct address *source,
                                            size_t *used)
{
    if (len == 0)
        return PROXY_HEADER_MORE;
    if (begins_with(ptr, len, v1_mark, sizeof(v1_mark) - 1))
        return v1_parse(ptr, len, source, used);
    if (begins_with(ptr, len, v2_mark, sizeof(v2_mark) - 1))
        return v2_parse((const uint8_t *)ptr, len, source, used);
    return PROXY_HEADER_BAD;
}
