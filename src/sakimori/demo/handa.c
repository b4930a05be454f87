/*
 * `sakimori demo handa`: fourteen steps of an attack on a hospital, played against a box and its machine in networks made for it.
 * Steps 1 to 8 and 10 are what devices would log; 7 and 9 are also done for real, by the harmless simulator, to a sample clinic.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori/commands.h"
#include "sakimori/demo/handa_logs.h"
#include "sakimori/demo/lan.h"
#include "sakimori/net.h"

#define STEPS 14
#define SSMIX_FILES 4101
#define SEEN_MS 60000
#define STOP_MS 90000
#define RESTORE_MS 300000
#define MIN_MS ((int64_t)60000)
#define DAY_MS ((int64_t)86400000)
#define JST_MS ((int64_t)9 * 3600000)
#define SYSLOG_PORT 6514

struct handa {
    struct demo d;
    struct demo_lan lan;
    char clock[DEMO_PATH];   /* file of the clock that the box and this program go by */
    int64_t off_ms, first_off_ms; /* how far it is from the real one now, and was at first */
    int64_t start_ms;        /* step 1: six days ago, 2:38 in Japan */
    int to[HANDA_DEVICES];   /* connections of the devices to the box */
    json_t *steps;
    int64_t signal, at_ms;   /* the newest one that was told; when the step under way happens, by the story's clock */
    uint64_t step_ms;        /* when the step under way began */
    struct sm_buf seen, did; /* of the step under way */
    struct sm_buf known;     /* what was done by the steps before, a line each */
    struct plat_proc foe;
    char finding[64];
    bool equal;
};

struct act {
    const char *ja, *en;
    int64_t after_ms; /* of step 1, when its logs begin; -1: now */
    bool later;       /* what would answer it does not exist yet */
    int (*play)(struct handa *h);
};

/* ---- small things ---- */

static int64_t real_ms(const struct handa *h)
{
    struct sm_time t = plat_clock_wall();
    return t.s * 1000 + t.ns / 1000000 - h->off_ms;
}

/* at_ms 0: the real time again. */
static int set_clock(struct handa *h, int64_t at_ms)
{
    int64_t off = at_ms ? at_ms - real_ms(h) : 0;
    if (!h->off_ms)
        h->first_off_ms = off;
    int r = plat_clock_override_write(h->clock, off, off - h->first_off_ms);
    if (r == 0)
        r = plat_clock_override_file(h->clock);
    if (r == 0)
        h->off_ms = off;
    return r < 0 ? CLI_FAILED : CLI_OK;
}

/* The days that go by end every session. */
static int sign_in(struct handa *h)
{
    json_t *a = NULL;
    char code[8] = "";
    int e = cli_call_quiet(h->d.c, "GET", "/api/v1/session", NULL, &a);
    bool in = e == CLI_OK && json_is_object(json_object_get(a, "person"));
    json_decref(a);
    a = NULL;
    if (in || cli_totp(cli_str(h->d.secrets, "totp_secret"), code) < 0)
        return in ? CLI_OK : CLI_FAILED;
    e = cli_call(h->d.c, "POST", "/api/v1/session",
        json_pack("{s:s,s:s,s:s,s:b}", "account", cli_str(h->d.secrets, "account"), "password", h->d.password, "totp", code, "token", 1), &a);
    if (e == CLI_OK)
        cli_use_token(h->d.c, cli_str(a, "token"));
    json_decref(a);
    return e;
}

static int go_to(struct handa *h, int64_t at_ms)
{
    int e = set_clock(h, at_ms);
    return e == CLI_OK ? sign_in(h) : e;
}

static void say(struct sm_buf *to, const char *text)
{
    if (text && *text && sm_buf_printf(to, "%s%s", to->n ? "; " : "", text) < 0)
        sm_buf_clear(to); /* the maximum: nothing is better than half a sentence */
}

static void sm_printf(2, 3) sayf(struct sm_buf *to, const char *fmt, ...)
{
    char text[512];
    va_list v;
    va_start(v, fmt);
    (void)vsnprintf(text, sizeof text, fmt, v); /* cut at the end */
    va_end(v);
    say(to, text);
}

