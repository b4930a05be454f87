#include "sakimorid/keyd/seal.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "plat/fs.h"

#define SEAL_FILE ".journal-seal"
enum { KEPT_MAX = 8, SEAL_FILE_MAX = 16 + EVSEAL_STATE_LEN + 32 + KEPT_MAX * (4 + EVSEAL_LEN + EVSEAL_BODY_MAX) };
static const char magic[4] = "SKJ1";

struct kept { uint8_t statement[EVSEAL_LEN]; uint64_t seq; struct sm_buf body; };
struct seal {
    struct evseal_state state;
    uint8_t epoch0[CRYPTO_SIGN_PUBLIC_LEN];
    struct kept kept[KEPT_MAX];     /* the newest, oldest first */
    size_t kept_n;
    int dir;
};

static int store(const struct seal *s)
{
    struct sm_buf out = SM_BUF_INIT(SEAL_FILE_MAX);
    uint8_t state[EVSEAL_STATE_LEN];
    int r = sm_buf_put(&out, magic, sizeof magic);

    evseal_state_pack(&s->state, state);
    if (r >= 0)
        r = sm_buf_put(&out, state, sizeof state);
    if (r >= 0)
        r = sm_buf_put(&out, s->epoch0, sizeof s->epoch0);
    if (r >= 0)
        r = sm_buf_put_u32(&out, (uint32_t)s->kept_n);
    for (size_t i = 0; r >= 0 && i < s->kept_n; i++) {
        r = sm_buf_put(&out, s->kept[i].statement, EVSEAL_LEN);
        if (r >= 0)
            r = sm_buf_put_blob(&out, sm_buf_span(&s->kept[i].body));
    }
    if (r >= 0)
        r = plat_replace(s->dir, SEAL_FILE, sm_buf_span(&out), 0600);
    sm_zero(state, sizeof state);
    sm_buf_wipe(&out);
    return r;
}

static int load(struct seal *s, struct sm_span text)
{
    struct sm_rd rd = SM_RD(text);
    uint8_t head[4];
    int r;

    sm_rd_copy(&rd, head, sizeof head);
    struct sm_span state = sm_rd_bytes(&rd, EVSEAL_STATE_LEN);
    sm_rd_copy(&rd, s->epoch0, sizeof s->epoch0);
    uint32_t n = sm_rd_u32(&rd);
    if (rd.err || memcmp(head, magic, sizeof magic) != 0 || n > KEPT_MAX)
        return -SM_EFORMAT;
    r = evseal_state_unpack(state, &s->state);
    for (uint32_t i = 0; r >= 0 && i < n; i++) {
        struct kept *k = &s->kept[i];
        struct evseal_statement st;
        sm_rd_copy(&rd, k->statement, EVSEAL_LEN);
        k->body = SM_BUF_INIT(EVSEAL_BODY_MAX);
        r = sm_buf_put_span(&k->body, sm_rd_blob(&rd, EVSEAL_BODY_MAX));
        s->kept_n = i + 1;
        if (r >= 0)
            r = rd.err ? rd.err : evseal_parse(k->statement, &st);
        if (r >= 0)
            k->seq = st.seq;
    }
    return r < 0 ? r : sm_rd_done(&rd);
}

