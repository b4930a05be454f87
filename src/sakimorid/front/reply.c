#include <strings.h>
#include "sakimorid/front/front.h"

#define CSP_PAGE                                                                                                       \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "              \
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
#define CSP_API "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static void put(struct MHD_Response *m, const char *name, const char *value)
{
    /* Only memory can fail here; the answer then goes without, and the connection soon after. */
    (void)MHD_add_response_header(m, name, value);
}

void reply_headers(struct MHD_Response *m, const struct conn *c, enum reply_kind kind)
{
    put(m, "Content-Security-Policy", kind == REPLY_PAGE ? CSP_PAGE : CSP_API);
    put(m, "X-Content-Type-Options", "nosniff");
    put(m, "Referrer-Policy", "no-referrer");
    put(m, "Permissions-Policy",
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), midi=(), "
        "payment=(), usb=()");
    put(m, "Cross-Origin-Opener-Policy", "same-origin");
    put(m, "Cross-Origin-Resource-Policy", "same-origin");
    put(m, "X-Frame-Options", "DENY");
    if (c->door->kind != DOOR_LOCAL)
        put(m, "Strict-Transport-Security", "max-age=31536000");
}

static const struct { const char *code, *ja, *en; } words[] = {
    { "bad_request", "ブラウザからの要求が正しくありません。", "The request is not well formed." },
    { "too_long", "要求のアドレスが長すぎます。全体で4095バイトまでです(日本語の1文字は9バイトになります)。短くしてください。",
        "The address of the request is too long: 4095 bytes at most, percent-encoded. Please shorten it." },
    { "not_found", "見つかりません。", "There is no such thing." },
    { "method", "この操作はできません。", "This method is not allowed here." },
    { "too_large", "送られたデータが大きすぎます。", "The data sent is too large." },
    { "length", "データの長さが必要です。", "A Content-Length is needed." },
    { "unavailable", "いま準備中です。数秒後にもう一度お試しください。", "Not ready just now; try again in a few seconds." },
    { "offset", "続きの位置が違います。", "The box holds another number of bytes." },
    { "content", "データがその名前と一致しません。", "The bytes do not match their name." },
    { "full", "ディスクの空きが足りません。", "The disk is full." },
    { "denied", "許可されていません。", "Not allowed." },
    { "rate", "いま混み合っています。少し待ってお試しください。", "Too much at once; wait a little." },
    { "internal", "箱の中で問題が起きました。", "Something went wrong inside the box." },
};

static const char *message_of(const char *code, bool english)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strcmp(words[i].code, code))
            return english ? words[i].en : words[i].ja;
    return code;
}

void reply_json(struct req *r, unsigned status, json_t *j)
{
    struct sm_buf text = SM_BUF_INIT(FRONT_ANSWER_BYTES);
    struct MHD_Response *m = NULL;

    if (j && sm_json_dump(j, &text) >= 0)
        m = MHD_create_response_from_buffer(text.n, text.p, MHD_RESPMEM_MUST_COPY);
    json_decref(j);
    sm_buf_wipe(&text);
    if (m) {
        reply_headers(m, r->conn, REPLY_API);
        put(m, "Content-Type", "application/json; charset=utf-8");
        put(m, "Cache-Control", "no-store");
        if (status == 405 && r->allow)
            put(m, "Allow", r->allow);
        if (status == 503 || status == 429)
            put(m, "Retry-After", "2");
    }
    req_answer(r, status, m);
}

void reply_error(struct req *r, unsigned status, const char *code, json_t *extra)
{
    json_t *j = json_pack("{s{ssss}}", "error", "code", code, "message", message_of(code, r->english));

    if (j && extra)
        (void)json_object_update_missing(j, extra); /* out of memory: the code says enough */
    json_decref(extra);
    reply_json(r, status, j);
}

/* ---- brain's headers ---- */

static bool may_pass(const char *name)
{
    static const char *const list[] = { "content-type", "set-cookie", "location", "cache-control",
        "content-disposition", "retry-after", "etag", "content-language", "www-authenticate", "allow", "link" };

    if (!strncasecmp(name, "x-sakimori-", 11))
        return true;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (!strcasecmp(name, list[i]))
            return true;
    return false;
}

void reply_copy_headers(struct MHD_Response *m, const json_t *headers)
{
    const char *name;
    json_t *v, *one;
    size_t i;

    json_object_foreach ((json_t *)(uintptr_t)headers, name, v) { /* jansson's macro wants it writable, and only reads */
        if (!may_pass(name))
            continue;
        if (json_is_string(v))
            put(m, name, json_string_value(v));
        json_array_foreach (v, i, one)
            if (json_is_string(one))
                put(m, name, json_string_value(one));
    }
}

/* ---- the console's files ---- */

static void reply_text(struct req *r, unsigned status, const char *text)
{
    /* MHD copies nothing: the texts are literals. */
    struct MHD_Response *m = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
        MHD_RESPMEM_PERSISTENT);

    if (m) {
        reply_headers(m, r->conn, REPLY_PAGE);
        put(m, "Content-Type", "text/plain; charset=utf-8");
        put(m, "Cache-Control", "no-store");
    }
    req_answer(r, status, m);
}

/* The CA certificate, for trusting this box on another machine. */
static void reply_ca(struct req *r)
{
    struct front *f = r->conn->f;
    struct MHD_Response *m = MHD_create_response_from_buffer(f->ca_der.n, f->ca_der.p, MHD_RESPMEM_MUST_COPY);

    if (m) {
        reply_headers(m, r->conn, REPLY_API);
        put(m, "Content-Type", "application/x-x509-ca-cert");
        put(m, "Content-Disposition", "attachment; filename=\"sakimori-ca.crt\"");
        put(m, "Cache-Control", "no-store");
    }
    req_answer(r, 200, m);
}

static bool not_modified(struct req *r, const struct web_file *w)
{
    const char *have = MHD_lookup_connection_value(r->conn->mc, MHD_HEADER_KIND, "If-None-Match");

    return have && strstr(have, w->etag);
}

void reply_static(struct req *r)
{
    struct front *f = r->conn->f;
    const struct web_file *w = web_find(&f->web, r->target.path);
    struct MHD_Response *m;
    bool same;

    if (!strcmp(r->target.path, "/ca.crt") && f->ca_der.n) {
        reply_ca(r);
        return;
    }
    if (!w) {
        reply_text(r, f->web.n ? 404 : 503, f->web.n ? "ページが見つかりません。/ There is no such page.\n"
            : "画面のファイルが入っていません。/ The files of the console are not installed.\n");
        return;
    }
    same = not_modified(r, w);
    m = MHD_create_response_from_buffer(same ? 0 : w->body.n, w->body.p, MHD_RESPMEM_PERSISTENT);
    if (m) {
        reply_headers(m, r->conn, REPLY_PAGE);
        put(m, "Content-Type", w->type);
        put(m, "ETag", w->etag);
        put(m, "Cache-Control", "no-cache");
    }
    req_answer(r, same ? 304 : 200, m);
}
