#include "vault/store/takeover.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "crypto/sign.h"
#include "plat/fs.h"
#include "vault/store/store_internal.h"

int takeover_put(const struct takeover *t, const char *made, struct sm_buf *ret)
{
    char vault[33], hash[65], nonce[33];
    struct sm_buf text = SM_BUF_INIT(TAKEOVER_TEXT_MAX);
    sm_hex(t->vault.b, 16, vault);
    sm_hex(t->from.hash, 32, hash);
    sm_hex(t->nonce, 16, nonce);
    json_t *o = json_pack("{s:i,s:s,s:s,s:s,s:s,s:I,s:s}", "format", 1, "hash", hash, "kind", "take-over", "made", made,
        "nonce", nonce, "seq", (json_int_t)t->from.seq, "vault", vault);
    int err = o ? sm_json_dump(o, &text) : -ENOMEM;
    if (!err)
        err = sm_buf_put_span(ret, sm_buf_span(&text));
    json_decref(o);
    sm_buf_wipe(&text);
    return err;
}

int takeover_parse(struct sm_span text, struct takeover *ret)
{
    static const char *const known[] = { "format", "hash", "kind", "made", "nonce", "seq", "vault", NULL };
    struct takeover t = { 0 };
    struct sm_buf again = SM_BUF_INIT(TAKEOVER_TEXT_MAX + 1);
    json_t *v = NULL;
    int err = text.n > TAKEOVER_TEXT_MAX ? -SM_ELIMIT : sm_json_parse(text, TAKEOVER_TEXT_MAX, &v, NULL);
    struct sm_obj o = SM_OBJ(v);
    if (!err) {
        int64_t format = sm_obj_int(&o, "format", 1, 1 << 20);
        if (!o.err && format != 1)
            err = -SM_EVERSION;
        const char *kind = sm_obj_str(&o, "kind", 1, 16);
        bool ours = !strcmp(kind, "take-over");
        (void)sm_obj_str(&o, "made", 1, 40); /* for people */
        sm_obj_hex(&o, "vault", t.vault.b, 16);
        sm_obj_hex(&o, "hash", t.from.hash, 32);
        sm_obj_hex(&o, "nonce", t.nonce, 16);
        t.from.seq = (uint64_t)sm_obj_int(&o, "seq", 1, INT64_MAX);
        sm_obj_only(&o, known);
        if (!err)
            err = o.err || !ours ? -SM_EFORMAT : 0;
    }
    if (!err)
        err = sm_json_dump(v, &again);
    if (!err && !sm_span_eq(sm_buf_span(&again), text))
        err = -SM_EFORMAT;
    if (!err)
        *ret = t;
    sm_buf_wipe(&again);
    sm_json_free(&v);
    return err;
}

int takeover_message(struct sm_span text, struct sm_buf *ret)
{
    int err = sm_buf_put(ret, TAKEOVER_LABEL, sizeof TAKEOVER_LABEL - 1);
    return err ? err : sm_buf_put_span(ret, text);
}

int takeover_check(struct sm_span text, const uint8_t sig[64], const uint8_t orders_pub[32], struct takeover *ret)
{
    struct takeover t;
    struct sm_buf b = SM_BUF_INIT(TAKEOVER_TEXT_MAX + 64);
    int err = takeover_parse(text, &t);
    if (!err)
        err = takeover_message(text, &b);
    if (!err)
        err = crypto_sign_verify(orders_pub, sm_buf_span(&b), sig);
    if (!err)
        *ret = t;
    sm_buf_wipe(&b);
    return err;
}

bool takeover_may_try(struct takeover_tries *t, const struct client_id *client)
{
    size_t i = 0;
    while (i < t->n && !client_id_eq(&t->client[i], client))
        i++;
    if (i == TAKEOVER_CLIENTS)
        return false;
    if (i == t->n) {
        t->client[t->n] = *client;
        t->tried[t->n++] = 0;
    }
    if (t->tried[i] == TAKEOVER_TRIES)
        return false;
    t->tried[i]++;
    return true;
}

int takeover_read(int dir, const char *name, size_t max, struct sm_buf *ret)
{
    struct stat st;
    int fd = plat_fs_open_read(dir, name); /* follows no link, waits for nobody */
    int r = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : !S_ISREG(st.st_mode) ? -SM_EFORMAT : 0;
    if (!r && (uint64_t)st.st_size > max)
        r = -SM_ELIMIT;
    if (!r)
        r = sm_buf_reserve(ret, (size_t)st.st_size);
    if (!r)
        r = plat_fs_pread_all(fd, ret->p + ret->n, (size_t)st.st_size, 0);
    if (!r)
        ret->n += (size_t)st.st_size;
    if (fd >= 0)
        (void)close(fd); /* opened for reading */
    return r;
}

int store_took_over(struct store *st, struct sm_span text, const uint8_t sig[64], const uint8_t orders_pub[32])
{
    struct takeover t;
    int err = store_writable(st);
    if (!err)
        err = takeover_check(text, sig, orders_pub, &t);
    if (err)
        return err;
    struct journal_head now = journal_durable(st->journal);
    if (memcmp(t.vault.b, st->vault.b, 16) != 0 || t.from.seq != now.seq || memcmp(t.from.hash, now.hash, 32) != 0)
        return -SM_EMISMATCH;
    json_t *o = json_object();
    bool ok = json_set(o, "order", json_stringn((const char *)text.p, text.n)) && json_set(o, "sig", json_hex(sig, 64)) &&
        json_set(o, "key", json_hex(orders_pub, 32));
    if (!ok) {
        json_decref(o);
        return -ENOMEM;
    }
    err = store_record(st, JOURNAL_TOOK_OVER, NULL, o, NULL);
    return err ? err : store_sync(st);
}

int store_apply_takeover(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    uint8_t sig[64];
    (void)sm_obj_str(&o, "order", 1, TAKEOVER_TEXT_MAX); /* looked at by whoever is asked to believe it */
    sm_obj_hex(&o, "sig", sig, sizeof sig);
    if (o.err)
        return -SM_ECORRUPT;
    json_decref(st->takeover);
    st->takeover = json_incref(r->payload);
    return 0;
}

const json_t *store_takeover(const struct store *st)
{
    return st->takeover;
}
