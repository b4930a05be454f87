#include "sakimori-agent/join.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/x509.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/http.h"
#include "vault/snapshot/envelope.h"

#define WHY 256
/* Keys of core/words.def: whoever types the command reads them in their own language. */
#define JOIN_DENIED "the box did not take the code: it is wrong, used or too old; make a new one on the box"
#define JOIN_RATE "too many wrong codes came from this address: wait ten minutes, then try again"
#define JOIN_NOT_YET "the box is not set up yet: finish its first set-up"
#define CODE_WRONG "the join code is mistyped: it begins with SKJ2- and has 46 characters"
#define ANSWER_MAX ((size_t)1 << 20)

int join_code_read(const char *code, struct join_code *ret)
{
    struct sm_buf text = SM_BUF_INIT(256), raw = SM_BUF_INIT(256);
    struct join_code c = {.version = 0};
    int r = 0;
    for (const char *p = code; *p && !r; p++)
        if (*p != '-' && *p != ' ')
            r = sm_buf_put_u8(&text, (uint8_t)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p));
    if (!r && text.n > 4 && memcmp(text.p, "SKJ", 3) == 0 && (text.p[3] == '1' || text.p[3] == '2')) {
        c.version = (unsigned)text.p[3] - '0';
        sm_buf_shift(&text, 4);
        r = sm_unbase32(sm_buf_span(&text), &raw);
    } else {
        r = -SM_EFORMAT;
    }
    if (!r && raw.n != JOIN_SECRET_LEN + JOIN_PIN_LEN)
        r = -SM_EFORMAT;
    if (!r) {
        memcpy(c.secret, raw.p, JOIN_SECRET_LEN);
        memcpy(c.pin, raw.p + JOIN_SECRET_LEN, JOIN_PIN_LEN);
        *ret = c;
    }
    sm_zero(&c, sizeof c);
    sm_buf_wipe(&text);
    sm_buf_wipe(&raw);
    return r;
}

struct hello {
    struct sm_buf ca_pem, ca_der, recipients;
    uint8_t order_pub[32], head_pub[32], orders_pub[32];
    bool has_orders; /* said by the box; believed when the code's pin holds it */
};

static void hello_wipe(struct hello *h)
{
    sm_buf_wipe(&h->ca_pem);
    sm_buf_wipe(&h->ca_der);
    sm_buf_wipe(&h->recipients);
}

static int hello_read(struct sm_span body, struct hello *h, char *why)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    struct recipients set;
    int r = sm_json_parse(body, ANSWER_MAX, &j, why);
    if (r)
        return r;
    struct sm_obj o = SM_OBJ(j);
    const char *ca = sm_obj_str(&o, "ca_pem", 1, CRYPTO_CERT_MAX),
               *hex = sm_obj_str(&o, "recipients", 2, 2 * RECIPIENTS_BYTES_MAX);
    sm_obj_hex(&o, "order_pub", h->order_pub, 32);
    sm_obj_hex(&o, "head_pub", h->head_pub, 32);
    h->has_orders = json_object_get(j, "orders_pub") != NULL;
    if (h->has_orders)
        sm_obj_hex(&o, "orders_pub", h->orders_pub, 32);
    size_t n = strlen(hex) / 2;
    r = o.err ? o.err : sm_buf_put_span(&h->ca_pem, SM_SPAN_STR(ca));
    if (!r)
        r = crypto_x509_to_der(sm_buf_span(&h->ca_pem), &h->ca_der);
    if (!r)
        r = sm_buf_reserve(&h->recipients, n);
    if (!r)
        r = sm_unhex(hex, 2 * n, h->recipients.p, n);
    if (!r) {
        h->recipients.n = n;
        r = recipients_parse(sm_buf_span(&h->recipients), &set);
    }
    if (r)
        snprintf(why, WHY, "the box's greeting: %.180s", o.err ? o.why : sm_strerror(r));
    return r;
}