static const char *in_words(const struct handa *h, const json_t *text)
{
    return json_is_string(text) ? json_string_value(text) : cli_str(text, h->d.c->ja ? "ja" : "en");
}

static int send_all(int fd, struct sm_span s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n <= 0)
            return -errno;
        s = SM_SPAN(s.p + n, s.n - (size_t)n);
    }
    return 0;
}

/* ---- what the box saw ---- */

/* New signals of rules since the step before: their titles.  How many of what happened in this step, or -1. */
static int new_signals(struct handa *h)
{
    json_t *list = NULL, *s;
    size_t i;
    int n = 0;
    int64_t newest = h->signal;
    if (cli_call(h->d.c, "GET", "/api/v1/signals?limit=100", NULL, &list) != CLI_OK)
        return -1;
    json_array_foreach(json_object_get(list, "items"), i, s) {
        int64_t id = json_integer_value(json_object_get(s, "id"));
        const char *title = in_words(h, json_object_get(s, "title"));
        if (id <= h->signal)
            continue;
        struct sm_time at = { 0 };
        newest = id > newest ? id : newest;
        n += sm_time_parse(cli_str(s, "at"), &at) == 0 && at.s * 1000 >= h->at_ms - 1000;
        if (!memmem(h->seen.p, h->seen.n, title, strlen(title)))
            say(&h->seen, title);
    }
    h->signal = newest;
    json_decref(list);
    return n;
}

static int wait_signals(struct handa *h)
{
    uint64_t until = demo_until(SEEN_MS);
    do {
        int n = new_signals(h);
        if (n > 0)
            cli_sleep_ms(h->foe.pid ? 1500 : 300); /* what else the same lines, or the same program, set off */
        if (n != 0)
            return n < 0 || new_signals(h) < 0 ? CLI_FAILED : CLI_OK;
    } while (demo_wait(until));
    return CLI_FAILED;
}

/* The open incident: its page as JSON, NULL when there is not exactly one. */
static json_t *incident(struct handa *h)
{
    json_t *list = NULL, *one = NULL;
    char path[64];
    if (cli_call(h->d.c, "GET", "/api/v1/incidents?open=1", NULL, &list) != CLI_OK)
        return NULL;
    const json_t *items = json_object_get(list, "items");
    (void)snprintf(path, sizeof path, "/api/v1/incidents/%lld",
        (long long)json_integer_value(json_object_get(json_array_get(items, 0), "id"))); /* fits */
    if (json_array_size(items) == 1)
        (void)cli_call_quiet(h->d.c, "GET", path, NULL, &one); /* NULL says it */
    json_decref(list);
    return one;
}

/* Said once in the whole story. */
static void say_new(struct handa *h, const char *text)
{
    if (!*text || memmem(h->known.p, h->known.n, text, strlen(text)))
        return;
    say(&h->did, text);
    if (sm_buf_printf(&h->known, "%s\n", text) < 0)
        sm_buf_clear(&h->known); /* then it may be said again */
}

/* How people are told of it now, and what was offered or done by itself. */
static void tell_answers(struct handa *h)
{
    json_t *one = incident(h), *r;
    char button[400];
    size_t i;
    if (one)
        say_new(h, strcmp(cli_str(one, "severity"), "call") ? T(h->d.c, "見てください、と知らせた", "people are told: look")
                                                             : T(h->d.c, "すぐ電話してください、と知らせた", "people are told: call now"));
    json_array_foreach(json_object_get(one, "responses"), i, r) {
        const char *state = cli_str(r, "state"), *text = in_words(h, json_object_get(r, "text"));
        *button = 0;
        if (!strcmp(state, "offered") || !strcmp(state, "todo"))
            (void)snprintf(button, sizeof button, T(h->d.c, "ボタン: %s", "one click: %s"), text); /* cut at the end */
        say_new(h, !strcmp(state, "done") ? text : button);
    }
    json_decref(one);
}

static int64_t step_at(const struct handa *h, const struct act *a)
{
    return a->after_ms < 0 ? real_ms(h) : h->start_ms + a->after_ms;
}

