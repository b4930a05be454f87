/*
 * Requests to the servers: over HTTPS with the certificate checked, never redirected, every answer bounded, every wait
 * too.
 *
 * Two things the server of 2018 and those of today do: an answer that is not held back until it is whole has its error
 * in the middle of the rows (so wait_end_of_query), and an insert whose connection breaks keeps the rows that came
 * whole (so gzip, which has an end that can be missed).
 */
#include "journal/house_int.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "plat/clock.h"

enum {
    ERROR_MAX = 16 << 10,
    URL_MAX = 4096,
    ROWS_MAX = 48 << 20 /* of rows made and not yet packed: one row has to fit */,
    PACKED = 256 << 10,
    CONNECT_MS = 8000,
    STALL_S = 60,
    ANSWER_MS = 120000
};

struct flight {
    struct house *h;
    const struct house_request *q;
    struct sm_buf error, rows, packed;
    size_t at; /* of packed: sent */
    z_stream z;
    bool packing, ended;
    long status;
    int err;
};

int house_fail(struct house *h, int err, const char *reason, const char *why)
{
    (void)snprintf(h->reason, sizeof h->reason, "%.15s", reason);
    (void)snprintf(h->why, sizeof h->why, "%.230s", why);
    sm_ascii_only(h->why); /* servers say anything */
    return err;
}

const char *house_why(const struct house *h)
{
    return h->why;
}

const char *house_reason(const struct house *h)
{
    return h->reason;
}

/* ---- settings ---- */

static int bad(char *ret_why, const char *text)
{
    (void)snprintf(ret_why, HOUSE_WHY, "%s", text);
    return -SM_EINVAL;
}

static bool is_name(const char *s)
{
    size_t n = strlen(s);

    return n && n <= HOUSE_NAME_MAX &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == n &&
           !isdigit((unsigned char)s[0]);
}

static bool copy_visible(char *to, size_t n, const char *from)
{
    size_t len = strlen(from);

    for (const char *p = from; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p == 0x7f)
            return false;
    if (len >= n)
        return false;
    memcpy(to, from, len + 1);
    return true;
}

/* What a password may cross unencrypted: nothing but this machine. */
static bool is_loopback(const char *host)
{
    static const char *const known[] = {"127.0.0.1", "localhost", "[::1]"};

    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(known[i]);
        if (!strncmp(host, known[i], n) && (!host[n] || host[n] == ':'))
            return true;
    }
    return false;
}

static int take_url(const char *p, size_t n, struct house_conf *c, char *ret_why)
{
    char *to = c->url[c->urls];

    if (c->urls == HOUSE_URLS_MAX || n >= sizeof c->url[0])
        return bad(ret_why, "urls: at most 8, each https://HOST:PORT");
    memcpy(to, p, n);
    to[n] = '\0';
    while (n && to[n - 1] == '/')
        to[--n] = '\0';
    bool plain = !strncmp(to, "http://", 7);
    const char *host = to + (plain ? 7 : 8);
    if ((!plain && strncmp(to, "https://", 8) != 0) || !*host)
        return bad(ret_why, "urls: each https://HOST:PORT");
    if (host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]")])
        return bad(ret_why, "urls: a host and a port alone, as https://ch1.example.jp:8443");
    if (plain && !is_loopback(host))
        return bad(ret_why, "urls: http:// is for this machine alone; over a network it has to be https://");
    c->urls++;
    return 0;
}