/* pin = SHA256(label ‖ SHA256(CA) ‖ recipients' fingerprint ‖ order key, from version 2 on ‖ the sheet's orders key)[0..16) */
static bool pin_right(struct hello *h, const struct join_code *c)
{
    uint8_t ca[32], fp[32], sum[32];
    crypto_sha256(sm_buf_span(&h->ca_der), ca);
    recipients_fingerprint(sm_buf_span(&h->recipients), fp);
    const struct sm_span parts[] = {c->version == 1 ? SM_SPAN_STR("sakimori/v1/pin") : SM_SPAN_STR("sakimori/v2/pin"),
        SM_SPAN(ca, 32), SM_SPAN(fp, 32), SM_SPAN(h->order_pub, 32), SM_SPAN(h->orders_pub, 32)};
    crypto_sha256v(parts, c->version == 1 ? 4 : 5, sum);
    if (c->version == 1)
        h->has_orders = false; /* nothing proves it */
    return sm_ct_eq(sum, c->pin, JOIN_PIN_LEN);
}

static int put_file(const char *data, const char *folder, const char *name, struct sm_span content, mode_t mode)
{
    char path[AGENT_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", data, folder);
    int dir = plat_fs_open_dir(AT_FDCWD, path);
    int r = dir < 0 ? dir : plat_replace(dir, name, content, mode);
    if (dir >= 0)
        close(dir);
    return r;
}

/* Folders, each of the user whose part works in it (docs/PROTOCOL-agent.md). */
static int make_folders(const char *data)
{
    static const struct {
        const char *name;
        mode_t mode;
        const char *user;
        uid_t uid;
    } rows[] = {
        {"", 0711, NULL, 0},
        {"link", 0700, "_sakimori-link", 64320},
        {"keys", 0700, "_sakimori-backup", 64321},
        {"cache", 0700, "_sakimori-backup", 64321},
        {"orders", 0700, NULL, 0},
        {"decoys", 0755, NULL, 0},
    };
    char path[AGENT_PATH_MAX + 64];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uid_t uid = rows[i].uid;
        gid_t gid = rows[i].uid;
        snprintf(path, sizeof path, "%s%s%s", data, rows[i].name[0] ? "/" : "", rows[i].name);
        int r = plat_fs_mkdir_p(path, rows[i].mode);
        if (r)
            return r;
        if (chmod(path, rows[i].mode))
            return -errno;
        if (geteuid() != 0 || !rows[i].user)
            continue;
        (void)plat_user_lookup(rows[i].user, &uid, &gid); /* without such a user the number serves */
        if (chown(path, uid, gid))
            return -errno;
    }
    return 0;
}

static int give_file(const char *data, const char *name, const char *user, uid_t uid)
{
    char path[AGENT_PATH_MAX + 64];
    gid_t gid = uid;
    if (geteuid() != 0)
        return 0;
    (void)plat_user_lookup(user, &uid, &gid);
    snprintf(path, sizeof path, "%s/%s", data, name);
    return lchown(path, uid, gid) ? -errno : 0;
}

static void machine_id(char *ret, size_t size)
{
    struct sm_buf b = SM_BUF_INIT(256);
    snprintf(ret, size, "%s", plat_fs_read_file(AT_FDCWD, "/etc/machine-id", 256, &b) ? "" : sm_buf_str(&b));
    ret[strcspn(ret, "\n")] = 0;
    sm_buf_wipe(&b);
}

/* Ed25519("sakimori/v1/join" ‖ SHA256(csr DER) ‖ secret): the same device made request and signing key. */
static int proof(const struct agent_keys *k, struct sm_span csr_der, const uint8_t *secret, char ret_hex[129])
{
    uint8_t message[16 + 32 + JOIN_SECRET_LEN], sig[64];
    memcpy(message, "sakimori/v1/join", 16);
    crypto_sha256(csr_der, message + 16);
    memcpy(message + 48, secret, JOIN_SECRET_LEN);
    int r = crypto_sign(&k->device, SM_SPAN(message, sizeof message), sig);
    if (!r)
        sm_hex(sig, 64, ret_hex);
    return r;
}

