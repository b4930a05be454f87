/*
 * out: the only process that opens connections to the world outside: mail, web hook, and syslog to a server of the house.  It has no key, no
 * database and no file of the data folder; the mail server's password comes from the parent.
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <unistd.h>
#include "core/log.h"
#include "plat/clock.h"
#include "sakimorid/child.h"
#include "sakimorid/out/firewall.h"
#include "sakimorid/out/mail.h"

enum { JOBS_MAX = 64, ACTIVE_MAX = 4, TRIES_MAX = 4, HOOK_MS = 10000, MAIL_MS = 30000, TICK_MS = 1000,
    ANSWER_MAX = 64 << 10, HOOK_MAX = 256 << 10, SYSLOG_MAX = 16 << 10 };
static const uint64_t retry_ms[TRIES_MAX] = { 0, 10000, 60000, 300000 };

enum job_state { JOB_FREE, JOB_WAITING, JOB_ACTIVE, JOB_DONE };
struct job {
    struct out *o;
    enum job_state state;
    bool hook, wall, ok;       /* wall: the firewall's API, which is a web hook otherwise */
    char id[65];
    json_t *what;              /* the message of brain */
    unsigned tries, tries_max;
    uint64_t due_ms;
    CURL *easy;
    struct curl_slist *list;   /* recipients or headers */
    struct sm_buf bytes;       /* what is sent */
    size_t at, answer_n;
    char error[CURL_ERROR_SIZE], detail[300];
};

struct sock { struct out *o; struct sm_watch *watch; };
struct out {
    struct child *c;
    CURLM *multi;
    struct sm_timer *timer, *tick;
    struct job jobs[JOBS_MAX];
    unsigned active;
};

static void start_due(struct out *o);

/* ---- results ---- */

static void job_clear(struct job *j)
{
    struct out *o = j->o;

    json_decref(j->what);
    sm_buf_wipe(&j->bytes);
    *j = (struct job){ .o = o };
}

static void tell(struct job *j)
{
    json_t *v = json_pack("{sssssbss%si}", "id", j->id, "kind", j->wall ? "firewall" : j->hook ? "webhook" : "mail", "ok", j->ok, "detail",
        j->detail, strnlen(j->detail, 256), "tries", (int)j->tries);

    /* A brain that is away hears it when it is back (attached). */
    if (v && child_notify_json(j->o->c, WHO_BRAIN, X_RESULT, v) >= 0)
        job_clear(j);
    json_decref(v);
}

static void job_over(struct job *j, bool ok, const char *detail)
{
    /* Servers say anything: keep what is text. */
    snprintf(j->detail, sizeof j->detail, "%.250s", detail);
    sm_ascii_only(j->detail);
    j->ok = ok;
    if (!ok && j->tries < j->tries_max) {
        j->state = JOB_WAITING;
        j->due_ms = plat_clock_mono_ms() + retry_ms[j->tries];
        return;
    }
    if (!ok)
        sm_warn("%s %s was not sent: %s", j->hook ? "web hook" : "mail", j->id, j->detail);
    j->state = JOB_DONE;
    tell(j);
}

/* ---- libcurl in the loop ---- */

static void transfer_done(struct job *j, CURLcode code)
{
    struct out *o = j->o;
    long status = 0;
    char text[300];

    (void)curl_easy_getinfo(j->easy, CURLINFO_RESPONSE_CODE, &status); /* 0 then */
    (void)curl_multi_remove_handle(o->multi, j->easy); /* it was in there */
    curl_easy_cleanup(j->easy);
    curl_slist_free_all(j->list);
    j->easy = NULL;
    j->list = NULL;
    sm_buf_wipe(&j->bytes);
    o->active--;
    if (code != CURLE_OK)
        snprintf(text, sizeof text, "%s", j->error[0] ? j->error : curl_easy_strerror(code));
    else
        snprintf(text, sizeof text, "%ld", status);
    job_over(j, code == CURLE_OK && (!j->hook || (status >= 200 && status < 300)), text);
    start_due(o);
}

