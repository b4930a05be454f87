/*
 * One request at a time, signed by libcurl (AWS Signature Version 4, with the body's own SHA-256), its certificate checked,
 * never redirected, every answer bounded.  What helps is tried again a few times; what does not is said in one word.
 */
#include <ctype.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>
#include "core/time.h"
#include "crypto/hash.h"
#include "plat/clock.h"
#include "vault/copy/s3_internal.h"

#define TRIES 4
#define ERROR_MAX ((size_t)64 << 10)
#define SKEW_MAX_S 900

static const unsigned wait_ms[TRIES] = { 0, 500, 2000, 6000 };

struct flight {
    struct s3_http *h;
    const struct s3_request *q;
    struct s3_reply *reply;
    struct sm_buf error;          /* the body of a refusal */
    size_t start;                 /* of q->into, before this try */
    size_t sent;
    long status;
    int err;
};

int s3_http_fail(struct s3_http *h, int err, const char *reason, const char *why)
{
    (void)snprintf(h->reason, sizeof h->reason, "%.15s", reason);
    (void)snprintf(h->why, sizeof h->why, "%.190s", why);
    sm_ascii_only(h->why); /* servers say anything */
    return err;
}

static size_t on_send(char *to, size_t size, size_t n, void *arg)
{
    struct flight *f = arg;
    size_t k = f->q->body.n - f->sent < size * n ? f->q->body.n - f->sent : size * n;
    if (k)
        memcpy(to, f->q->body.p + f->sent, k);
    f->sent += k;
    return k;
}

static int on_seek(void *arg, curl_off_t to, int origin)
{
    struct flight *f = arg;
    if (origin != SEEK_SET || to < 0 || (size_t)to > f->q->body.n)
        return CURL_SEEKFUNC_FAIL;
    f->sent = (size_t)to;
    return CURL_SEEKFUNC_OK;
}

static size_t on_body(char *from, size_t size, size_t n, void *arg)
{
    struct flight *f = arg;
    bool good = f->status >= 200 && f->status < 300;
    struct sm_buf *b = good ? f->q->into : &f->error;
    size_t had = b && good ? b->n - f->start : 0, max = good ? f->q->max : ERROR_MAX;
    if (!good && f->error.n + size * n > ERROR_MAX)
        return size * n; /* enough is known */
    if (!b)
        return size * n;
    if (good && had + size * n > max)
        f->err = -SM_ELIMIT;
    else
        f->err = sm_buf_put(b, from, size * n);
    return f->err ? 0 : size * n;
}

static void take_header(struct flight *f, const char *name, const char *value)
{
    struct s3_reply *r = f->reply;
    struct sm_time t;
    if (!strcasecmp(name, "x-amz-version-id"))
        (void)snprintf(r->version, sizeof r->version, "%s", strlen(value) < sizeof r->version ? value : "");
    else if (!strcasecmp(name, "x-amz-object-lock-mode"))
        (void)snprintf(r->mode, sizeof r->mode, "%.15s", value);
    else if (!strcasecmp(name, "x-amz-object-lock-retain-until-date") && sm_time_parse(value, &t) == 0)
        r->until_s = t.s;
    else if (!strcasecmp(name, "content-length"))
        r->length = strtoull(value, NULL, 10);
    else if (!strcasecmp(name, "date")) {
        time_t s = curl_getdate(value, NULL);
        if (s > 0) {
            f->h->server_s = s;
            f->h->skew_s = (int64_t)s - (int64_t)time(NULL);
        }
    }
}

static size_t on_header(char *from, size_t size, size_t n, void *arg)
{
    struct flight *f = arg;
    char line[1024];
    size_t all = size * n, len = all;
    while (len && isspace((unsigned char)from[len - 1]))
        len--;
    if (len >= sizeof line)
        return all;
    memcpy(line, from, len);
    line[len] = '\0';
    if (!strncmp(line, "HTTP/", 5)) { /* a new answer begins */
        const char *space = strchr(line, ' ');
        f->status = space ? strtol(space + 1, NULL, 10) : 0;
        return all;
    }
    char *colon = strchr(line, ':');
    if (!colon)
        return all;
    *colon++ = '\0';
    while (*colon == ' ' || *colon == '\t')
        colon++;
    take_header(f, line, colon);
    return all;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct flight *f = arg;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return f->h->cancel && atomic_load(f->h->cancel);
}

static bool add(struct curl_slist **list, const char *fmt, const char *value)
{
    char line[400];
    (void)snprintf(line, sizeof line, fmt, value); /* names and digests of ours */
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer)
        *list = longer;
    return longer != NULL;
}