static int play_logs(struct handa *h, int n, int64_t at_ms)
{
    struct sm_buf lines[HANDA_DEVICES] = { SM_BUF_INIT(1 << 20), SM_BUF_INIT(1 << 20) };
    int r = handa_lines(n, at_ms, lines);
    for (int i = 0; i < HANDA_DEVICES && r == 0; i++)
        r = send_all(h->to[i], sm_buf_span(&lines[i]));
    for (int i = 0; i < HANDA_DEVICES; i++)
        sm_buf_wipe(&lines[i]);
    if (r < 0)
        cli_note(h->d.c, T(h->d.c, "箱へ記録を送れません: %s", "logs cannot be sent to the box: %s"), sm_errtext(r, h->d.c->ja));
    return r < 0 ? CLI_FAILED : CLI_OK;
}

static int see(struct handa *h)
{
    int e = wait_signals(h);
    tell_answers(h);
    return e;
}

/* ---- the steps that are more than logs ---- */

static int thief(struct handa *h)
{
    size_t all = 0;
    int e = wait_signals(h);
    if (demo_steal_keys(&h->d) != CLI_OK)
        return CLI_FAILED;
    all = json_array_size(h->d.attacks);
    sayf(&h->did, T(h->d.c, "盗んだ鍵での攻撃 %zu 件のうち %u 件を拒んだ", "attacks with stolen keys: %zu, refused %u"), all, demo_refused(&h->d));
    json_t *now = NULL;
    if (demo_take_generations(&h->d, &now) != CLI_OK || json_array_size(now) < json_array_size(h->d.before))
        e = CLI_FAILED;
    else
        say(&h->did, T(h->d.c, "世代はすべて残っている", "every generation is there"));
    json_decref(now);
    tell_answers(h);
    return all && demo_refused(&h->d) == all ? e : CLI_FAILED;
}

static int64_t number_of(const json_t *o, const char *group, const char *key)
{
    return json_integer_value(json_object_get(json_object_get(o, group), key));
}

/* The finding of the machine, once its files are given back. */
static int wait_stopped(struct handa *h, json_t **ret)
{
    char path[192];
    uint64_t until = demo_until(STOP_MS);
    (void)snprintf(path, sizeof path, "/api/v1/findings?device=%s", h->d.device); /* ids are short */
    do {
        json_t *list = NULL, *f;
        size_t i;
        if (cli_call_quiet(h->d.c, "GET", path, NULL, &list) != CLI_OK) {
            json_decref(list);
            return CLI_FAILED;
        }
        json_array_foreach(json_object_get(list, "items"), i, f) {
            const char *state = cli_str(f, "state");
            bool held = !strcmp(state, "stopped") || !strcmp(state, "killed");
            if (!strcmp(cli_str(f, "kind"), "ransomware") && held && number_of(f, "files", "given_back") > 0) {
                *ret = json_incref(f);
                json_decref(list);
                return CLI_OK;
            }
        }
        json_decref(list);
    } while (demo_wait(until));
    return CLI_FAILED;
}

/* Are two folders of the demo alike in every name and byte? */
static bool same(struct handa *h, const char *a, const char *b)
{
    char one[DEMO_PATH], two[DEMO_PATH];
    demo_path(&h->d, a, one);
    demo_path(&h->d, b, two);
    char *argv[] = { (char *)"/usr/bin/diff", (char *)"-rq", (char *)"--no-dereference", one, two, NULL };
    return demo_run(&h->d, argv, "compare.log", 120000, NULL) == CLI_OK;
}

