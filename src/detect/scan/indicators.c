#include "detect/scan/indicators.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

enum kind { FILE_HASH, ADDRESS, DOMAIN };
/* key: hash; 16 bytes of address (v4 mapped) and prefix length; domain as text behind `words`. */
struct one { uint8_t kind, prefix; uint8_t key[32]; uint32_t name, words; };
struct indicators { struct one *v; size_t n, cap; struct sm_buf text; };

static int compare(const void *a, const void *b)
{
    const struct one *x = a, *y = b;
    int c = x->kind - y->kind;
    if (c == 0)
        c = y->prefix - x->prefix; /* the narrowest first */
    return c ? c : memcmp(x->key, y->key, 32);
}

void indicators_free(struct indicators *i)
{
    if (!i)
        return;
    free(i->v);
    sm_buf_wipe(&i->text);
    free(i);
}

size_t indicators_count(const struct indicators *i)
{
    return i ? i->n : 0;
}

static int keep_text(struct indicators *i, struct sm_span s, uint32_t *ret)
{
    uint32_t at = (uint32_t)i->text.n;
    int r = sm_buf_put_span(&i->text, s);
    if (r == 0)
        r = sm_buf_put_u8(&i->text, 0);
    *ret = at;
    return r;
}

static bool address_key(const char *text, uint8_t key[32], unsigned *ret_bits)
{
    struct in_addr four;
    struct in6_addr six;
    memset(key, 0, 32);
    if (inet_pton(AF_INET, text, &four) == 1) {
        key[10] = key[11] = 0xff;
        memcpy(key + 12, &four, 4);
        *ret_bits = 32;
        return true;
    }
    if (inet_pton(AF_INET6, text, &six) != 1)
        return false;
    memcpy(key, &six, 16);
    *ret_bits = 128;
    return true;
}

static void mask(uint8_t key[32], unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned left = bits > i * 8 ? bits - i * 8 : 0;
        key[i] = (uint8_t)(key[i] & (left >= 8 ? 0xffu : 0xff00u >> left));
    }
}

static bool take_address(struct sm_span s, struct one *o)
{
    char text[64];
    unsigned bits, width;
    if (s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    char *slash = strchr(text, '/'), *end = NULL;
    if (slash)
        *slash = 0;
    if (!address_key(text, o->key, &width))
        return false;
    bits = width;
    if (slash) {
        unsigned long v = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end || v > width || v == 0)
            return false;
        bits = (unsigned)v;
    }
    o->prefix = (uint8_t)(bits + (width == 32 ? 96 : 0));
    mask(o->key, o->prefix);
    return true;
}

/* Lower case, without a dot at the end; letters, digits, '-', '_' and dots. */
static bool domain_text(struct sm_span s, char ret[256])
{
    if (s.n && s.p[s.n - 1] == '.')
        s.n--;
    if (s.n < 3 || s.n > 253 || s.p[0] == '.' || !memchr(s.p, '.', s.n))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = (char)s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
            return false;
        if (c == '.' && i && s.p[i - 1] == '.')
            return false;
        ret[i] = letter ? (char)(c | 0x20) : c;
    }
    ret[s.n] = 0;
    return true;
}

/* Names are found by a hash of their text; the text itself is compared then. */
static void domain_key(const char *name, uint8_t key[32])
{
    uint64_t h = 0xcbf29ce484222325u;
    memset(key, 0, 32);
    for (const char *p = name; *p; p++)
        h = (h ^ (uint8_t)*p) * 0x100000001b3u;
    for (int i = 0; i < 8; i++)
        key[i] = (uint8_t)(h >> (8 * i));
}

static struct sm_span field(struct sm_span *line)
{
    while (line->n && (line->p[0] == ' ' || line->p[0] == '\t')) {
        line->p++;
        line->n--;
    }
    struct sm_span f = {line->p, 0};
    while (f.n < line->n && f.p[f.n] != ' ' && f.p[f.n] != '\t')
        f.n++;
    line->p += f.n;
    line->n -= f.n;
    return f;
}

static int add(struct indicators *i, struct one *o, struct sm_span words)
{
    while (words.n && (words.p[0] == ' ' || words.p[0] == '\t')) {
        words.p++;
        words.n--;
    }
    if (words.n > INDICATORS_WORDS || !sm_utf8_valid(words))
        return -SM_EFORMAT;
    if (i->n >= INDICATORS_MAX)
        return -SM_ELIMIT;
    if (i->n == i->cap) {
        size_t n = i->cap ? i->cap * 2 : 256;
        struct one *v = reallocarray(i->v, n, sizeof *v);
        if (!v)
            return -ENOMEM;
        i->v = v;
        i->cap = n;
    }
    int r = keep_text(i, words, &o->words);
    if (r == 0)
        i->v[i->n++] = *o;
    return r;
}

