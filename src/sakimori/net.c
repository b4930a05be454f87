/* Talking to the box: plain HTTP over its local socket, or HTTPS to --url with the box's own CA. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>
#include "core/json.h"
#include "plat/fs.h"
#include "sakimori/cli.h"
#include "sakimori/net.h"

#define ANSWER_MAX ((size_t)64 << 20)
#define PAGES_MAX 10000

struct cli_net {
    CURL *curl;
    char *socket, *base, *ca, *where;
    char token[128], cookie[128], csrf[96], next[96];
    uint64_t replaced;
    char away[16];                /* likewise: of X-Sakimori-Away */
    bool untrusted;               /* of the last request: somebody answered, but the certificate could not be checked */
    int dirfd;                    /* of a socket whose path is too long for an address */
};

/* ---- where ---- */

static char *socket_of(const char *data)
{
    char *s = NULL;
    return asprintf(&s, "%s/run/cli.sock", data) < 0 ? NULL : s;
}

/* A path beyond what an address holds is reached through a descriptor of its folder. */
static int shorten(struct cli_net *n)
{
    char *slash = n->socket ? strrchr(n->socket, '/') : NULL;
    if (!slash || strlen(n->socket) <= 100)
        return 0;
    *slash = 0;
    n->dirfd = open(n->socket, O_PATH | O_DIRECTORY | O_CLOEXEC);
    char *s = NULL;
    int r = asprintf(&s, "/proc/self/fd/%d/%s", n->dirfd, slash + 1);
    free(n->socket);
    n->socket = r < 0 ? NULL : s;
    return n->socket ? 0 : -ENOMEM;
}

static char *standard_socket(void)
{
    const char *data = getenv("SAKIMORI_DATA"), *home = getenv("HOME");
    if (data && *data)
        return socket_of(data);
    if (access("/run/sakimori/cli.sock", F_OK) == 0)
        return strdup("/run/sakimori/cli.sock");
    if (geteuid() == 0 || !home || access("/var/lib/sakimori/run/cli.sock", F_OK) == 0)
        return socket_of("/var/lib/sakimori");
    char *s = NULL;
    return asprintf(&s, "%s/.local/share/sakimori/run/cli.sock", home) < 0 ? NULL : s;
}

static char *token_file(const struct cli *c)
{
    const char *given = cli_opt(c, "token-file"), *conf = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char *s = NULL;
    if (given)
        return strdup(given);
    int r = conf && *conf ? asprintf(&s, "%s/sakimori/token", conf)
                          : asprintf(&s, "%s/.config/sakimori/token", home ? home : "/root");
    return r < 0 ? NULL : s;
}

static void token_load(struct cli *c)
{
    char *file = token_file(c);
    struct sm_buf b = SM_BUF_INIT(256);
    if (file && plat_fs_read_file(AT_FDCWD, file, 200, &b) == 0) {
        const char *s = sm_buf_str(&b);
        size_t n = s ? strspn(s, "0123456789abcdefABCDEF") : 0;
        if (n < sizeof c->net->token)
            (void)snprintf(c->net->token, sizeof c->net->token, "%.*s", (int)n, s ? s : ""); /* fits */
    }
    sm_buf_wipe(&b);
    free(file);
}

int cli_token_save(struct cli *c, const char *token)
{
    char *file = token_file(c);
    if (!file)
        return -ENOMEM;
    char *slash = strrchr(file, '/');
    int r = 0, dir = AT_FDCWD;
    if (slash) {
        *slash = 0;
        r = plat_fs_mkdir_p(file, 0700);
        dir = r < 0 ? r : plat_fs_open_dir(AT_FDCWD, file);
        r = dir < 0 && dir != AT_FDCWD ? dir : r;
    }
    if (r == 0)
        r = plat_replace(dir, slash ? slash + 1 : file, SM_SPAN_STR(token), 0600);
    if (dir >= 0)
        close(dir);
    free(file);
    return r;
}

int cli_token_drop(struct cli *c)
{
    char *file = token_file(c);
    int r = file && unlink(file) < 0 && errno != ENOENT ? -errno : 0;
    free(file);
    c->net->token[0] = 0;
    return r;
}

void cli_use_token(struct cli *c, const char *token)
{
    (void)snprintf(c->net->token, sizeof c->net->token, "%s", token); /* a token is 64 long */
}

static void where_set(struct cli_net *n, char *text)
{
    free(n->where);
    n->where = text;
}

