/* Being let in by another box: its CA is believed because the code pins it, and only then is the secret sent. */
#include <errno.h>

#include "crypto/hash.h"
#include "crypto/x509.h"
#include "vault/copy/box_internal.h"

static int say(char why[BOX_WHY], int err, const char *text)
{
    (void)snprintf(why, BOX_WHY, "%.180s", text); /* cut to fit */
    return err;
}

/* The CA of the greeting, if its pin is the code's. */
static int read_ca(struct sm_span body, const uint8_t pin[BOX_PIN_LEN], struct sm_buf *ret_ca, char why[BOX_WHY])
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    struct sm_buf der = SM_BUF_INIT(CRYPTO_CERT_MAX);
    uint8_t ca[32], sum[32];
    int r = sm_json_parse(body, BOX_ANSWER_MAX, &j, NULL);
    struct sm_obj o = SM_OBJ(j);
    const char *pem = r ? "" : sm_obj_str(&o, "ca_pem", 1, CRYPTO_CERT_MAX);
    if (!r)
        r = o.err ? o.err : crypto_x509_to_der(SM_SPAN_STR(pem), &der);
    if (r)
        return say(why, -SM_EPROTO, "what answers there is no Sakimori box");
    crypto_sha256(sm_buf_span(&der), ca);
    sm_buf_wipe(&der);
    const struct sm_span parts[] = { SM_SPAN_STR("sakimori/v1/pin-peer"), SM_SPAN(ca, 32) };
    crypto_sha256v(parts, 2, sum);
    if (!sm_ct_eq(sum, pin, BOX_PIN_LEN))
        return say(why, -SM_EAUTH, "what answers there is not the box that the code is of");
    return sm_buf_put_span(ret_ca, SM_SPAN_STR(pem));
}

static int hello(const struct box_join *j, struct sm_buf *ret_ca, char why[BOX_WHY])
{
    const struct box_http_args a = { .url = j->url, .verify = false, .cancel = j->cancel };
    const struct box_request get = { .method = "GET", .path = "/agent/v1/hello" };
    struct sm_buf body = SM_BUF_INIT(BOX_ANSWER_MAX);
    struct box_http *h = NULL;
    int r = box_http_new(&a, &h);
    int status = r ? r : box_http_do(h, &get, &body);
    if (status == 200)
        r = read_ca(sm_buf_span(&body), j->pin, ret_ca, why);
    else if (!r)
        r = say(why, status < 0 ? status : -SM_EPROTO, status < 0 ? box_http_why(h) : "it does not say who it is");
    box_http_free(h);
    sm_buf_wipe(&body);
    return r;
}

/* {"csr"} for this key, and what a first request says besides. */
static int request_of(const char *key, const struct box_join *j, struct sm_buf *ret)
{
    struct sm_buf der = SM_BUF_INIT(CRYPTO_CERT_MAX), b64 = SM_BUF_INIT(CRYPTO_CERT_MAX),
        pem = SM_BUF_INIT(CRYPTO_CERT_MAX);
    char secret[2 * BOX_SECRET_LEN + 1] = "";
    int r = crypto_x509_csr_new(SM_SPAN_STR(key), "sakimori box", &der);
    if (!r)
        r = sm_base64(sm_buf_span(&der), &b64);
    if (!r)
        r = sm_buf_printf(&pem, "-----BEGIN CERTIFICATE REQUEST-----\n");
    for (size_t i = 0; i < b64.n && !r; i += 64)
        r = sm_buf_printf(&pem, "%.*s\n", (int)(b64.n - i < 64 ? b64.n - i : 64), (const char *)b64.p + i);
    if (!r)
        r = sm_buf_printf(&pem, "-----END CERTIFICATE REQUEST-----\n");
    if (j)
        sm_hex(j->secret, BOX_SECRET_LEN, secret);
    json_t *o = r ? NULL : json_pack("{s:s}", "csr", sm_buf_str(&pem));
    if (!r && o && j && json_object_set_new(o, "secret", json_string(secret)) < 0)
        r = -ENOMEM;
    if (!r && o && j && *j->vault && (json_object_set_new(o, "vault", json_string(j->vault)) < 0 ||
        json_object_set_new(o, "head_pub", json_string(j->head_pub)) < 0 ||
        json_object_set_new(o, "label", json_string(j->label)) < 0 ||
        json_object_set_new(o, "institution", json_string(j->institution)) < 0))
        r = -ENOMEM;
    if (!r)
        r = o ? sm_json_dump(o, ret) : -ENOMEM;
    sm_json_drop_secret(o);
    sm_zero(secret, sizeof secret);
    sm_buf_wipe(&der);
    sm_buf_wipe(&b64);
    sm_buf_wipe(&pem);
    return r;
}

static int request(const struct box_join *j, struct sm_buf *ret)
{
    return request_of(j->key, j, ret);
}

