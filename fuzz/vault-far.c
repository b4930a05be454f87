/*
 * A neighbour with bad intent at the far side of a copy: messages of every kind with any bytes, in any order.  The head
 * key is ours, so that signed heads over what was sent are tried, too.  What is there must never grow past the
 * quota, and
 * the journal never shrink.
 */
#include <stdlib.h>
#include <unistd.h>
#include "crypto/init.h"
#include "crypto/sign.h"
#include "plat/fs.h"
#include "vault/copy/far.h"

#define QUOTA ((uint64_t)4 << 20)

struct play { struct far *far; struct crypto_sign_pair head; struct vault_id vault; struct sm_buf journal; };

/* The last whole record of what was sent. */
static struct journal_head last_of(const struct play *p)
{
    struct journal_head at = { 0 };
    struct journal_record r;
    size_t off = JOURNAL_HEADER_BYTES, used = 0;
    while (off < p->journal.n && journal_parse(SM_SPAN(p->journal.p + off, p->journal.n - off), &at, &r, &used) == 0) {
        at.seq = r.seq;
        memcpy(at.hash, r.hash, 32);
        off += used;
    }
    return at;
}

static void send_head(struct play *p, struct sm_span in)
{
    struct journal_signed_head h = { .head = last_of(p) };
    struct sm_buf m = SM_BUF_INIT(256), b = SM_BUF_INIT(256);
    char why[COPY_WHY];
    memcpy(h.vault, p->vault.b, 16);
    if (in.n)
        h.head.seq += (uint64_t)(int8_t)in.p[0];
    if (journal_head_message(&h, &m) || crypto_sign(&p->head, sm_buf_span(&m), h.sig) || journal_head_put(&h, &b))
        abort();
    (void)!far_head(p->far, sm_buf_span(&b), why);
    sm_buf_wipe(&m);
    sm_buf_wipe(&b);
}

/* What lies under that name is read first. */
static void send_pack(struct play *p, const struct cid *id, struct sm_span in)
{
    uint64_t length = in.n > 32 ? in.n - 32 : 0, have = 0;
    bool twice;
    int r = far_pack_begin(p->far, id, length, &have);
    while (r == -SM_EAGAIN && far_judge_step(p->far) == 1)
        ;
    if (r == -SM_EAGAIN)
        r = far_pack_begin(p->far, id, length, &have);
    if (r == 0 && length > have) {
        (void)!far_pack_data(p->far, id, have, SM_SPAN(in.p + 32 + have, in.n - 32 - have));
        (void)!far_pack_end(p->far, id, &twice);
    }
}

static void one(struct play *p, uint8_t op, struct sm_span in)
{
    struct cid id = { { 0 } };
    char why[COPY_WHY], name[COPY_NAME_MAX];
    uint8_t to[64];
    size_t got = 0;
    memcpy(id.b, in.p, in.n < 32 ? in.n : 32);
    switch (op % 8) {
    case 0:
        if (far_journal(p->far, 1, p->journal.n, in) == 0 && sm_buf_put_span(&p->journal, in))
            abort();
        break;
    case 1: send_head(p, in); break;
    case 2: (void)!far_head(p->far, in, why); break;
    case 3: (void)!far_format(p->far, in); break;
    case 4: (void)!far_manifest(p->far, &id, in); break;
    case 5: (void)!far_label(p->far, in, SM_SPAN_STR("x")); break;
    case 6:
        send_pack(p, &id, in);
        break;
    default:
        (void)snprintf(name, sizeof name, "%.*s", (int)(in.n < 90 ? in.n : 90), (const char *)in.p);
        (void)!far_read(p->far, name, 0, to, sizeof to, &got);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t seed[32] = { 7 };
    char dir[] = "/tmp/sakimori-fuzz-far-XXXXXX", why[COPY_WHY];
    struct play p = { .journal = SM_BUF_INIT((size_t)8 << 20) };
    struct far_status s;
    uint64_t size = 0;
    if (n < 16 || crypto_init() || crypto_sign_from_seed(seed, &p.head) || !mkdtemp(dir))
        return 0;
    memcpy(p.vault.b, data, 16);
    struct far_config c = { .dir = dir, .vault = p.vault, .quota = QUOTA };
    memcpy(c.head_pub, p.head.public_key, 32);
    if (far_open(&c, &p.far, why))
        abort();
    struct sm_rd rd = SM_RD(SM_SPAN(data + 16, n - 16));
    while (rd.n >= 3) {
        uint8_t op = sm_rd_u8(&rd);
        size_t want = sm_rd_u16(&rd);
        one(&p, op, sm_rd_bytes(&rd, want < rd.n ? want : rd.n));
        uint64_t now = 0;
        if (far_size(p.far, "journal/00000001.skj", &now) == 0) {
            if (now < size)
                abort();
            size = now;
        }
        far_status(p.far, &s);
        if (s.used > QUOTA)
            abort();
    }
    far_close(p.far);
    sm_buf_wipe(&p.journal);
    (void)!plat_fs_remove_tree(AT_FDCWD, dir);
    return 0;
}
