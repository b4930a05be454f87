/*
 * Every batch once.  Before a group is kept, its batches are written down together with the number of its first event; a group is
 * one commit.  At a start the journal says whether that commit was: its next number has moved on or not.
 */
#include <errno.h>
#include <fcntl.h>
#include "core/log.h"
#include "crypto/hash.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimorid/watch/watch.h"

#define STREAMS_FILE "streams"
static const char magic[4] = "SWS1";

static int read_streams(struct watch *w, struct sm_span text)
{
    uint8_t sum[32], hash[32], head[4];
    struct sm_rd rd = SM_RD(text);

    if (text.n < sizeof sum)
        return -SM_EFORMAT;
    crypto_sha256(SM_SPAN(text.p, text.n - sizeof sum), hash);
    memcpy(sum, text.p + text.n - sizeof sum, sizeof sum);
    rd.n -= sizeof sum;
    sm_rd_copy(&rd, head, sizeof head);
    if (rd.err || memcmp(head, magic, 4) != 0 || memcmp(hash, sum, sizeof sum) != 0)
        return -SM_EFORMAT;
    uint64_t stood = sm_rd_u64(&rd);
    bool committed = evidence_next_id(w->journal) > stood;
    if (evidence_next_id(w->journal) < stood) /* a write-ahead file was taken away, or the record put back, while nobody looked */
        w->ends_early = true;
    uint32_t n = sm_rd_u32(&rd);
    if (n > STREAMS_MAX)
        return -SM_EFORMAT;
    for (uint32_t i = 0; i < n; i++) {
        struct stream *s = &w->streams[i];
        sm_rd_copy(&rd, s->id, sizeof s->id);
        s->done = sm_rd_u64(&rd);
        s->next = sm_rd_u64(&rd);
        s->used_s = (int64_t)sm_rd_u64(&rd);
        if (s->next && committed)
            s->done = s->next;
        s->next = 0;
    }
    int r = sm_rd_done(&rd);
    w->streams_n = r < 0 ? 0 : n;
    return r;
}

int streams_open(struct watch *w)
{
    struct sm_buf text = SM_BUF_INIT(STREAMS_BYTES_MAX);
    int r = plat_fs_read_file(w->state_dir, STREAMS_FILE, STREAMS_BYTES_MAX, &text);

    if (r >= 0 && read_streams(w, sm_buf_span(&text)) < 0)
        sm_warn("the list of batches that were taken in cannot be read: one that is sent again would be kept twice");
    sm_buf_wipe(&text);
    return r == -ENOENT ? 0 : r;
}

static struct stream *find(struct watch *w, const uint8_t id[16])
{
    for (size_t i = 0; i < w->streams_n; i++)
        if (!memcmp(w->streams[i].id, id, 16))
            return &w->streams[i];
    return NULL;
}

static struct stream *make(struct watch *w, const uint8_t id[16])
{
    struct stream *s = find(w, id);

    if (s)
        return s;
    if (w->streams_n < STREAMS_MAX) {
        s = &w->streams[w->streams_n++];
    } else {
        for (size_t i = 0; i < w->streams_n; i++) /* of those that have no batch under way: there are fewer than JOBS_MAX */
            if (!w->streams[i].next && (!s || w->streams[i].used_s < s->used_s))
                s = &w->streams[i];
        if (!s)
            return NULL;
    }
    *s = (struct stream){ .done = 0 };
    memcpy(s->id, id, 16);
    return s;
}

bool streams_known(struct watch *w, const struct log_batch *b)
{
    const struct stream *s = find(w, b->stream);

    return s && b->number <= s->done;
}

int streams_intend(struct watch *w, struct sm_buf *text)
{
    uint8_t hash[32];
    bool any = false;

    sm_buf_clear(text);
    for (struct job *j = w->jobs; j && j->in_group; j = j->next) {
        struct stream *s = j->keeping || !j->intended ? NULL : make(w, j->batch.stream);
        if (!s)
            continue;
        any = true;
        s->next = j->batch.number;
        s->used_s = plat_clock_wall().s;
    }
    if (!any)
        return 0;
    int r = sm_buf_put(text, magic, 4);
    if (r >= 0)
        r = sm_buf_put_u64(text, w->group_first);
    if (r >= 0)
        r = sm_buf_put_u32(text, (uint32_t)w->streams_n);
    for (size_t i = 0; r >= 0 && i < w->streams_n; i++) {
        const struct stream *s = &w->streams[i];
        r = sm_buf_put(text, s->id, sizeof s->id);
        if (r >= 0)
            r = sm_buf_put_u64(text, s->done);
        if (r >= 0)
            r = sm_buf_put_u64(text, s->next);
        if (r >= 0)
            r = sm_buf_put_u64(text, (uint64_t)s->used_s);
    }
    crypto_sha256(sm_buf_span(text), hash);
    return r < 0 ? r : sm_buf_put(text, hash, sizeof hash);
}

int streams_write(const struct watch *w, struct sm_span intent)
{
    return plat_replace(w->state_dir, STREAMS_FILE, intent, 0600);
}

void streams_done(struct watch *w)
{
    for (size_t i = 0; i < w->streams_n; i++)
        if (w->streams[i].next) {
            w->streams[i].done = w->streams[i].next;
            w->streams[i].next = 0;
        }
}