static int refusal(int status, struct sm_span body, char why[BOX_WHY])
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    (void)sm_json_parse(body, BOX_ANSWER_MAX, &j, NULL); /* without words the number is said */
    const char *text = json_string_value(json_object_get(json_object_get(j, "error"), "message"));
    (void)snprintf(why, BOX_WHY, "the other box refused (%d): %.150s", status, text ? text : ""); /* cut to fit */
    return status == 403 || status == 429 ? -SM_EDENIED : status == 409 ? -SM_EEXISTS : -SM_EPROTO;
}

int box_join(const struct box_join *j, struct sm_buf *ret_cert, struct sm_buf *ret_ca, char ret_why[BOX_WHY])
{
    struct sm_buf text = SM_BUF_INIT(CRYPTO_CERT_MAX), body = SM_BUF_INIT(BOX_ANSWER_MAX);
    struct box_http *h = NULL;
    sm_cleanup(sm_json_free) json_t *o = NULL;
    ret_why[0] = 0;
    int r = hello(j, ret_ca, ret_why);
    if (!r)
        r = request(j, &text);
    const struct box_http_args a = { .url = j->url, .ca = r ? NULL : sm_buf_str(ret_ca), .verify = true,
        .cancel = j->cancel };
    const struct box_request post = { .method = "POST", .path = "/agent/v1/peer/join", .body = sm_buf_span(&text),
        .type = "application/json" };
    if (!r)
        r = box_http_new(&a, &h);
    int status = r ? r : box_http_do(h, &post, &body);
    if (!r && status < 0)
        r = say(ret_why, status, box_http_why(h));
    else if (!r && status != 200)
        r = refusal(status, sm_buf_span(&body), ret_why);
    if (!r)
        r = sm_json_parse(sm_buf_span(&body), BOX_ANSWER_MAX, &o, NULL);
    const char *cert = json_string_value(json_object_get(o, "cert_pem"));
    if (!r)
        r = cert && strlen(cert) < CRYPTO_CERT_MAX ? sm_buf_put_span(ret_cert, SM_SPAN_STR(cert)) : -SM_EPROTO;
    box_http_free(h);
    sm_buf_wipe(&text);
    sm_buf_wipe(&body);
    return r;
}

/* ---- before it ends ---- */

#define RENEW_BEFORE_S ((int64_t)90 * 86400)

int64_t box_renew_due(const char *cert_pem, int64_t now_s)
{
    struct crypto_cert_info i;
    if (crypto_x509_info(SM_SPAN_STR(cert_pem), &i))
        return INT64_MAX; /* the connection itself will say so */
    return i.not_after_s - RENEW_BEFORE_S - now_s;
}

/* Only what continues the present one is taken: the same name, the same key, and a later end. */
static int renewed_fits(const char *old_pem, const char *new_pem)
{
    struct crypto_cert_info old, new;
    int r = crypto_x509_info(SM_SPAN_STR(old_pem), &old);
    if (!r)
        r = crypto_x509_info(SM_SPAN_STR(new_pem), &new);
    if (r)
        return r;
    bool same = !strcmp(old.cn, new.cn) && !memcmp(old.spki_sha256, new.spki_sha256, 32);
    return same && new.not_after_s > old.not_after_s ? 0 : -SM_EMISMATCH;
}

int box_renew(const struct box_args *b, struct sm_buf *ret_cert, char ret_why[BOX_WHY])
{
    struct sm_buf text = SM_BUF_INIT(CRYPTO_CERT_MAX), body = SM_BUF_INIT(BOX_ANSWER_MAX);
    struct box_http *h = NULL;
    sm_cleanup(sm_json_free) json_t *o = NULL;
    const struct box_http_args a = { .url = b->url, .ca = b->ca, .cert = b->cert, .key = b->key, .verify = true,
        .cancel = b->cancel };
    ret_why[0] = 0;
    int r = request_of(b->key, NULL, &text);
    const struct box_request post = { .method = "POST", .path = "/agent/v1/peer/renew", .body = sm_buf_span(&text),
        .type = "application/json" };
    if (!r)
        r = box_http_new(&a, &h);
    int status = r ? r : box_http_do(h, &post, &body);
    if (!r && status < 0)
        r = say(ret_why, status, box_http_why(h));
    else if (!r && status != 200)
        r = refusal(status, sm_buf_span(&body), ret_why);
    if (!r)
        r = sm_json_parse(sm_buf_span(&body), BOX_ANSWER_MAX, &o, NULL);
    const char *cert = json_string_value(json_object_get(o, "cert_pem"));
    if (!r)
        r = cert && strlen(cert) < CRYPTO_CERT_MAX ? renewed_fits(b->cert, cert) : -SM_EPROTO;
    if (!r)
        r = sm_buf_put_span(ret_cert, SM_SPAN_STR(cert));
    box_http_free(h);
    sm_buf_wipe(&text);
    sm_buf_wipe(&body);
    return r;
}