static json_t *request(const struct agent_keys *k, struct sm_span csr_der, const uint8_t *secret, const char *name)
{
    char sig[129], pub[65], sec[2 * JOIN_SECRET_LEN + 1], id[64], os[160];
    struct utsname u;
    struct sm_buf pem = SM_BUF_INIT(CRYPTO_CERT_MAX), b64 = SM_BUF_INIT(CRYPTO_CERT_MAX);
    int r = proof(k, csr_der, secret, sig);
    if (!r)
        r = sm_base64(csr_der, &b64);
    if (!r)
        r = sm_buf_put(&pem, "-----BEGIN CERTIFICATE REQUEST-----\n", 36);
    for (size_t i = 0; i < b64.n && !r; i += 64)
        r = sm_buf_printf(&pem, "%.*s\n", (int)(b64.n - i < 64 ? b64.n - i : 64), (const char *)b64.p + i);
    if (!r)
        r = sm_buf_put(&pem, "-----END CERTIFICATE REQUEST-----\n", 34);
    machine_id(id, sizeof id);
    uname(&u);
    snprintf(os, sizeof os, "%.60s %.60s", u.sysname, u.release);
    sm_hex(k->device.public_key, 32, pub);
    sm_hex(secret, JOIN_SECRET_LEN, sec);
    json_t *o = r ? NULL
                  : json_pack("{s:s,s:s#,s:s,s:s,s:s,s:s,s:s,s:s,s:[s,s,s]}", "secret", sec, "csr", (const char *)pem.p,
                        (int)pem.n, "sign_pub", pub, "sign_proof", sig, "hostname", name[0] ? name : u.nodename, "os",
                        os, "machine_id", id, "agent_version", SM_VERSION, "features", "backup", "restore", "canaries");
    sm_zero(sec, sizeof sec);
    sm_buf_wipe(&pem);
    sm_buf_wipe(&b64);
    return o;
}

static int take_answer(
    const char *data, const char *url, const struct hello *h, struct sm_span body, struct sm_span key_pem, char *why)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    struct agent_config c = {.recipients = h->recipients};
    int r = sm_json_parse(body, ANSWER_MAX, &j, why);
    if (r)
        return r;
    struct sm_obj o = SM_OBJ(j);
    snprintf(c.data, sizeof c.data, "%s", data);
    snprintf(c.url, sizeof c.url, "%s", url);
    snprintf(c.device, sizeof c.device, "%s", sm_obj_str(&o, "device", 1, 64));
    snprintf(c.institution, sizeof c.institution, "%s", sm_obj_str(&o, "institution", 1, 255));
    const char *name = sm_obj_str_opt(&o, "name", 255), *cert = sm_obj_str(&o, "cert_pem", 1, CRYPTO_CERT_MAX);
    snprintf(c.name, sizeof c.name, "%s", name && name[0] ? name : c.device);
    sm_obj_hex(&o, "client", c.client.b, 16);
    sm_obj_hex(&o, "vault", c.vault.b, 16);
    memcpy(c.order_pub, h->order_pub, 32);
    memcpy(c.head_pub, h->head_pub, 32);
    c.has_orders = h->has_orders;
    memcpy(c.orders_pub, h->orders_pub, 32);
    r = o.err;
    if (r)
        snprintf(why, WHY, "the box's answer: %s", o.why);
    if (!r)
        r = put_file(data, "link", "cert.pem", SM_SPAN_STR(cert), 0600);
    if (!r)
        r = put_file(data, "link", "ca.pem", sm_buf_span(&h->ca_pem), 0644);
    if (!r)
        r = put_file(data, "link", "tls.key", key_pem, 0600);
    static const char *const link_files[] = {"link/cert.pem", "link/ca.pem", "link/tls.key"};
    for (size_t i = 0; i < 3 && !r; i++)
        r = give_file(data, link_files[i], "_sakimori-link", 64320);
    if (!r)
        r = give_file(data, "keys/device.json", "_sakimori-backup", 64321);
    return r ? r : agent_config_save(&c); /* last: with it the device has joined */
}

static int say_refusal(int status, struct sm_span body, char *why)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    (void)sm_json_parse(body, ANSWER_MAX, &j, NULL); /* without words the number is said */
    const char *code = json_string_value(json_object_get(json_object_get(j, "error"), "code")),
               *text = json_string_value(json_object_get(json_object_get(j, "error"), "message"));
    static const char *const known[][2] = {{"denied", JOIN_DENIED}, {"rate", JOIN_RATE}, {"setup_needed", JOIN_NOT_YET}};
    snprintf(why, WHY, "the box refused (%d): %.200s", status, text ? text : "");
    for (size_t i = 0; code && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(code, known[i][0]) == 0)
            snprintf(why, WHY, "%s", known[i][1]);
    return status == 403 || status == 429 ? -SM_EDENIED : status == 409 ? -SM_ESTATE : -SM_EPROTO;
}

