/* The story of the demo, from an empty folder to the alarm. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>
#include "core/json.h"
#include "crypto/random.h"
#include "plat/fs.h"
#include "sakimori/commands.h"
#include "sakimori/demo/demo.h"

#define START_MS 90000
#define JOIN_MS 60000
#define RUN_MS 300000
#define ALARM_MS 120000

static void step(const struct demo *d, const char *ja, const char *en)
{
    if (!cli_flag(d->c, "headless"))
        cli_note(d->c, "・%s / %s", ja, en);
}

/* ---- the box ---- */

static int make_dir(struct demo *d)
{
    const char *given = cli_opt(d->c, "data");
    int r = 0;
    if (given) {
        r = plat_fs_mkdir_p(given, 0755);
        if (r == 0 && !realpath(given, d->dir))
            r = -errno;
    } else {
        (void)snprintf(d->dir, sizeof d->dir, "/tmp/sakimori-demo-XXXXXX"); /* fits */
        d->made_dir = mkdtemp(d->dir) != NULL;
        r = d->made_dir ? 0 : -errno;
    }
    /* The box's own users have to pass through. */
    if (r == 0 && chmod(d->dir, 0755) < 0)
        r = -errno;
    if (r < 0)
        cli_note(d->c, "%s: %s", given ? given : d->dir, sm_errtext(r, d->c->ja));
    return r < 0 ? CLI_FAILED : CLI_OK;
}

static int find_bin(struct demo *d)
{
    const char *given = cli_opt(d->c, "bin");
    char exe[PATH_MAX];
    if (given)
        return realpath(given, d->bin) ? CLI_OK : CLI_USAGE;
    if (plat_proc_exe(getpid(), exe, sizeof exe) < 0)
        return CLI_FAILED;
    char *slash = strrchr(exe, '/');
    *(slash ? slash : exe) = 0;
    (void)snprintf(d->bin, sizeof d->bin, "%s", exe); /* same size */
    /* In a build tree the programs lie side by side in folders: one up. */
    size_t n = strlen(d->bin);
    if (n > 9 && !strcmp(d->bin + n - 9, "/sakimori"))
        d->bin[n - 9] = 0;
    return CLI_OK;
}

