/* Copies at another box: the code that lets this one in, and what the parent keeps of it. */
#include <errno.h>
#include "api/copies.h"
#include "crypto/x509.h"

#define CODE_PREFIX "SKP1"
#define PIN_LEN 16

static void bad(struct sm_obj *o, const char *field, const char *why)
{
    o->err = -SM_EINVAL;
    (void)snprintf(o->why, sizeof o->why, "field \"%s\": %s", field, why); /* fits */
}

json_t *copy_box_code(struct sm_obj *o)
{
    const char *code = sm_obj_str(o, "code", 8, 120);
    struct sm_buf text = SM_BUF_INIT(128), raw = SM_BUF_INIT(128);
    char secret[2 * JOIN_SECRET_LEN + 1], pin[2 * PIN_LEN + 1];
    int r = o->err;
    for (const char *p = code; *p && !r; p++)
        if (*p != '-' && *p != ' ')
            r = sm_buf_put_u8(&text, (uint8_t)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p));
    if (!r && (text.n <= 4 || memcmp(text.p, CODE_PREFIX, 4) != 0))
        r = -SM_EFORMAT;
    if (!r) {
        sm_buf_shift(&text, 4);
        r = sm_unbase32(sm_buf_span(&text), &raw);
    }
    if (!o->err && (r || raw.n != JOIN_SECRET_LEN + PIN_LEN)) {
        bad(o, "code", "not the code of another box (SKP1-...)");
        r = o->err;
    }
    json_t *j = NULL;
    if (!r) {
        sm_hex(raw.p, JOIN_SECRET_LEN, secret);
        sm_hex(raw.p + JOIN_SECRET_LEN, PIN_LEN, pin);
        j = json_pack("{s:s,s:s,s:s}", "secret", secret, "pin", pin, "cert", "");
        sm_zero(secret, sizeof secret);
    }
    sm_buf_wipe(&text);
    sm_buf_wipe(&raw);
    return j;
}

/* https://HOST:PORT, nothing behind it but a last '/'. */
static bool url_ok(const char *url)
{
    static const char https[] = "https://";
    if (strncmp(url, https, sizeof https - 1) != 0)
        return false;
    url += sizeof https - 1;
    size_t n = strlen(url), host = strcspn(url, "/");
    return host > 3 && host + (url[host] == '/') == n &&
        strspn(url, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:[]/") == n;
}

json_t *copy_box_address(struct api_call *c, struct sm_obj *o, char *ret_place, size_t size)
{
    const char *place = sm_obj_str(o, "place", 12, 250);
    int64_t rate = sm_obj_int_opt(o, "rate_bytes", 0, INT64_C(1) << 40, 0);
    if (!o->err && !url_ok(place))
        bad(o, "place", "https://HOST:PORT");
    json_t *j = copy_box_code(o), *inst = state_setting(c->api->state, "institution");
    struct sm_buf key = SM_BUF_INIT(4096);
    if (j && crypto_x509_key_new(&key) < 0)
        o->err = -ENOMEM;
    if (j && !o->err) {
        (void)snprintf(ret_place, size, "%.*s", (int)(8 + strcspn(place + 8, "/")), place); /* measured */
        api_set(j, "kind", json_string("box"));
        api_set(j, "url", json_string(ret_place));
        api_set(j, "key", json_string(sm_buf_str(&key)));
        api_set(j, "vault", json_string(api_str(c->api->keys, "vault")));
        api_set(j, "head_pub", json_string(api_str(c->api->keys, "head_pub")));
        api_set(j, "institution", json_string(api_str(inst, "name")));
        api_set(j, "rate_bytes", json_integer(rate));
    }
    sm_buf_wipe(&key);
    json_decref(inst);
    if (!o->err)
        return j;
    sm_json_drop_secret(j);
    return NULL;
}

void copy_joined(struct api *a, const json_t *e)
{
    api_tell(a, "P_ADDRESS", json_pack("{s:s,s:{s:s,s:s,s:s}}", "copy", api_str(e, "copy"), "address", "cert",
        api_str(e, "cert"), "ca", api_str(e, "ca"), "secret", ""), NULL, NULL);
}