static int join_with(
    const char *data, const char *url, const struct hello *h, const uint8_t *secret, const char *name, char *why)
{
    struct agent_keys k = {0};
    struct sm_buf key = SM_BUF_INIT(CRYPTO_CERT_MAX), csr = SM_BUF_INIT(CRYPTO_CERT_MAX),
                  text = SM_BUF_INIT(ANSWER_MAX), answer = SM_BUF_INIT(ANSWER_MAX);
    char to[600], ca[AGENT_PATH_MAX + 32];
    int status = 0, r = make_folders(data);
    if (!r)
        r = agent_keys_make(data, &k);
    if (r == -SM_EEXISTS)
        r = agent_keys_load(data, &k, why); /* an earlier try got so far */
    if (!r)
        r = crypto_x509_key_new(&key);
    if (!r)
        r = crypto_x509_csr_new(sm_buf_span(&key), "sakimori-agent", &csr);
    json_t *o = r ? NULL : request(&k, sm_buf_span(&csr), secret, name);
    if (!r)
        r = o ? sm_json_dump(o, &text) : -ENOMEM;
    if (!r)
        r = put_file(data, "link", "ca.pem", sm_buf_span(&h->ca_pem), 0644);
    snprintf(to, sizeof to, "%s/agent/v1/join", url);
    snprintf(ca, sizeof ca, "%s/link/ca.pem", data);
    if (!r)
        r = http_once(to, ca, true, "POST", sm_buf_span(&text), &status, &answer, why);
    if (!r && status != 200)
        r = say_refusal(status, sm_buf_span(&answer), why);
    if (!r)
        r = take_answer(data, url, h, sm_buf_span(&answer), sm_buf_span(&key), why);
    json_decref(o);
    agent_keys_wipe(&k);
    sm_zero(text.p, text.n);
    sm_zero(key.p, key.n);
    sm_buf_wipe(&key);
    sm_buf_wipe(&csr);
    sm_buf_wipe(&text);
    sm_buf_wipe(&answer);
    return r;
}

int join_box(const char *data, const char *url_in, const char *code, const char *name, char *ret_why)
{
    struct join_code typed = {.version = 0};
    char url[512], to[600], path[AGENT_PATH_MAX + 32];
    struct hello h = {
        .ca_pem.max = CRYPTO_CERT_MAX, .ca_der.max = CRYPTO_CERT_MAX, .recipients.max = RECIPIENTS_BYTES_MAX};
    struct sm_buf body = SM_BUF_INIT(ANSWER_MAX);
    int status = 0, r = crypto_init();
    ret_why[0] = 0;
    snprintf(url, sizeof url, "%s", url_in);
    while (url[0] && url[strlen(url) - 1] == '/')
        url[strlen(url) - 1] = 0;
    snprintf(path, sizeof path, "%s/agent.json", data);
    if (!r && access(path, F_OK) == 0) {
        snprintf(ret_why, WHY, "this machine has joined a box already; see sakimori-agent status");
        r = -SM_EEXISTS;
    }
    if (!r && (r = join_code_read(code, &typed)) != 0)
        snprintf(ret_why, WHY, CODE_WRONG);
    if (!r && strncmp(url, "https://", 8) != 0) {
        snprintf(ret_why, WHY, "the address must begin with https://");
        r = -SM_EINVAL;
    }
    snprintf(to, sizeof to, "%s/agent/v1/hello", url);
    if (!r)
        r = http_once(to, NULL, false, "GET", SM_SPAN(NULL, 0), &status, &body, ret_why);
    if (!r && status != 200)
        r = say_refusal(status, sm_buf_span(&body), ret_why);
    if (!r)
        r = hello_read(sm_buf_span(&body), &h, ret_why);
    if (!r && !pin_right(&h, &typed)) {
        snprintf(ret_why, WHY, "this is not the box the code was made by: nothing was sent to it");
        r = -SM_EAUTH;
    }
    if (!r)
        r = join_with(data, url, &h, typed.secret, name, ret_why);
    sm_zero(&typed, sizeof typed);
    hello_wipe(&h);
    sm_buf_wipe(&body);
    return r;
}

/* ---- whom it wraps for, anew ---- */