static int encryptor(struct handa *h)
{
    json_t *f = NULL, *a = NULL;
    char path[128];
    int e = demo_encrypt(&h->d, "full,rename,note", &h->foe);
    if (e == CLI_OK)
        e = wait_stopped(h, &f);
    (void)wait_signals(h); /* of the machine itself: decoys, what was stopped */
    if (e == CLI_OK) {
        sayf(&h->seen, T(h->d.c, "暗号化のふるまい(%lld のファイルで気づいた)", "behaviour of ransomware (seen after %lld files)"),
            (long long)number_of(f, "files", "touched"));
        sayf(&h->did, T(h->d.c, "%lld ミリ秒で止めた", "stopped after %lld ms"),
            (long long)(number_of(f, "timing", "stop_ms")));
        sayf(&h->did, T(h->d.c, "%lld のファイルを元に戻した", "%lld files given back"), (long long)number_of(f, "files", "given_back"));
        (void)snprintf(h->finding, sizeof h->finding, "%s", cli_str(f, "id")); /* ids are short */
        (void)snprintf(path, sizeof path, "/api/v1/findings/%s/actions", h->finding); /* fits */
        if (cli_call_quiet(h->d.c, "POST", path, json_pack("{s:s,s:{}}", "action", "kill", "args"), &a) == CLI_OK)
            say(&h->did, T(h->d.c, "終わらせた", "ended"));
    }
    json_decref(a);
    json_decref(f);
    demo_end(&h->foe);
    if (e == CLI_OK && !same(h, "reference", "clinic")) {
        say(&h->did, T(h->d.c, "元どおりではないファイルがある", "some files are not as they were"));
        e = CLI_FAILED;
    }
    tell_answers(h);
    return e;
}

static int evidence(struct handa *h)
{
    char program[DEMO_PATH], journal[DEMO_PATH], pack[DEMO_PATH];
    struct stat st = { 0 };
    int e = demo_program(&h->d, "sakimori", program);
    demo_path(&h->d, "box/journal", journal);
    demo_path(&h->d, "evidence.tar", pack);
    char *check[] = { program, (char *)"journal", (char *)"verify", journal, NULL };
    char *make[] = { program, (char *)"journal", (char *)"pack", journal, pack, (char *)"--title", (char *)"D-7 - D0", NULL };
    if (e == CLI_OK && demo_run(&h->d, check, "evidence.log", 60000, NULL) == CLI_OK)
        say(&h->seen, T(h->d.c, "記録に書き換えはない", "nothing of the record was altered"));
    if (e == CLI_OK)
        e = demo_run(&h->d, make, "evidence.log", 60000, NULL);
    if (e != CLI_OK || stat(pack, &st) < 0)
        return CLI_FAILED;
    sayf(&h->did, T(h->d.c, "封印とハッシュの付いた証拠の束、%lld バイト", "an evidence pack with seals and hashes, %lld bytes"), (long long)st.st_size);
    return CLI_OK;
}

/* Of the generations (newest first): the last clean one, and the last one before step 1. */
static void pick(struct handa *h, char ret_data[80], char ret_system[80])
{
    struct sm_time first = { .s = h->start_ms / 1000 };
    char before[SM_TIME_TEXT];
    json_t *list = NULL, *g;
    size_t i;
    sm_time_rfc3339(first, before);
    *ret_data = *ret_system = 0;
    if (cli_items(h->d.c, "/api/v1/generations?limit=100", &list) != CLI_OK)
        return;
    json_array_foreach(json_object_get(list, "items"), i, g) {
        if (!*ret_data && json_is_true(json_object_get(g, "last_clean")))
            (void)snprintf(ret_data, 80, "%s", cli_str(g, "id")); /* fits */
        if (!*ret_system && strcmp(cli_str(g, "at"), before) < 0) {
            (void)snprintf(ret_system, 80, "%s", cli_str(g, "id")); /* fits */
            sayf(&h->seen, T(h->d.c, "プログラムは攻撃の前の世代 %lld から", "programs: from generation %lld, before the attack"),
                (long long)json_integer_value(json_object_get(g, "number")));
        }
    }
    json_decref(list);
}

