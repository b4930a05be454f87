/*
 * What this machine's packets may do, as one table of the kernel's packet filter (Linux: nftables, `inet sakimori`): destinations that
 * are blocked, and isolation.  The table is always set whole, in one transaction: there is no moment with half of it.
 *
 * Everything with an end has it in the kernel too (elements with timeouts), so isolation and blocks end when nobody is there any more
 * to end them.  Isolation looks at addresses and ports alone, never at connections known before: what was open is cut.
 * The library is loaded when it is needed; where there is none, -SM_EUNSUPPORTED.
 */
#ifndef SM_PLAT_NETFILTER_H
#define SM_PLAT_NETFILTER_H
#include "core/buf.h"

enum { PLAT_NF_TO_MAX = 4096, PLAT_NF_BOX_MAX = 16, PLAT_NF_WHY = 200 };

/* An address or a prefix; IPv4 as ::ffff:a.b.c.d with bits counted from the front of the 16 bytes (96 and more). */
struct plat_nf_to { uint8_t address[16]; uint8_t bits; uint32_t left_s; /* 0: without an end */ };
struct plat_nf_rules {
    const struct plat_nf_to *to;
    size_t to_n;                            /* <= PLAT_NF_TO_MAX */
    bool isolated;
    uint32_t isolated_s;                    /* > 0: it ends after that */
    const uint8_t (*box)[16];               /* what stays reachable while isolated */
    size_t box_n;                           /* <= PLAT_NF_BOX_MAX */
    uint16_t port[2];                       /* there; equal or 0: one */
};

/* Find the library; before a process confines itself.  -SM_EUNSUPPORTED. */
sm_must_use int plat_netfilter_load(void);
/*
 * Make the table these rules; without any the table is removed.  A prefix inside of another is left to the other as long as that
 * lasts.  ret_why: PLAT_NF_WHY bytes, what the kernel said.  -SM_EUNSUPPORTED no library, no such thing in the kernel; -SM_ELIMIT,
 * -EPERM, -ENOMEM.
 */
sm_must_use int plat_netfilter_set(const struct plat_nf_rules *r, char *ret_why);
/* The same as text, as the system's own tool reads it. */
sm_must_use int plat_netfilter_text(const struct plat_nf_rules *r, struct sm_buf *ret);
/* "192.0.2.1", "192.0.2.0/24", "2001:db8::/32": bits behind the prefix must be 0.  -SM_EFORMAT. */
sm_must_use int plat_nf_parse(const char *text, struct plat_nf_to *ret);
/* A prefix (bits behind it or not) of more than a block may take: shorter than /8, of IPv6 /16?  No prefix: false. */
bool plat_nf_wide(const char *text);
/* This machine itself: loopback, the unspecified addresses, or a prefix that has some of them in it. */
bool plat_nf_own(const struct plat_nf_to *t);
/* Is b inside of a? */
bool plat_nf_inside(const struct plat_nf_to *a, const struct plat_nf_to *b);
/* ret has 64 bytes. */
void plat_nf_text(const struct plat_nf_to *t, char ret[64]);
#endif
