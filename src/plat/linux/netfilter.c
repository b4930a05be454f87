/*
 * nftables by its own library (libnftables).  It is what `nft` itself is made of, so the text of a table can be tried by hand, and the
 * transaction is the library's.  The library is loaded by the one part that needs it.
 */
#include "plat/netfilter.h"
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LIBRARY "libnftables.so.1"
#define TABLE "inet sakimori"
#define TEXT_MAX ((size_t)1 << 20)

static struct {
    __typeof__(&nft_ctx_new) ctx_new;
    __typeof__(&nft_ctx_free) ctx_free;
    __typeof__(&nft_ctx_buffer_output) buffer_output;
    __typeof__(&nft_ctx_buffer_error) buffer_error;
    __typeof__(&nft_ctx_get_error_buffer) get_error;
    __typeof__(&nft_run_cmd_from_buffer) run;
} lib;
static bool there;

int plat_netfilter_load(void)
{
    if (there)
        return 0;
    void *so = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!so)
        return -SM_EUNSUPPORTED;
    *(void **)&lib.ctx_new = dlsym(so, "nft_ctx_new");
    *(void **)&lib.ctx_free = dlsym(so, "nft_ctx_free");
    *(void **)&lib.buffer_output = dlsym(so, "nft_ctx_buffer_output");
    *(void **)&lib.buffer_error = dlsym(so, "nft_ctx_buffer_error");
    *(void **)&lib.get_error = dlsym(so, "nft_ctx_get_error_buffer");
    *(void **)&lib.run = dlsym(so, "nft_run_cmd_from_buffer");
    there = lib.ctx_new && lib.ctx_free && lib.buffer_output && lib.buffer_error && lib.get_error && lib.run;
    return there ? 0 : -SM_EUNSUPPORTED;
}

/* ---- addresses ---- */

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is4(const uint8_t a[16])
{
    return memcmp(a, mapped, 12) == 0;
}

static bool clean_behind(const uint8_t a[16], unsigned bits)
{
    for (unsigned i = bits; i < 128; i++)
        if (a[i / 8] & (0x80 >> i % 8))
            return false;
    return true;
}

int plat_nf_parse(const char *text, struct plat_nf_to *ret)
{
    struct plat_nf_to t = {.bits = 128};
    char address[64];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    if (n >= sizeof address)
        return -SM_EFORMAT;
    memcpy(address, text, n);
    address[n] = 0;
    bool four = inet_pton(AF_INET, address, t.address + 12) == 1;
    if (four)
        memcpy(t.address, mapped, 12);
    else if (inet_pton(AF_INET6, address, t.address) != 1)
        return -SM_EFORMAT;
    if (slash) {
        const char *digits = slash + 1;
        if (!*digits || strlen(digits) > 3 || strspn(digits, "0123456789") != strlen(digits))
            return -SM_EFORMAT;
        unsigned bits = (unsigned)strtoul(digits, NULL, 10), most = four ? 32 : 128;
        if (bits > most || bits == 0) /* everything is what isolation is for */
            return -SM_EFORMAT;
        t.bits = (uint8_t)(four ? bits + 96 : bits);
    }
    if (!clean_behind(t.address, t.bits))
        return -SM_EFORMAT;
    *ret = t;
    return 0;
}

bool plat_nf_wide(const char *text)
{
    uint8_t at[16];
    char address[64];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : 0;
    size_t digits = slash ? strlen(slash + 1) : 0;
    if (n >= sizeof address || !digits || digits > 3 || strspn(slash + 1, "0123456789") != digits)
        return false;
    memcpy(address, text, n);
    address[n] = 0;
    unsigned bits = (unsigned)strtoul(slash + 1, NULL, 10);
    if (inet_pton(AF_INET, address, at) == 1)
        return bits < 8;
    if (inet_pton(AF_INET6, address, at) != 1)
        return false;
    return bits < 16 || (is4(at) && bits < 96 + 8);
}

bool plat_nf_own(const struct plat_nf_to *t)
{
    /* The last two reach this machine as well. */
    static const char *const own[] = {"127.0.0.0/8", "::1", "0.0.0.0/8", "::"};
    struct plat_nf_to one;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (!plat_nf_parse(own[i], &one) && (plat_nf_inside(t, &one) || plat_nf_inside(&one, t)))
            return true;
    return false;
}