static int restore(struct handa *h)
{
    char data[80], programs[80], path[128], folder[DEMO_PATH];
    json_t *a = NULL, *r = NULL;
    uint64_t until = demo_until(RESTORE_MS);
    bool done = false;
    pick(h, data, programs);
    demo_path(&h->d, "restored", folder);
    if (!*data || !*programs)
        return CLI_FAILED;
    say(&h->seen, T(h->d.c, "データは最後の正常な世代から", "data: from the last clean generation"));
    int e = cli_call(h->d.c, "POST", "/api/v1/unlock", json_pack("{s:s,s:s}", "password", h->d.password, "card", cli_str(h->d.secrets, "card")), &a);
    json_decref(a);
    a = NULL;
    if (e == CLI_OK)
        e = cli_call(h->d.c, "POST", "/api/v1/restores",
            json_pack("{s:s,s:s,s:[],s:{s:s,s:s},s:s,s:s}", "manifest", data, "device", h->d.device, "paths_b64", "target", "mode",
                "place", "place", folder, "existing", "aside", "why", "demo handa"), &a);
    (void)snprintf(path, sizeof path, "/api/v1/restores/%s", cli_str(a, "id")); /* ids are short */
    json_decref(a);
    while (e == CLI_OK && !done && demo_wait(until)) {
        json_decref(r);
        r = NULL;
        e = cli_call(h->d.c, "GET", path, NULL, &r);
        const char *state = cli_str(r, "state");
        done = strcmp(state, "waiting") && strcmp(state, "running");
    }
    if (e != CLI_OK || strcmp(cli_str(r, "state"), "complete") != 0) {
        json_decref(r);
        return CLI_FAILED;
    }
    char whole[DEMO_PATH];
    (void)snprintf(whole, sizeof whole, "restored%s/clinic", h->d.dir); /* a place gets the whole path below it */
    struct stat st;
    char at[DEMO_PATH];
    demo_path(&h->d, whole, at);
    h->equal = stat(at, &st) == 0 ? same(h, "reference", whole) : same(h, "reference", "restored");
    sayf(&h->did, T(h->d.c, "%lld のファイルを %.1f 秒で戻した。%s", "%lld files restored in %.1f s, %s"),
        (long long)number_of(r, "progress", "files"), (double)json_integer_value(json_object_get(r, "ms")) / 1000.0,
        h->equal ? T(h->d.c, "すべて一致", "all equal") : T(h->d.c, "違うものがある", "NOT equal"));
    json_decref(r);
    return h->equal ? CLI_OK : CLI_FAILED;
}

/* ---- the table ---- */

static const struct act acts[STEPS] = {
    { "VPN に何度も失敗し、知らない国から入った", "VPN: failures, then in, from an unknown country", 0, false, see },
    { "保守のアカウントの VPN が、予定のない時間につながった", "a VPN session of the maintenance account that nobody booked", 3 * MIN_MS, false, see },
    { "1台のパソコンへ、リモートデスクトップで入った", "remote desktop into one PC", 8 * MIN_MS, false, see },
    { "院内の機器を端から調べた", "a sweep of the network", 14 * MIN_MS, false, see },
    { "同じパスワードで8台に入った", "one password opened eight machines", DAY_MS, false, see },
    { "ウイルス対策を止め、記録を消した", "antivirus stopped, event log cleared", DAY_MS + 15 * MIN_MS, false, see },
    { "バックアップを見つけ、消そうとした", "backups found and deleted", 3 * DAY_MS, false, thief },
    { "夜に 40 GB が外へ出た", "40 GB left at night", 4 * DAY_MS, false, see },
    { "カルテと共有フォルダーの暗号化が始まった", "encryption of records and shares", -1, false, encryptor },
    { "プリンターが脅しの手紙を印刷した", "printers print the note", -1, false, see },
    { "受付が画面を開く", "reception opens the console", -1, true, NULL },
    { "証拠の束を作る", "an evidence pack", -1, false, evidence },
    { "速報の下書き", "draft of the first report", -1, true, NULL },
    { "戻す", "restore", -1, false, restore },
};

static void print_step(struct handa *h, int n, int e, int64_t ms)
{
    const struct act *a = &acts[n - 1];
    const char *mark = a->later ? T(h->d.c, "後日", "later") : e == CLI_OK ? "OK" : T(h->d.c, "失敗", "FAILED");
    if (h->d.c->json || cli_flag(h->d.c, "headless"))
        return;
    printf("%2d %-6s %s\n", n, mark, T(h->d.c, a->ja, a->en));
    if (h->seen.n)
        printf("          %s %s\n", T(h->d.c, "見えたもの:", "seen:"), sm_buf_str(&h->seen));
    if (h->did.n)
        printf("          %s %s\n", T(h->d.c, "したこと:  ", "done:"), sm_buf_str(&h->did));
    if (!a->later)
        printf("          %.1f %s\n", (double)ms / 1000.0, T(h->d.c, "秒", "s"));
    fflush(stdout);
}