int seal_open(const char *folder, struct seal **ret)
{
    struct seal *s = calloc(1, sizeof *s);
    struct sm_buf text = SM_BUF_INIT(SEAL_FILE_MAX);
    int r = s ? 0 : -ENOMEM;

    if (r >= 0) {
        s->dir = plat_fs_open_dir(AT_FDCWD, folder);
        r = s->dir < 0 ? s->dir : plat_fs_read_file(s->dir, SEAL_FILE, SEAL_FILE_MAX, &text);
    }
    if (r >= 0) {
        r = load(s, sm_buf_span(&text));
    } else if (r == -ENOENT && s && s->dir >= 0) {
        r = evseal_begin(&s->state);
        if (r >= 0) {
            memcpy(s->epoch0, s->state.pair.public_key, sizeof s->epoch0);
            r = store(s);
        }
    }
    sm_buf_wipe(&text);
    if (r < 0) {
        seal_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void seal_free(struct seal *s)
{
    if (!s)
        return;
    evseal_wipe(&s->state);
    for (size_t i = 0; i < KEPT_MAX; i++)
        sm_buf_wipe(&s->kept[i].body);
    if (s->dir >= 0)
        close(s->dir);
    free(s);
}

const uint8_t *seal_public(const struct seal *s)
{
    return s->epoch0;
}

static int keep(struct seal *s, const uint8_t statement[EVSEAL_LEN], uint64_t seq, struct sm_span body)
{
    struct kept k = { .seq = seq, .body = SM_BUF_INIT(EVSEAL_BODY_MAX) };
    int r = sm_buf_put_span(&k.body, body);

    if (r < 0)
        return r;
    memcpy(k.statement, statement, EVSEAL_LEN);
    if (s->kept_n == KEPT_MAX) {
        sm_buf_wipe(&s->kept[0].body);
        memmove(s->kept, s->kept + 1, (KEPT_MAX - 1) * sizeof s->kept[0]);
        s->kept_n--;
    }
    s->kept[s->kept_n++] = k;
    return 0;
}

/* The statement, and the one that ends its epoch: after this nobody can make either again. */
static int sign_new(struct seal *s, unsigned kind, struct sm_span body, int64_t now_s)
{
    uint8_t statement[EVSEAL_LEN], next[CRYPTO_SIGN_PUBLIC_LEN];
    struct evseal_state was = s->state;
    int r = evseal_sign(&s->state, (enum evseal_kind)kind, body, now_s, statement);

    if (r >= 0)
        r = keep(s, statement, s->state.seq, body);
    if (r >= 0)
        r = evseal_advance(&s->state, now_s, statement, next);
    if (r >= 0)
        r = keep(s, statement, s->state.seq, SM_SPAN(next, sizeof next));
    if (r >= 0)
        r = store(s);
    if (r < 0) {
        /* Nothing of it left this process: as it was.  What was kept of it goes. */
        while (s->kept_n && s->kept[s->kept_n - 1].seq > was.seq)
            sm_buf_wipe(&s->kept[--s->kept_n].body);
        evseal_wipe(&s->state);
        s->state = was;
    }
    sm_zero(&was, sizeof was);
    return r;
}

int seal_statements(struct seal *s, uint64_t have, unsigned kind, struct sm_span body, int64_t now_s, struct sm_buf *ret)
{
    uint64_t oldest = s->kept_n ? s->kept[0].seq : s->state.seq + 1;
    size_t start = ret->n;
    int r = 0;

    if (kind != 0 && kind != EVSEAL_BLOCKS && kind != EVSEAL_TOMBSTONE && kind != EVSEAL_LINK)
        return -SM_EINVAL;
    if (kind == EVSEAL_LINK && have == s->state.seq && have) /* what it goes on with stands before everything, or nowhere */
        return -SM_EINVAL;
    if (have > s->state.seq || have + 1 < oldest)
        return -SM_EMISMATCH;
    /* What the record lacks comes first, alone: what is asked for may rest on it. */
    if (kind && have == s->state.seq)
        r = sign_new(s, kind, body, now_s);
    for (size_t i = 0; r >= 0 && i < s->kept_n; i++) {
        const struct kept *k = &s->kept[i];
        if (k->seq <= have)
            continue;
        r = sm_buf_put_u32(ret, (uint32_t)k->body.n);
        if (r >= 0)
            r = sm_buf_put(ret, k->statement, EVSEAL_LEN);
        if (r >= 0)
            r = sm_buf_put_span(ret, sm_buf_span(&k->body));
    }
    if (r < 0)
        ret->n = start;
    return r;
}
