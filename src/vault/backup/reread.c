#include "vault/backup/reread.h"
#include <errno.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/fs.h"
#include "vault/backup/read_internal.h"

#define STEP ((size_t)256 << 10)
#define STATE_LEN 48u
#define STATE_BODY 40u
#define NAME_LEN 48

/* ---- the sum ---- */

void sum_begin(struct content_sum *s, const struct run_sum_key *k)
{
    *s = (struct content_sum){ .k0 = k->k0, .k1 = k->k1 };
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static void word_add(struct content_sum *s, const uint8_t *p, uint64_t index)
{
    uint64_t w;
    memcpy(&w, p, 8);
    if (w)
        s->sum += fold(w ^ s->k0, index * 0x9e3779b97f4a7c15 ^ s->k1);
}

void sum_add(struct content_sum *s, const uint8_t *p, size_t n)
{
    while (n) {
        size_t off = s->at & 7;
        if (off == 0 && n >= 8) {
            uint64_t index = s->at >> 3;
            for (; n >= 8; n -= 8, p += 8)
                word_add(s, p, index++);
            s->at = index << 3;
            continue;
        }
        size_t k = 8 - off < n ? 8 - off : n;
        memcpy(s->word + off, p, k);
        s->at += k;
        p += k;
        n -= k;
        if ((s->at & 7) == 0)
            word_add(s, s->word, (s->at >> 3) - 1);
    }
}

void sum_hole(struct content_sum *s, uint64_t n)
{
    size_t off = s->at & 7;
    memset(s->word + off, 0, sizeof s->word - off);
    if (off && off + n >= 8)
        word_add(s, s->word, s->at >> 3);
    if (off + n >= 8)
        memset(s->word, 0, sizeof s->word);
    s->at += n;
}

uint64_t sum_end(struct content_sum *s)
{
    size_t off = s->at & 7;
    if (off) {
        memset(s->word + off, 0, sizeof s->word - off);
        word_add(s, s->word, s->at >> 3);
    }
    return s->sum;
}

/* ---- state ---- */

/* "SKRR" | u8 1 | 3x0 | u64 place | i64 time s | u64 rounds | i64 begin of the round s | 8 bytes of SHA-256 */

static void state_name(const struct run *r, char ret[NAME_LEN])
{
    char hex[33];
    sm_hex(r->c->source.b, sizeof r->c->source.b, hex);
    (void)snprintf(ret, NAME_LEN, "reread-%s", hex);
}

static bool state_load(const struct run *r, struct reread_state *ret)
{
    char name[NAME_LEN];
    uint8_t h[CRYPTO_SHA256_LEN];
    struct sm_buf b = SM_BUF_INIT(4096);
    state_name(r, name);
    bool ok = plat_fs_read_file(r->c->state_dir, name, STATE_LEN, &b) == 0 && b.n == STATE_LEN;
    if (ok) {
        crypto_sha256(SM_SPAN(b.p, STATE_BODY), h);
        ok = memcmp(b.p, "SKRR\1\0\0\0", 8) == 0 && memcmp(h, b.p + STATE_BODY, 8) == 0;
    }
    struct sm_rd rd = SM_RD(SM_SPAN(b.p, b.n));
    if (ok) {
        (void)sm_rd_bytes(&rd, 8);
        ret->place = sm_rd_u64(&rd);
        ret->at_s = (int64_t)sm_rd_u64(&rd);
        ret->rounds = sm_rd_u64(&rd);
        ret->round_s = (int64_t)sm_rd_u64(&rd);
    }
    sm_buf_wipe(&b);
    return ok;
}

static void state_save(const struct run *r, const struct reread_state *s)
{
    char name[NAME_LEN];
    uint8_t h[CRYPTO_SHA256_LEN];
    struct sm_buf b = SM_BUF_INIT(4096);
    state_name(r, name);
    int e = sm_buf_put(&b, "SKRR\1\0\0\0", 8);
    e = e ? e : sm_buf_put_u64(&b, s->place);
    e = e ? e : sm_buf_put_u64(&b, (uint64_t)s->at_s);
    e = e ? e : sm_buf_put_u64(&b, s->rounds);
    e = e ? e : sm_buf_put_u64(&b, (uint64_t)s->round_s);
    if (!e) {
        crypto_sha256(sm_buf_span(&b), h);
        e = sm_buf_put(&b, h, 8);
    }
    if (!e)
        (void)plat_replace(r->c->state_dir, name, sm_buf_span(&b), 0600); /* lost: this arc is read once more */
    sm_buf_wipe(&b);
}

/* ---- the arc ---- */

static uint64_t share_of(uint64_t part, uint64_t whole)
{
    if (part >= whole)
        return UINT64_MAX;
    return (uint64_t)(((unsigned __int128)part << 64) / whole);
}

void reread_plan(struct run *r, uint64_t total)
{
    const struct backup_config *c = r->c;
    struct reread_state *s = &r->reread;
    int64_t now = plat_clock_wall().s;
    r->reread_arc = 0;
    if (!c->reread_days)
        return;
    if (!state_load(r, s))
        *s = (struct reread_state){ .at_s = now, .round_s = now };
    if (!total || now <= s->at_s)
        return;
    uint64_t arc = share_of((uint64_t)(now - s->at_s), (uint64_t)c->reread_days * 86400);
    arc = arc < UINT64_MAX ? arc + 1 : arc; /* rounded down, thirty arcs would leave a gap */
    arc = arc > REREAD_ARC_MAX ? REREAD_ARC_MAX : arc;
    uint64_t most = c->reread_bytes_max ? share_of(c->reread_bytes_max, total) : UINT64_MAX;
    r->reread_arc = arc < most ? arc : most;
}

bool reread_due(const struct run *r, struct sm_span path)
{
    uint64_t h = r->sum_key.k0 ^ 0xcbf29ce484222325;
    if (!r->reread_arc)
        return false;
    for (size_t i = 0; i < path.n; i++)
        h = (h ^ path.p[i]) * 0x100000001b3;
    h = fold(h ^ r->sum_key.k1, 0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd;
    return h - r->reread.place < r->reread_arc; /* round the circle */
}

void reread_done(struct run *r, bool whole)
{
    struct reread_state s = r->reread;
    if (!r->c->reread_days)
        return;
    uint64_t was = s.place;
    s.at_s = plat_clock_wall().s;
    s.place += whole ? 0 : r->reread_arc;
    if (whole || s.place < was) {
        s.rounds++;
        s.round_s = s.at_s;
    }
    state_save(r, &s);
}

/* ---- a look ---- */

static int range_sum(struct run *r, int fd, uint64_t end, uint8_t *buf, struct content_sum *s, uint64_t *ret_bytes)
{
    while (s->at < end) {
        size_t want = end - s->at < STEP ? (size_t)(end - s->at) : STEP;
        if (run_cancelled(r))
            return -SM_ECANCEL;
        ssize_t n = plat_fs_read(fd, buf, want);
        if (n <= 0)
            return (int)n;
        sum_add(s, buf, (size_t)n);
        *ret_bytes += (uint64_t)n;
    }
    return 0;
}

static int file_sum(struct run *r, int fd, const struct plat_meta *m, uint8_t *buf, struct content_sum *s,
    uint64_t *bytes)
{
    uint64_t start, end;
    bool sparse = m->size >= 65536 && m->blocks_bytes + 4096 <= m->size;
    plat_fs_sequential(fd);
    while (sparse && s->at < m->size) {
        uint64_t from = s->at;
        int e = plat_fs_next_data(fd, from, m->size, &start, &end);
        if (e < 0)
            return e;
        if (e == 0)
            start = end = m->size;
        if (start > from)
            sum_hole(s, start - from);
        if (start < end && lseek(fd, (off_t)start, SEEK_SET) < 0)
            return -errno;
        e = range_sum(r, fd, end, buf, s, bytes);
        if (e < 0 || s->at < end)
            return e; /* shorter by now: the size tells */
    }
    return sparse ? 0 : range_sum(r, fd, m->size, buf, s, bytes);
}

int reread_look(struct run *r, int fd, const struct plat_meta *m, uint64_t expected, uint64_t *ret_bytes,
    enum reread_found *ret)
{
    struct plat_meta now = { 0 };
    struct content_sum s;
    uint8_t *buf = malloc(STEP);
    if (!buf)
        return -ENOMEM;
    sum_begin(&s, &r->sum_key);
    int e = file_sum(r, fd, m, buf, &s, ret_bytes);
    free(buf);
    if (e < 0)
        return e;
    e = plat_meta_read(fd, "", 0, &now);
    if (e < 0)
        return e;
    bool same = now.size == m->size && s.at == m->size && sm_time_cmp(now.mtime, m->mtime) == 0 &&
        sm_time_cmp(now.ctime, m->ctime) == 0 && memcmp(&now.id, &m->id, sizeof now.id) == 0;
    plat_meta_wipe(&now);
    *ret = !same ? REREAD_MOVED : sum_end(&s) == expected ? REREAD_SAME : REREAD_CHANGED;
    return 0;
}