static int take_line(struct indicators *i, struct sm_span line)
{
    struct one o = {0};
    char name[256];
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    struct sm_span kind = field(&line);
    if (kind.n == 0 || kind.p[0] == '#')
        return 0;
    struct sm_span value = field(&line);
    if (sm_span_eq(kind, SM_SPAN_STR("sha256"))) {
        if (value.n != 64 || sm_unhex((const char *)value.p, 64, o.key, 32) < 0)
            return -SM_EFORMAT;
        return add(i, &o, line);
    }
    if (sm_span_eq(kind, SM_SPAN_STR("address"))) {
        o.kind = ADDRESS;
        return take_address(value, &o) ? add(i, &o, line) : -SM_EFORMAT;
    }
    if (!sm_span_eq(kind, SM_SPAN_STR("domain")))
        return 0; /* of a later version */
    if (!domain_text(value, name))
        return -SM_EFORMAT;
    o.kind = DOMAIN;
    domain_key(name, o.key);
    int r = keep_text(i, SM_SPAN_STR(name), &o.name);
    return r < 0 ? r : add(i, &o, line);
}

static int take_all(struct indicators *i, struct sm_span text, unsigned *line_no)
{
    static const char head[] = "sakimori-indicators ";
    for (*line_no = 1; text.n; (*line_no)++) {
        const uint8_t *nl = memchr(text.p, '\n', text.n);
        struct sm_span line = {text.p, nl ? (size_t)(nl - text.p) : text.n};
        int r = 0;
        if (*line_no == 1 && (line.n < sizeof head - 1 || memcmp(line.p, head, sizeof head - 1) != 0))
            return -SM_EFORMAT;
        if (*line_no == 1)
            r = line.n == sizeof head && line.p[sizeof head - 1] == '1' ? 0 : -SM_EVERSION;
        else
            r = take_line(i, line);
        if (r < 0)
            return r;
        text = SM_SPAN(text.p + line.n + (nl != NULL), text.n - line.n - (nl != NULL));
    }
    return *line_no > 1 ? 0 : -SM_EFORMAT;
}

int indicators_parse(struct sm_span text, struct indicators **ret, unsigned *ret_line)
{
    unsigned line = 1;
    struct indicators *i = calloc(1, sizeof *i);
    if (!i)
        return -ENOMEM;
    i->text.max = (size_t)2 * INDICATORS_BYTES;
    int r = text.n > INDICATORS_BYTES ? -SM_ELIMIT : take_all(i, text, &line);
    if (r < 0) {
        *ret_line = line;
        indicators_free(i);
        return r;
    }
    if (i->n)
        qsort(i->v, i->n, sizeof *i->v, compare);
    *ret = i;
    return 0;
}

static const struct one *find(const struct indicators *i, const struct one *key)
{
    return i && i->n ? bsearch(key, i->v, i->n, sizeof *i->v, compare) : NULL;
}

static const char *words(const struct indicators *i, const struct one *o)
{
    return o ? (const char *)i->text.p + o->words : NULL;
}

const char *indicators_file(const struct indicators *i, const uint8_t sha256[32])
{
    struct one key = {.kind = FILE_HASH};
    memcpy(key.key, sha256, 32);
    return words(i, find(i, &key));
}

const char *indicators_address(const struct indicators *i, const char *address)
{
    uint8_t whole[32];
    unsigned width;
    if (!address_key(address, whole, &width))
        return NULL;
    for (unsigned bits = 128; bits > 0; bits--) {
        struct one key = {.kind = ADDRESS, .prefix = (uint8_t)bits};
        memcpy(key.key, whole, 32);
        mask(key.key, bits);
        const struct one *o = find(i, &key);
        if (o)
            return words(i, o);
    }
    return NULL;
}

const char *indicators_domain(const struct indicators *i, const char *name)
{
    char text[256];
    if (!domain_text(SM_SPAN_STR(name), text))
        return NULL;
    for (const char *p = text; p; p = strchr(p, '.') ? strchr(p, '.') + 1 : NULL) {
        struct one key = {.kind = DOMAIN};
        domain_key(p, key.key);
        const struct one *o = find(i, &key);
        if (o && strcmp((const char *)i->text.p + o->name, p) == 0)
            return words(i, o);
    }
    return NULL;
}