int house_conf_get(const struct house_texts *t, struct house_conf *ret, char *ret_why)
{
    struct house_conf c = {0};
    int r = 0;

    for (const char *p = t->urls; r >= 0 && *(p += strspn(p, " ,\t\n"));) {
        size_t n = strcspn(p, " ,\t\n");
        r = take_url(p, n, &c, ret_why);
        p += n;
    }
    if (r >= 0 && !c.urls)
        r = bad(ret_why, "urls: one at least");
    if (r >= 0 && (!is_name(t->database) || !is_name(t->table)))
        r = bad(ret_why, "database and table: letters, digits and _");
    /* libcurl takes "user:password": a colon in the first would move the second. */
    if (r >= 0 && (!copy_visible(c.user, sizeof c.user, t->user) || strchr(t->user, ':')))
        r = bad(ret_why, "user: visible letters, without \":\"");
    if (r >= 0 && !copy_visible(c.password, sizeof c.password, t->password))
        r = bad(ret_why, "password: visible letters");
    if (r >= 0 && (!copy_visible(c.ca, sizeof c.ca, t->ca) || (*t->ca && *t->ca != '/')))
        r = bad(ret_why, "ca: the path of a file");
    if (r >= 0) {
        (void)snprintf(c.database, sizeof c.database, "%s", t->database); /* measured */
        (void)snprintf(c.table, sizeof c.table, "%s", t->table);          /* measured */
        *ret = c;
    }
    house_conf_wipe(&c);
    return r;
}

void house_conf_wipe(struct house_conf *c)
{
    sm_zero(c, sizeof *c);
}

/* ---- sending ---- */

static int pack(struct flight *f)
{
    sm_buf_clear(&f->packed);
    f->at = 0;
    while (!f->packed.n && !f->ended) {
        int r = 1;
        sm_buf_clear(&f->rows);
        while (r > 0 && f->rows.n < PACKED)
            r = house_rower_next(f->q->rows, &f->rows);
        if (r < 0)
            return r;
        f->z.next_in = f->rows.p;
        f->z.avail_in = (uInt)f->rows.n;
        do {
            int e = sm_buf_reserve(&f->packed, PACKED);
            if (e < 0)
                return e;
            f->z.next_out = f->packed.p + f->packed.n;
            f->z.avail_out = PACKED;
            e = deflate(&f->z, r ? Z_NO_FLUSH : Z_FINISH);
            if (e == Z_STREAM_ERROR)
                return -SM_EFORMAT;
            f->packed.n += PACKED - f->z.avail_out;
        } while (!f->z.avail_out);
        f->ended = !r;
    }
    return 0;
}

static size_t on_send(char *to, size_t size, size_t n, void *arg)
{
    struct flight *f = arg;
    size_t k = size * n;

    if (f->at == f->packed.n && (f->err = pack(f)) < 0)
        return CURL_READFUNC_ABORT;
    if (k > f->packed.n - f->at)
        k = f->packed.n - f->at;
    if (k)
        memcpy(to, f->packed.p + f->at, k);
    f->at += k;
    return k;
}

/* ---- the answer ---- */

static size_t on_body(char *from, size_t size, size_t n, void *arg)
{
    struct flight *f = arg;

    n *= size;
    if (!f->status)
        (void)curl_easy_getinfo(f->h->curl, CURLINFO_RESPONSE_CODE, &f->status); /* 0 then */
    if (f->status != 200 || !f->q->into) { /* of a refusal the beginning is enough */
        size_t room = ERROR_MAX - f->error.n;
        f->err = sm_buf_put(&f->error, from, n < room ? n : room);
        return f->err ? 0 : n;
    }
    f->err = sm_buf_put(f->q->into, from, n);
    return f->err ? 0 : n;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct flight *f = arg;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return f->h->stop && f->h->stop(f->h->arg);
}