static int play(struct handa *h, int n)
{
    const struct act *a = &acts[n - 1];
    int e = CLI_OK;
    int64_t at = h->at_ms = step_at(h, a);
    sm_buf_clear(&h->seen);
    sm_buf_clear(&h->did);
    e = go_to(h, a->after_ms < 0 ? 0 : at + 2 * MIN_MS);
    h->step_ms = plat_clock_mono_ms();
    if (a->play && e == CLI_OK) {
        e = play_logs(h, n, at);
        if (e == CLI_OK)
            e = a->play(h);
    }
    int64_t ms = (int64_t)(plat_clock_mono_ms() - h->step_ms);
    print_step(h, n, e, ms);
    json_t *row = json_pack("{s:i,s:b,s:b,s:s,s:s,s:I}", "n", n, "ok", !a->later && e == CLI_OK, "later", a->later, "seen",
        h->seen.n ? sm_buf_str(&h->seen) : "", "done", h->did.n ? sm_buf_str(&h->did) : "", "ms", (json_int_t)(a->later ? 0 : ms));
    return json_array_append_new(h->steps, row) < 0 ? CLI_FAILED : e;
}

/* ---- before step 1 ---- */

/* SS-MIX2 files of many patients, from one of the sample: the number of the patient is what differs. */
static int many_patients(struct handa *h)
{
    static const char text[] = "MSH|^~\\&|HIS|SAKURA|GW|SAKURA|20261101%06d||OMP^O09^OMP_O09|%08d|P|2.5||||||~ISO IR87||ISO 2022-1994\r"
                               "PID|0001||%010d^^^^PI||MIHON^KANJA^^^^^L^P||19500101|M\rORC|NW|%08d|||||||20261101\r"
                               "RXE||620004422^^HOT9|1||TAB^^MR9P|TAB^^MR9P\r";
    char dir[DEMO_PATH + 64], line[512], name[128];
    int r = 0;
    for (int i = 0; i < SSMIX_FILES && r == 0 && !demo_stopped(); i++) {
        int patient = 1000000 + i / 3;
        (void)snprintf(dir, sizeof dir, "%s/clinic/ssmix2/%03d/%03d/%010d/20261101/OMP-01", h->d.dir, patient / 1000 % 1000,
            patient % 1000, patient); /* fits */
        r = plat_fs_mkdir_p(dir, 0755);
        (void)snprintf(name, sizeof name, "%010d_20261101_OMP-01_%015d_20261101093000000_01_1", patient, i); /* fits */
        (void)snprintf(line, sizeof line, text, i, i, patient, i);                                            /* fits */
        if (r == 0)
            r = demo_put(dir, name, line, false);
    }
    if (r < 0)
        cli_note(h->d.c, "%s: %s", dir, sm_errtext(r, h->d.c->ja));
    return r < 0 ? CLI_FAILED : CLI_OK;
}

static int make_files(struct handa *h)
{
    struct demo *d = &h->d;
    static char policy[DEMO_PATH + 32], config[DEMO_PATH], text[DEMO_PATH + 128];
    static char rules[PATH_MAX];
    static const char *const below[] = { "rules", "share/sakimori/rules" };
    int e = demo_find_bin(d);
    if (e == CLI_OK)
        e = demo_make_dir(d);
    if (e == CLI_OK)
        e = demo_find_share(d);
    if (e == CLI_OK)
        e = demo_make_clinic(d);
    if (e == CLI_OK)
        e = many_patients(h);
    (void)snprintf(policy, sizeof policy, "protect = %s/clinic\n", d->dir); /* fits: nothing else of this machine is watched */
    d->policy = policy;
    d->machine = "KARTE-SV";
    d->listen = DEMO_NET "1";
    if (demo_find_shipped(d, below, 2, rules))
        d->rules = rules;
    demo_path(d, "clock", h->clock);
    demo_path(d, "demo.conf", config);
    d->config = config;
    (void)snprintf(text, sizeof text, "test_clock = %s\nsyslog_tcp = %d\n", h->clock, SYSLOG_PORT); /* fits */
    return e == CLI_OK && demo_put(d->dir, "demo.conf", text, false) == 0 ? CLI_OK : CLI_FAILED;
}

