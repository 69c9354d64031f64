/* str.c - views of bytes: comparison, numbers, globs. */
#include "respgate/base.h"

static inline unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

bool str_equal_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower((unsigned char)a.ptr[i]) != lower((unsigned char)b.ptr[i]))
            return false;
    return true;
}

bool str_to_int(struct str text, int64_t *out)
{
    size_t i = 0;
    bool negative = text.len > 1 && text.ptr[0] == '-';
    if (negative)
        i = 1;
    if (text.len == 0 || text.len > 20)
        return false;
    if (text.ptr[i] == '0') { /* "0" alone: neither "-0" nor "01" is canonical */
        *out = 0;
        return text.len == 1;
    }
    uint64_t value = 0, limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    for (; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.ptr[i] - '0');
        if (value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* Whether c is in the set that starts behind '['; *next is behind the closing ']'. As in Redis
 * an unclosed set ends with the pattern, and a range may be written either way round. */
static bool set_match(struct str pattern, size_t at, unsigned char c, size_t *next)
{
    bool negated = at < pattern.len && pattern.ptr[at] == '^', hit = false;
    if (negated)
        at++;
    for (;; at++) {
        if (at >= pattern.len)
            break;
        unsigned char p = (unsigned char)pattern.ptr[at];
        if (p == '\\' && pattern.len - at >= 2) {
            hit |= (unsigned char)pattern.ptr[++at] == c;
        } else if (p == ']') {
            at++;
            break;
        } else if (pattern.len - at >= 3 && pattern.ptr[at + 1] == '-') {
            unsigned char from = p, to = (unsigned char)pattern.ptr[at + 2];
            if (from > to) {
                unsigned char swap = from;
                from = to;
                to = swap;
            }
            hit |= c >= from && c <= to;
            at += 2;
        } else {
            hit |= p == c;
        }
    }
    *next = at;
    return hit != negated;
}

bool glob_element(struct str pattern, size_t at, unsigned char c, size_t *next)
{
    char p = pattern.ptr[at];
    if (p == '[')
        return set_match(pattern, at + 1, c, next);
    if (p == '\\' && pattern.len - at >= 2)
        at++;
    *next = at + 1;
    return p == '?' || (unsigned char)pattern.ptr[at] == c;
}

bool glob_match(struct str pattern, struct str text)
{
    /* Only the last '*' ever needs to be tried again: an earlier one that took more could not
     * match anything the later one cannot. */
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;
    while (t < text.len) {
        size_t next = 0;
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = ++p;
            star_text = t;
        } else if (p < pattern.len && glob_element(pattern, p, (unsigned char)text.ptr[t], &next)) {
            p = next;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}