static int trust_take(struct agent_config *c, struct hello *h, const struct join_code *typed, char *why)
{
    if (!pin_right(h, typed) || memcmp(h->order_pub, c->order_pub, 32) || memcmp(h->head_pub, c->head_pub, 32)) {
        snprintf(why, WHY, "this is not the box this machine joined, or the code is of other recipients: nothing changed");
        return -SM_EAUTH;
    }
    sm_buf_clear(&c->recipients);
    int r = sm_buf_put_span(&c->recipients, sm_buf_span(&h->recipients));
    c->has_orders = true;
    memcpy(c->orders_pub, h->orders_pub, 32);
    return r ? r : agent_config_save(c);
}

int join_trust(const char *data, const char *code, char *ret_why)
{
    struct join_code typed = {.version = 0};
    struct agent_config c = {.recipients.max = RECIPIENTS_BYTES_MAX};
    struct hello h = {
        .ca_pem.max = CRYPTO_CERT_MAX, .ca_der.max = CRYPTO_CERT_MAX, .recipients.max = RECIPIENTS_BYTES_MAX};
    struct sm_buf body = SM_BUF_INIT(ANSWER_MAX);
    char to[600], ca[AGENT_PATH_MAX + 32];
    int status = 0, r = crypto_init();
    ret_why[0] = 0;
    if (!r)
        r = agent_config_load(data, &c, ret_why);
    if (!r && ((r = join_code_read(code, &typed)) != 0 || typed.version < 2)) {
        r = -SM_EFORMAT;
        snprintf(ret_why, WHY, CODE_WRONG);
    }
    snprintf(to, sizeof to, "%s/agent/v1/hello", c.url);
    snprintf(ca, sizeof ca, "%s/link/ca.pem", data);
    if (!r)
        r = http_once(to, ca, true, "GET", SM_SPAN(NULL, 0), &status, &body, ret_why);
    if (!r && status != 200)
        r = say_refusal(status, sm_buf_span(&body), ret_why);
    if (!r)
        r = hello_read(sm_buf_span(&body), &h, ret_why);
    if (!r)
        r = trust_take(&c, &h, &typed, ret_why);
    sm_zero(&typed, sizeof typed);
    agent_config_wipe(&c);
    hello_wipe(&h);
    sm_buf_wipe(&body);
    return r;
}

/* ---- the box on this machine ---- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    return sm_buf_put(arg, p, size * n) ? 0 : size * n;
}

static int ask_local(const char *socket, struct sm_buf *ret, long *ret_status)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURL *e = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    char id[64], body[96];
    machine_id(id, sizeof id);
    snprintf(body, sizeof body, "{\"machine_id\":\"%s\"}", id[strspn(id, "0123456789abcdef")] ? "" : id);
    if (!e)
        return -ENOMEM;
    curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(e, CURLOPT_URL, "http://localhost/api/v1/local/join-code");
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_TIMEOUT, 10L);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, ret);
    CURLcode r = curl_easy_perform(e);
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, ret_status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(e);
    return r == CURLE_OK ? 0 : -SM_EPEER;
}

/* The box says that this machine is one that joined it before. */
static bool is_known(struct sm_span body)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    if (sm_json_parse(body, ANSWER_MAX, &j, NULL))
        return false;
    const char *code = json_string_value(json_object_get(json_object_get(j, "error"), "code"));
    return code && strcmp(code, "known") == 0;
}

int join_local(const char *data, const char *local_socket, char *ret_why)
{
    struct sm_buf body = SM_BUF_INIT(ANSWER_MAX);
    sm_cleanup(sm_json_free) json_t *j = NULL;
    long status = 0;
    int r = ask_local(local_socket, &body, &status);
    if (!r && status == 409) {
        r = is_known(sm_buf_span(&body)) ? -SM_EEXISTS : -SM_ESTATE;
        if (r == -SM_EEXISTS)
            snprintf(ret_why, WHY, "this machine joined the box before it was taken over, and has lost those keys: put the old "
                                   "agent's folder in the place of %.80s, or remove the machine on the box", data);
    } else if (!r && status != 201)
        r = say_refusal((int)status, sm_buf_span(&body), ret_why);
    if (!r)
        r = sm_json_parse(sm_buf_span(&body), ANSWER_MAX, &j, ret_why);
    if (!r) {
        struct sm_obj o = SM_OBJ(j);
        const char *code = sm_obj_str(&o, "code", 1, 128), *url = sm_obj_str(&o, "url", 1, 500);
        r = o.err ? o.err : join_box(data, url, code, "", ret_why);
    }
    sm_buf_wipe(&body);
    return r;
}
