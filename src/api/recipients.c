/* Who generations are wrapped for, and changes of it (docs/FORMAT-vault.md sections 2.5 and 11).  The vault's journal is
 * what holds; keyd is brought to it; machines get every change with its signature and decide for themselves. */
#include <errno.h>
#include "api/internal.h"
#include "crypto/hash.h"

#define WRAP_HEX 252    /* RESTOREKEY_WRAP_LEN, twice */
#define ESCROW_HEX 332  /* RESTOREKEY_ESCROW_LEN, twice */
#define LINK_HEX_MAX 5000
#define ORDER_MAX 16384
#define CARDS_KEPT 8

/* ---- bringing keyd to what the vault says ---- */

static void sync_again(struct api *a, int err, const json_t *answer, const char *text, json_t *mem);

static const json_t *change_after(const struct api *a, const char *fingerprint)
{
    const json_t *x;
    size_t i;
    json_array_foreach(a->changes, i, x)
        if (!strcmp(api_str(x, "before"), fingerprint))
            return x;
    return NULL;
}

/* Whose password the new card opens with was said when it was ordered. */
static void new_card_holds(struct api *a, const char *order)
{
    json_t *cards = state_setting(a->state, "cards_next");
    const char *person = api_str(cards, order);
    if (*person)
        card_fits(a, person);
    json_decref(cards);
}

static void taken(struct api *a, int err, const json_t *answer, const char *text, json_t *m)
{
    (void)text;
    if (err == -SM_ENOTFOUND || err == -SM_EAUTH || err == -SM_EMISMATCH) {
        struct alarm_new n = { .kind = "changelost", .state = "call", .key = "changelost" };
        alarm_open(a, &n);
    }
    if (err < 0)
        return; /* asked again with the next look */
    json_decref(a->keys);
    a->keys = json_deep_copy(answer);
    if (a->unlock.until_s)
        api_lock(a, "other recipients");
    new_card_holds(a, api_str(m, "id"));
    alarm_close_key(a, "changelost", "sakimori");
    struct alarm_new n = { .kind = "rekeyed", .state = "look", .key = "rekeyed" };
    alarm_open(a, &n);
    card_write(a);
    recipients_sync(a);
}

static void sync_again(struct api *a, int err, const json_t *answer, const char *text, json_t *mem)
{
    (void)text;
    (void)mem;
    if (err < 0)
        return; /* the vault is not open yet, or gone: asked again when it is there */
    json_decref(a->changes);
    a->changes = json_deep_copy(json_object_get(answer, "changes"));
    json_t *links = json_array(), *x;
    size_t i;
    json_array_foreach(a->changes, i, x)
        api_append(links, json_string(api_str(x, "link")));
    if (json_array_size(links))
        api_tell(a, "K_LINKS", json_pack("{s:O}", "links", links), NULL, NULL);
    json_decref(links);
    const json_t *next = *api_str(a->keys, "fingerprint") ? change_after(a, api_str(a->keys, "fingerprint")) : NULL;
    if (next)
        api_tell(a, "V_CHANGE", json_pack("{s:s}", "id", api_str(next, "id")), taken,
            json_pack("{s:s}", "id", api_str(next, "id")));
}

void recipients_sync(struct api *a)
{
    if (api_setup_done(a))
        api_tell(a, "V_RECIPIENTS", json_object(), sync_again, NULL);
}

/* ---- machines ---- */

void h_agent_recipients(struct api_call *c)
{
    json_t *list = json_array(), *x;
    size_t i;
    json_array_foreach(c->api->changes, i, x)
        api_append(list, json_pack("{s:s,s:s}", "order", api_str(x, "order"), "sig", api_str(x, "sig")));
    api_reply(c, 200, json_pack("{s:o}", "changes", list));
}

void recipients_used(struct api_call *c, const char *fingerprint)
{
    json_t *d = api_is_hex(fingerprint, 64) ? api_row(c->api, STATE_device, STATE_ARGS(state_t(c->who.device))) : NULL;
    if (d && *api_str(d, "sign_pub"))
        api_tell(c->api, "V_CLIENT", json_pack("{s:s,s:s,s:s,s:s,s:s}", "client", c->who.client, "name",
            api_str(d, "name"), "sign_pub", api_str(d, "sign_pub"), "recipients", fingerprint, "state", "joined"), NULL, NULL);
    json_decref(d);
}

