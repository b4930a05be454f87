/*
 * sakimori-agent sensor-check: what the sensor would see, cost and do in some folders, live and without a box.
 * One JSON object a line with --json: {"kind":"ready|event|finding|state|given_back","body":{…}}.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/words.h"
#include "crypto/init.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/sensor/sensor.h"

#define PATHS_MAX 32
#define STATE_MS 1000u

struct check {
    struct sm_loop *loop;
    struct sensor *sensor;
    struct sm_timer *timer, *ready_timer;
    const char *protect[PATHS_MAX], *out[PATHS_MAX], *keep;
    size_t protect_n, out_n;
    int folder, sensitivity;
    long seconds, left;
    bool stop, back, json, ja;
};

static void line(const struct check *c, const char *kind, const json_t *body)
{
    struct sm_buf b = SM_BUF_INIT((size_t)1 << 20);
    json_t *o = json_pack("{s:s,s:O}", "kind", kind, "body", body);
    if (o && !sm_json_dump(o, &b) && !sm_buf_put_u8(&b, '\n'))
        (void)!fwrite(b.p, 1, b.n, stdout);
    fflush(stdout);
    json_decref(o);
    sm_buf_wipe(&b);
    (void)c;
}

/* Bytes at p that a terminal acts on: controls (those above U+007F too), and what hides characters or turns the
 * direction of writing. */
static size_t acting(const uint8_t *p)
{
    if (*p < 0x20 || *p == 0x7f)
        return 1;
    if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
        return 2;
    uint32_t cp = (*p & 0xf0) == 0xe0 && p[1] && p[2] ? (*p & 15u) << 12 | (p[1] & 63u) << 6 | (p[2] & 63u) : 0;
    bool hides = (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2060 && cp <= 0x2069) ||
        cp == 0xfeff;
    return hides ? 3 : 0;
}

void sensor_check_text(FILE *to, const char *text)
{
    bool whole = sm_utf8_valid(SM_SPAN_STR(text));
    for (const uint8_t *p = (const uint8_t *)text; *p;) {
        size_t n = whole || *p < 0x80 ? acting(p) : 1;
        if (!n)
            fputc(*p++, to);
        for (; n; n--)
            fprintf(to, "\\x%02x", *p++);
    }
}

static void words(const struct check *c, const char *kind, const json_t *o)
{
    static const char *const fields[] = {"category", "action", "state", "program", "Image", "TargetFilename", "CommandLine", "what"};
    printf("%s", kind);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const char *text = json_string_value(json_object_get(o, fields[i]));
        if (!text)
            continue;
        fputs("  ", stdout);
        sensor_check_text(stdout, text);
    }
    const json_t *score = json_object_get(o, "score"), *files = json_object_get(o, "files");
    if (score)
        printf(c->ja ? "  点数 %lld" : "  score %lld", (long long)json_integer_value(score));
    if (json_is_object(files))
        printf(c->ja ? "  変えられたファイル %lld" : "  files touched %lld",
            (long long)json_integer_value(json_object_get(files, "touched")));
    putchar('\n');
    fflush(stdout);
}

static void tell(const struct check *c, const char *kind, const json_t *o)
{
    if (c->json)
        line(c, kind, o);
    else
        words(c, kind, o);
}

/* ---- giving back ---- */

static void give_back(const struct check *c, uint64_t tree)
{
    struct giveback_done done = {0};
    uint64_t number = 0, began = plat_clock_mono_ms();
    int r = giveback_roll_back(c->folder, tree, NULL, 0, NULL, NULL, &number, &done);
    json_t *o = json_pack("{s:I,s:I,s:i,s:i,s:i,s:i,s:i,s:i,s:I}", "tree", (json_int_t)tree, "number", (json_int_t)number, "err", r,
        "files", (int)done.files, "unchanged", (int)done.unchanged, "left", (int)done.left, "failed", (int)done.failed, "aside",
        (int)done.aside, "ms", (json_int_t)(plat_clock_mono_ms() - began));
    tell(c, "given_back", o);
    json_decref(o);
}