/* Why the box did not start, as it said itself: its log goes with the folder. */
static void say_last_line(struct demo *d)
{
    struct sm_buf log = SM_BUF_INIT(1 << 20);
    char path[PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/box.log", d->dir); /* fits */
    if (plat_fs_read_file(AT_FDCWD, path, 1 << 20, &log) < 0)
        sm_buf_clear(&log);
    size_t end = log.n;
    while (end > 0 && log.p[end - 1] == '\n')
        end--;
    size_t from = end;
    while (from > 0 && log.p[from - 1] != '\n')
        from--;
    cli_note(d->c, T(d->c, "箱が始まりません: %.*s", "the box does not start: %.*s"), (int)(end - from),
        log.p ? (const char *)log.p + from : "");
    sm_buf_wipe(&log);
}

/* The first line the box prints; *ret is the caller's. */
static int read_line(struct demo *d, int fd, json_t **ret)
{
    struct sm_buf text = SM_BUF_INIT(64 << 10);
    uint64_t until = demo_until(START_MS);
    char block[1024];
    int e = CLI_FAILED, status;
    const uint8_t *end = NULL;
    do {
        ssize_t n = read(fd, block, sizeof block);
        if (n > 0 && sm_buf_put(&text, block, (size_t)n) < 0)
            break;
        end = text.n ? memchr(text.p, '\n', text.n) : NULL;
        bool gone = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
        if (end || gone)
            break;
    } while (demo_wait(until));
    if (end && sm_json_parse(SM_SPAN(text.p, (size_t)(end - text.p)), 64 << 10, ret, NULL) == 0)
        e = CLI_OK;
    else if (!demo_stopped())
        say_last_line(d);
    (void)status; /* a box that ended closes the pipe */
    sm_buf_wipe(&text);
    return e;
}

static int start_box(struct demo *d)
{
    char program[DEMO_PATH], data[DEMO_PATH];
    const char *port = cli_opt(d->c, "port"), *listen = cli_opt(d->c, "listen");
    int pair[2], e = demo_program(d, "sakimorid", program);
    demo_path(d, "box", data);
    if (e != CLI_OK || pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return CLI_FAILED;
    /* From a tree that is not installed, ./run says where the console's files are. */
    const char *web = getenv("SAKIMORI_WEB");
    char *argv[] = { program, (char *)"--headless", (char *)"--data", data, (char *)"--port",
        (char *)(port ? port : "8443"), (char *)"--listen", (char *)(listen ? listen : "127.0.0.1"),
        (char *)(web && *web ? "--web" : NULL), (char *)web, NULL };
    e = demo_start(d, argv, pair[1], "box.log", &d->box);
    close(pair[1]);
    if (e == CLI_OK)
        e = read_line(d, pair[0], &d->said);
    close(pair[0]); /* it says nothing more there */
    return e == CLI_OK ? cli_net_data(d->c, data) : e;
}

static int set_up(struct demo *d)
{
    char code[20];
    crypto_code_new(12, 4, code);
    (void)snprintf(d->password, sizeof d->password, "Mihon7-%s", code); /* fits */
    json_t *a = json_pack("{s:s,s:{s:s,s:s,s:s,s:s,s:s,s:{s:s,s:s,s:s},s:{s:s,s:s,s:s},s:{s:s,s:s}},s:{s:s,s:s,s:s}}",
        "code", cli_str(d->said, "setup_code"), "institution", "name", "さくら見本クリニック", "kind", "clinic",
        "phone", "03-0000-0000", "vendor_updates", "unknown", "language",
        d->c->ja || !cli_opt(d->c, "lang") ? "ja" : "en", "responsible", "name", "見本 花子", "title", "事務長",
        "phone", "090-0000-0001", "deputy", "name", "見本 次郎", "title", "看護師長", "phone", "090-0000-0002",
        "vendor", "name", "見本システム", "phone", "03-0000-0003", "director", "account", "incho", "name", "見本 太郎",
        "password", d->password);
    struct setup_result got = { 0 };
    int e = a ? setup_run(d->c, a, &got) : CLI_FAILED;
    json_decref(a);
    d->secrets = got.secrets;
    return e;
}

/* ---- the machine ---- */

static int start_agent(struct demo *d)
{
    char program[DEMO_PATH], data[DEMO_PATH], box[DEMO_PATH];
    int e = demo_program(d, "sakimori-agent", program);
    demo_path(d, "agent", data);
    demo_path(d, "box", box); /* what a box keeps is no business of an agent beside it */
    char *argv[] = { program, (char *)"run", (char *)"--data", data, (char *)"--skip", box, NULL };
    return e == CLI_OK ? demo_start(d, argv, -1, "agent.log", &d->agent) : e;
}

static int join(struct demo *d)
{
    char program[DEMO_PATH], data[DEMO_PATH], code[128];
    json_t *a = NULL;
    int e = demo_program(d, "sakimori-agent", program);
    if (e == CLI_OK)
        e = cli_call(d->c, "POST", "/api/v1/devices/codes", json_pack("{s:s}", "name", "受付のパソコン"), &a);
    (void)snprintf(code, sizeof code, "%s", cli_str(a, "code")); /* a code is 60 long */
    json_decref(a);
    demo_path(d, "agent", data);
    char *argv[] = { program, (char *)"join", (char *)cli_str(d->said, "agent_url"), code, (char *)"--data", data,
        (char *)"--name", (char *)"uketsuke", NULL };
    if (e == CLI_OK)
        e = demo_run(d, argv, "agent.log", JOIN_MS, NULL);
    sm_zero(code, sizeof code);
    if (e != CLI_OK && !demo_stopped())
        cli_note(d->c, T(d->c, "機器を登録できません。%s/agent.log を見てください", "the machine cannot join; see %s/agent.log"), d->dir);
    /* The story is that of backups: nothing on the machine stops the mock attack. */
    if (e == CLI_OK && demo_put(data, "policy.conf", "endpoint = no\n", false) < 0)
        e = CLI_FAILED;
    return e == CLI_OK ? start_agent(d) : CLI_FAILED;
}

static int wait_device(struct demo *d)
{
    uint64_t until = demo_until(JOIN_MS);
    do {
        json_t *list = NULL;
        int e = cli_call(d->c, "GET", "/api/v1/devices", NULL, &list);
        const json_t *one = json_array_get(json_object_get(list, "items"), 0);
        (void)snprintf(d->device, sizeof d->device, "%s", cli_str(one, "id")); /* ids are short */
        bool there = !strcmp(cli_str(one, "state"), "ok");
        json_decref(list);
        if (e != CLI_OK || there)
            return e;
    } while (demo_wait(until));
    return CLI_FAILED;
}

static int add_source(struct demo *d)
{
    char clinic[DEMO_PATH];
    json_t *s = NULL;
    demo_path(d, "clinic", clinic);
    int e = cli_call(d->c, "POST", "/api/v1/sources",
        json_pack("{s:s,s:s,s:s,s:s,s:[s],s:{s:s,s:s},s:b}", "device", d->device, "name", "電子カルテと共有フォルダー",
            "group", "emr", "kind", "files", "paths", clinic, "schedule", "every", "day", "at", "03:10", "canaries", 1),
        &s);
    (void)snprintf(d->source, sizeof d->source, "%s", cli_str(s, "id")); /* ids are short */
    json_decref(s);
    return e;
}

static int order_run(struct demo *d)
{
    char path[256];
    json_t *a = NULL;
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", d->source); /* ids are short */
    int e = cli_call(d->c, "POST", path, NULL, &a);
    (void)snprintf(d->run, sizeof d->run, "%s", cli_str(a, "run")); /* ids are short */
    json_decref(a);
    return e;
}

/* A backup from order to end; anything but complete is said. */
static int back_up(struct demo *d)
{
    char path[256];
    uint64_t until = demo_until(RUN_MS);
    int e = order_run(d);
    (void)snprintf(path, sizeof path, "/api/v1/runs/%s", d->run); /* ids are short */
    while (e == CLI_OK && demo_wait(until)) {
        json_t *o = NULL;
        e = cli_call(d->c, "GET", path, NULL, &o);
        const char *state = cli_str(o, "state");
        bool done = !strcmp(state, "complete"), going = !strcmp(state, "waiting") || !strcmp(state, "running");
        if (e == CLI_OK && !done && !going) {
            cli_note(d->c, T(d->c, "バックアップ: %s", "backup: %s"), cli_word(d->c, state));
            e = CLI_FAILED;
        }
        json_decref(o);
        if (done)
            return CLI_OK;
    }
    return e == CLI_OK ? CLI_FAILED : e;
}

static int three_days(struct demo *d)
{
    int e = CLI_OK;
    for (unsigned day = 1; day <= 3 && e == CLI_OK; day++) {
        step(d, "一日の診療とバックアップ", "a day of work, and its backup");
        if (day > 1)
            e = demo_work_a_day(d, day);
        if (e == CLI_OK)
            e = back_up(d);
    }
    return e;
}

/* ---- the attack ---- */

static int copy_tree(struct demo *d, const char *from_name, const char *to_name)
{
    char from[DEMO_PATH], to[DEMO_PATH];
    demo_path(d, from_name, from);
    demo_path(d, to_name, to);
    char *argv[] = { (char *)"/bin/cp", (char *)"-a", (char *)"--", from, to, NULL };
    return demo_run(d, argv, "demo.log", 60000, NULL) == CLI_OK ? CLI_OK : CLI_FAILED;
}

static int encrypt_clinic(struct demo *d)
{
    char program[DEMO_PATH], clinic[DEMO_PATH], marker[DEMO_PATH];
    int e = demo_program(d, "sakimori-sim", program);
    demo_path(d, "clinic", clinic);
    demo_path(d, "clinic/.sakimori-sim-allowed", marker);
    int fd = plat_fs_create(AT_FDCWD, marker, PLAT_FS_TRUNC, 0644);
    int r = fd < 0 ? fd : plat_fs_write_all(fd, SM_SPAN_STR("sakimori-sim\n"));
    if (fd >= 0)
        close(fd);
    char *argv[] = { program, clinic, (char *)"--style", (char *)"full,rename,note", (char *)"--seed",
        (char *)"20261124", NULL };
    return e == CLI_OK && r == 0 ? demo_run(d, argv, "attack.log", 120000, NULL) : CLI_FAILED;
}

static void take_rows(struct demo *d, struct sm_span text)
{
    while (text.n) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        json_t *row = NULL;
        if (sm_json_parse(SM_SPAN(text.p, n), 64 << 10, &row, NULL) == 0)
            json_array_append_new(d->attacks, row);
        n += n < text.n;
        text = SM_SPAN(text.p + n, text.n - n);
    }
}

/*
 * The attacker stops the agent, takes its keys and talks to the box as this machine.  The run is one the box had
 * ordered anyway, so he can even send something; it is cancelled afterwards.
 */
static int steal_keys(struct demo *d)
{
    char program[DEMO_PATH], stolen[DEMO_PATH], work[DEMO_PATH], path[256];
    struct sm_buf out = SM_BUF_INIT(1 << 20);
    int status;
    (void)plat_proc_kill(&d->agent, SIGTERM); /* gone already is as good */
    if (plat_proc_wait(&d->agent, 20000, &status) < 0)
        return CLI_FAILED;
    plat_proc_close(&d->agent);
    d->agent = PLAT_PROC_NONE;
    int e = demo_program(d, "sakimori-sim", program);
    if (e == CLI_OK)
        e = copy_tree(d, "agent", "stolen");
    if (e == CLI_OK)
        e = order_run(d);
    demo_path(d, "stolen", stolen);
    demo_path(d, "attacker", work);
    char *argv[] = { program, (char *)"hostile", (char *)"--agent", stolen, (char *)"--work", work, (char *)"--url",
        (char *)cli_str(d->said, "agent_url"), (char *)"--source", d->source, (char *)"--run", d->run, NULL };
    if (e == CLI_OK && demo_run(d, argv, "attack.log", 120000, &out) == 1)
        e = CLI_FAILED;
    take_rows(d, sm_buf_span(&out));
    sm_buf_wipe(&out);
    (void)snprintf(path, sizeof path, "/api/v1/runs/%s/cancel", d->run); /* ids are short */
    json_t *a = NULL;
    (void)cli_call_quiet(d->c, "POST", path, NULL, &a); /* it may be over */
    json_decref(a);
    return e == CLI_OK ? start_agent(d) : e;
}

static int wait_alarm(struct demo *d)
{
    uint64_t until = demo_until(ALARM_MS);
    do {
        json_t *list = NULL, *a;
        size_t i;
        int e = cli_call(d->c, "GET", "/api/v1/alarms", NULL, &list);
        json_array_foreach(json_object_get(list, "items"), i, a)
            if (!d->alarm && !strcmp(cli_str(a, "state"), "call") && json_is_null(json_object_get(a, "closed")))
                d->alarm = json_incref(a);
        json_decref(list);
        if (e != CLI_OK || d->alarm)
            return e;
    } while (demo_wait(until));
    if (!demo_stopped())
        cli_note(d->c, T(d->c, "警報が出ません", "no alarm came"));
    return CLI_FAILED;
}

static int take_generations(struct demo *d, json_t **ret)
{
    json_t *list = NULL, *g;
    size_t i;
    int e = cli_items(d->c, "/api/v1/generations?limit=100", &list);
    *ret = json_array();
    json_array_foreach(json_object_get(list, "items"), i, g) json_array_append_new(*ret,
        json_pack("{s:O,s:O?,s:O?,s:O?}", "id", json_object_get(g, "id"), "number", json_object_get(g, "number"),
            "last_clean", json_object_get(g, "last_clean"), "suspicion", json_object_get(g, "suspicion")));
    json_decref(list);
    return e;
}

/* Is every generation from before the attack still there, as it was? */
static bool all_kept(const struct demo *d)
{
    size_t i, k, found = 0;
    json_t *a, *b;
    json_array_foreach(d->before, i, a)
        json_array_foreach(d->generations, k, b)
            found += json_equal(a, b);
    return found == json_array_size(d->before);
}

static int attack(struct demo *d)
{
    step(d, "攻撃のまね: すべてのファイルを暗号化し、名前を変え、脅しの手紙を置く", "mock attack: encrypt every file, rename, leave a note");
    int e = copy_tree(d, "clinic", "reference");
    if (e == CLI_OK)
        e = take_generations(d, &d->before);
    if (e == CLI_OK)
        e = encrypt_clinic(d);
    step(d, "何も知らない次のバックアップ", "the next backup, knowing nothing");
    if (e == CLI_OK)
        e = back_up(d);
    step(d, "攻撃のまね: 盗んだ鍵でバックアップを壊そうとする", "mock attack: destroy the backups with stolen keys");
    if (e == CLI_OK)
        e = steal_keys(d);
    step(d, "警報を待つ", "waiting for the alarm");
    return e == CLI_OK ? wait_alarm(d) : e;
}

/* ---- what to do now ---- */

static unsigned refused(const struct demo *d)
{
    size_t i;
    json_t *row;
    unsigned n = 0;
    json_array_foreach(d->attacks, i, row)
        n += json_is_true(json_object_get(row, "refused"));
    return n;
}

static void print_json(const struct demo *d)
{
    char clinic[DEMO_PATH], reference[DEMO_PATH];
    demo_path(d, "clinic", clinic);
    demo_path(d, "reference", reference);
    json_t *j = json_deep_copy(d->said);
    json_object_update(j, d->secrets);
    json_object_set_new(j, "pid", json_integer(getpid()));
    json_object_set_new(j, "password", json_string(d->password));
    json_object_set_new(j, "demo", json_string(d->dir));
    json_object_set_new(j, "clinic", json_string(clinic));
    json_object_set_new(j, "reference", json_string(reference));
    json_object_set_new(j, "source", json_string(d->source));
    json_object_set_new(j, "device", json_string(d->device));
    json_object_set(j, "alarm", d->alarm);
    json_object_set(j, "attacks", d->attacks);
    json_object_set(j, "generations", d->generations);
    json_object_set(j, "before", d->before);
    json_object_set_new(j, "kept", json_boolean(all_kept(d)));
    if (json_dumpf(j, stdout, JSON_COMPACT | JSON_SORT_KEYS) == 0)
        putchar('\n');
    fflush(stdout);
    json_decref(j);
}

static void print_people(const struct demo *d)
{
    char code[8] = "";
    size_t i;
    json_t *one;
    (void)!cli_totp(cli_str(d->secrets, "totp_secret"), code); /* it was good at the set-up */
    printf(
        "\n────────────────────────────────────────\n"
        "見本のクリニックが攻撃されました。取り戻してみてください。\nThe sample clinic was attacked.  Bring it back.\n\n"
        "  画面 / console      %s\n  アカウント / account  %s\n  パスワード / password %s\n  6桁 / code now       %s  (鍵 / secret %s)\n",
        cli_str(d->said, "console_url"), cli_str(d->secrets, "account"), d->password, code,
        cli_str(d->secrets, "totp_secret"));
    printf("  一回限り / one-time  ");
    json_array_foreach(json_object_get(d->secrets, "codes"), i, one)
        printf("%s%s", i && i % 5 == 0 ? "\n                      " : "", json_string_value(one)), putchar(' ');
    printf("\n  戻すカード / restore card %s\n\n", cli_str(d->secrets, "card"));
    printf(
        "1. 画面を開き(証明書の警告は、指紋を確かめて進む)、サインインします。最初の画面に警報があります。\n"
        "   Open the console (check the fingerprint at the browser's warning) and sign in: the alarm is on the first screen.\n"
        "2. 「戻す」で、パスワードと戻すカードで一度だけ解除します。\n"
        "   In Restore, unlock once with the password and the restore card.\n"
        "3. 最後の正常な世代、全部を元の場所へ、確かめて始める、の三つの手順で戻ります。\n"
        "   いまのファイルは消えず、となりの clinic.before-restore-時刻 に移ります。\n"
        "   Three steps: the last clean generation, everything to the original place, check and start.\n"
        "   The present files are not erased: they go to clinic.before-restore-TIME beside the folder.\n\n");
    printf("  証明書の指紋 / CA    %s\n  守っているフォルダー / folder  %s/clinic\n", cli_str(d->said, "ca_fingerprint"), d->dir);
    printf("  盗んだ鍵での攻撃 / attacks with stolen keys  %zu(拒否 / refused %u)\n", json_array_size(d->attacks), refused(d));
    printf("  攻撃の前の世代 / generations from before  %s\n\n",
        all_kept(d) ? "すべてそのまま / all unchanged" : "変わっています / CHANGED");
    printf("終わるには Ctrl-C / Ctrl-C ends it\n");
    fflush(stdout);
}

/* Until a signal, or until the box is gone. */
static int stay(struct demo *d)
{
    int status;
    while (!demo_stopped()) {
        if (plat_proc_wait(&d->box, 0, &status) != -SM_ETIME) {
            cli_note(d->c, T(d->c, "箱が止まりました", "the box stopped"));
            return CLI_FAILED;
        }
        cli_sleep_ms(200);
    }
    return CLI_OK;
}

static int story(struct demo *d)
{
    int e = find_bin(d);
    if (e == CLI_OK)
        e = make_dir(d);
    if (e == CLI_OK)
        e = demo_find_share(d);
    step(d, "見本のクリニックを作る", "making a sample clinic");
    if (e == CLI_OK)
        e = demo_make_clinic(d);
    step(d, "箱を始めて設定する", "starting the box and setting it up");
    if (e == CLI_OK)
        e = start_box(d);
    if (e == CLI_OK)
        e = set_up(d);
    step(d, "機器を登録して守る対象を決める", "joining the machine, choosing what to protect");
    if (e == CLI_OK)
        e = join(d);
    if (e == CLI_OK)
        e = wait_device(d);
    if (e == CLI_OK)
        e = add_source(d);
    if (e == CLI_OK)
        e = three_days(d);
    if (e == CLI_OK)
        e = attack(d);
    return e == CLI_OK ? take_generations(d, &d->generations) : e;
}

int cmd_demo_clinic(struct cli *c)
{
    struct demo *d = calloc(1, sizeof *d);
    if (!d)
        return CLI_FAILED;
    d->c = c;
    d->box = d->agent = PLAT_PROC_NONE;
    d->attacks = json_array();
    demo_catch_signals();
    int e = story(d);
    if (e == CLI_OK && cli_flag(c, "headless"))
        print_json(d);
    else if (e == CLI_OK)
        print_people(d);
    if (e == CLI_OK)
        e = stay(d);
    if (demo_stopped())
        e = CLI_OK; /* being told to end is no failure */
    demo_clear(d);
    free(d);
    return e;
}
