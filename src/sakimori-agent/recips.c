#include "sakimori-agent/recips.h"

#include <errno.h>
#include <fcntl.h>

#include "plat/fs.h"

#define FILE_MAX ((size_t)1 << 20)
#define STATEMENT_MAX 16384 /* of an order in the vault */

static int step(struct recipients_state *s, const struct vault_id *vault, const json_t *change)
{
    struct sm_obj o = SM_OBJ(change);
    uint8_t sig[64];
    const char *order = sm_obj_str(&o, "order", 1, STATEMENT_MAX);
    sm_obj_hex(&o, "sig", sig, sizeof sig);
    return o.err ? -SM_EFORMAT : recipients_follow(s, vault, SM_SPAN_STR(order), sig);
}

static void believed(struct recips *f)
{
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    json_t *list = NULL;
    struct recipients_state s = f->s;
    int r = plat_fs_read_file(AT_FDCWD, f->path, FILE_MAX, &text);
    if (!r)
        r = sm_json_parse(sm_buf_span(&text), FILE_MAX, &list, NULL);
    const json_t *old = json_object_get(list, "changes");
    for (size_t i = 0; !r && i < json_array_size(old) && i < KEYLINKS_MAX; i++) {
        r = step(&s, &f->vault, json_array_get(old, i));
        if (!r)
            r = json_array_append(f->chain, json_array_get(old, i)) ? -ENOMEM : 0;
    }
    if (!r)
        f->s = s;
    else
        (void)json_array_clear(f->chain); /* an array: cannot fail */
    sm_json_free(&list);
    sm_buf_wipe(&text);
}

int recips_open(struct recips *f, const struct agent_config *c, const char *path)
{
    *f = (struct recips){.vault = c->vault, .can = c->has_orders, .chain = json_array()};
    if (!f->chain)
        return -ENOMEM;
    if (c->recipients.n > sizeof f->s.set) {
        recips_wipe(f);
        return -SM_ELIMIT;
    }
    snprintf(f->path, sizeof f->path, "%s", path);
    memcpy(f->s.set, c->recipients.p, c->recipients.n);
    f->s.set_n = c->recipients.n;
    memcpy(f->s.orders, c->orders_pub, 32);
    recipients_fingerprint(SM_SPAN(f->s.set, f->s.set_n), f->s.fingerprint);
    if (f->can)
        believed(f);
    return 0;
}

void recips_wipe(struct recips *f)
{
    json_decref(f->chain);
    f->chain = NULL;
}

static int keep(const struct recips *f, json_t *chain)
{
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    json_t *o = json_pack("{s:O}", "changes", chain);
    int r = o ? sm_json_dump(o, &text) : -ENOMEM;
    if (!r)
        r = plat_replace(AT_FDCWD, f->path, sm_buf_span(&text), 0600);
    json_decref(o);
    sm_buf_wipe(&text);
    return r;
}

static bool leads_to(const json_t *change, const uint8_t fingerprint[FINGERPRINT_LEN])
{
    const char *text = json_string_value(json_object_get(change, "order"));
    uint8_t fp[FINGERPRINT_LEN];
    return text && recipients_after(SM_SPAN_STR(text), fp) == 0 && memcmp(fp, fingerprint, sizeof fp) == 0;
}

static void refuse(struct recips *f, const char *why)
{
    f->alarm = true;
    snprintf(f->why, sizeof f->why, "%s", why);
}

static bool shown(const json_t *changes, const json_t *change)
{
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *x = json_array_get(changes, i);
        if (json_equal(json_object_get(x, "order"), json_object_get(change, "order")))
            return true;
    }
    return false;
}

int recips_take(struct recips *f, const json_t *changes)
{
    size_t n = json_array_size(changes), had = json_array_size(f->chain);
    struct recipients_state s = f->s;
    bool forged = false;
    f->alarm = false;
    f->why[0] = 0;
    if (had && !shown(changes, json_array_get(f->chain, had - 1))) {
        refuse(f, "the box does not show the change of recipients any more that this machine follows: it went back");
        return 0;
    }
    if (!n || n > KEYLINKS_MAX || leads_to(json_array_get(changes, n - 1), s.fingerprint))
        return 0;
    if (!f->can) {
        refuse(f, "the box has other recipients, and the join code of this machine cannot prove them: "
                  "make a new code on the box and run sakimori-agent trust CODE here");
        return 0;
    }
    json_t *chain = json_copy(f->chain);
    for (size_t i = 0; i < n && chain; i++) {
        int r = step(&s, &f->vault, json_array_get(changes, i));
        forged |= r == -SM_EAUTH;
        if (!r && json_array_append(chain, json_array_get(changes, i)))
            r = -ENOMEM;
        if (r == -ENOMEM) {
            json_decref(chain);
            return r;
        }
    }
    int r = !chain ? -ENOMEM : json_array_size(chain) > had ? keep(f, chain) : 0;
    if (!r) {
        json_decref(f->chain);
        f->chain = json_incref(chain);
        f->s = s;
    }
    json_decref(chain);
    if (!r && (forged || !leads_to(json_array_get(changes, n - 1), f->s.fingerprint)))
        refuse(f, "the box shows recipients that the recovery sheet did not sign: they are not used");
    return r;
}
