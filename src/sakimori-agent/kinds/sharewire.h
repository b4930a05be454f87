/*
 * What the part that speaks SMB (prepare, kinds/smb.c) and backup (share.c) say to each other about a share, one
 * request at a time, over core/ipc: W_LOOK  -                → facts     the folder of the source W_LIST  path → page
 * the folder is listed anew W_MORE  -                → page      what follows of it W_OPEN  path             → facts a
 * file; the one open before is closed W_READ  u32 n            → bytes     at most n (1..SHARE_READ_MAX), fewer only at
 * its end W_AGAIN -                → facts     as they are now; reading begins anew W_SHUT  -                → - path
 * parts with '/' between them, "" the folder of the source page   u8 more (1: another follows) ‖ u8 unfit (1: names
 * were left out that no file can have) ‖ rows row    u16 n ‖ name ‖ facts facts  u8 type (1 file, 2 folder) ‖ u32
 * attributes (FILE_ATTRIBUTE_*) ‖ u64 size ‖ u64 number ‖ 3 x (i64 s ‖ u32 ns): last write, change, creation Answers
 * that failed: an -errno of one name, or -ECONNRESET: the server is not to be reached any more.
 *
 * The part that speaks SMB is as trustworthy as the server that feeds it, so backup checks every byte.
 */
#ifndef AGENT_SHAREWIRE_H
#define AGENT_SHAREWIRE_H
#include "core/buf.h"
#include "core/time.h"

#define SHARE_PATH_MAX ((size_t)16 << 10)
#define SHARE_NAME_MAX 1024u /* bytes; SMB has 255 units of UTF-16 */
#define SHARE_PAGE_MAX ((size_t)128 << 10)
#define SHARE_READ_MAX ((size_t)512 << 10)
#define SHARE_FACTS 57u

enum { SHARE_FILE = 1, SHARE_FOLDER = 2 };
struct share_facts {
    uint8_t type;
    uint32_t attributes;
    uint64_t size, number;
    struct sm_time written, changed, created;
};

/* 1..SHARE_NAME_MAX bytes of UTF-8, not "." or "..", without '/' and NUL. */
bool share_name_ok(struct sm_span name);
/* Names with '/' between them, or "". */
bool share_path_ok(struct sm_span path);

sm_must_use int share_facts_put(struct sm_buf *b, const struct share_facts *f);
/* -SM_EPROTO: form, a type there is not, a time or a size out of the world. */
sm_must_use int share_facts_get(struct sm_span in, struct share_facts *ret);

sm_must_use int share_row_put(struct sm_buf *b, struct sm_span name, const struct share_facts *f);
struct share_page {
    struct sm_rd rd;
    bool more, unfit;
};
/* Begin with a page.  -SM_EPROTO. */
sm_must_use int share_page_get(struct sm_span in, struct share_page *ret);
/* 1 and a row (the name points into the page), 0 at its end, -SM_EPROTO. */
sm_must_use int share_row_next(struct share_page *p, struct sm_span *ret_name, struct share_facts *ret);
#endif
