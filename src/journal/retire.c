/* The ledger of the writer, and retention. */
#include <errno.h>
#include <unistd.h>

#include "journal/writer.h"
#include "plat/fs.h"

enum { MODE = 0600 };

/* ---- ledger ---- */

static void removed(struct evidence *j, const struct ev_tomb *t)
{
    struct sm_rd rd = SM_RD(t->blocks);

    for (uint64_t i = 0; i < t->n; i++) {
        uint64_t number = sm_rd_u64(&rd);
        struct sm_span hash = sm_rd_bytes(&rd, 32);
        if (number >= j->next_block) {
            j->next_block = number + 1;
            j->last_block = number;
            memcpy(j->last_hash, hash.p, 32);
        }
    }
    if (t->last_id >= j->front.next_id)
        j->front.next_id = t->last_id + 1;
    if (t->last_id > j->lane[t->klass].closed_id)
        j->lane[t->klass].closed_id = t->last_id;
    if (t->segment >= j->next_segment)
        j->next_segment = t->segment + 1;
}

int ev_remove_segment(struct evidence *j, uint64_t number)
{
    char name[EV_NAME_LEN];

    snprintf(name, sizeof name, EV_SEGMENT_NAME, (unsigned long long)number);
    int r = plat_fs_unlink(j->dirfd, name);
    if (r < 0 && r != -ENOENT)
        return r;
    r = plat_fs_sync_dir(j->dirfd);
    for (size_t i = 0; i < j->closed_n; i++) {
        if (j->closed[i].number != number)
            continue;
        j->total_events -= j->closed[i].events < j->total_events ? j->closed[i].events : j->total_events;
        j->total_raw -= j->closed[i].raw_bytes < j->total_raw ? j->closed[i].raw_bytes : j->total_raw;
        memmove(j->closed + i, j->closed + i + 1, (j->closed_n - i - 1) * sizeof *j->closed);
        j->closed_n--;
        break;
    }
    return r;
}

static int entry(void *arg, uint64_t off, const uint8_t *statement, struct sm_span body)
{
    struct evidence *j = arg;
    struct evseal_statement s;
    struct evseal_root root;
    struct ev_tomb t;

    (void)off;
    int r = evseal_step(&j->walk, statement, body);
    if (r < 0)
        return -SM_ECORRUPT;
    r = evseal_parse(statement, &s);
    if (r >= 0 && s.kind == EVSEAL_LINK && s.seq == 1 && evseal_link_unpack(body, &j->link) >= 0)
        r = ev_link_apply(j, &j->link);
    if (r >= 0 && s.kind == EVSEAL_BLOCKS && evseal_root_unpack(body, &root) >= 0) {
        j->sealed_block = root.block;
        if (root.last_id >= j->front.next_id)
            j->front.next_id = root.last_id + 1;
    }
    if (r >= 0 && s.kind == EVSEAL_TOMBSTONE && ev_tomb_parse(body, &t) >= 0) {
        removed(j, &t);
        r = ev_remove_segment(j, t.segment);
    }
    return r;
}

static int read_key(struct evidence *j)
{
    struct sm_buf b = SM_BUF_INIT(256);
    int r = plat_fs_read_file(j->dirfd, "epoch0", 256, &b);

    if (r >= 0 && b.n >= 64)
        r = sm_unhex((const char *)b.p, 64, j->walk.key, sizeof j->walk.key);
    else if (r >= 0)
        r = -SM_ECORRUPT;
    sm_buf_wipe(&b);
    if (r == -ENOENT) {
        j->walk.unsigned_ = true;
        return 0;
    }
    j->has_key = r >= 0;
    return r;
}

