/* Who plays in a demo: a box that is set up, a machine that joined it, its backups, and a thief. */
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

int demo_make_dir(struct demo *d)
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

int demo_find_bin(struct demo *d)
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

int demo_start_box(struct demo *d)
{
    char program[DEMO_PATH], data[DEMO_PATH];
    const char *port = cli_opt(d->c, "port"), *listen = d->listen ? d->listen : cli_opt(d->c, "listen");
    int pair[2], e = demo_program(d, "sakimorid", program);
    demo_path(d, "box", data);
    if (e != CLI_OK || pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return CLI_FAILED;
    /* From a tree that is not installed, ./run says where the console's files are. */
    const char *web = getenv("SAKIMORI_WEB");
    char *argv[16] = { program, (char *)"--headless", (char *)"--data", data, (char *)"--port",
        (char *)(port ? port : "8443"), (char *)"--listen", (char *)(listen ? listen : "127.0.0.1") };
    size_t n = 8;
    const char *const more[][2] = { { "--web", web }, { "--rules", d->rules }, { "--config", d->config } };
    for (size_t i = 0; i < 3; i++)
        if (more[i][1] && *more[i][1])
            argv[n++] = (char *)more[i][0], argv[n++] = (char *)more[i][1];
    d->inside = d->box_space;
    e = demo_start(d, argv, pair[1], "box.log", &d->box);
    d->inside = NULL;
    close(pair[1]);
    if (e == CLI_OK)
        e = read_line(d, pair[0], &d->said);
    close(pair[0]); /* it says nothing more there */
    return e == CLI_OK ? cli_net_data(d->c, data) : e;
}

int demo_set_up(struct demo *d)
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

int demo_start_agent(struct demo *d)
{
    char program[DEMO_PATH], data[DEMO_PATH], box[DEMO_PATH];
    int e = demo_program(d, "sakimori-agent", program);
    demo_path(d, "agent", data);
    demo_path(d, "box", box); /* what a box keeps is no business of an agent beside it */
    char *argv[] = { program, (char *)"run", (char *)"--data", data, (char *)"--skip", box, NULL };
    d->inside = d->agent_space;
    if (e == CLI_OK)
        e = demo_start(d, argv, -1, "agent.log", &d->agent);
    d->inside = NULL;
    return e;
}

int demo_join(struct demo *d)
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
        (char *)"--name", (char *)(d->machine ? d->machine : "uketsuke"), NULL };
    d->inside = d->agent_space;
    if (e == CLI_OK)
        e = demo_run(d, argv, "agent.log", JOIN_MS, NULL);
    d->inside = NULL;
    sm_zero(code, sizeof code);
    if (e != CLI_OK && !demo_stopped())
        cli_note(d->c, T(d->c, "機器を登録できません。%s/agent.log を見てください", "the machine cannot join; see %s/agent.log"), d->dir);
    if (e == CLI_OK && demo_put(data, "policy.conf", d->policy, false) < 0)
        e = CLI_FAILED;
    return e == CLI_OK ? demo_start_agent(d) : CLI_FAILED;
}

int demo_wait_device(struct demo *d)
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

int demo_add_source(struct demo *d)
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

int demo_order_run(struct demo *d)
{
    char path[256];
    json_t *a = NULL;
    (void)snprintf(path, sizeof path, "/api/v1/sources/%s/run", d->source); /* ids are short */
    /* One that the box began by itself, because a day went by, is waited for. */
    uint64_t until = demo_until(RUN_MS);
    int e = cli_call_quiet(d->c, "POST", path, NULL, &a);
    while (e != CLI_OK && !strcmp(cli_str(a, "error.code"), "conflict") && demo_wait(until)) {
        json_decref(a);
        a = NULL;
        e = cli_call_quiet(d->c, "POST", path, NULL, &a);
    }
    if (e != CLI_OK && !demo_stopped())
        cli_complain(d->c, a);
    (void)snprintf(d->run, sizeof d->run, "%s", cli_str(a, "run")); /* ids are short */
    json_decref(a);
    return e;
}

/* A backup from order to end; anything but complete is said. */
int demo_back_up(struct demo *d)
{
    char path[256];
    uint64_t until = demo_until(RUN_MS);
    int e = demo_order_run(d);
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

int demo_copy_tree(struct demo *d, const char *from_name, const char *to_name)
{
    char from[DEMO_PATH], to[DEMO_PATH];
    demo_path(d, from_name, from);
    demo_path(d, to_name, to);
    char *argv[] = { (char *)"/bin/cp", (char *)"-a", (char *)"--", from, to, NULL };
    return demo_run(d, argv, "demo.log", 60000, NULL) == CLI_OK ? CLI_OK : CLI_FAILED;
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
int demo_steal_keys(struct demo *d)
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
        e = demo_copy_tree(d, "agent", "stolen");
    if (e == CLI_OK)
        e = demo_order_run(d);
    demo_path(d, "stolen", stolen);
    demo_path(d, "attacker", work);
    char *argv[] = { program, (char *)"hostile", (char *)"--agent", stolen, (char *)"--work", work, (char *)"--url",
        (char *)cli_str(d->said, "agent_url"), (char *)"--source", d->source, (char *)"--run", d->run, NULL };
    d->inside = d->agent_space;
    if (e == CLI_OK && demo_run(d, argv, "attack.log", 120000, &out) == 1)
        e = CLI_FAILED;
    d->inside = NULL;
    take_rows(d, sm_buf_span(&out));
    sm_buf_wipe(&out);
    (void)snprintf(path, sizeof path, "/api/v1/runs/%s/cancel", d->run); /* ids are short */
    json_t *a = NULL;
    (void)cli_call_quiet(d->c, "POST", path, NULL, &a); /* it may be over */
    json_decref(a);
    return e == CLI_OK ? demo_start_agent(d) : e;
}

int demo_take_generations(struct demo *d, json_t **ret)
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

int demo_encrypt(struct demo *d, const char *style, struct plat_proc *ret)
{
    char program[DEMO_PATH], clinic[DEMO_PATH];
    int e = demo_program(d, "sakimori-sim", program);
    demo_path(d, "clinic", clinic);
    if (demo_put(clinic, ".sakimori-sim-allowed", "sakimori-sim\n", false) < 0)
        e = CLI_FAILED;
    char *argv[] = { program, clinic, (char *)"--style", (char *)style, (char *)"--seed", (char *)"20261124", NULL };
    d->inside = d->agent_space;
    if (e == CLI_OK)
        e = demo_start(d, argv, -1, "attack.log", ret);
    d->inside = NULL;
    return e;
}

unsigned demo_refused(const struct demo *d)
{
    size_t i;
    json_t *row;
    unsigned n = 0;
    json_array_foreach(d->attacks, i, row)
        n += json_is_true(json_object_get(row, "refused"));
    return n;
}