bool plat_nf_inside(const struct plat_nf_to *a, const struct plat_nf_to *b)
{
    unsigned whole = a->bits / 8, rest = a->bits % 8;
    if (b->bits < a->bits || memcmp(a->address, b->address, whole) != 0)
        return false;
    return !rest || ((a->address[whole] ^ b->address[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

void plat_nf_text(const struct plat_nf_to *t, char ret[64])
{
    char a[INET6_ADDRSTRLEN];
    bool four = is4(t->address) && t->bits >= 96;
    unsigned bits = four ? t->bits - 96u : t->bits;
    (void)inet_ntop(four ? AF_INET : AF_INET6, four ? t->address + 12 : t->address, a, sizeof a); /* always fits */
    if (t->bits == 128)
        (void)snprintf(ret, 64, "%s", a);
    else
        (void)snprintf(ret, 64, "%s/%u", a, bits);
}

/* ---- the table as text ---- */

/* Is there one that covers i?  Of equals the one that lasts longest, then the first. */
static bool covered(const struct plat_nf_rules *r, size_t i)
{
    for (size_t k = 0; k < r->to_n; k++) {
        const struct plat_nf_to *a = &r->to[k], *b = &r->to[i];
        if (k == i || !plat_nf_inside(a, b))
            continue;
        if (a->bits < b->bits)
            return true;
        uint32_t la = a->left_s ? a->left_s : UINT32_MAX, lb = b->left_s ? b->left_s : UINT32_MAX;
        if (la > lb || (la == lb && k < i))
            return true;
    }
    return false;
}

static int put_to_set(const struct plat_nf_rules *r, bool four, struct sm_buf *b)
{
    int e = sm_buf_printf(b, "set to%d { type ipv%d_addr; flags interval, timeout;", four ? 4 : 6, four ? 4 : 6);
    bool any = false;
    char text[64];
    for (size_t i = 0; i < r->to_n && !e; i++) {
        const struct plat_nf_to *t = &r->to[i];
        if ((is4(t->address) && t->bits >= 96) != four || covered(r, i))
            continue;
        plat_nf_text(t, text);
        e = sm_buf_printf(b, "%s%s", any ? ", " : " elements = { ", text);
        if (!e && t->left_s)
            e = sm_buf_printf(b, " timeout %us", t->left_s);
        any = true;
    }
    return e ? e : sm_buf_printf(b, "%s }\n", any ? " };" : "");
}

static int put_box_set(const struct plat_nf_rules *r, bool four, struct sm_buf *b)
{
    int e = sm_buf_printf(b, "set box%d { type ipv%d_addr;", four ? 4 : 6, four ? 4 : 6);
    bool any = false;
    char text[64];
    for (size_t i = 0; i < r->box_n && !e; i++) {
        struct plat_nf_to t = {.bits = 128};
        memcpy(t.address, r->box[i], 16);
        if (is4(t.address) != four)
            continue;
        plat_nf_text(&t, text);
        e = sm_buf_printf(b, "%s%s", any ? ", " : " elements = { ", text);
        any = true;
    }
    return e ? e : sm_buf_printf(b, "%s }\n", any ? " };" : "");
}

/* Before every other table's chains (and before the kernel looks at connections): a packet that is dropped here is gone. */
static int put_isolation(const struct plat_nf_rules *r, struct sm_buf *b)
{
    char ports[32];
    if (!r->isolated)
        return 0;
    if (r->port[1] && r->port[1] != r->port[0])
        (void)snprintf(ports, sizeof ports, "{ %u, %u }", r->port[0], r->port[1]);
    else
        (void)snprintf(ports, sizeof ports, "%u", r->port[0]);
    int e = sm_buf_printf(b,
        "set due { type nf_proto; flags timeout; elements = { ipv4 timeout %us, ipv6 timeout %us }; }\n", r->isolated_s,
        r->isolated_s);
    if (!e)
        e = put_box_set(r, true, b);
    if (!e)
        e = put_box_set(r, false, b);
    return e ? e
             : sm_buf_printf(b,
                   "chain apart_out { type filter hook output priority -310; policy accept;\n"
                   "meta nfproto != @due accept\noif lo accept\n"
                   "ip daddr @box4 tcp dport %s accept\nip6 daddr @box6 tcp dport %s accept\n"
                   "udp sport 68 udp dport 67 accept\nudp sport 546 udp dport 547 accept\n"
                   "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } ip6 hoplimit 255 accept\n"
                   "drop\n}\n"
                   "chain apart_in { type filter hook input priority -310; policy accept;\n"
                   "meta nfproto != @due accept\niif lo accept\n"
                   "ip saddr @box4 tcp sport %s tcp flags & (syn | ack) != syn accept\n"
                   "ip6 saddr @box6 tcp sport %s tcp flags & (syn | ack) != syn accept\n"
                   "udp sport 67 udp dport 68 accept\nudp sport 547 udp dport 546 accept\n"
                   "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } ip6 hoplimit 255 accept\n"
                   "drop\n}\n"
                   "chain apart_on { type filter hook forward priority -310; policy accept;\n"
                   "meta nfproto != @due accept\ndrop\n}\n",
                   ports, ports, ports, ports);
}

static int put_blocks(const struct plat_nf_rules *r, struct sm_buf *b)
{
    if (!r->to_n)
        return 0;
    int e = put_to_set(r, true, b);
    if (!e)
        e = put_to_set(r, false, b);
    return e ? e
             : sm_buf_printf(b,
                   "chain to_out { type filter hook output priority -305; policy accept;\n"
                   "ip daddr @to4 reject with icmpx admin-prohibited\nip6 daddr @to6 reject with icmpx admin-prohibited\n}\n"
                   "chain to_in { type filter hook input priority -305; policy accept;\n"
                   "ip saddr @to4 drop\nip6 saddr @to6 drop\n}\n"
                   "chain to_on { type filter hook forward priority -305; policy accept;\n"
                   "ip daddr @to4 drop\nip6 daddr @to6 drop\nip saddr @to4 drop\nip6 saddr @to6 drop\n}\n");
}

int plat_netfilter_text(const struct plat_nf_rules *r, struct sm_buf *ret)
{
    if (r->to_n > PLAT_NF_TO_MAX || r->box_n > PLAT_NF_BOX_MAX)
        return -SM_ELIMIT;
    if (r->isolated && (!r->isolated_s || !r->box_n || !r->port[0]))
        return -SM_EINVAL;
    /* Made before it is removed, so that removing it never fails. */
    int e = sm_buf_printf(ret, "add table " TABLE "\ndelete table " TABLE "\n");
    if (e || (!r->to_n && !r->isolated))
        return e;
    e = sm_buf_printf(ret, "table " TABLE " {\n");
    if (!e)
        e = put_isolation(r, ret);
    if (!e)
        e = put_blocks(r, ret);
    return e ? e : sm_buf_printf(ret, "}\n");
}

/* ---- setting it ---- */

static void keep_why(const char *said, char *ret_why)
{
    size_t n = 0;
    for (; said && said[n] && said[n] != '\n' && n < PLAT_NF_WHY - 1; n++)
        ret_why[n] = said[n] < 0x20 || said[n] > 0x7e ? '?' : said[n];
    ret_why[n] = 0;
}

int plat_netfilter_set(const struct plat_nf_rules *r, char *ret_why)
{
    struct sm_buf text = SM_BUF_INIT(TEXT_MAX);
    ret_why[0] = 0;
    int e = plat_netfilter_text(r, &text);
    if (!e)
        e = plat_netfilter_load();
    struct nft_ctx *ctx = e ? NULL : lib.ctx_new(NFT_CTX_DEFAULT);
    if (!e && (!ctx || !sm_buf_str(&text)))
        e = -ENOMEM;
    if (!e) {
        (void)lib.buffer_output(ctx); /* what fails here is only what it would print */
        (void)lib.buffer_error(ctx);
        errno = 0;
        if (lib.run(ctx, sm_buf_str(&text)) != 0) {
            e = errno == EPERM || geteuid() != 0 ? -EPERM : errno == ENOMEM ? -ENOMEM : -SM_EUNSUPPORTED;
            keep_why(lib.get_error(ctx), ret_why);
        }
    }
    if (ctx)
        lib.ctx_free(ctx);
    sm_buf_wipe(&text);
    return e;
}