static void collect(struct out *o)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(o->multi, &left)) != NULL) {
        struct job *j = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE || curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&j) != CURLE_OK || !j)
            continue;
        transfer_done(j, code);
    }
}

static void act(struct out *o, curl_socket_t fd, int events)
{
    int running;

    (void)curl_multi_socket_action(o->multi, fd, events, &running); /* each transfer says its own error */
    collect(o);
}

static void on_socket_ready(void *arg, int fd, unsigned events)
{
    struct sock *s = arg;

    act(s->o, fd, (events & SM_READ ? CURL_CSELECT_IN : 0) | (events & SM_WRITE ? CURL_CSELECT_OUT : 0) |
        (events & SM_HUP ? CURL_CSELECT_ERR : 0));
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct out *o = arg;
    struct sock *s = socket_arg;
    unsigned events = (what & CURL_POLL_IN ? SM_READ : 0u) | (what & CURL_POLL_OUT ? SM_WRITE : 0u);

    if (what == CURL_POLL_REMOVE) {
        if (s)
            sm_watch_free(s->watch);
        free(s);
        (void)curl_multi_assign(o->multi, fd, NULL); /* the socket is known */
        return 0;
    }
    if (s) {
        sm_watch_events(s->watch, events);
        return 0;
    }
    s = calloc(1, sizeof *s);
    if (!s)
        return -1;
    s->o = o;
    if (sm_loop_fd(o->c->loop, fd, events, on_socket_ready, s, &s->watch) < 0) {
        free(s);
        return -1;
    }
    (void)curl_multi_assign(o->multi, fd, s); /* the socket is known */
    return 0;
}

static int on_curl_timer(CURLM *multi, long ms, void *arg)
{
    struct out *o = arg;

    if (ms < 0)
        sm_timer_stop(o->timer);
    else
        sm_timer_set(o->timer, (uint64_t)ms, 0);
    return 0;
}

static void on_timer(void *arg)
{
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static size_t read_bytes(char *to, size_t size, size_t n, void *arg)
{
    struct job *j = arg;
    size_t k = j->bytes.n - j->at < size * n ? j->bytes.n - j->at : size * n;

    memcpy(to, j->bytes.p + j->at, k);
    j->at += k;
    return k;
}

/* What the other side says is counted and forgotten. */
static size_t drop_bytes(char *from, size_t size, size_t n, void *arg)
{
    struct job *j = arg;

    j->answer_n += size * n;
    return j->answer_n > ANSWER_MAX ? 0 : size * n;
}

/* ---- mail ---- */

static bool set_common(struct job *j, const char *url, const char *protocols, long ms)
{
    CURL *e = j->easy;

    return curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, protocols) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_PRIVATE, j) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_ERRORBUFFER, j->error) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, ms) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, drop_bytes) == CURLE_OK &&
        curl_easy_setopt(e, CURLOPT_WRITEDATA, j) == CURLE_OK;
}

struct server { const char *host, *tls, *user, *from, *password; int64_t port; };

static const char *text_of(const json_t *first, const char *key, const json_t *second, const char *key2)
{
    const char *t = json_string_value(json_object_get(first, key));

    return t ? t : (t = json_string_value(json_object_get(second, key2))) ? t : "";
}

/* What the console set wins over the settings file. */
static int find_server(const struct out *o, struct server *ret)
{
    const json_t *mail = json_object_get(o->c->config, "mail"), *set = json_object_get(o->c->config, "settings");
    const json_t *port = json_object_get(mail, "port");
    /* A password of the settings file is for the server that is named there. */
    bool same = !strcmp(text_of(mail, "host", set, "mail_host"), text_of(NULL, "", set, "mail_host"));

    *ret = (struct server){ .host = text_of(mail, "host", set, "mail_host"), .tls = text_of(mail, "tls", set, "mail_tls"),
        .user = text_of(mail, "user", set, "mail_user"), .from = text_of(mail, "from", set, "mail_from"),
        .password = text_of(mail, "password", same ? set : NULL, "mail_password"),
        .port = json_integer_value(port ? port : json_object_get(set, "mail_port")) };
    return *ret->host && *ret->from ? 0 : -SM_ESTATE;
}