/* "Code: 60, e.displayText() = …" and newer "Code: 60. DB::Exception: …". */
static int of_refusal(struct flight *f)
{
    static const struct {
        long code;
        int err;
        const char *reason;
    } rows[] = {{60, -SM_ESTATE, "table"}, {81, -SM_ESTATE, "table"}, {16, -SM_ESTATE, "table"},
        {47, -SM_ESTATE, "table"}, {53, -SM_ESTATE, "table"}, {192, -SM_EAUTH, "keys"}, {193, -SM_EAUTH, "keys"},
        {194, -SM_EAUTH, "keys"}, {195, -SM_EAUTH, "keys"}, {516, -SM_EAUTH, "keys"}, {164, -SM_EAUTH, "rights"},
        {291, -SM_EAUTH, "rights"}, {497, -SM_EAUTH, "rights"}, {159, -SM_ECANCEL, "time"}, {160, -SM_ECANCEL, "time"},
        {241, -SM_EPEER, "busy"}, {202, -SM_EPEER, "busy"}, {252, -SM_EPEER, "busy"}, {243, -ENOSPC, "full"},
        {279, -SM_EPEER, "network"}, {210, -SM_EPEER, "network"}, {209, -SM_EPEER, "network"}};
    const char *text = sm_buf_str(&f->error);
    char why[HOUSE_WHY];

    if (!text)
        return -ENOMEM;
    long code = strncmp(text, "Code: ", 6) ? 0 : strtol(text + 6, NULL, 10);
    (void)snprintf(why, sizeof why, "%s answered %ld: %.160s", f->h->conf.url[f->h->url], f->status, text);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code)
            return house_fail(f->h, rows[i].err, rows[i].reason, why);
    if (f->status == 401 || f->status == 403)
        return house_fail(f->h, -SM_EAUTH, "keys", why);
    return house_fail(f->h, f->status >= 500 ? -SM_EPEER : -SM_EFORMAT, "answer", why);
}

static int of_curl(struct flight *f, CURLcode code, const char *text)
{
    char why[HOUSE_WHY];
    bool tls = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
               code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_ISSUER_ERROR;

    if (code == CURLE_ABORTED_BY_CALLBACK && !f->err)
        return house_fail(f->h, -SM_ECANCEL, "time", "cancelled");
    if (f->err && f->q->rows)
        return house_fail(f->h, f->err, "block", "the block cannot be read");
    if (f->err)
        return house_fail(
            f->h, f->err, "answer", f->err == -SM_ELIMIT ? "the answer is longer than it may be" : sm_strerror(f->err));
    if (code == CURLE_OPERATION_TIMEDOUT && f->q->until_ms && plat_clock_mono_ms() >= f->q->until_ms)
        return house_fail(f->h, -SM_ECANCEL, "time", "no answer in time");
    (void)snprintf(why, sizeof why, "%s: %.150s", f->h->conf.url[f->h->url], *text ? text : curl_easy_strerror(code));
    return house_fail(f->h, -SM_EPEER, tls ? "tls" : "network", why);
}

/* ---- one request ---- */

static bool set_fixed(struct flight *f, const char *url, char *error, long ms)
{
    const struct house_conf *c = &f->h->conf;
    CURL *e = f->h->curl;

    return curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK && /* take_url says which */
           curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) == CURLE_OK &&
           (!*c->user || (curl_easy_setopt(e, CURLOPT_USERNAME, c->user) == CURLE_OK &&
                             curl_easy_setopt(e, CURLOPT_PASSWORD, c->password) == CURLE_OK)) &&
           curl_easy_setopt(e, CURLOPT_ERRORBUFFER, error) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           (!*c->ca || curl_easy_setopt(e, CURLOPT_CAINFO, c->ca) == CURLE_OK) &&
           curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, ms < CONNECT_MS ? ms : (long)CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, ms) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEDATA, f) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_XFERINFODATA, f) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L) == CURLE_OK && curl_easy_setopt(e, CURLOPT_POST, 1L) == CURLE_OK;
}

static bool set_body(struct flight *f)
{
    CURL *e = f->h->curl;

    if (!f->q->rows)
        return curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(f->q->sql)) == CURLE_OK &&
               curl_easy_setopt(e, CURLOPT_POSTFIELDS, f->q->sql) == CURLE_OK;
    return curl_easy_setopt(e, CURLOPT_READFUNCTION, on_send) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_READDATA, f) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)STALL_S) == CURLE_OK;
}

