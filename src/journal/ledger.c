/* The ledger: signed statements with their bodies, one after the other. */
#include "journal/internal.h"

#include "plat/fs.h"

int ev_ledger_read(int fd, ev_ledger_fn fn, void *arg, uint64_t *ret_good)
{
    struct sm_buf b = SM_BUF_INIT(EVSEAL_LEN + EVSEAL_BODY_MAX);
    uint64_t size, off = EV_LEDGER_HEAD;
    uint8_t h[EV_LEDGER_HEAD];
    int r = plat_fs_size(fd, &size);

    *ret_good = 0;
    if (r < 0 || size < EV_LEDGER_HEAD)
        return r;
    r = plat_fs_pread_all(fd, h, sizeof h, 0);
    if (r < 0)
        return r;
    if (memcmp(h, "SJL1", 4))
        return -SM_EFORMAT;
    if ((h[4] != 1 && h[4] != EV_LEDGER_LINKED) || memcmp(h + 5, "\0\0", 3))
        return -SM_EVERSION;
    while (r >= 0 && size - off >= 4 + EVSEAL_LEN) {
        uint8_t len[4];
        r = plat_fs_pread_all(fd, len, sizeof len, off);
        struct sm_rd rd = SM_RD(SM_SPAN(len, 4));
        uint32_t n = sm_rd_u32(&rd);
        if (r < 0 || n < EVSEAL_LEN || n > EVSEAL_LEN + EVSEAL_BODY_MAX || n > size - off - 4)
            break;
        sm_buf_clear(&b);
        r = sm_buf_reserve(&b, n);
        if (r >= 0)
            r = plat_fs_pread_all(fd, b.p, n, off + 4);
        if (r >= 0)
            r = fn(arg, off, b.p, SM_SPAN(b.p + EVSEAL_LEN, n - EVSEAL_LEN));
        /* the last one: its pages were on the way when the power went */
        if (r == -SM_ECORRUPT && off + 4 + n == size) {
            r = 0;
            break;
        }
        if (r >= 0)
            off += 4 + n;
    }
    sm_buf_wipe(&b);
    *ret_good = off;
    return r < 0 ? r : 0;
}

int ev_tomb_put(const struct ev_tomb *t, struct sm_buf *ret)
{
    int r = sm_buf_put(ret, (const uint8_t[]){ 'S', 'J', 'T', '1', t->klass, t->reason }, 6);
    const uint64_t a[] = { t->segment, (uint64_t)t->time_s, t->first_id, t->last_id, t->n };

    for (size_t i = 0; i < sizeof a / sizeof *a && r >= 0; i++)
        r = sm_buf_put_u64(ret, a[i]);
    return r < 0 ? r : sm_buf_put_span(ret, t->blocks);
}

int ev_tomb_parse(struct sm_span body, struct ev_tomb *ret)
{
    struct sm_rd rd = SM_RD(body);
    struct sm_span magic = sm_rd_bytes(&rd, 4);
    struct ev_tomb t = { .klass = sm_rd_u8(&rd) };

    t.reason = sm_rd_u8(&rd);
    t.segment = sm_rd_u64(&rd);
    t.time_s = (int64_t)sm_rd_u64(&rd);
    t.first_id = sm_rd_u64(&rd);
    t.last_id = sm_rd_u64(&rd);
    t.n = sm_rd_u64(&rd);
    if (rd.err || memcmp(magic.p, "SJT1", 4) || t.n > EV_SEGMENT_BLOCKS_MAX || rd.n != t.n * EV_TOMB_BLOCK
        || t.klass >= EVIDENCE_CLASSES_MAX)
        return -SM_EFORMAT;
    t.blocks = sm_rd_bytes(&rd, rd.n);
    *ret = t;
    return 0;
}