static int compose(struct job *j, const struct server *s)
{
    char id[90], host[256] = "sakimori.invalid";
    struct mail m = { .from = s->from, .subject = json_string_value(json_object_get(j->what, "subject")),
        .text = json_string_value(json_object_get(j->what, "text")), .host = host, .at = plat_clock_wall(), .id = id };
    json_t *to = json_object_get(j->what, "to"), *one;
    size_t i;

    snprintf(id, sizeof id, "%s-%lld", j->id, (long long)m.at.s);
    if (strchr(s->from, '@'))
        snprintf(host, sizeof host, "%.250s", strchr(s->from, '@') + 1);
    if (!m.subject || !m.text || json_array_size(to) > MAIL_TO_MAX)
        return -SM_EINVAL;
    json_array_foreach (to, i, one) {
        struct curl_slist *longer;
        m.to[m.to_n++] = json_is_string(one) ? json_string_value(one) : "";
        longer = curl_slist_append(j->list, m.to[i]);
        if (!longer)
            return -ENOMEM;
        j->list = longer;
    }
    return mail_compose(&m, &j->bytes);
}

static int prepare_mail(struct job *j)
{
    struct server s;
    char url[400], from[MAIL_ADDRESS_MAX + 3];
    bool tls, starttls;
    CURL *e = j->easy;
    int r = find_server(j->o, &s);

    if (r >= 0)
        r = compose(j, &s);
    if (r < 0)
        return r;
    tls = !strcmp(s.tls, "tls");
    starttls = !strcmp(s.tls, "starttls");
    snprintf(url, sizeof url, strchr(s.host, ':') ? "%s://[%.255s]:%lld" : "%s://%.255s:%lld", tls ? "smtps" : "smtp",
        s.host, (long long)s.port);
    snprintf(from, sizeof from, "<%s>", s.from);
    if (!set_common(j, url, "smtp,smtps", MAIL_MS) ||
        curl_easy_setopt(e, CURLOPT_USE_SSL, starttls || tls ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_NONE) != CURLE_OK ||
        curl_easy_setopt(e, CURLOPT_MAIL_FROM, from) != CURLE_OK ||
        curl_easy_setopt(e, CURLOPT_MAIL_RCPT, j->list) != CURLE_OK ||
        curl_easy_setopt(e, CURLOPT_UPLOAD, 1L) != CURLE_OK ||
        curl_easy_setopt(e, CURLOPT_READFUNCTION, read_bytes) != CURLE_OK ||
        curl_easy_setopt(e, CURLOPT_READDATA, j) != CURLE_OK)
        return -ENOMEM;
    /* A password never goes over a line anyone can read. */
    if (*s.user && (starttls || tls) &&
        (curl_easy_setopt(e, CURLOPT_USERNAME, s.user) != CURLE_OK ||
            curl_easy_setopt(e, CURLOPT_PASSWORD, s.password) != CURLE_OK))
        return -ENOMEM;
    return 0;
}

static int prepare_hook(struct job *j)
{
    const char *url = json_string_value(json_object_get(j->what, "url"));
    json_t *body = json_object_get(j->what, "json");
    CURL *e = j->easy;
    int r = url && body ? 0 : -SM_EINVAL;

    if (r >= 0 && json_is_string(body))
        r = sm_buf_put_span(&j->bytes, SM_SPAN_STR(json_string_value(body)));
    else if (r >= 0)
        r = sm_json_dump(body, &j->bytes);
    if (r < 0)
        return r;
    j->list = curl_slist_append(NULL, "Content-Type: application/json; charset=utf-8");
    if (!j->list || !set_common(j, url, "http,https", HOOK_MS) ||
        curl_easy_setopt(e, CURLOPT_HTTPHEADER, j->list) != CURLE_OK ||
        curl_easy_setopt(e, CURLOPT_POST, 1L) != CURLE_OK ||
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)j->bytes.n) != CURLE_OK ||
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, j->bytes.p) != CURLE_OK ||
        curl_easy_setopt(e, CURLOPT_USERAGENT, "Sakimori/" SM_VERSION) != CURLE_OK)
        return -ENOMEM;
    return 0;
}

