/* network.c - networks as rules write them: "10.0.0.0/8", "2001:db8::/32", an address, "unix". */
#include "respgate/policy.h"

#include <arpa/inet.h>

/* Behind the slash: digits without leading zeros, at most max. */
static bool bits_parse(struct str text, uint8_t max, uint8_t *out)
{
    int64_t bits;
    if (!str_to_int(text, &bits) || bits < 0 || bits > max)
        return false;
    *out = (uint8_t)bits;
    return true;
}

/* An IPv4-mapped network becomes IPv4, as the addresses it is compared with do. One wider than
 * ::ffff:0:0/96 stays IPv6. */
static void network_unmap(struct network *network)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (network->bits < 96 || memcmp(network->ip, mapped, sizeof(mapped)) != 0)
        return;
    memmove(network->ip, network->ip + 12, 4);
    memset(network->ip + 4, 0, 12);
    network->bits = (uint8_t)(network->bits - 96);
    network->is_ipv6 = false;
}

bool network_parse(struct str text, struct network *out)
{
    char address[INET6_ADDRSTRLEN];
    *out = (struct network){0};
    if (str_equal(text, STR("unix"))) {
        out->is_unix = true;
        return true;
    }
    const char *slash = text.len ? memchr(text.ptr, '/', text.len) : NULL;
    size_t len = slash ? (size_t)(slash - text.ptr) : text.len;
    if (len == 0 || len >= sizeof(address) || memchr(text.ptr, '\0', len))
        return false;
    memcpy(address, text.ptr, len);
    address[len] = '\0';
    out->is_ipv6 = strchr(address, ':') != NULL;
    if (inet_pton(out->is_ipv6 ? AF_INET6 : AF_INET, address, out->ip) != 1)
        return false;
    out->bits = out->is_ipv6 ? 128 : 32;
    if (slash && !bits_parse((struct str){slash + 1, text.len - len - 1}, out->bits, &out->bits))
        return false;
    if (out->is_ipv6)
        network_unmap(out);
    return true;
}

bool network_contains(const struct network *network, const struct address *address)
{
    if (network->is_unix || address->is_unix)
        return network->is_unix && address->is_unix;
    if (network->is_ipv6 != address->is_ipv6)
        return false;
    size_t bytes = network->bits / 8;
    unsigned rest = network->bits % 8;
    if (memcmp(network->ip, address->ip, bytes) != 0)
        return false;
    /* Bits behind the prefix do not count, in the network either: 10.1.2.3/8 is 10.0.0.0/8. */
    return rest == 0 || (network->ip[bytes] ^ address->ip[bytes]) >> (8 - rest) == 0;
}