int cli_net_data(struct cli *c, const char *data)
{
    struct cli_net *n = c->net;
    free(n->socket);
    n->socket = socket_of(data);
    if (!n->socket)
        return CLI_FAILED;
    where_set(n, strdup(n->socket));
    return shorten(n) == 0 ? CLI_OK : CLI_FAILED;
}

int cli_net_open(struct cli *c)
{
    struct cli_net *n = calloc(1, sizeof *n);
    const char *url = cli_opt(c, "url"), *ca = cli_opt(c, "ca"), *data = cli_opt(c, "data");
    if (!n || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        free(n);
        return CLI_FAILED;
    }
    n->dirfd = -1;
    n->curl = curl_easy_init();
    c->net = n;
    if (url && strncmp(url, "https://", 8)) {
        cli_note(c, T(c, "--url は https:// で始まるものです", "--url: must begin with https://"));
        return CLI_USAGE;
    }
    if (url) {
        n->base = strndup(url, strlen(url) - (url[strlen(url) - 1] == '/'));
        n->ca = ca ? strdup(ca) : NULL;
    } else {
        n->base = strdup("http://localhost");
        n->socket = data ? socket_of(data) : standard_socket();
    }
    if (!n->curl || !n->base || (!url && !n->socket))
        return CLI_FAILED;
    where_set(n, strdup(url ? url : n->socket));
    token_load(c);
    return shorten(n) == 0 ? CLI_OK : CLI_FAILED;
}

void cli_net_close(struct cli *c)
{
    struct cli_net *n = c->net;
    if (!n)
        return;
    curl_easy_cleanup(n->curl);
    if (n->dirfd >= 0)
        close(n->dirfd);
    free(n->socket);
    free(n->base);
    free(n->ca);
    free(n->where);
    sm_zero(n, sizeof *n);
    free(n);
    c->net = NULL;
}

const char *cli_where(const struct cli *c)
{
    return c->net && c->net->where ? c->net->where : "?";
}

/* ---- one request ---- */

struct taking { struct sm_buf body; int fd; CURL *curl; bool failed; };