int ev_ledger_open(struct evidence *j)
{
    uint64_t good = 0, size = 0;
    int r = read_key(j);

    if (r < 0)
        return r;
    j->ledger = plat_fs_create(j->dirfd, "seals", PLAT_FS_RW, MODE);
    if (j->ledger < 0)
        return j->ledger;
    r = ev_ledger_read(j->ledger, entry, j, &good);
    if (r >= 0)
        r = ev_link_pending(j);
    if (r >= 0 && !good) {
        uint8_t head[EV_LEDGER_HEAD] = { 'S', 'J', 'L', '1', j->link_pending ? EV_LEDGER_LINKED : 1 };
        r = plat_fs_pwrite_all(j->ledger, SM_SPAN(head, sizeof head), 0);
        if (r >= 0)
            r = plat_fs_sync(j->ledger);
        if (r >= 0)
            r = plat_fs_sync_dir(j->dirfd);
        good = EV_LEDGER_HEAD;
    }
    if (r >= 0)
        r = plat_fs_size(j->ledger, &size);
    if (r >= 0 && size > good)
        r = plat_fs_truncate(j->ledger, good); /* a statement that was being written: keyd hands it out again */
    j->ledger_off = good;
    j->ledger_inode = ev_inode(j->ledger);
    return r;
}

int evidence_seal_begin(struct evidence *j, const uint8_t public_key[CRYPTO_SIGN_PUBLIC_LEN])
{
    char text[2 * CRYPTO_SIGN_PUBLIC_LEN + 2];

    if (j->has_key) /* the key of now is another when epochs went by: the file is what counts */
        return j->walk.epoch || !memcmp(j->walk.key, public_key, CRYPTO_SIGN_PUBLIC_LEN) ? 0 : -SM_EEXISTS;
    if (j->walk.seq)
        return -SM_EEXISTS;
    sm_hex(public_key, CRYPTO_SIGN_PUBLIC_LEN, text);
    text[sizeof text - 2] = '\n';
    int r = plat_replace(j->dirfd, "epoch0", SM_SPAN(text, sizeof text - 1), MODE);
    if (r < 0)
        return r;
    memcpy(j->walk.key, public_key, CRYPTO_SIGN_PUBLIC_LEN);
    j->walk.unsigned_ = false;
    j->has_key = true;
    return 0;
}

int evidence_seal_root(const struct evidence *j, struct evseal_root *ret)
{
    if (j->last_block <= j->sealed_block || j->link_pending)
        return 0;
    struct evseal_root r = { .block = j->last_block, .events = j->total_events };
    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX; i++)
        if (j->lane[i].closed_id > r.last_id)
            r.last_id = j->lane[i].closed_id;
    memcpy(r.hash, j->last_hash, 32);
    *ret = r;
    return 1;
}

int evidence_seal_put(struct evidence *j, const uint8_t statement[EVSEAL_LEN], struct sm_span body)
{
    struct sm_buf b = SM_BUF_INIT(8 + EVSEAL_LEN + EVSEAL_BODY_MAX);
    struct evseal_walk next = j->walk;
    struct evseal_statement s;
    struct evseal_root root;
    int r = evseal_step(&next, statement, body);

    if (r >= 0)
        r = evseal_parse(statement, &s);
    if (r >= 0 && s.kind == EVSEAL_BLOCKS)
        r = evseal_root_unpack(body, &root);
    if (r >= 0 && (s.kind == EVSEAL_LINK) != j->link_pending)
        r = -SM_EMISMATCH;
    if (r >= 0 && j->link_pending) {
        uint8_t link[EVSEAL_LINK_LEN];
        evseal_link_pack(&j->link, link);
        r = body.n == sizeof link && !memcmp(body.p, link, sizeof link) ? 0 : -SM_EMISMATCH;
    }
    if (r < 0)
        return r;
    r = sm_buf_put_u32(&b, (uint32_t)(EVSEAL_LEN + body.n));
    if (r >= 0)
        r = sm_buf_put(&b, statement, EVSEAL_LEN);
    if (r >= 0)
        r = sm_buf_put_span(&b, body);
    if (r >= 0)
        r = plat_fs_pwrite_all(j->ledger, sm_buf_span(&b), j->ledger_off);
    if (r >= 0)
        r = plat_fs_datasync(j->ledger);
    if (r >= 0) {
        j->ledger_off += b.n;
        j->walk = next;
        j->link_pending = false;
        if (s.kind == EVSEAL_BLOCKS)
            j->sealed_block = root.block;
    }
    sm_buf_wipe(&b);
    return r;
}

