#include "sakimori-agent/heads.h"

#include <errno.h>
#include <fcntl.h>

#include "plat/fs.h"
#include "sakimori-agent/carrier.h"

#define STEP_MAX ((size_t)1 << 20) /* of one answer; the box sends at most 900000 bytes */
#define STEPS_MAX 65536u
#define MAGIC "SKH1"

/* "SKH1" ‖ u64 seq ‖ hash: our own folder, so no signature is kept; the next head's proof is what counts. */
int heads_open(struct heads *h, const char *path, const uint8_t head_pub[32], const struct vault_id *vault)
{
    struct sm_buf b = SM_BUF_INIT(256);
    *h = (struct heads){.vault = *vault};
    snprintf(h->path, sizeof h->path, "%s", path);
    memcpy(h->head_pub, head_pub, 32);
    int r = plat_fs_read_file(AT_FDCWD, path, 256, &b);
    if (r == -ENOENT) {
        sm_buf_wipe(&b);
        return 0;
    }
    struct sm_rd rd = SM_RD(sm_buf_span(&b));
    struct sm_span magic = sm_rd_bytes(&rd, 4);
    h->last.seq = sm_rd_u64(&rd);
    sm_rd_copy(&rd, h->last.hash, 32);
    if (!r)
        r = sm_rd_done(&rd);
    if (!r && memcmp(magic.p, MAGIC, 4) != 0)
        r = -SM_EFORMAT;
    sm_buf_wipe(&b);
    return r;
}

int heads_save(const struct heads *h)
{
    struct sm_buf b = SM_BUF_INIT(256);
    int r = sm_buf_put(&b, MAGIC, 4);
    if (!r)
        r = sm_buf_put_u64(&b, h->last.seq);
    if (!r)
        r = sm_buf_put(&b, h->last.hash, 32);
    if (!r)
        r = plat_replace(AT_FDCWD, h->path, sm_buf_span(&b), 0600);
    sm_buf_wipe(&b);
    return r;
}

static int read_head(const struct heads *h, const char *hex, struct journal_signed_head *ret)
{
    uint8_t raw[JOURNAL_SIGNED_HEAD_BYTES];
    int r = sm_unhex(hex, strlen(hex), raw, sizeof raw);
    if (!r)
        r = journal_head_get(SM_SPAN(raw, sizeof raw), ret);
    if (!r)
        r = journal_head_verify(ret, h->head_pub);
    if (!r && memcmp(ret->vault, h->vault.b, 16) != 0)
        r = -SM_EAUTH;
    return r;
}

static int alarm_of(struct heads *h, const struct journal_head *shown, const char *what)
{
    h->alarm = true;
    snprintf(h->why, sizeof h->why, "the box's record %s: it showed %llu before and %llu now", what,
        (unsigned long long)h->last.seq, (unsigned long long)shown->seq);
    return -SM_EMISMATCH;
}

int heads_take(struct heads *h, const char *hex)
{
    return heads_take_late(h, hex, h->last.seq);
}

int heads_take_late(struct heads *h, const char *hex, uint64_t asked_seq)
{
    struct journal_signed_head s;
    int r = read_head(h, hex, &s);
    if (r)
        return r;
    if (s.head.seq < asked_seq)
        return alarm_of(h, &s.head, "went back");
    if (s.head.seq == h->last.seq && memcmp(s.head.hash, h->last.hash, 32) != 0)
        return alarm_of(h, &s.head, "has two histories");
    if (s.head.seq > h->last.seq)
        h->last = s.head;
    return 0;
}

static json_t *head_json(const struct journal_head *h)
{
    char hex[65];
    sm_hex(h->hash, 32, hex);
    return json_pack("{s:I,s:s}", "seq", (json_int_t)h->seq, "hash", hex);
}

static int fetch_part(const struct journal_head *from, const struct journal_head *to, struct sm_ipc *link,
    struct sm_buf *ret, int *ret_status)
{
    json_t *o = json_pack("{s:o,s:o,s:b}", "from", head_json(from), "to", head_json(to), "part", 1);
    struct sm_buf text = SM_BUF_INIT(4096);
    int r = o ? sm_json_dump(o, &text) : -ENOMEM;
    if (!r)
        r = carrier_call(link, CARRY_POST, "/agent/v1/ancestry", sm_buf_span(&text), 0, ret_status, ret);
    json_decref(o);
    sm_buf_wipe(&text);
    return r;
}

/* Asked again: the box, or a process of it, is away. */
static bool is_away(int status)
{
    return status == 429 || status == 502 || status == 503;
}

/* A box that has the records always has an answer that fits: "too long" and "internal error" are as little a proof as
 * "no". */
static int step(struct journal_head *at, const struct journal_head *to, struct sm_ipc *link, struct sm_buf *part)
{
    int status = 0, r = fetch_part(at, to, link, part, &status);
    if (r)
        return r == -SM_ELIMIT ? -SM_EAUTH : r;
    if (is_away(status))
        return -SM_EPEER;
    if (status != 200)
        return -SM_EAUTH;
    return part->n && journal_ancestry_walk(at, sm_buf_span(part)) == 0 ? 0 : -SM_EAUTH;
}

/* -SM_EAUTH: there is no proof.  Only one step is in memory, however long the journal is. */
static int prove(const struct journal_head *from, const struct journal_head *to, struct sm_ipc *link)
{
    struct journal_head at = *from;
    struct sm_buf part = SM_BUF_INIT(STEP_MAX);
    int r = 0;
    for (unsigned i = 0; !r && at.seq < to->seq && i < STEPS_MAX; i++)
        r = step(&at, to, link, &part);
    sm_buf_wipe(&part);
    if (!r && (at.seq != to->seq || memcmp(at.hash, to->hash, 32) != 0))
        r = -SM_EAUTH;
    return r;
}

int heads_prove(struct heads *h, const char *hex, struct sm_ipc *link)
{
    struct journal_signed_head s;
    int r = read_head(h, hex, &s);
    if (r)
        return r;
    if (h->last.seq == 0 || s.head.seq <= h->last.seq)
        return heads_take(h, hex);
    r = prove(&h->last, &s.head, link);
    if (r == -SM_EAUTH)
        return alarm_of(h, &s.head, "does not go on from the last one");
    if (!r)
        h->last = s.head;
    return r;
}

int heads_follow(struct heads *h, const struct journal_head *from, const char *hex, struct sm_ipc *link)
{
    struct journal_signed_head s;
    int r = read_head(h, hex, &s);
    if (!r && s.head.seq <= from->seq)
        r = -SM_EMISMATCH;
    if (!r && (r = prove(from, &s.head, link)) == -SM_EAUTH)
        r = -SM_EMISMATCH;
    if (!r)
        h->last = s.head;
    return r;
}
