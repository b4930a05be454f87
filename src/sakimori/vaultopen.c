#include "sakimori/vaultopen.h"
#include <errno.h>
#include <string.h>
#include "core/json.h"
#include "crypto/sheet.h"
#include "vault/snapshot/manifest.h"
#include "vault/store/deletion.h"

#define KEYS_MAX 64u /* of one client over its life */

/* ---- the signature ---- */

struct keys { struct client_id client; uint8_t pub[KEYS_MAX][32]; size_t n; };

static int take_key(void *arg, const struct journal_record *rec)
{
    struct keys *k = arg;
    json_t *j = NULL;
    if (rec->type != JOURNAL_CLIENT || k->n == KEYS_MAX ||
        sm_json_parse(rec->payload, JOURNAL_PAYLOAD_MAX, &j, NULL) < 0)
        return 0;
    struct sm_obj o = SM_OBJ(j);
    struct client_id who;
    sm_obj_hex(&o, "client", who.b, 16);
    sm_obj_hex(&o, "sign_pub", k->pub[k->n], 32);
    if (!o.err && client_id_eq(&who, &k->client))
        k->n++;
    json_decref(j);
    return 0;
}

/* Without the journal only the newest key may be known, or none: then that is said, and nothing is refused for it. */
static int check_salvaged(struct cli *c, struct store *st, const struct store_generation *g, struct sm_span manifest)
{
    static const uint8_t none[32];
    struct store_client who;
    int e = store_client_get(st, &g->client, &who);
    bool key = e == 0 && memcmp(who.sign_pub, none, sizeof none) != 0;
    if (key && manifest_verify(manifest, who.sign_pub) == 0)
        return 0;
    if (key && who.state != STORE_REKEYED)
        return -SM_EAUTH;
    cli_note(c, T(c, "注意: 機器の署名の鍵は記録と一緒に失われ、だれが作った世代かは確かめられません。中身は部品の名前で確かめます",
        "note: the machine's signing key went with the journal: who made this generation cannot be checked; its content "
        "is checked against its names"));
    return 0;
}

/* Every key this client ever had: a generation from before a change of keys is still its own. */
int vaultopen_manifest(struct cli *c, struct store *st, const struct store_generation *g, struct sm_buf *ret)
{
    struct keys k = { .client = g->client };
    int e = store_manifest(st, &g->manifest, ret);
    if (e == 0 && store_recovered(st)->salvaged) {
        e = check_salvaged(c, st, g, sm_buf_span(ret));
        if (e < 0)
            cli_note(c, T(c, "この世代は信用できません: %s", "this generation cannot be trusted: %s"), sm_errtext(e, c->ja));
        return e < 0 ? CLI_FAILED : CLI_OK;
    }
    if (e == 0)
        e = journal_each(store_journal(st), 1, take_key, &k, NULL);
    int good = -SM_EAUTH;
    for (size_t i = 0; e == 0 && i < k.n && good < 0; i++)
        good = manifest_verify(sm_buf_span(ret), k.pub[i]);
    if (e == 0)
        e = good;
    if (e < 0)
        cli_note(c, T(c, "この世代は信用できません: %s", "this generation cannot be trusted: %s"), sm_errtext(e, c->ja));
    return e < 0 ? CLI_FAILED : CLI_OK;
}

/* ---- the sheet ---- */

static int ring_of(struct cli *c, struct store *st, const struct crypto_x25519_pair *own, struct keyring *ret)
{
    struct sm_buf raw = SM_BUF_INIT(KEYLINKS_MAX * (KEYLINK_MAX + 4));
    struct sm_span links[KEYLINKS_MAX];
    size_t n = 0, bad = 0;
    int e = store_keylinks(st, &raw);
    struct sm_rd rd = SM_RD(sm_buf_span(&raw));
    while (!e && rd.n && !rd.err && n < KEYLINKS_MAX) {
        links[n] = sm_rd_bytes(&rd, sm_rd_u32(&rd));
        n += !rd.err;
    }
    keyring_fill(ret, store_vault(st), own, links, n, &bad);
    if (e < 0 || bad)
        cli_note(c, T(c, "注意: 前の鍵への引きつぎが読めません。前の世代は、前の金庫の紙で開いてください: %s",
            "note: the way from this sheet to the keys before it does not read; earlier generations need the earlier sheet: %s"),
            sm_errtext(e < 0 ? e : -SM_EAUTH, c->ja));
    sm_buf_wipe(&raw);
    return CLI_OK;
}

int vaultopen_sheet(struct cli *c, struct store *st, struct keyring *ret)
{
    struct crypto_sheet s = { 0 };
    struct crypto_x25519_pair own = { 0 };
    int e = cli_sheet(c, cli_opt(c, "sheet"), CRYPTO_SHEET_OPEN, &s), x = 0;
    if (e == CLI_OK && s.has_vault && memcmp(s.vault, store_vault(st)->b, 16)) {
        cli_note(c, T(c, "金庫の紙: %s", "recovery sheet: %s"), T(c, "別の保管庫の紙です", "it is the sheet of another vault"));
        e = CLI_DENIED;
    }
    if (e == CLI_OK && (x = crypto_x25519_from_secret(s.secret, &own)) < 0) {
        cli_note(c, T(c, "金庫の紙: %s", "recovery sheet: %s"), sm_errtext(x, c->ja));
        e = CLI_DENIED;
    }
    if (e == CLI_OK)
        e = ring_of(c, st, &own, ret);
    crypto_sheet_wipe(&s);
    crypto_x25519_wipe(&own);
    return e;
}

int vaultopen_file_key(struct store *st, const struct client_id *client, const struct keyring *open,
    const struct cid *envelope, struct file_key *ret)
{
    struct sm_buf b = SM_BUF_INIT(ENVELOPE_MAX);
    int e = store_object(st, client, envelope, &b);
    if (e == 0)
        e = keyring_open(open, store_vault(st), client, sm_buf_span(&b), ret);
    sm_buf_wipe(&b);
    return e;
}