static int headers(const struct flight *f, struct curl_slist **ret)
{
    const struct s3_request *q = f->q;
    uint8_t digest[32];
    char hex[65], date[32];
    struct curl_slist *list = NULL;
    crypto_sha256(q->body, digest);
    sm_hex(digest, 32, hex);
    /* Only what is sent: a header taken back by an empty line would be signed all the same. */
    bool ok = add(&list, "x-amz-content-sha256: %s", hex);
    if (ok && !strcmp(q->method, "PUT")) {
        struct sm_buf md5 = SM_BUF_INIT(64);
        uint8_t sum[CRYPTO_MD5_LEN];
        ok = crypto_md5(q->body, sum) == 0 && sm_base64(SM_SPAN(sum, sizeof sum), &md5) == 0 && sm_buf_str(&md5) &&
            add(&list, "Content-MD5: %s", sm_buf_str(&md5));
        sm_buf_wipe(&md5);
    }
    if (ok && q->until_s) {
        s3_lock_date(q->until_s, date);
        ok = add(&list, "x-amz-object-lock-mode: %s", "COMPLIANCE") &&
            add(&list, "x-amz-object-lock-retain-until-date: %s", date);
    }
    if (!ok) {
        curl_slist_free_all(list);
        return -ENOMEM;
    }
    *ret = list;
    return 0;
}

static bool set_fixed(struct s3_http *h, struct flight *f, const char *url, char *error)
{
    const struct s3_conf *c = &h->conf;
    CURL *e = h->curl;
    char sigv4[100];
    (void)snprintf(sigv4, sizeof sigv4, "aws:amz:%s:s3", c->region); /* fits */
    return curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, c->plain ? "http" : "https") == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_AWS_SIGV4, sigv4) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_USERNAME, c->access) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_PASSWORD, c->secret) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_ERRORBUFFER, error) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
        (!*c->ca || curl_easy_setopt(e, CURLOPT_CAINFO, c->ca) == CURLE_OK) &&
        curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, 15000L) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 64L) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, 30L) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_WRITEDATA, f) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_HEADERDATA, f) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_XFERINFODATA, f) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
}

static bool set_request(struct s3_http *h, struct flight *f)
{
    const struct s3_request *q = f->q;
    CURL *e = h->curl;
    char range[64];
    bool ok = true;
    if (h->conf.rate_bytes)
        ok = curl_easy_setopt(e, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)h->conf.rate_bytes) == CURLE_OK &&
            curl_easy_setopt(e, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)h->conf.rate_bytes) == CURLE_OK;
    if (!strcmp(q->method, "HEAD"))
        return ok && curl_easy_setopt(e, CURLOPT_NOBODY, 1L) == CURLE_OK;
    if (!strcmp(q->method, "PUT"))
        return ok && curl_easy_setopt(e, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
            curl_easy_setopt(e, CURLOPT_READFUNCTION, on_send) == CURLE_OK &&
            curl_easy_setopt(e, CURLOPT_READDATA, f) == CURLE_OK &&
            curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek) == CURLE_OK &&
            curl_easy_setopt(e, CURLOPT_SEEKDATA, f) == CURLE_OK &&
            curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body.n) == CURLE_OK;
    if (q->n) {
        (void)snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)q->from,
            (unsigned long long)(q->from + q->n - 1));
        ok = ok && curl_easy_setopt(e, CURLOPT_RANGE, range) == CURLE_OK;
    }
    return ok && curl_easy_setopt(e, CURLOPT_HTTPGET, 1L) == CURLE_OK;
}

/* What libcurl says.  *ret_again: it may be better the next time. */
static int of_curl(struct s3_http *h, const struct flight *f, CURLcode code, const char *text, bool *ret_again)
{
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return s3_http_fail(h, -SM_ECANCEL, "", "cancelled");
    if (f->err)
        return s3_http_fail(h, f->err, "", "the answer is longer than it may be");
    bool tls = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
        code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_ISSUER_ERROR;
    *ret_again = !tls;
    return s3_http_fail(h, -SM_EPEER, tls ? "tls" : "network", *text ? text : curl_easy_strerror(code));
}