/* What goes into the address: settings, and of an insert the statement. */
static int address(const struct flight *f, long ms, char *ret, size_t n)
{
    const struct house_request *q = f->q;
    char *sql = q->rows ? curl_easy_escape(f->h->curl, q->sql, 0) : NULL;
    int k;

    if (q->rows && !sql)
        return -ENOMEM;
    k = snprintf(ret, n, "%s/?%s%s%s%s%s", f->h->conf.url[f->h->url], q->id ? "query_id=" : "", q->id ? q->id : "",
        q->id ? "&" : "", q->rows ? "insert_distributed_sync=1&query=" : "wait_end_of_query=1", q->rows ? sql : "");
    curl_free(sql);
    if (k >= 0 && (size_t)k < n && !q->rows && q->until_ms)
        k += snprintf(ret + k, n - (size_t)k, "&max_execution_time=%ld", ms / 1000 + 1);
    return k < 0 || (size_t)k >= n ? -SM_ELIMIT : 0;
}

static int once(struct flight *f)
{
    char url[URL_MAX], error[CURL_ERROR_SIZE] = "";
    struct curl_slist *list = curl_slist_append(
                          NULL, f->q->rows ? "Content-Type: application/octet-stream" : "Content-Type: text/plain"),
                      *more;
    uint64_t now = plat_clock_mono_ms();
    long ms = !f->q->until_ms ? ANSWER_MS : f->q->until_ms > now ? (long)(f->q->until_ms - now) : 1;

    if (f->q->rows)
        ms = 0; /* as long as it moves */
    curl_easy_reset(f->h->curl);
    int r = list ? address(f, ms, url, sizeof url) : -ENOMEM;
    static const char *const of_rows[] = {"Content-Encoding: gzip", "Transfer-Encoding: chunked", "Expect:"};
    for (size_t i = 0; r >= 0 && f->q->rows && i < 3; i++) {
        more = curl_slist_append(list, of_rows[i]);
        r = more ? 0 : -ENOMEM;
        list = more ? more : list;
    }
    if (r >= 0 && (!set_fixed(f, url, error, ms) || !set_body(f) ||
                      curl_easy_setopt(f->h->curl, CURLOPT_HTTPHEADER, list) != CURLE_OK))
        r = -ENOMEM;
    if (r < 0) {
        curl_slist_free_all(list);
        return house_fail(f->h, r, "answer", "the request cannot be made");
    }
    CURLcode code = curl_easy_perform(f->h->curl);
    (void)curl_easy_setopt(f->h->curl, CURLOPT_ERRORBUFFER, NULL); /* it is this call's; the handle lives on */
    curl_slist_free_all(list);
    if (code != CURLE_OK)
        return of_curl(f, code, error);
    (void)curl_easy_getinfo(f->h->curl, CURLINFO_RESPONSE_CODE, &f->status); /* it was there */
    return f->status == 200 ? 0 : of_refusal(f);
}

int house_do(struct house *h, const struct house_request *q)
{
    struct flight f = {.h = h,
        .q = q,
        .error = SM_BUF_INIT(ERROR_MAX + 1),
        .rows = SM_BUF_INIT(ROWS_MAX),
        .packed = SM_BUF_INIT(ROWS_MAX)};
    size_t start = q->into ? q->into->n : 0;
    int r = 0;

    h->why[0] = h->reason[0] = '\0';
    if (q->rows)
        r = deflateInit2(&f.z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK ? 0 : -ENOMEM;
    f.packing = q->rows && r >= 0;
    for (size_t i = 0; r >= 0 && i < h->conf.urls; i++) {
        f.status = 0;
        f.err = 0;
        sm_buf_clear(&f.error);
        if (q->into)
            q->into->n = start;
        r = once(&f);
        if (r != -SM_EPEER)
            break;
        h->url = (h->url + 1) % h->conf.urls; /* another may be there */
        if (q->rows)
            break; /* whether the rows are kept has to be asked first */
        r = i + 1 < h->conf.urls ? 0 : r;
    }
    if (f.packing)
        (void)deflateEnd(&f.z); /* says only that not all was taken */
    sm_buf_wipe(&f.error);
    sm_buf_wipe(&f.rows);
    sm_buf_wipe(&f.packed);
    if (r < 0 && q->into)
        q->into->n = start;
    return r;
}