/* ---- what there is ---- */

static json_t *set_json(const char *hex)
{
    json_t *out = json_array();
    /* u8 n, then u8 role ‖ u16 algorithm ‖ u16 length ‖ key: as keyd makes it, X25519 alone (74 digits a row). */
    for (size_t at = 2; at + 74 <= strlen(hex); at += 74) {
        char key[17];
        (void)snprintf(key, sizeof key, "%.16s", hex + at + 10); /* cut: for people to compare */
        api_append(out, json_pack("{s:s,s:s}", "role", hex[at + 1] == '1' ? "sheet" : "card", "key", key));
    }
    return out;
}

static void machines_next(struct api_call *c);

static void machine_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    int64_t at = api_int(c->mem, "at", 0);
    json_t *d = json_array_get(json_object_get(c->mem, "machines"), (size_t)at), *j = NULL;
    (void)text;
    if (err >= 0 && sm_json_parse(body, 65536, &j, NULL) == 0)
        api_set(d, "follows", json_boolean(!strcmp(api_str(j, "recipients"), api_str(c->api->keys, "fingerprint"))));
    json_decref(j);
    api_set(c->mem, "at", json_integer(err < 0 && err != -SM_ENOTFOUND ? INT64_MAX / 2 : at + 1));
    machines_next(c);
}

static void machines_next(struct api_call *c)
{
    struct api *a = c->api;
    const json_t *d = json_array_get(json_object_get(c->mem, "machines"), (size_t)api_int(c->mem, "at", 0)), *x;
    if (d) {
        api_ask(c, "V_CLIENT", json_pack("{s:s}", "client", api_str(d, "client")), machine_got);
        return;
    }
    json_t *changes = json_array();
    size_t i;
    json_array_foreach(a->changes, i, x)
        api_append(changes, json_pack("{s:s,s:O?,s:O?,s:O?,s:O?,s:O?}", "id", api_str(x, "id"), "at",
            json_object_get(x, "at"), "by", json_object_get(x, "by"), "reason", json_object_get(x, "reason"), "ended",
            json_object_get(x, "ended"), "after", json_object_get(x, "after")));
    api_reply(c, 200, json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:O,s:O}", "vault", api_str(a->keys, "vault"), "fingerprint",
        api_str(a->keys, "fingerprint"), "recipients", api_str(a->keys, "recipients"), "orders_pub",
        api_str(a->keys, "orders_pub"), "set", set_json(api_str(a->keys, "recipients")), "changes", changes, "waiting",
        json_object_get(c->mem, "waiting"), "machines", json_object_get(c->mem, "machines")));
}

static void waiting_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text), *x, *waiting = json_array(), *machines = json_array();
    size_t i;
    json_array_foreach(json_object_get(j, "orders"), i, x)
        if (!strcmp(api_str(x, "kind"), "recipients") && !strcmp(api_str(x, "state"), "waiting"))
            api_append(waiting, json_incref(x));
    json_t *rows = j ? api_rows(c->api, STATE_devices, STATE_NONE) : NULL;
    json_array_foreach(rows, i, x)
        if (strcmp(api_str(x, "state"), "revoked") != 0)
            api_append(machines, json_pack("{s:s,s:s,s:s,s:n}", "id", api_str(x, "id"), "name", api_str(x, "name"),
                "client", api_str(x, "client"), "follows"));
    json_decref(rows);
    api_set(c->mem, "waiting", waiting);
    api_set(c->mem, "machines", machines);
    api_set(c->mem, "at", json_integer(0));
    if (j)
        machines_next(c);
    json_decref(j);
}

void h_recipients_get(struct api_call *c)
{
    if (!*api_str(c->api->keys, "recipients"))
        api_fail(c, 409, "setup_needed", NULL, NULL);
    else
        api_ask(c, "V_RETENTION", json_object(), waiting_got);
}

/* ---- ordering a change ---- */