/* What the institution settled beforehand: one click closes the entrance, and nothing is thinned out any more once it is grave. */
static int settle(struct handa *h)
{
    json_t *a = NULL;
    int e = cli_call(h->d.c, "POST", "/api/v1/playbooks",
        json_pack("{s:s,s:{s:[],s:[]},s:[{s:s,s:s,s:{s:s}},{s:s,s:s,s:{s:s}}]}", "name", "入口を閉じる", "when", "severity", "stages", "steps",
            "action", "block-address", "mode", "click", "params", "device", "fortigate", "action", "block-account", "mode", "click", "params", "device",
            "fortigate"), &a);
    json_decref(a);
    a = NULL;
    if (e == CLI_OK)
        e = cli_call(h->d.c, "POST", "/api/v1/playbooks",
            json_pack("{s:s,s:{s:[s],s:[]},s:[{s:s,s:s,s:{}}]}", "name", "世代を守る", "when", "severity", "call", "stages", "steps", "action",
                "freeze-vault", "mode", "auto", "params"), &a);
    json_decref(a);
    return e;
}

static int connect_devices(struct handa *h)
{
    static const enum demo_place from[HANDA_DEVICES] = { [HANDA_EDGE] = DEMO_EDGE, [HANDA_WINDOWS] = DEMO_PC };
    for (int i = 0; i < HANDA_DEVICES; i++) {
        h->to[i] = demo_lan_connect(&h->lan, from[i], SYSLOG_PORT);
        if (h->to[i] < 0) {
            cli_note(h->d.c, T(h->d.c, "箱へ記録を送れません: %s", "logs cannot be sent to the box: %s"), sm_errtext(h->to[i], h->d.c->ja));
            return CLI_FAILED;
        }
    }
    return CLI_OK;
}

/* The sensors of the machine are in place. */
static int wait_armed(struct handa *h)
{
    char path[192];
    uint64_t until = demo_until(SEEN_MS);
    bool armed = false;
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/endpoint", h->d.device); /* ids are short */
    do {
        json_t *o = NULL;
        (void)cli_call_quiet(h->d.c, "GET", path, NULL, &o); /* looked at below */
        armed = json_is_true(json_object_get(json_object_get(json_object_get(o, "state"), "sensor"), "armed"));
        json_decref(o);
    } while (!armed && demo_wait(until));
    if (!armed && !demo_stopped())
        cli_note(h->d.c, T(h->d.c, "機器のセンサーが動きません。%s/agent.log を見てください", "the sensors of the machine do not work; see %s/agent.log"), h->d.dir);
    return armed ? CLI_OK : CLI_FAILED;
}

static void note(const struct handa *h, const char *ja, const char *en)
{
    if (!h->d.c->json && !cli_flag(h->d.c, "headless"))
        cli_note(h->d.c, "・%s", T(h->d.c, ja, en));
}

static int before(struct handa *h)
{
    struct demo *d = &h->d;
    int64_t today = (real_ms(h) + JST_MS) / DAY_MS * DAY_MS - JST_MS;
    h->start_ms = today - 6 * DAY_MS + 158 * MIN_MS;
    note(h, "見本の病院と、院内ネットワークを作る", "making a sample hospital and its network");
    int e = make_files(h);
    if (e == CLI_OK)
        e = demo_lan_make(d, &h->lan);
    d->box_space = h->lan.space[DEMO_BOX];
    d->agent_space = h->lan.space[DEMO_SERVER];
    if (e == CLI_OK)
        e = set_clock(h, h->start_ms - 14 * 60 * MIN_MS);
    note(h, "箱を始めて設定する", "starting the box and setting it up");
    if (e == CLI_OK)
        e = demo_start_box(d);
    if (e == CLI_OK)
        e = demo_set_up(d);
    if (e == CLI_OK)
        e = settle(h);
    note(h, "カルテのサーバーを登録して守る", "joining the server of the records, protecting it");
    if (e == CLI_OK)
        e = demo_join(d);
    if (e == CLI_OK)
        e = demo_wait_device(d);
    if (e == CLI_OK)
        e = demo_add_source(d);
    if (e == CLI_OK)
        e = demo_back_up(d);
    if (e == CLI_OK)
        e = wait_armed(h);
    return e == CLI_OK ? connect_devices(h) : e;
}

