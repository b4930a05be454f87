/* Going on with the record of another box: what a take-over lays out, and what the new ledger begins with. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/writer.h"
#include "plat/fs.h"

enum {
    MODE = 0600,
    BLOCKS_APART = 1000000,     /* numbers left for what the old box wrote and nobody saved */
    IDS_APART = 1000000000,
};

int ev_link_apply(struct evidence *j, const struct evseal_link *l)
{
    if (l->next_block > j->next_block)
        j->next_block = l->next_block;
    if (l->next_id > j->front.next_id)
        j->front.next_id = l->next_id;
    if (l->sealed_block > j->sealed_block)
        j->sealed_block = l->sealed_block;
    if (l->block > j->last_block) { /* not there: verification names it, the chain goes on all the same */
        j->last_block = l->block;
        memcpy(j->last_hash, l->hash, 32);
    }
    return 0;
}

int ev_link_pending(struct evidence *j)
{
    struct sm_buf b = SM_BUF_INIT(4 * EVSEAL_LINK_LEN);
    int r = j->walk.seq ? -ENOENT : plat_fs_read_file(j->dirfd, EV_LINK_FILE, 4 * EVSEAL_LINK_LEN, &b);

    if (r >= 0)
        r = evseal_link_unpack(sm_buf_span(&b), &j->link);
    if (r >= 0)
        r = ev_link_apply(j, &j->link);
    sm_buf_wipe(&b);
    j->link_pending = r >= 0;
    return r == -ENOENT ? 0 : r == -SM_EFORMAT ? -SM_ECORRUPT : r;
}

bool evidence_link(const struct evidence *j, uint8_t ret[EVSEAL_LINK_LEN])
{
    if (j->link_pending)
        evseal_link_pack(&j->link, ret);
    return j->link_pending;
}

/* ---- laying it out ---- */

static int old_key(int dir, uint8_t ret[32])
{
    struct sm_buf b = SM_BUF_INIT(256);
    int r = plat_fs_read_file(dir, "epoch0", 256, &b);

    memset(ret, 0, 32);
    if (r >= 0)
        r = b.n >= 64 ? sm_unhex((const char *)b.p, 64, ret, 32) : -SM_ECORRUPT;
    sm_buf_wipe(&b);
    return r == -ENOENT ? 0 : r;
}

static uint64_t round_up(uint64_t v, uint64_t to)
{
    return (v / to + 1) * to;
}

static int old_end(const char *dir, int64_t now_s, struct evseal_link *ret)
{
    struct evidence *j = NULL;
    struct evidence_found found;
    int r = evidence_open(dir, NULL, &j, &found);

    if (r < 0)
        return r;
    *ret = (struct evseal_link){ .seq = j->walk.seq, .block = j->last_block, .sealed_block = j->sealed_block, .time_s = now_s,
        .next_block = round_up(j->next_block > j->sealed_block ? j->next_block : j->sealed_block, BLOCKS_APART),
        .next_id = round_up(j->front.next_id, IDS_APART) };
    memcpy(ret->last, j->walk.last, 32);
    memcpy(ret->hash, j->last_hash, 32);
    if (ret->sealed_block > ret->block)
        ret->sealed_block = ret->block;
    r = old_key(j->dirfd, ret->key);
    if (r >= 0 && found.damaged)
        r = -SM_EPARTIAL;
    evidence_free(j);
    return r;
}

static int set_aside(int dir, const char *name, const char *as)
{
    int r = plat_fs_rename(dir, name, dir, as, false);

    return r == -ENOENT ? 0 : r;
}

/* The first number of which neither ledger nor key stands there. */
static unsigned free_number(int dir)
{
    char name[32];

    for (unsigned i = 1; i <= EV_LINKS_MAX; i++) {
        (void)snprintf(name, sizeof name, EV_LEDGER_OLD, i); /* fits */
        struct stat st;
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return i;
    }
    return 0;
}

int evidence_continue(const char *dir, int64_t now_s, struct evseal_link *ret)
{
    uint8_t body[EVSEAL_LINK_LEN];
    char ledger[32], key[32];
    struct evseal_link l;
    int r = old_end(dir, now_s, &l), partial = r == -SM_EPARTIAL;

    if (r < 0 && !partial)
        return r;
    int d = plat_fs_open_dir(AT_FDCWD, dir);
    if (d < 0)
        return d;
    unsigned n = free_number(d);
    (void)snprintf(ledger, sizeof ledger, EV_LEDGER_OLD, n); /* fits */
    (void)snprintf(key, sizeof key, EV_KEY_OLD, n);          /* fits */
    r = n ? set_aside(d, "seals", ledger) : -SM_ELIMIT;
    if (r >= 0)
        r = set_aside(d, "epoch0", key);
    evseal_link_pack(&l, body);
    if (r >= 0)
        r = plat_replace(d, EV_LINK_FILE, SM_SPAN(body, sizeof body), MODE);
    (void)close(d);
    if (r < 0)
        return r;
    *ret = l;
    return partial ? 1 : 0;
}
