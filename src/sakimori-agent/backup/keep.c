/* The cache of a source, sealed and kept by the box: sent after a run, fetched when it was lost. */
#include <errno.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/backup/backupd.h"
#include "sakimori-agent/carrier.h"
#include "vault/backup/keep.h"

#define PIECE ((size_t)240 << 10)
#define PUT_HEAD (CACHE_LOG_LEN + 8 + 1)
#define GET_HEAD (CACHE_LOG_LEN + 8)

/* One call about the cache.  0: answered with 200. */
static int call(struct backupd *b, const char *what, enum carrier_method method, struct sm_span body,
    struct sm_buf *ret)
{
    char path[L_PATH_MAX];
    int status = 0;
    snprintf(path, sizeof path, "/agent/v1/caches/%s/%s", b->now.source, what);
    int r = backupd_wait_link(b);
    if (!r)
        r = carrier_call(b->link, method, path, body, 0, &status, ret);
    if (r)
        return r;
    return status == 200                    ? 0
           : status == 404                  ? -SM_ENOTFOUND
           : status == 403                  ? -SM_EDENIED
           : status == 413 || status == 409 ? -SM_ELIMIT
                                            : -SM_EPEER;
}

/* ---- sending ---- */

static int send_piece(struct backupd *b, const struct keep_add *a, uint64_t done, int fd, struct sm_buf *body)
{
    struct sm_buf answer = SM_BUF_INIT(65536);
    uint64_t left = a->bytes - done, n = left < PIECE ? left : PIECE;
    sm_buf_clear(body);
    int r = sm_buf_put(body, a->log, sizeof a->log);
    r = r ? r : sm_buf_put_u64(body, a->at + done);
    r = r ? r : sm_buf_put_u8(body, n == left);
    r = r ? r : sm_buf_reserve(body, (size_t)n);
    ssize_t got = r ? 0 : plat_fs_read(fd, body->p + body->n, (size_t)n);
    if (!r && got <= 0)
        r = got < 0 ? (int)got : -SM_ECORRUPT;
    if (!r && (uint64_t)got < n) /* not its end after all */
        body->p[PUT_HEAD - 1] = 0;
    body->n += r ? 0 : (size_t)got;
    r = r ? r : call(b, "put", CARRY_POST_RAW, sm_buf_span(body), &answer);
    if (!r) {
        backupd_paced(b, (uint64_t)got);
        b->kept_bytes += (uint64_t)got;
    }
    sm_buf_wipe(&answer);
    return r ? r : (int)got;
}

void backupd_keep_send(struct backupd *b, const struct source_id *source)
{
    struct keep_add a;
    struct sm_buf body = SM_BUF_INIT(PIECE + PUT_HEAD);
    uint64_t done = 0;
    int fd = -1, r = keep_add_open(b->cache, source, &a, &fd);
    if (r == -SM_ENOTFOUND)
        return;
    while (r >= 0 && done < a.bytes && !atomic_load(&b->cancelled)) {
        r = send_piece(b, &a, done, fd, &body);
        done += r > 0 ? (uint64_t)r : 0;
    }
    if (fd >= 0)
        close(fd); /* was only read */
    sm_buf_wipe(&body);
    if (r >= 0 && done == a.bytes)
        keep_add_done(b->cache, source);
    else if (r != -SM_EPEER && r != -SM_ETIME && r != -SM_ECANCEL && r != -SM_EAGAIN && r < 0)
        keep_add_not(b->cache, source); /* refused: a base is tried after the next run */
    if (r < 0)
        sm_info("the box did not take the cache (%s): should it be lost, everything is read", sm_strerror(r));
}

/* ---- fetching ---- */

struct got { uint8_t log[CACHE_LOG_LEN]; uint64_t total, have; };

/* The next piece into fd.  All pieces are of one log, whose length does not change meanwhile. */
static int get_piece(struct backupd *b, int fd, struct got *g)
{
    char text[64];
    struct sm_buf answer = SM_BUF_INIT(PIECE + 65536);
    uint8_t log[CACHE_LOG_LEN];
    snprintf(text, sizeof text, "{\"offset\":%llu}", (unsigned long long)g->have);
    int r = call(b, "get", CARRY_POST, SM_SPAN_STR(text), &answer);
    struct sm_rd rd = SM_RD(sm_buf_span(&answer));
    sm_rd_copy(&rd, log, sizeof log);
    uint64_t total = sm_rd_u64(&rd);
    if (!r && (rd.err || total > KEEP_LOG_MAX))
        r = -SM_EPROTO;
    if (!r && g->have && (total != g->total || memcmp(log, g->log, sizeof log) != 0))
        r = -SM_EPROTO;
    if (!r && (rd.n > total - g->have || (rd.n == 0 && g->have < total)))
        r = -SM_EPROTO;
    r = r || !rd.n ? r : plat_fs_write_all(fd, SM_SPAN(rd.p, rd.n));
    if (!r) {
        memcpy(g->log, log, sizeof log);
        g->total = total;
        g->have += rd.n;
    }
    sm_buf_wipe(&answer);
    return r;
}

static int fetch(struct backupd *b, const struct backup_config *c, const char *name, enum keep_age *ret)
{
    const struct tree_ids ids = {c->vault, c->client, c->source};
    struct got g = {.total = 1};
    int fd = plat_fs_create(b->cache, name, PLAT_FS_TRUNC, 0600), r = fd < 0 ? fd : 0;
    while (!r && g.have < g.total)
        r = get_piece(b, fd, &g);
    if (fd >= 0)
        close(fd); /* read again at once, and checked byte by byte */
    return r ? r : keep_load(b->cache, &ids, c->k_id, g.log, &c->previous, ret);
}

void backupd_keep_fetch(struct backupd *b, struct backup_config *c)
{
    const struct tree_ids ids = {c->vault, c->client, c->source};
    enum keep_age age = KEEP_OLD;
    char name[64];
    b->kept = "";
    if (c->forget || c->number <= 1 || !keep_wanted(b->cache, &ids))
        return;
    keep_name(&c->source, ".got", name);
    int r = fetch(b, c, name, &age);
    (void)!plat_fs_unlink(b->cache, name); /* written over the next time */
    c->fetched = r == 0;
    c->fetched_old = r == 0 && age == KEEP_OLD;
    b->kept = r == 0 ? (age == KEEP_EXACT ? "fetched" : "old") : r == -SM_ENOTFOUND ? "none" : "refused";
    if (strcmp(b->kept, "refused") == 0)
        sm_warn("the cache that the box kept is not this machine's (%s): everything is read", sm_strerror(r));
    else
        sm_info("the cache of this source was lost; the box's: %s", b->kept);
}