static void card_remember(struct api_call *c, const char *order)
{
    uint8_t sum[CRYPTO_SHA256_LEN];
    char id[33];
    crypto_sha256(SM_SPAN_STR(order), sum);
    sm_hex(sum, 16, id); /* the order's id */
    json_t *cards = state_setting(c->api->state, "cards_next");
    if (!json_is_object(cards) || json_object_size(cards) >= CARDS_KEPT) {
        json_decref(cards);
        cards = json_object();
    }
    api_set(cards, id, json_string(c->who.person));
    (void)!state_set(c->api->state, "cards_next", cards); /* else the card is nobody's by name, and opens all the same */
    json_decref(cards);
}

static void change_kept(struct api_call *c, int err, struct sm_span body, const char *text)
{
    const char *order = api_str(c->body, "order");
    if (err == -SM_EAUTH) {
        api_fail_say(c, 403, "denied", "sig", text_get(c->lang, T_CHANGE_WRONG_SHEET), NULL);
        return;
    }
    if (err == -SM_EMISMATCH || err == -SM_EDENIED || err == -SM_EINVAL || err == -SM_EFORMAT || err == -SM_ELIMIT ||
        err == -SM_EVERSION) {
        api_fail_say(c, err == -SM_EMISMATCH ? 409 : 400, err == -SM_EMISMATCH ? "conflict" : "bad_request", "order",
            text_get(c->lang, T_CHANGE_UNFIT), NULL);
        return;
    }
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    if (*api_str(c->body, "wrap"))
        card_remember(c, order);
    order_hand_in(c, json_pack("{s:s,s:s,s:s,s:s,s:s}", "order", order, "sig", api_str(c->body, "sig"), "link",
        api_str(c->body, "link"), "by", c->who.account, "from", c->who.remote));
}

static void change_keep(struct api_call *c)
{
    json_t *ask = json_pack("{s:s,s:s,s:s}", "order", api_str(c->body, "order"), "sig", api_str(c->body, "sig"), "escrow",
        api_str(c->body, "escrow"));
    if (*api_str(c->body, "wrap"))
        api_set(ask, "wrap", json_string(api_str(c->body, "wrap")));
    api_ask(c, "K_CHANGE", ask, change_kept);
}

/* Before keyd keeps anything of it: of two that wait, the second would be refused when the first takes effect. */
static void change_waiting(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text), *x;
    const char *id = NULL;
    size_t i;
    json_array_foreach(json_object_get(j, "orders"), i, x)
        if (!strcmp(api_str(x, "kind"), "recipients") && !strcmp(api_str(x, "state"), "waiting"))
            id = api_str(x, "id");
    if (id) {
        char *words = text_fill(c->lang, text_get(c->lang, T_CHANGE_WAITS), &id, 1);
        api_fail_say(c, 409, "conflict", "order", words ? words : id, NULL);
        free(words);
    } else if (j) {
        change_keep(c);
    }
    json_decref(j);
}

static void change_ask(struct api_call *c)
{
    api_ask(c, "V_RETENTION", json_object(), change_waiting);
}

void h_recipients_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *order = sm_obj_str(&o, "order", 1, ORDER_MAX), *sig = sm_obj_str(&o, "sig", 128, 128),
               *link = sm_obj_str(&o, "link", 2, LINK_HEX_MAX), *escrow = sm_obj_str(&o, "escrow", ESCROW_HEX, ESCROW_HEX),
               *wrap = sm_obj_str_opt(&o, "wrap", WRAP_HEX), *password = sm_obj_str_opt(&o, "password", CRYPTO_PASS_MAX);
    if (api_refused(c, &o))
        return;
    api_audit_what(c, "%.300s", order);
    bool card = wrap && *wrap;
    if (!api_is_hex(sig, 128) || !api_is_hex(link, strlen(link)) || !api_is_hex(escrow, ESCROW_HEX) ||
        (card && !api_is_hex(wrap, WRAP_HEX)))
        api_fail(c, 400, "bad_request", "sig", NULL);
    else if (card && (!password || !*password))
        api_fail(c, 400, "bad_request", "password", NULL);
    else if (card)
        owner_check(c, password, change_ask); /* a card under a mistyped password would open nothing */
    else
        change_ask(c);
}