/* The clinic goes on working meanwhile: a day of work and its backup. */
static int work(struct handa *h, unsigned day, int64_t at_ms)
{
    int e = go_to(h, at_ms);
    if (e == CLI_OK)
        e = demo_work_a_day(&h->d, day);
    if (e == CLI_OK)
        e = demo_back_up(&h->d);
    json_decref(h->d.before);
    h->d.before = NULL;
    return e == CLI_OK ? demo_take_generations(&h->d, &h->d.before) : e;
}

static int between(struct handa *h, int n)
{
    int e = CLI_OK;
    if (n == 7)
        e = work(h, 2, h->start_ms + 2 * DAY_MS);
    if (n == 9)
        e = work(h, 3, h->start_ms + 5 * DAY_MS);
    if (n == 9 && e == CLI_OK) {
        char clinic[DEMO_PATH];
        demo_path(&h->d, "clinic", clinic);
        e = demo_put(clinic, ".sakimori-sim-allowed", "sakimori-sim\n", false) < 0 ? CLI_FAILED : demo_back_up(&h->d);
        if (e == CLI_OK)
            e = demo_copy_tree(&h->d, "clinic", "reference");
    }
    return e;
}

static int story(struct handa *h)
{
    int e = before(h), failed = CLI_OK;
    for (int n = 1; n <= STEPS && e == CLI_OK && !demo_stopped(); n++) {
        e = between(h, n);
        if (e == CLI_OK && play(h, n) != CLI_OK)
            failed = CLI_FAILED; /* the rest is shown all the same */
    }
    return e == CLI_OK ? failed : e;
}

/* Is all of it one incident? */
static bool one_story(struct handa *h)
{
    json_t *one = incident(h);
    bool yes = one && json_array_size(json_object_get(one, "timeline")) >= 8;
    json_decref(one);
    return yes;
}

static void print_end(struct handa *h)
{
    bool one = one_story(h);
    if (h->d.c->json || cli_flag(h->d.c, "headless")) {
        json_t *o = json_pack("{s:O,s:b,s:b}", "steps", h->steps, "restored_equal", h->equal, "one_incident", one);
        if (o && json_dumpf(o, stdout, JSON_COMPACT) == 0)
            putchar('\n');
        json_decref(o);
    } else {
        printf("\n%s\n%s\n", one ? T(h->d.c, "すべてが1つの件として並びました", "all of it stands in one incident")
                                 : T(h->d.c, "1つの件になりませんでした", "it did not become one incident"),
            h->equal ? T(h->d.c, "戻したものは、攻撃の前とすべて一致しました", "what was restored equals what was there before")
                     : T(h->d.c, "戻したものは、一致しませんでした", "what was restored is NOT equal"));
    }
    fflush(stdout);
}

int cmd_demo_handa(struct cli *c)
{
    struct handa *h = calloc(1, sizeof *h);
    if (!h)
        return CLI_FAILED;
    if (geteuid() != 0) {
        cli_note(c, "%s", T(c, "root で動かしてください(見本のネットワークを作り、機器のセンサーを試すため)",
                             "run it as root: it makes networks of its own and tries the sensors of a machine"));
        free(h);
        return CLI_DENIED;
    }
    h->d.c = c;
    h->d.box = h->d.agent = h->foe = PLAT_PROC_NONE;
    h->d.attacks = json_array();
    h->steps = json_array();
    h->seen = h->did = h->known = SM_BUF_INIT(8192);
    for (int i = 0; i < HANDA_DEVICES; i++)
        h->to[i] = -1;
    demo_catch_signals();
    int e = story(h);
    print_end(h);
    if (e == CLI_OK && !h->equal)
        e = CLI_FAILED;
    for (int i = 0; i < HANDA_DEVICES; i++)
        if (h->to[i] >= 0)
            close(h->to[i]);
    demo_end(&h->foe);
    demo_clear(&h->d);
    demo_lan_remove(&h->d, &h->lan);
    json_decref(h->steps);
    sm_buf_wipe(&h->seen);
    sm_buf_wipe(&h->did);
    sm_buf_wipe(&h->known);
    free(h);
    return e;
}