static int prepare_wall(struct job *j)
{
    char url[1300];
    int r = firewall_prepare(j->easy, json_object_get(j->o->c->config, "firewall"), j->what, &j->bytes, &j->list, url, sizeof url);

    return r < 0 ? r : set_common(j, url, "https", HOOK_MS) ? 0 : -ENOMEM;
}

static void job_start(struct job *j)
{
    int r;

    j->easy = curl_easy_init();
    j->tries++;
    j->at = j->answer_n = 0;
    j->error[0] = '\0';
    j->bytes = SM_BUF_INIT(HOOK_MAX * 2);
    r = !j->easy ? -ENOMEM : j->wall ? prepare_wall(j) : j->hook ? prepare_hook(j) : prepare_mail(j);
    if (r >= 0 && curl_multi_add_handle(j->o->multi, j->easy) != CURLM_OK)
        r = -ENOMEM;
    if (r >= 0) {
        j->state = JOB_ACTIVE;
        j->o->active++;
        return;
    }
    curl_easy_cleanup(j->easy);
    curl_slist_free_all(j->list);
    sm_buf_wipe(&j->bytes);
    j->easy = NULL;
    j->list = NULL;
    if (r != -ENOMEM)
        j->tries_max = j->tries; /* will not get better by waiting */
    job_over(j, false, r == -SM_ESTATE ? j->wall ? "the firewall is not set up" : "mail is not set up" : sm_strerror(r));
}

static void start_due(struct out *o)
{
    uint64_t now = plat_clock_mono_ms();

    for (size_t i = 0; i < JOBS_MAX && o->active < ACTIVE_MAX; i++)
        if (o->jobs[i].state == JOB_WAITING && o->jobs[i].due_ms <= now)
            job_start(&o->jobs[i]);
}

static void on_tick(void *arg)
{
    start_due(arg);
}

/* ---- brain ---- */

static struct job *job_free(struct out *o)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (o->jobs[i].state == JOB_FREE)
            return &o->jobs[i];
    return NULL;
}

static void on_job(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct out *o = c->state;
    struct job *j = job_free(o);
    char why[160] = "";
    json_t *what = NULL;
    struct sm_obj f;
    int r = msg_json(m->body, HOOK_MAX, &what, why);

    if (r < 0) {
        child_reply_error(ipc, m, r, why);
        return;
    }
    f = SM_OBJ(what);
    const char *id = sm_obj_str(&f, "id", 1, 64);
    int64_t tries = sm_obj_int_opt(&f, "tries", 1, TRIES_MAX, TRIES_MAX);
    for (const char *p = id; *p && !f.err; p++)
        if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_", *p))
            f.err = -SM_EINVAL;
    if (f.err || !j) {
        child_reply_error(ipc, m, f.err ? -SM_EINVAL : -SM_EAGAIN, f.err ? f.why : "too much is waiting already");
        json_decref(what);
        return;
    }
    *j = (struct job){ .o = o, .state = JOB_WAITING, .hook = m->type != X_MAIL, .wall = m->type == X_FIREWALL, .what = what,
        .tries_max = (unsigned)tries };
    snprintf(j->id, sizeof j->id, "%s", id);
    child_reply(ipc, m, SM_SPAN("{}", 2));
    start_due(o);
}

