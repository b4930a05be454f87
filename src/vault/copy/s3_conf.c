/* Where a bucket is, and how a request's URL looks. */
#include "core/time.h"
#include "vault/copy/s3_internal.h"

static const char plain_set[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~";

static int bad(char *ret_why, const char *text)
{
    (void)snprintf(ret_why, S3_WHY, "%s", text); /* fits: our own texts */
    return -SM_EINVAL;
}

static bool loopback(const char *host)
{
    static const char *const names[] = { "127.0.0.1", "localhost", "[::1]" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (!strncmp(host, names[i], n) && (host[n] == ':' || !host[n]))
            return true;
    }
    return false;
}

/* "https://host[:port]", perhaps with one "/" at its end. */
static int take_endpoint(const char *url, bool plain, struct s3_conf *c, char *ret_why)
{
    const char *host = !strncmp(url, "https://", 8) ? url + 8 : plain && !strncmp(url, "http://", 7) ? url + 7 : NULL;
    if (!host)
        return bad(ret_why, "endpoint: https://SERVER is needed");
    size_t n = strcspn(host, "/");
    if (!n || n >= sizeof c->host || (host[n] && host[n + 1]) || strspn(host, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        "abcdefghijklmnopqrstuvwxyz-.:[]") < n)
        return bad(ret_why, "endpoint: https://SERVER or https://SERVER:PORT, and nothing else");
    (void)snprintf(c->host, sizeof c->host, "%.*s", (int)n, host); /* fits */
    c->plain = url[4] == ':';
    if (c->plain && !loopback(c->host))
        return bad(ret_why, "endpoint: http is for tests on this machine only");
    return 0;
}

static int take_bucket(const char *bucket, struct s3_conf *c, char *ret_why)
{
    size_t n = strlen(bucket);
    if (n < 3 || n > 63 || strspn(bucket, "0123456789abcdefghijklmnopqrstuvwxyz-._ABCDEFGHIJKLMNOPQRSTUVWXYZ") != n ||
        bucket[0] == '.' || strstr(bucket, ".."))
        return bad(ret_why, "bucket: 3 to 63 letters, digits, \"-\" and \".\"");
    (void)snprintf(c->bucket, sizeof c->bucket, "%s", bucket); /* measured */
    return 0;
}

static int take_prefix(const char *prefix, struct s3_conf *c, char *ret_why)
{
    size_t n = strlen(prefix);
    while (n && prefix[n - 1] == '/')
        n--;
    static const char form[] = "prefix: letters, digits, \"-\", \"_\", \".\" and single \"/\"";
    if (n + 2 > sizeof c->prefix || (n && prefix[0] == '/') || strstr(prefix, "..") || (n && strstr(prefix, "//")))
        return bad(ret_why, form);
    for (size_t i = 0; i < n; i++)
        if (prefix[i] != '/' && !strchr(plain_set, prefix[i]))
            return bad(ret_why, form);
    (void)snprintf(c->prefix, sizeof c->prefix, "%.*s%s", (int)n, prefix, n ? "/" : ""); /* measured */
    return 0;
}

static bool copy_text(char *to, size_t n, const char *from, size_t least)
{
    size_t len = strlen(from);
    for (const char *p = from; *p; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return false;
    if (len < least || len >= n)
        return false;
    memcpy(to, from, len + 1);
    return true;
}

int s3_conf_get(const json_t *address, struct s3_conf *ret, char ret_why[S3_WHY])
{
    struct s3_conf c = { .lock_days = S3_LOCK_DAYS_MIN };
    struct sm_obj o = SM_OBJ(address);
    const char *endpoint = sm_obj_str(&o, "endpoint", 8, 300), *bucket = sm_obj_str(&o, "bucket", 1, 63),
        *prefix = sm_obj_str_opt(&o, "prefix", 190), *region = sm_obj_str(&o, "region", 1, 60),
        *access = sm_obj_str(&o, "access_key", 1, 190), *secret = sm_obj_str(&o, "secret_key", 1, 290),
        *style = sm_obj_str_opt(&o, "style", 8), *ca = sm_obj_str_opt(&o, "ca", sizeof c.ca - 1);
    c.lock_days = (int)sm_obj_int_opt(&o, "lock_days", S3_LOCK_DAYS_MIN, S3_LOCK_DAYS_MAX, S3_LOCK_DAYS_MIN);
    c.rate_bytes = (uint64_t)sm_obj_int_opt(&o, "rate_bytes", 0, INT64_C(1) << 40, 0);
    if (o.err)
        return bad(ret_why, o.why);
    if (style && strcmp(style, "path") != 0 && strcmp(style, "host") != 0)
        return bad(ret_why, "style: path or host");
    c.host_style = style && !strcmp(style, "host");
    int r = take_endpoint(endpoint, sm_obj_bool(&o, "plain", false), &c, ret_why);
    if (!r)
        r = take_bucket(bucket, &c, ret_why);
    if (!r)
        r = take_prefix(prefix ? prefix : "", &c, ret_why);
    if (!r && (!copy_text(c.region, sizeof c.region, region, 1) || region[strspn(region, plain_set)]))
        r = bad(ret_why, "region: a name as ap-northeast-1");
    /* libcurl takes "user:password": a colon in the first would move the second. */
    if (!r && (!copy_text(c.access, sizeof c.access, access, 1) || strchr(access, ':')))
        r = bad(ret_why, "access_key: visible letters, without \":\"");
    if (!r && !copy_text(c.secret, sizeof c.secret, secret, 1))
        r = bad(ret_why, "secret_key: visible letters");
    if (!r && ca && *ca && ca[0] != '/')
        r = bad(ret_why, "ca: the path of a file");
    if (!r && ca)
        (void)snprintf(c.ca, sizeof c.ca, "%s", ca); /* measured */
    if (!r)
        *ret = c;
    s3_conf_wipe(&c);
    return r;
}

int s3_conf_url(const char *url, struct s3_conf *ret, char ret_why[S3_WHY])
{
    struct s3_conf c = { .lock_days = S3_LOCK_DAYS_MIN };
    char endpoint[sizeof c.host + 16], bucket[64];
    const char *scheme = strstr(url, "://"), *slash = scheme ? strchr(scheme + 3, '/') : NULL;
    if (!slash || (size_t)(slash - url) >= sizeof endpoint)
        return bad(ret_why, "https://SERVER/BUCKET/PREFIX is needed");
    (void)snprintf(endpoint, sizeof endpoint, "%.*s", (int)(slash - url), url); /* measured */
    size_t n = strcspn(slash + 1, "/");
    if (n >= sizeof bucket)
        return bad(ret_why, "the bucket's name is too long");
    (void)snprintf(bucket, sizeof bucket, "%.*s", (int)n, slash + 1); /* measured */
    int r = take_endpoint(endpoint, true, &c, ret_why);
    if (!r)
        r = take_bucket(bucket, &c, ret_why);
    if (!r)
        r = take_prefix(slash[1 + n] ? slash + 2 + n : "", &c, ret_why);
    if (!r)
        *ret = c;
    return r;
}

void s3_conf_wipe(struct s3_conf *c)
{
    sm_zero(c, sizeof *c);
}

int s3_escape(const char *text, bool slash, char *ret, size_t n)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool as_is = strchr(plain_set, *p) || (slash && *p == '/');
        if (at + 4 > n)
            return -SM_ELIMIT;
        if (as_is) {
            ret[at++] = (char)*p;
            continue;
        }
        ret[at++] = '%';
        ret[at++] = digits[*p >> 4];
        ret[at++] = digits[*p & 15];
    }
    ret[at] = '\0';
    return 0;
}

