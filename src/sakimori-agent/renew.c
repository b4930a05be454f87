#include "sakimori-agent/renew.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "crypto/x509.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/agent.h"

#define CERT_MAX ((size_t)16384)

static int load(const char *data, const char *name, struct sm_buf *ret)
{
    char path[AGENT_PATH_MAX + 48];
    snprintf(path, sizeof path, "%s/link/%s", data, name);
    return plat_fs_read_file(AT_FDCWD, path, CERT_MAX, ret);
}

static int info_of(const char *data, const char *name, struct crypto_cert_info *ret)
{
    struct sm_buf b = SM_BUF_INIT(CERT_MAX);
    int r = load(data, name, &b);
    if (!r)
        r = crypto_x509_info(sm_buf_span(&b), ret);
    sm_buf_wipe(&b);
    return r;
}

static bool continues(const struct crypto_cert_info *old, const struct crypto_cert_info *new)
{
    return strcmp(old->cn, new->cn) == 0 && memcmp(old->spki_sha256, new->spki_sha256, 32) == 0 &&
           new->not_after_s > old->not_after_s;
}

/* The names of the two, the one to use first. */
static int pick(const char *data, const char **ret_name, struct crypto_cert_info *ret)
{
    struct crypto_cert_info next;
    int r = info_of(data, "cert.pem", ret);
    *ret_name = "cert.pem";
    if (!r && info_of(data, RENEW_NEXT, &next) == 0 && continues(ret, &next)) {
        *ret = next;
        *ret_name = RENEW_NEXT;
    }
    return r;
}

int renew_pick(const char *data, char *ret_path, size_t size, int64_t *ret_until_s)
{
    struct crypto_cert_info i;
    const char *name;
    int r = pick(data, &name, &i);
    if (r)
        return r;
    snprintf(ret_path, size, "%s/link/%s", data, name);
    *ret_until_s = i.not_after_s;
    return 0;
}

int renew_request(const char *data, struct sm_buf *ret)
{
    struct sm_buf key = SM_BUF_INIT(CERT_MAX), der = SM_BUF_INIT(CERT_MAX), b64 = SM_BUF_INIT(2 * CERT_MAX),
                  pem = SM_BUF_INIT(2 * CERT_MAX);
    int r = load(data, "tls.key", &key);
    if (!r)
        r = crypto_x509_csr_new(sm_buf_span(&key), "sakimori-agent", &der);
    if (!r)
        r = sm_base64(sm_buf_span(&der), &b64);
    if (!r)
        r = sm_buf_printf(&pem, "-----BEGIN CERTIFICATE REQUEST-----\n");
    for (size_t i = 0; i < b64.n && !r; i += 64)
        r = sm_buf_printf(&pem, "%.*s\n", (int)(b64.n - i < 64 ? b64.n - i : 64), (const char *)b64.p + i);
    if (!r)
        r = sm_buf_printf(&pem, "-----END CERTIFICATE REQUEST-----\n");
    json_t *o = r ? NULL : json_pack("{s:s}", "csr", sm_buf_str(&pem));
    if (!r)
        r = o ? sm_json_dump(o, ret) : -ENOMEM;
    json_decref(o);
    if (key.p)
        sm_zero(key.p, key.n);
    sm_buf_wipe(&key);
    sm_buf_wipe(&der);
    sm_buf_wipe(&b64);
    sm_buf_wipe(&pem);
    return r;
}

int renew_take(const char *data, struct sm_span answer, struct sm_buf *ret_pem)
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    struct crypto_cert_info now, new;
    const char *name;
    int r = sm_json_parse(answer, 4 * CERT_MAX, &o, NULL);
    const char *pem = json_string_value(json_object_get(o, "cert_pem"));
    if (r || !pem || strlen(pem) > CERT_MAX)
        return -SM_EFORMAT;
    r = pick(data, &name, &now);
    if (!r)
        r = crypto_x509_info(SM_SPAN_STR(pem), &new);
    if (!r && !continues(&now, &new))
        r = -SM_EMISMATCH;
    return r ? r : sm_buf_put_span(ret_pem, SM_SPAN_STR(pem));
}

int renew_keep(const char *data, struct sm_span pem)
{
    static const char head[] = "-----BEGIN CERTIFICATE-----";
    char path[AGENT_PATH_MAX + 48];
    uid_t uid = 64320;
    gid_t gid = 64320;
    if (pem.n > CERT_MAX || pem.n < sizeof head || memcmp(pem.p, head, sizeof head - 1) != 0)
        return -SM_EFORMAT;
    for (size_t i = 0; i < pem.n; i++)
        if (pem.p[i] > 0x7e || (pem.p[i] < 0x20 && pem.p[i] != '\n' && pem.p[i] != '\r'))
            return -SM_EFORMAT;
    snprintf(path, sizeof path, "%s/link", data);
    int dir = plat_fs_open_dir(AT_FDCWD, path);
    if (dir < 0)
        return dir;
    int r = plat_replace(dir, RENEW_NEXT, pem, 0600);
    if (!r && geteuid() == 0) {
        (void)plat_user_lookup("_sakimori-link", &uid, &gid); /* without such a user the number serves */
        r = fchownat(dir, RENEW_NEXT, uid, gid, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
    }
    close(dir);
    return r;
}