/* One datagram to a server of the house: it is on its way, or it is not; nothing answers. */
static int send_datagram(const char *server, int64_t port, const char *text)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    if (inet_pton(AF_INET, server, &to.sin_addr) != 1)
        return -SM_EINVAL;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = fd < 0 ? -errno : 0;

    if (r >= 0 && sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to, sizeof to) < 0)
        r = -errno;
    if (fd >= 0)
        close(fd);
    return r;
}

static void on_syslog(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    char why[160] = "";
    json_t *what = NULL;
    int r = msg_json(m->body, SYSLOG_MAX, &what, why);
    struct sm_obj f = SM_OBJ(what);

    (void)peer;
    if (r < 0) {
        child_reply_error(ipc, m, r, why);
        return;
    }
    const char *id = sm_obj_str(&f, "id", 1, 64), *server = sm_obj_str(&f, "server", 7, 15), *text = sm_obj_str(&f, "text", 1, 2000);
    int64_t port = sm_obj_int(&f, "port", 1, 65535);
    if (f.err) {
        child_reply_error(ipc, m, -SM_EINVAL, f.why);
    } else {
        child_reply(ipc, m, SM_SPAN("{}", 2));
        r = send_datagram(server, port, text);
        json_t *v = json_pack("{sssssbsssi}", "id", id, "kind", "syslog", "ok", r >= 0, "detail", r < 0 ? sm_strerror(r) : "sent", "tries", 1);
        if (v)
            (void)child_notify_json(c, WHO_BRAIN, X_RESULT, v); /* brain gone: it asks again */
        json_decref(v);
    }
    json_decref(what);
}

static void attached(struct child *c, unsigned peer, struct sm_ipc *ipc)
{
    struct out *o = c->state;

    for (size_t i = 0; i < JOBS_MAX; i++)
        if (o->jobs[i].state == JOB_DONE)
            tell(&o->jobs[i]);
}

/* ---- life ---- */

static int start(struct child *c)
{
    struct out *o = c->state;
    int r;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (o->multi = curl_multi_init()) == NULL)
        return -ENOMEM;
    if (curl_multi_setopt(o->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
        curl_multi_setopt(o->multi, CURLMOPT_SOCKETDATA, o) != CURLM_OK ||
        curl_multi_setopt(o->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) != CURLM_OK ||
        curl_multi_setopt(o->multi, CURLMOPT_TIMERDATA, o) != CURLM_OK)
        return -SM_EUNSUPPORTED;
    r = sm_loop_timer(c->loop, UINT64_MAX, 0, on_timer, o, &o->timer);
    if (r >= 0)
        r = sm_loop_timer(c->loop, TICK_MS, TICK_MS, on_tick, o, &o->tick);
    return r;
}

static void end(struct child *c)
{
    struct out *o = c->state;

    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct job *j = &o->jobs[i];
        if (j->easy) {
            (void)curl_multi_remove_handle(o->multi, j->easy); /* it is in there */
            curl_easy_cleanup(j->easy);
            curl_slist_free_all(j->list);
        }
        job_clear(j);
    }
    if (o->multi)
        (void)curl_multi_cleanup(o->multi); /* nothing can be done about it at the end */
    sm_timer_free(o->timer);
    sm_timer_free(o->tick);
    curl_global_cleanup();
}

int out_main(struct child *c)
{
    static const struct child_handler handlers[] = {
        { WHO_BRAIN, X_MAIL, on_job },
        { WHO_BRAIN, X_WEBHOOK, on_job },
        { WHO_BRAIN, X_SYSLOG, on_syslog },
        { WHO_BRAIN, X_FIREWALL, on_job },
    };
    static const struct child_spec spec = { .handlers = handlers, .handlers_n = sizeof handlers / sizeof *handlers, .start = start, .end = end,
        .attached = attached };
    struct out *o = calloc(1, sizeof *o);
    int r;

    if (!o)
        return 1;
    o->c = c;
    for (size_t i = 0; i < JOBS_MAX; i++)
        o->jobs[i].o = o;
    c->state = o;
    r = child_run(c, &spec);
    free(o);
    return r;
}