static void on_say(void *ctx, int type, struct sm_span body)
{
    struct check *c = ctx;
    json_t *o = NULL;
    if (sm_json_parse(body, E_FINDING_MAX, &o, NULL))
        return;
    tell(c, type == E_FINDING ? "finding" : "event", o);
    const char *state = json_string_value(json_object_get(o, "state"));
    if (type == E_FINDING && c->back && c->folder >= 0 && state && strcmp(state, "stopped") == 0)
        give_back(c, (uint64_t)json_integer_value(json_object_get(o, "tree")));
    json_decref(o);
}

/* ---- the rounds ---- */

static void add_cost(json_t *o)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u))
        return;
    json_object_set_new(o, "cpu_ms", json_integer((json_int_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
                                         (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000));
    json_object_set_new(o, "rss_kib", json_integer(u.ru_maxrss));
}

static void tell_state(struct check *c, const char *kind)
{
    json_t *o = NULL;
    if (sensor_state(c->sensor, &o))
        return;
    add_cost(o);
    tell(c, kind, o);
    json_decref(o);
}

static void on_timer(void *arg)
{
    struct check *c = arg;
    if (c->seconds && --c->left <= 0) {
        sm_loop_stop(c->loop, 0);
        return;
    }
    tell_state(c, "state");
}

static void on_ready(void *arg)
{
    struct check *c = arg;
    json_t *o = NULL;
    if (sensor_state(c->sensor, &o))
        return;
    bool whole = json_is_true(json_object_get(o, "whole"));
    if (!json_is_true(json_object_get(o, "armed")) && whole)
        sm_loop_stop(c->loop, 1); /* nothing can be watched: said as state at the end */
    else if (whole)
        tell_state(c, "ready");
    else
        sm_timer_set(c->ready_timer, 20, 0);
    json_decref(o);
}

static void on_signal(void *arg, int signo)
{
    (void)signo;
    sm_loop_stop(((struct check *)arg)->loop, 0);
}

static void on_said(void *arg, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    sensor_deliver(((struct check *)arg)->sensor);
}

static int run(struct check *c)
{
    struct sm_watch *watch = NULL;
    int r = sm_loop_new(&c->loop);
    if (!r)
        r = sm_loop_fd(c->loop, sensor_fd(c->sensor), SM_READ, on_said, c, &watch);
    if (!r)
        r = sm_loop_timer(c->loop, STATE_MS, STATE_MS, on_timer, c, &c->timer);
    if (!r)
        r = sm_loop_timer(c->loop, 20, 0, on_ready, c, &c->ready_timer);
    if (!r)
        r = sm_loop_signal(c->loop, SIGINT, on_signal, c);
    if (!r)
        r = sm_loop_signal(c->loop, SIGTERM, on_signal, c);
    if (!r)
        r = sm_loop_run(c->loop);
    if (r >= 0) {
        sensor_deliver(c->sensor);
        tell_state(c, "state");
    }
    sm_timer_free(c->timer);
    sm_timer_free(c->ready_timer);
    sm_watch_free(watch);
    sm_loop_free(c->loop);
    return r;
}

static int open_keep(struct check *c)
{
    c->folder = -1;
    if (!c->keep)
        return 0;
    int r = plat_fs_mkdir_p(c->keep, 0700);
    if (!r)
        c->folder = plat_fs_open_dir(AT_FDCWD, c->keep);
    return r ? r : c->folder < 0 ? c->folder : 0;
}

static int start(struct check *c, char *why)
{
    const struct rlimit files = {16384, 16384};
    struct endpoint_policy p = {0};
    struct agent_policy local = {0};
    for (size_t i = 0; i < c->protect_n; i++)
        local.protect[local.protect_n++] = (char *)(uintptr_t)c->protect[i];
    for (size_t i = 0; i < c->out_n; i++)
        local.unprotect[local.unprotect_n++] = (char *)(uintptr_t)c->out[i];
    if (c->keep)
        local.unprotect[local.unprotect_n++] = (char *)(uintptr_t)c->keep;
    (void)setrlimit(RLIMIT_NOFILE, &files); /* with fewer, fewer files are held */
    int r = crypto_init();
    if (!r)
        r = open_keep(c);
    const struct sensor_setup setup = {.giveback = c->folder, .say = on_say, .ctx = c,
        .limits = {.max_bytes = (uint64_t)4 << 30, .reserve_bytes = (uint64_t)512 << 20, .file_max_bytes = (uint64_t)2 << 30,
            .age_s = 86400}};
    if (!r)
        r = sensor_new(&setup, &c->sensor, why);
    if (!r)
        r = sensor_start(c->sensor);
    if (!r)
        r = endpoint_policy_default(&local, &p);
    p.ransom = c->stop ? ENDPOINT_STOP : ENDPOINT_WATCH;
    p.sensitivity = c->sensitivity;
    if (!r)
        r = sensor_policy(c->sensor, &p, NULL, 0);
    endpoint_policy_wipe(&p);
    return r;
}

static int usage(bool ja)
{
    fputs(ja ? "使い方: sakimori-agent sensor-check --protect フォルダ [--protect …] [--unprotect フォルダ] [--seconds 秒]\n"
               "        [--keep フォルダ [--give-back]] [--stop] [--sensitivity 0|1|2] [--json]\n"
             : "Usage: sakimori-agent sensor-check --protect DIR [--protect …] [--unprotect DIR] [--seconds N]\n"
               "       [--keep DIR [--give-back]] [--stop] [--sensitivity 0|1|2] [--json]\n",
        stderr);
    return 2;
}

static int read_options(struct check *c, int argc, char **argv)
{
    static const struct option options[] = {{"protect", required_argument, NULL, 'p'}, {"unprotect", required_argument, NULL, 'u'},
        {"seconds", required_argument, NULL, 's'}, {"keep", required_argument, NULL, 'k'}, {"stop", no_argument, NULL, 'S'},
        {"give-back", no_argument, NULL, 'b'}, {"sensitivity", required_argument, NULL, 'e'}, {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0}};
    char *end = NULL;
    int o;
    optind = 1;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 'p' && optarg[0] == '/' && optarg[1] && c->protect_n < PATHS_MAX)
            c->protect[c->protect_n++] = optarg;
        else if (o == 'u' && optarg[0] == '/' && c->out_n + 1 < PATHS_MAX)
            c->out[c->out_n++] = optarg;
        else if (o == 's' && (c->seconds = strtol(optarg, &end, 10)) > 0 && !*end)
            c->left = c->seconds;
        else if (o == 'e' && optarg[0] >= '0' && optarg[0] <= '2' && !optarg[1])
            c->sensitivity = optarg[0] - '0';
        else if (o == 'k' && optarg[0] == '/')
            c->keep = optarg;
        else if (o == 'S')
            c->stop = true;
        else if (o == 'b')
            c->back = true;
        else if (o == 'j')
            c->json = true;
        else
            return -SM_EINVAL;
    }
    return optind == argc && c->protect_n && (!c->back || c->keep) ? 0 : -SM_EINVAL;
}

int sensor_check_command(int argc, char **argv, bool ja)
{
    static struct check c;
    char why[400] = "";
    c = (struct check){.folder = -1, .sensitivity = 1, .ja = ja};
    if (read_options(&c, argc, argv))
        return usage(ja);
    int r = start(&c, why);
    if (why[0])
        fprintf(stderr, "%s\n", why);
    if (!r)
        r = run(&c);
    if (r)
        fprintf(stderr, "%s\n", r > 0 ? ja ? "ここでは見張れません。" : "Nothing can be watched here." : sm_errtext(r, ja));
    sensor_free(c.sensor);
    if (c.folder >= 0)
        close(c.folder);
    return r ? 1 : 0;
}