/* The query is sorted by name and every name has its "=": so the server's canonical form is just these bytes. */
int s3_url(const struct s3_conf *c, const struct s3_request *q, char *ret, size_t n)
{
    char key[S3_KEY_MAX * 3] = "", name[sizeof c->prefix + S3_KEY_MAX], version[S3_VERSION_MAX * 3] = "";
    int r = 0;
    if (q->key) {
        if (snprintf(name, sizeof name, "%s%s", c->prefix, q->key) >= (int)sizeof name)
            return -SM_ELIMIT;
        r = s3_escape(name, true, key, sizeof key);
    }
    if (!r && q->version)
        r = s3_escape(q->version, false, version, sizeof version);
    if (r)
        return r;
    const char *query = q->query ? q->query : "";
    int k = snprintf(ret, n, "%s://%s%s%s/%s%s%s%s%s%s%s%s", c->plain ? "http" : "https", c->host_style ? c->bucket : "",
        c->host_style ? "." : "", c->host, c->host_style ? "" : c->bucket, c->host_style || !q->key ? "" : "/", key,
        *query || q->version ? "?" : "", query, *query && q->version ? "&" : "", q->version ? "versionId=" : "", version);
    return k < 0 || (size_t)k >= n ? -SM_ELIMIT : 0;
}

void s3_lock_date(int64_t s, char ret[32])
{
    char text[SM_TIME_TEXT];
    sm_time_rfc3339((struct sm_time){ .s = s }, text);
    (void)snprintf(ret, 32, "%.31s", text); /* 20 letters for centuries */
}