static size_t take_body(char *p, size_t size, size_t n, void *arg)
{
    struct taking *t = arg;
    long status = 0;
    (void)size; /* is 1 by definition */
    (void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    int r = t->fd >= 0 && status == 200 ? plat_fs_write_all(t->fd, SM_SPAN(p, n)) : sm_buf_put(&t->body, p, n);
    t->failed |= r < 0;
    return r < 0 ? 0 : n;
}

const char *cli_next(const struct cli *c)
{
    return c->net->next;
}

uint64_t cli_replaced(const struct cli *c)
{
    return c->net->replaced;
}

const char *cli_away(const struct cli *c)
{
    return c->net->away;
}

/* The value of a header that is wanted: ret is cut, and stays as it is without it. */
static void take_value(const char *want, const char *p, size_t n, char *ret, size_t ret_n)
{
    size_t w = strlen(want);

    if (n <= w || strncasecmp(p, want, w))
        return;
    while (w < n && p[w] == ' ')
        w++;
    while (n > w && (p[n - 1] == '\r' || p[n - 1] == '\n'))
        n--;
    (void)snprintf(ret, ret_n, "%.*s", (int)(n - w), p + w); /* cut, it is none of ours */
}

/* The set-up's session comes as a cookie; ours has no jar, one value is all. */
static size_t take_header(char *p, size_t size, size_t n, void *arg)
{
    struct cli_net *net = arg;
    static const char want[] = "set-cookie: __Host-sakimori=";
    size_t w = sizeof want - 1;
    (void)size; /* is 1 by definition */
    take_value("x-sakimori-next:", p, n, net->next, sizeof net->next);
    take_value("x-sakimori-away:", p, n, net->away, sizeof net->away);
    char replaced[24] = "";
    take_value("x-sakimori-replaced:", p, n, replaced, sizeof replaced);
    if (*replaced)
        net->replaced = strtoull(replaced, NULL, 10);
    if (n > w && !strncasecmp(p, want, w)) {
        size_t v = 0;
        while (w + v < n && v < 100 && p[w + v] != ';' && p[w + v] != '\r' && p[w + v] != '\n')
            v++;
        (void)snprintf(net->cookie, sizeof net->cookie, "%.*s", (int)v, p + w); /* fits */
    }
    return n;
}

static struct curl_slist *headers_of(const struct cli *c, bool body)
{
    struct curl_slist *h = NULL;
    char text[256];
    h = curl_slist_append(h, c->ja ? "Accept-Language: ja" : "Accept-Language: en");
    if (body)
        h = curl_slist_append(h, "Content-Type: application/json");
    h = curl_slist_append(h, "Expect:");
    if (c->net->token[0]) {
        (void)snprintf(text, sizeof text, "Authorization: Bearer %s", c->net->token); /* fits */
        h = curl_slist_append(h, text);
    } else if (c->net->cookie[0]) {
        (void)snprintf(text, sizeof text, "Cookie: __Host-sakimori=%s", c->net->cookie); /* fits */
        h = curl_slist_append(h, text);
        (void)snprintf(text, sizeof text, "X-CSRF-Token: %s", c->net->csrf); /* fits */
        h = curl_slist_append(h, text);
    }
    sm_zero(text, sizeof text);
    return h;
}

void cli_use_csrf(struct cli *c, const char *csrf)
{
    (void)snprintf(c->net->csrf, sizeof c->net->csrf, "%s", csrf); /* 64 digits */
}

void cli_forget_session(struct cli *c)
{
    sm_zero(c->net->cookie, sizeof c->net->cookie);
    sm_zero(c->net->csrf, sizeof c->net->csrf);
    sm_zero(c->net->token, sizeof c->net->token);
}

/* The HTTP status, or 0 when nobody answered. */
static long perform(
    struct cli *c, const char *method, const char *path, struct sm_span body, bool has_body, struct taking *t)
{
    struct cli_net *n = c->net;
    CURL *u = n->curl;
    char *url = NULL;
    if (asprintf(&url, "%s%s", n->base, path) < 0)
        return 0;
    curl_easy_reset(u);
    struct curl_slist *h = headers_of(c, has_body);
    curl_easy_setopt(u, CURLOPT_URL, url);
    if (n->socket)
        curl_easy_setopt(u, CURLOPT_UNIX_SOCKET_PATH, n->socket);
    curl_easy_setopt(u, CURLOPT_PROXY, "");
    curl_easy_setopt(u, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_3);
    if (n->ca)
        curl_easy_setopt(u, CURLOPT_CAINFO, n->ca);
    curl_easy_setopt(u, CURLOPT_HTTPHEADER, h);
    curl_easy_setopt(u, CURLOPT_CUSTOMREQUEST, method);
    if (has_body) {
        curl_easy_setopt(u, CURLOPT_POSTFIELDS, body.n ? (const char *)body.p : "");
        curl_easy_setopt(u, CURLOPT_POSTFIELDSIZE, (long)body.n);
    }
    curl_easy_setopt(u, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(u, CURLOPT_CONNECTTIMEOUT, 10L);
    if (t->fd < 0)
        curl_easy_setopt(u, CURLOPT_TIMEOUT, 120L);
    curl_easy_setopt(u, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(u, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(u, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(u, CURLOPT_HEADERDATA, n);
    long status = 0;
    n->next[0] = n->away[0] = 0;
    n->replaced = 0;
    t->curl = u;
    CURLcode e = curl_easy_perform(u);
    n->untrusted = e == CURLE_PEER_FAILED_VERIFICATION || e == CURLE_SSL_CACERT_BADFILE;
    if (e == CURLE_OK)
        curl_easy_getinfo(u, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(h);
    free(url);
    return status;
}

static int exit_of(long status, const json_t *answer)
{
    const char *code = cli_str(answer, "error.code");
    if (status >= 200 && status < 300)
        return CLI_OK;
    if (!strcmp(code, "unlock_needed"))
        return CLI_LOCKED;
    if (status == 401 || status == 403 || status == 423)
        return CLI_DENIED;
    if (status == 404)
        return CLI_NOT_FOUND;
    return status == 0 ? CLI_UNREACHABLE : CLI_FAILED;
}

int cli_call_quiet(struct cli *c, const char *method, const char *path, json_t *body, json_t **ret)
{
    struct sm_buf text = SM_BUF_INIT(1 << 20);
    struct taking t = { .body = SM_BUF_INIT(ANSWER_MAX), .fd = -1 };
    bool has_body = body || !strcmp(method, "POST") || !strcmp(method, "PATCH") || !strcmp(method, "PUT");
    int r = 0;
    *ret = NULL;
    if (has_body && !body)
        body = json_object();
    if (body)
        r = sm_json_dump(body, &text);
    json_decref(body);
    if (r < 0) {
        sm_buf_wipe(&text);
        return CLI_FAILED;
    }
    long status = perform(c, method, path, sm_buf_span(&text), has_body, &t);
    if (t.body.n)
        (void)!sm_json_parse(sm_buf_span(&t.body), ANSWER_MAX, ret, NULL); /* not JSON: the status says enough */
    sm_buf_wipe(&text);
    sm_buf_wipe(&t.body);
    return exit_of(status, *ret);
}

void cli_complain(const struct cli *c, const json_t *answer)
{
    const char *text = cli_str(answer, "error.message"), *code = cli_str(answer, "error.code"),
               *field = cli_str(answer, "error.field"), *detail = cli_str(answer, "error.detail");
    const json_t *wait = cli_at(answer, "error.wait_s"), *left = cli_at(answer, "error.tries_left");
    if (*text || *code)
        cli_note(c, *field ? T(c, "%s(項目: %s)", "%s (field: %s)") : "%s", *text ? text : code, field);
    else
        cli_note(c, T(c, "箱の返事が分かりません", "the box answered something unexpected"));
    if (*detail)
        cli_note(c, "  %s", detail);
    if (json_is_integer(wait))
        cli_note(c, T(c, "%lld 秒待ってください", "wait %lld seconds"), (long long)json_integer_value(wait));
    if (json_is_integer(left))
        cli_note(c, T(c, "あと %lld 回", "%lld tries left"), (long long)json_integer_value(left));
}

void cli_no_answer(const struct cli *c)
{
    if (c->net && c->net->socket && !c->net->untrusted && access(c->net->where, W_OK) < 0 && errno == EACCES)
        cli_note(c, T(c, "この利用者は、箱のソケット %s を使えません。root か、グループ sakimori の人が使えます",
            "this user may not use the box's socket %s: root and members of the group sakimori may"), cli_where(c));
    else if (!c->net || !c->net->untrusted)
        cli_note(c, T(c, "箱につながりません: %s", "the box does not answer: %s"), cli_where(c));
    else if (c->net->ca)
        cli_note(c, T(c, "%s の証明書は、--ca のファイルでは確かめられません",
            "%s: its certificate cannot be checked with the file of --ca"), cli_where(c));
    else
        cli_note(c, T(c, "%s の証明書を確かめられません。箱の CA 証明書を --ca FILE で渡してください(画面の /trust-ca にあります)",
            "%s: its certificate cannot be checked; give the box's CA certificate with --ca FILE (see /trust-ca in the console)"),
            cli_where(c));
}

static int said(struct cli *c, int e, const json_t *answer)
{
    if (e == CLI_UNREACHABLE)
        cli_no_answer(c);
    else if (e != CLI_OK)
        cli_complain(c, answer);
    if (e == CLI_DENIED && !strcmp(cli_str(answer, "error.code"), "not_signed_in"))
        cli_note(c, T(c, "先に sakimori sign-in でサインインしてください", "sign in first: sakimori sign-in"));
    if (e == CLI_DENIED && !strcmp(cli_str(answer, "error.code"), "password_first"))
        cli_note(c, T(c, "sakimori password で決められます", "do so with: sakimori password"));
    if (e == CLI_LOCKED)
        cli_note(c, T(c, "先に sakimori unlock で戻すための鍵を解除してください(院長と戻すカード)",
            "unlock the restore key first: sakimori unlock (director and restore card)"));
    return e;
}

int cli_call(struct cli *c, const char *method, const char *path, json_t *body, json_t **ret)
{
    json_t *answer = NULL;
    int e = cli_call_quiet(c, method, path, body, &answer);
    e = said(c, e, answer);
    if (e != CLI_OK || !ret)
        json_decref(answer);
    else if (!answer)
        *ret = json_object();
    else
        *ret = answer;
    return e;
}

int cli_download(struct cli *c, const char *path, int fd)
{
    struct taking t = { .body = SM_BUF_INIT(1 << 20), .fd = fd };
    json_t *answer = NULL;
    long status = perform(c, "GET", path, SM_SPAN("", 0), false, &t);
    if (t.body.n)
        (void)!sm_json_parse(sm_buf_span(&t.body), 1 << 20, &answer, NULL); /* not JSON: the status says enough */
    sm_buf_wipe(&t.body);
    if (t.failed) {
        json_decref(answer);
        cli_note(c, T(c, "書き込めません", "cannot write"));
        return CLI_FAILED;
    }
    int e = said(c, exit_of(status, answer), answer);
    json_decref(answer);
    return e;
}

/* ---- lists ---- */

int cli_escape(struct sm_buf *to, const char *text)
{
    int r = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p && r == 0; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
            strchr("-._~", *p);
        r = plain ? sm_buf_put_u8(to, *p) : sm_buf_printf(to, "%%%02X", *p);
    }
    return r;
}

char *cli_path(const char *prefix, ...)
{
    struct sm_buf b = SM_BUF_INIT(64 << 10);
    int r = sm_buf_put(&b, prefix, strlen(prefix));
    char sep = strchr(prefix, '?') ? '&' : '?';
    const char *key;
    va_list ap;
    va_start(ap, prefix);
    while ((key = va_arg(ap, const char *)) != NULL) {
        const char *value = va_arg(ap, const char *);
        if (!value || r < 0)
            continue;
        r = sm_buf_printf(&b, "%c%s=", sep, key);
        if (r == 0)
            r = cli_escape(&b, value);
        sep = '&';
    }
    va_end(ap);
    char *s = r == 0 && sm_buf_str(&b) ? strdup(sm_buf_str(&b)) : NULL;
    sm_buf_wipe(&b);
    return s;
}

static char *cursor_of(const json_t *page)
{
    const json_t *next = json_object_get(page, "next");
    char *s = NULL;
    if (json_is_string(next))
        return strdup(json_string_value(next));
    if (json_is_integer(next) && asprintf(&s, "%lld", (long long)json_integer_value(next)) < 0)
        return NULL;
    return s;
}

int cli_items(struct cli *c, const char *path, json_t **ret)
{
    json_t *all = json_array();
    char *cursor = NULL;
    int e = all ? CLI_OK : CLI_FAILED;
    for (int page = 0; e == CLI_OK && page < PAGES_MAX; page++) {
        json_t *answer = NULL;
        char *full = cli_path(path, "cursor", cursor, NULL);
        e = full ? cli_call(c, "GET", full, NULL, &answer) : CLI_FAILED;
        free(full);
        free(cursor);
        cursor = e == CLI_OK ? cursor_of(answer) : NULL;
        if (e == CLI_OK)
            (void)!json_array_extend(all, json_object_get(answer, "items")); /* no items: nothing to add */
        json_decref(answer);
        if (!cursor)
            break;
    }
    free(cursor);
    if (e == CLI_OK)
        *ret = json_pack("{s:o}", "items", all);
    else
        json_decref(all);
    return e;
}

int cli_list(struct cli *c, const char *path, const struct cli_col *cols, size_t n)
{
    json_t *list = NULL;
    int e = path ? cli_items(c, path, &list) : CLI_FAILED;
    if (e == CLI_OK && c->json)
        cli_json(list);
    else if (e == CLI_OK)
        cli_table(c, json_object_get(list, "items"), cols, n);
    json_decref(list);
    return e;
}

int cli_find(struct cli *c, const char *list, const char *text, json_t **ret)
{
    json_t *all = NULL, *found = NULL, *row;
    size_t i, n = strlen(text), hits = 0;
    int e = cli_items(c, list, &all);
    json_array_foreach(json_object_get(all, "items"), i, row) {
        bool exact = !strcmp(cli_str(row, "id"), text);
        bool like = exact || !strcmp(cli_str(row, "name"), text) || !strcmp(cli_str(row, "account"), text) ||
            (n >= 6 && !strncmp(cli_str(row, "id"), text, n));
        if (!like)
            continue;
        hits = exact ? 1 : hits + 1;
        found = row;
        if (exact)
            break;
    }
    if (e == CLI_OK && hits != 1) {
        cli_note(c,
            hits ? T(c, "%s に当たるものが複数あります", "%s: more than one fits")
                 : T(c, "%s が見つかりません", "%s: not found"),
            text);
        e = CLI_NOT_FOUND;
    }
    if (e == CLI_OK)
        *ret = json_incref(found);
    json_decref(all);
    return e;
}

int cli_whole_id(struct cli *c, const char *list, const char *text, size_t full, char *ret)
{
    json_t *o = NULL;
    size_t n = strlen(text);
    int e = n >= 6 && n < full ? cli_find(c, list, text, &o) : CLI_OK;
    if (e == CLI_OK)
        (void)snprintf(ret, CLI_ID_TEXT, "%.80s", o ? cli_str(o, "id") : text); /* a longer one is no id */
    json_decref(o);
    return e;
}

void cli_sleep_ms(unsigned ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    (void)nanosleep(&t, NULL); /* cut short by a signal: the caller looks again */
}