/* What the server says, by its own word first. */
static int of_status(struct s3_http *h, struct flight *f, bool *ret_again)
{
    static const struct { const char *code; int err; const char *reason; bool again; } rows[] = {
        { "RequestTimeTooSkewed", -SM_ESTATE, "clock", false }, { "InvalidAccessKeyId", -SM_EAUTH, "keys", false },
        { "SignatureDoesNotMatch", -SM_EAUTH, "keys", false }, { "ExpiredToken", -SM_EAUTH, "keys", false },
        { "InvalidToken", -SM_EAUTH, "keys", false }, { "AuthorizationHeaderMalformed", -SM_EAUTH, "region", false },
        { "PermanentRedirect", -SM_EAUTH, "region", false }, { "IllegalLocationConstraintException", -SM_EAUTH, "region", false },
        { "NoSuchBucket", -SM_ENOTFOUND, "bucket", false }, { "InvalidBucketName", -SM_ENOTFOUND, "bucket", false },
        { "QuotaExceeded", -ENOSPC, "full", false }, { "EntityTooLarge", -ENOSPC, "full", false },
        { "TooManyBuckets", -ENOSPC, "full", false }, { "InsufficientCapacity", -ENOSPC, "full", false },
        { "XMinioStorageFull", -ENOSPC, "full", false },
        { "ObjectLockConfigurationNotFoundError", -SM_EUNSUPPORTED, "nolock", false },
        { "InvalidRequest", -SM_EUNSUPPORTED, "nolock", false }, { "NotImplemented", -SM_EUNSUPPORTED, "nolock", false },
        { "BadDigest", -SM_EPEER, "network", true }, { "XAmzContentSHA256Mismatch", -SM_EPEER, "network", true },
        { "RequestTimeout", -SM_EPEER, "network", true }, { "SlowDown", -SM_EPEER, "busy", true },
        { "AccessDenied", -EACCES, "rights", false } };
    char why[S3_WHY];
    const char *code = f->reply->code;
    (void)s3_xml_text(sm_buf_span(&f->error), "Code", f->reply->code, sizeof f->reply->code); /* no XML: "" */
    (void)snprintf(why, sizeof why, "%s %.40s answered %ld %.60s", f->q->method, f->q->key ? f->q->key : "bucket", f->status,
        code);
    /* Signed with a clock that is wrong, some servers only say that they refuse. */
    if (f->status == 403 && (h->skew_s > SKEW_MAX_S || h->skew_s < -SKEW_MAX_S))
        return s3_http_fail(h, -SM_ESTATE, "clock", why);
    for (size_t i = 0; *code && i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].code, code)) {
            *ret_again = rows[i].again;
            return s3_http_fail(h, rows[i].err, rows[i].reason, why);
        }
    if (f->status == 404)
        return s3_http_fail(h, -SM_ENOTFOUND, "", why);
    if (f->status == 403 || f->status == 401)
        return s3_http_fail(h, -EACCES, "rights", why);
    if (f->status == 507)
        return s3_http_fail(h, -ENOSPC, "full", why);
    if (f->status >= 300 && f->status < 400)
        return s3_http_fail(h, -SM_EAUTH, "region", why);
    *ret_again = f->status >= 500 || f->status == 429 || f->status == 408;
    return s3_http_fail(h, -SM_EPEER, *ret_again ? "busy" : "network", why);
}

static int try_once(struct flight *f, const char *url, bool *ret_again)
{
    struct s3_http *h = f->h;
    struct curl_slist *list = NULL;
    char error[CURL_ERROR_SIZE] = "";
    *f->reply = (struct s3_reply){ 0 };
    f->sent = 0;
    f->status = 0;
    f->err = 0;
    sm_buf_clear(&f->error);
    if (f->q->into)
        f->q->into->n = f->start;
    curl_easy_reset(h->curl);
    int r = headers(f, &list);
    if (!r && (!set_fixed(h, f, url, error) || !set_request(h, f) ||
        curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, list) != CURLE_OK))
        r = -ENOMEM;
    if (r) {
        curl_slist_free_all(list);
        return s3_http_fail(h, r, "", "out of memory");
    }
    CURLcode code = curl_easy_perform(h->curl);
    curl_slist_free_all(list);
    f->reply->status = f->status;
    if (code != CURLE_OK)
        return of_curl(h, f, code, error, ret_again);
    return f->status >= 200 && f->status < 300 ? 0 : of_status(h, f, ret_again);
}

static void rest(const struct s3_http *h, unsigned ms)
{
    for (unsigned done = 0; done < ms && !(h->cancel && atomic_load(h->cancel)); done += 50)
        (void)usleep(50000); /* woken early: a little less of a wait */
}

int s3_http_do(struct s3_http *h, const struct s3_request *q, struct s3_reply *ret)
{
    struct s3_reply reply = { 0 };
    struct flight f = { .h = h, .q = q, .reply = &reply, .error = SM_BUF_INIT(ERROR_MAX), .start = q->into ? q->into->n : 0 };
    char url[3072];
    int r = s3_url(&h->conf, q, url, sizeof url);
    if (r)
        return s3_http_fail(h, r, "", "a name is too long");
    h->reason[0] = h->why[0] = '\0';
    for (int i = 0; i < TRIES; i++) {
        bool again = false;
        rest(h, wait_ms[i]);
        r = try_once(&f, url, &again);
        if (!r || !again)
            break;
    }
    sm_buf_wipe(&f.error);
    if (r && q->into)
        q->into->n = f.start;
    if (!r && ret)
        *ret = reply;
    return r;
}