void evidence_seal_last(const struct evidence *j, uint64_t *ret_seq, uint8_t ret_hash[32])
{
    *ret_seq = j->walk.seq;
    memcpy(ret_hash, j->walk.last, 32);
}

/* ---- retention ---- */

static bool is_held(const struct ev_closed *c, const struct evidence_rules *rules)
{
    for (size_t i = 0; i < rules->holds_n && i < EVIDENCE_HOLDS_MAX; i++) {
        const struct evidence_hold *h = &rules->holds[i];
        bool of_time = (c->first.s <= h->to_s && c->last.s >= h->from_s) || (c->seen_first <= h->to_s && c->seen_last >= h->from_s);
        if (!of_time || (h->classes && !(h->classes >> c->klass & 1)))
            continue;
        if (!h->source || c->sources_all)
            return true;
        for (size_t k = 0; k < c->sources; k++)
            if (c->source[k] == h->source)
                return true;
    }
    return false;
}

static uint64_t class_bytes(const struct evidence *j, uint8_t klass, const struct evidence_rules *rules)
{
    uint64_t n = j->lane[klass].open.fd >= 0 ? j->lane[klass].open.good : 0;

    for (size_t i = 0; i < j->closed_n; i++)
        n += j->closed[i].klass == klass && !is_held(&j->closed[i], rules) ? j->closed[i].bytes : 0;
    return n;
}

static int tombstone(struct evidence *j, const struct ev_closed *c, uint8_t reason, int64_t now_s, struct sm_buf *ret)
{
    char name[EV_NAME_LEN];
    struct ev_segment s;
    struct sm_buf blocks = SM_BUF_INIT(EVSEAL_BODY_MAX);

    snprintf(name, sizeof name, EV_SEGMENT_NAME, (unsigned long long)c->number);
    int fd = plat_fs_open_read(j->dirfd, name);
    if (fd < 0)
        return fd;
    int r = ev_segment_load(fd, &s);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    for (size_t i = 0; i < s.n && r >= 0; i++) {
        r = sm_buf_put_u64(&blocks, s.entry[i].number);
        if (r >= 0)
            r = sm_buf_put(&blocks, s.entry[i].hash, 32);
    }
    const struct ev_tomb t = { .klass = c->klass, .reason = reason, .segment = c->number, .time_s = now_s, .n = s.n,
        .blocks = sm_buf_span(&blocks), .first_id = c->first_id, .last_id = c->last_id };
    if (r >= 0)
        r = ev_tomb_put(&t, ret);
    ev_segment_wipe(&s);
    sm_buf_wipe(&blocks);
    return r;
}

int evidence_retire_next(struct evidence *j, const struct evidence_rules *rules, int64_t now_s, struct sm_buf *ret_body)
{
    bool seen[EVIDENCE_CLASSES_MAX] = { false };

    for (size_t i = 0; i < j->closed_n; i++) {
        const struct ev_closed *c = &j->closed[i];
        const struct evidence_policy *p = &rules->of[c->klass];
        if (seen[c->klass] || is_held(c, rules))
            continue;
        seen[c->klass] = true; /* the oldest of its class that is not held, and nothing else */
        if (c->damaged || c->last_block > j->sealed_block || !c->events)
            continue;
        bool old = p->days && c->seen_last < now_s - (int64_t)p->days * 86400;
        bool large = p->bytes && class_bytes(j, c->klass, rules) > p->bytes;
        if (!old && !large)
            continue;
        sm_buf_clear(ret_body);
        int r = tombstone(j, c, old ? EV_GONE_AGE : EV_GONE_SIZE, now_s, ret_body);
        return r < 0 ? r : 1;
    }
    return 0;
}

int evidence_retire(struct evidence *j, const uint8_t statement[EVSEAL_LEN], struct sm_span body)
{
    struct evseal_statement s;
    struct ev_tomb t;
    int r = evseal_parse(statement, &s);

    if (r >= 0)
        r = s.kind == EVSEAL_TOMBSTONE ? ev_tomb_parse(body, &t) : -SM_EMISMATCH;
    if (r >= 0)
        r = evidence_seal_put(j, statement, body);
    return r < 0 ? r : ev_remove_segment(j, t.segment);
}
