#include "sakimori-agent/guard/guard.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "crypto/init.h"
#include "plat/clock.h"
#include "plat/life.h"
#include "plat/proc.h"
#include "sakimori-agent/guard/pins.h"

#define LATE_MS 500u
#define SOON_MS 300u /* several changes of one installation are one look */
#define GONE_MS 3000

struct guard {
    const char *data;
    struct part_life life;
    struct plat_proc other; /* the supervisor */
    struct pins pins;
    struct sm_watch *watch;
    struct sm_timer *second, *files;
    uint64_t beat_ms, look_ms;
    bool stopped, frozen, traced, silent; /* traced, silent: then it is ended for that */
};

void guard_group(const char *data, char *ret)
{
    struct stat st = {0};
    (void)!stat(data, &st); /* not there: all such share one */
    snprintf(ret, 40, "agent-%llx-%llx", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
}

static void note(void *arg, const char *action, const char *detail)
{
    struct guard *g = arg;
    struct sm_buf b = SM_BUF_INIT(1024);
    bool supervisor = strncmp(action, "part_", 5) == 0 || strcmp(action, "agent_frozen") == 0;
    json_t *o = json_pack("{s:s,s:s}", "action", action, "detail", detail);
    if (o && supervisor)
        (void)!json_object_set_new(o, "part", json_string("supervisor")); /* without memory it is left out */
    if (o && !sm_json_dump(o, &b) && sm_ipc_send(g->life.up, G_NOTE, sm_buf_span(&b), -1))
        sm_warn("%s: %s", action, detail);
    json_decref(o);
    sm_buf_wipe(&b);
}

/* ---- the supervisor ---- */

static void look_silent(struct guard *g, uint64_t now)
{
    uint64_t age = now - g->beat_ms;
    char text[64];
    if (age > GUARD_GO_ON_MS)
        (void)!plat_proc_kill(&g->other, SIGCONT); /* gone: its channel says so */
    if (age <= GUARD_END_MS)
        return;
    snprintf(text, sizeof text, "no word for %llu ms: ended", (unsigned long long)age);
    sm_warn("the supervisor stands: %s", text);
    g->silent = true;
    (void)!plat_proc_kill(&g->other, SIGKILL);
}

static void on_second(void *arg)
{
    struct guard *g = arg;
    struct plat_life life;
    uint64_t now = plat_clock_mono_ms();
    if (g->look_ms && now - g->look_ms > GUARD_LOOK_MS + LATE_MS)
        g->beat_ms = now; /* we were late ourselves */
    g->look_ms = now;
    if (plat_life_look(g->other.pid, &life))
        return;
    if (life.state == 'T') {
        if (!g->stopped)
            note(g, "part_stopped", "stopped by a signal, and continued");
        (void)!plat_proc_kill(&g->other, SIGCONT);
    }
    g->stopped = life.state == 'T';
    g->traced |= life.tracer != 0;
    if (g->traced)
        (void)!plat_proc_kill(&g->other, SIGKILL); /* its channel ends with it */
    bool frozen = now - g->beat_ms > 2 * GUARD_LOOK_MS && plat_life_frozen(g->other.pid);
    if (frozen && !g->frozen)
        note(g, "agent_frozen", plat_life_thaw(g->other.pid) > 0 ? "its control group was frozen, and thawed" : "its control group is frozen");
    else if (frozen)
        (void)!plat_life_thaw(g->other.pid);
    g->frozen = frozen;
    if (!frozen)
        look_silent(g, now);
}

/* ---- files ---- */

static void on_files(void *arg)
{
    struct guard *g = arg;
    pins_look(&g->pins, plat_clock_mono_ms(), note, g);
    sm_timer_set(g->files, g->pins.package_ms ? GUARD_FILES_MS / 12 : GUARD_FILES_MS, 0);
}

static void on_notify(void *arg, int fd, unsigned events)
{
    struct guard *g = arg;
    (void)fd;
    (void)events;
    pins_drain(&g->pins);
    sm_timer_set(g->files, SOON_MS, 0);
}

/* ---- starting it again ---- */

static bool joined_still(const struct guard *g)
{
    char path[AGENT_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/agent.json", g->data);
    return access(path, F_OK) == 0;
}

/* Once; true: it stayed. */
static bool revive_once(const struct guard *g, const char *skip, const char *local)
{
    char *argv[16];
    size_t n = 0;
    struct plat_proc p;
    int status = 0;
    const char *const fixed[] = {"sakimori-agent", "run", "--data", g->data, "--revived", g->traced ? "part_debugged" : g->silent ? "part_stopped" : "part_killed"};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        argv[n++] = (char *)(uintptr_t)fixed[i];
    const char *const pairs[] = {local ? "--local" : NULL, local, skip ? "--skip" : NULL, skip};
    for (size_t i = 0; i < 4; i++)
        if (pairs[i])
            argv[n++] = (char *)(uintptr_t)pairs[i];
    argv[n] = NULL;
    const struct plat_spawn s = {.argv = argv, .env = environ, .group = true};
    if (plat_proc_spawn(&s, &p))
        return false;
    int r = plat_proc_wait(&p, GUARD_STAYS_MS, &status);
    plat_proc_close(&p);
    return r == -SM_ETIME;
}

static void revive(const struct guard *g, const char *skip, const char *local)
{
    unsigned wait_ms = 1000;
    for (int i = 0; i < 100 && plat_proc_alive(&g->other); i++) {
        if (i == 10)
            (void)!plat_proc_kill(&g->other, SIGKILL); /* it let go of us and stays: it is not itself */
        plat_clock_sleep_ms(GONE_MS / 100);
    }
    plat_life_apart_back();
    sm_warn("the supervisor was ended by somebody; it is started again");
    for (int i = 0; i < GUARD_TRIES_MAX && joined_still(g); i++) {
        if (revive_once(g, skip, local))
            return;
        plat_clock_sleep_ms(wait_ms);
        wait_ms = wait_ms < 8000 ? 2 * wait_ms : wait_ms;
    }
    sm_error("the supervisor does not stay");
}

/* ---- life ---- */

static void on_attach(void *arg, const char *peer, bool fresh, int *fd)
{
    (void)arg;
    (void)peer;
    (void)fresh;
    (void)fd; /* it has a channel to the supervisor alone */
}

static void on_message(void *arg, struct sm_ipc_msg *m)
{
    struct guard *g = arg;
    if (m->type == G_BEAT)
        g->beat_ms = plat_clock_mono_ms();
}

static int guard_start(struct guard *g)
{
    static const struct sm_ipc_rule also[] = {{G_BEAT, 0, false, "G_BEAT"}};
    char group[40], program[PATH_MAX];
    struct plat_confined c = {.missing = "it starts the supervisor again, and keeps the rights that takes"};
    int r = crypto_init();
    (void)umask(077);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* cannot fail with these */
    (void)signal(SIGHUP, SIG_IGN);
    if (!r)
        r = plat_proc_open(getppid(), &g->other);
    if (!r)
        r = plat_proc_exe(getpid(), program, sizeof program);
    if (r)
        return r;
    guard_group(g->data, group);
    if (plat_life_apart(group))
        plat_confined_missing(&c, "no control group of its own");
    r = pins_add_agent(&g->pins, "", program, g->data);
    if (r)
        return r;
    pins_watch(&g->pins);
    g->pins.whole_ms = g->beat_ms = plat_clock_mono_ms();
    r = sm_loop_new(&g->life.loop);
    if (!r)
        r = sm_loop_timer(g->life.loop, GUARD_LOOK_MS, GUARD_LOOK_MS, on_second, g, &g->second);
    if (!r)
        r = sm_loop_timer(g->life.loop, GUARD_FILES_MS, 0, on_files, g, &g->files);
    if (!r && g->pins.notify >= 0)
        r = sm_loop_fd(g->life.loop, g->pins.notify, SM_READ, on_notify, g, &g->watch);
    g->life.attach = on_attach;
    g->life.message = on_message;
    g->life.also = also;
    g->life.also_n = 1;
    g->life.arg = g;
    return r ? r : part_begin(&g->life, &c);
}

int guard_main(const char *data, const char *skip, const char *local_socket, bool kept)
{
    struct guard g = {.data = data, .other = PLAT_PROC_NONE};
    pins_init(&g.pins);
    int r = guard_start(&g);
    if (r)
        sm_error("%s", sm_strerror(r));
    else
        r = sm_loop_run(g.life.loop);
    if (!r && !g.life.told && !kept)
        revive(&g, skip, local_socket);
    plat_proc_close(&g.other);
    pins_wipe(&g.pins);
    return r ? 1 : 0;
}