int s3_http_init(struct s3_http *h, const struct s3_conf *conf, const atomic_bool *cancel)
{
    *h = (struct s3_http){ .conf = *conf, .cancel = cancel, .curl = curl_easy_init() };
    return h->curl ? 0 : -ENOMEM;
}

void s3_http_wipe(struct s3_http *h)
{
    if (h->curl)
        curl_easy_cleanup(h->curl);
    h->curl = NULL;
    s3_conf_wipe(&h->conf);
}

/* ---- versions of keys ---- */

struct versions {
    const struct s3_conf *conf;
    s3_version_fn fn; void *arg;
    char key[S3_KEY_MAX + 200], version[S3_VERSION_MAX], at[SM_TIME_TEXT];
    char next_key[S3_KEY_MAX + 200], next_version[S3_VERSION_MAX];
    bool more;
    size_t n, max;
};

static int on_version(void *arg, const char *path, const char *text)
{
    struct versions *v = arg;
    static const char *const ends[] = { "Version", "DeleteMarker" };
    const char *slash = strchr(path, '/'), *leaf = slash ? slash + 1 : path;
    if (slash && (!strncmp(path, "Version/", 8) || !strncmp(path, "DeleteMarker/", 13))) {
        if (!strcmp(leaf, "Key"))
            (void)snprintf(v->key, sizeof v->key, "%s", text); /* a longer one is not ours */
        else if (!strcmp(leaf, "VersionId"))
            (void)snprintf(v->version, sizeof v->version, "%s", strlen(text) < sizeof v->version ? text : "");
        else if (!strcmp(leaf, "LastModified"))
            (void)snprintf(v->at, sizeof v->at, "%s", text); /* a longer one is no time */
        return 0;
    }
    if (!strcmp(path, "IsTruncated"))
        v->more = !strcmp(text, "true");
    else if (!strcmp(path, "NextKeyMarker"))
        (void)snprintf(v->next_key, sizeof v->next_key, "%s", text); /* ours, or not followed */
    else if (!strcmp(path, "NextVersionIdMarker"))
        (void)snprintf(v->next_version, sizeof v->next_version, "%s", text); /* likewise */
    for (size_t i = 0; i < 2; i++) {
        struct sm_time t = { 0 };
        size_t skip = strlen(v->conf->prefix);
        if (strcmp(path, ends[i]) != 0 || strncmp(v->key, v->conf->prefix, skip) != 0)
            continue;
        if (v->n++ >= v->max)
            return -SM_ELIMIT;
        if (sm_time_parse(v->at, &t) < 0)
            continue; /* without a time it says nothing */
        int r = v->fn(v->arg, v->key + skip, v->version, i == 1, t.s);
        v->key[0] = v->version[0] = v->at[0] = '\0';
        return r;
    }
    return 0;
}

int s3_versions(struct s3_http *h, const char *start, size_t max, s3_version_fn fn, void *arg)
{
    struct versions v = { .conf = &h->conf, .fn = fn, .arg = arg, .max = max };
    char prefix[S3_KEY_MAX], escaped[S3_KEY_MAX * 3], key[sizeof v.next_key * 3], version[S3_VERSION_MAX * 3], query[3000];
    if (snprintf(prefix, sizeof prefix, "%s%s", h->conf.prefix, start) >= (int)sizeof prefix)
        return -SM_ELIMIT;
    int r = s3_escape(prefix, false, escaped, sizeof escaped);
    do {
        struct sm_buf body = SM_BUF_INIT(S3_XML_MAX);
        if (!r)
            r = s3_escape(v.next_key, false, key, sizeof key);
        if (!r)
            r = s3_escape(v.next_version, false, version, sizeof version);
        int n = snprintf(query, sizeof query, "%s%s%sprefix=%s%s%s&versions=", *key ? "key-marker=" : "", key, *key ? "&" : "",
            escaped, *version ? "&version-id-marker=" : "", version);
        if (!r && (n < 0 || (size_t)n >= sizeof query))
            r = -SM_ELIMIT;
        v.more = false;
        v.next_key[0] = v.next_version[0] = '\0';
        if (!r)
            r = s3_http_do(h, &(struct s3_request){ .method = "GET", .query = query, .max = S3_XML_MAX, .into = &body }, NULL);
        if (!r) {
            r = s3_xml_each(sm_buf_span(&body), on_version, &v);
            if (r == -SM_EFORMAT || r == -SM_ELIMIT)
                (void)s3_http_fail(h, r, "versions", "the server's list of versions cannot be read");
        }
        sm_buf_wipe(&body);
    } while (!r && v.more && *v.next_key);
    return r;
}
