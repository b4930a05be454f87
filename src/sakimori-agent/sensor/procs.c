/* Processes inside the sensor: words of the watcher become the tree and events. */
#include "sakimori-agent/sensor/procs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/procwatch.h"
#include "sakimori-agent/sensor/users.h"
#include "sensor/event.h"
#include "sensor/fold.h"

_Static_assert((int)PROC_PACKAGED == (int)PROCINFO_PACKAGED && (int)PROC_INTERPRETER == (int)PROCINFO_INTERPRETER &&
                   (int)PROC_FRESH == (int)PROCINFO_FRESH && (int)PROC_SHELL == (int)PROCINFO_SHELL &&
                   (int)PROC_KERNEL == (int)PROCINFO_KERNEL && (int)PROC_SERVICE_USER == (int)PROCINFO_SERVICE_USER &&
                   (int)PROC_TERMINAL == (int)PROCINFO_TERMINAL,
    "a look and the tree mean the same by a bit");
_Static_assert((int)PROCTREE_PATH == (int)PROCINFO_PATH && (int)PROCTREE_LINE == (int)PROCINFO_LINE, "and by a name");

enum {
    PROGRAMS = 512, PROGRAM_MS = 60 * 1000, /* programs whose file is known, and for how long that is believed */
    SAME_LINE_MS = 10 * 1000, SAME_PAIR_MS = 10 * 1000, SAME_CONNECTION_MS = 60 * 1000,
    PAIR_TOLD = 32, PAIR_TOLD_PACKAGED = 8, /* of one program under another, with whatever lines, in its window */
    THREADS = 1024, LIST_MAX = 65536, DOUBT_MS = 200, HZ_MS = 10, MS_NS = 1000000
};

struct program {
    uint64_t file[3];
    int64_t until;
    uint32_t bits;
    char exe[PROCTREE_PATH];
};

struct procs {
    struct procs_config c;
    struct procwatch *watch;
    struct proctree *tree;
    struct fold *fold;
    struct users *users;
    struct program *programs;
    struct {
        uint32_t id, pid;
    } threads[THREADS];
    struct sm_buf line;
    char why[240];
    _Atomic uint64_t told_lost, told_folded, told_unread; /* for procs_state, which may be asked from another thread */
    uint64_t lost, unread; /* unread: programs that ended before anything of them could be read */
    uint32_t *list, *before; /* of plain looking: who is there now, and who was */
    size_t before_n;
    int64_t doubted;
    bool listed;
    struct proctree_row row, parent;
    struct procinfo info;
    char joined[PROCTREE_LINE];
};

static int64_t boot_ms(void)
{
    return (int64_t)(plat_clock_boot_ns() / MS_NS);
}

/* The wall time of a moment since boot. */
static struct sm_time wall_of(int64_t at_ms)
{
    struct sm_time t = plat_clock_wall();
    int64_t ms = t.s * 1000 + t.ns / MS_NS - (boot_ms() - at_ms);
    return (struct sm_time){.s = ms / 1000, .ns = (uint32_t)(ms % 1000) * MS_NS};
}

static void to_row(const struct procinfo *p, struct proctree_row *ret)
{
    ret->pid = p->pid;
    ret->parent = p->parent;
    ret->uid = p->uid;
    ret->session = p->session;
    ret->start = p->start;
    ret->bits = p->bits;
    ret->tree = ret->group = 0;
    ret->began_ms = ret->ended_ms = 0;
    memcpy(ret->exe, p->exe, sizeof ret->exe);
    memcpy(ret->line, p->line, sizeof ret->line);
}

static int look(void *ctx, uint32_t id, struct proctree_row *ret)
{
    struct procs *p = ctx;
    int r = procinfo_look(id, &p->info);
    if (!r)
        to_row(&p->info, ret);
    return r ? -ESRCH : 0;
}

/* Whose thread it was last is asked again in the cheapest way there is. */
static int process_of(void *ctx, uint32_t id, uint32_t *ret_pid)
{
    struct procs *p = ctx;
    uint32_t pid;
    char path[64];
    size_t at = id % THREADS;
    snprintf(path, sizeof path, "/proc/%u/task/%u", p->threads[at].pid, id);
    if (p->threads[at].id == id && access(path, F_OK) == 0) {
        *ret_pid = p->threads[at].pid;
        return 0;
    }
    int r = procinfo_process(id, &pid);
    if (r)
        return -ESRCH;
    p->threads[at].id = id;
    p->threads[at].pid = pid;
    *ret_pid = pid;
    return 0;
}

static void on_line(void *ctx, struct sm_span line)
{
    struct procs *p = ctx;
    p->c.event(p->c.ctx, line);
}

/* ---- events ---- */

static void tell_start(struct procs *p, const struct proctree_row *now, int64_t at_ms)
{
    const struct proctree_row *up = NULL;
    char user[USERS_NAME], folder[PROCTREE_PATH], at[32];
    p->row = *now;
    bool has_parent = p->row.parent && !proctree_get(p->tree, p->row.parent, &up);
    if (has_parent)
        p->parent = *up;
    const char *above = has_parent ? p->parent.exe : "";
    /* The system's own programs among themselves, as in a build: nobody's script is in between. */
    bool plain = has_parent && (p->row.bits & p->parent.bits & PROC_PACKAGED) &&
                 !((p->row.bits | p->parent.bits) & PROC_INTERPRETER);
    uint64_t pair = fold_key("pair", p->row.exe, above, ""), same = fold_key("line", p->row.exe, above, p->row.line);
    int64_t ms = boot_ms();
    uint64_t key = same;
    enum fold_say say = fold_ask(p->fold, same, 1, SAME_LINE_MS, ms);
    if (say == FOLD_TELL) {
        say = fold_ask(p->fold, pair, plain ? PAIR_TOLD_PACKAGED : PAIR_TOLD, SAME_PAIR_MS, ms);
        key = pair;
    }
    if (say == FOLD_COUNTED)
        return;
    if (p->c.number)
        p->row.tree = p->c.number(p->c.ctx, &p->row);
    users_name(p->users, p->row.uid, user);
    snprintf(at, sizeof at, "/proc/%u/cwd", p->row.pid);
    ssize_t n = readlink(at, folder, sizeof folder - 1);
    folder[n > 0 ? n : 0] = 0;
    sm_buf_clear(&p->line);
    if (!sensor_event_process(&p->line, wall_of(at_ms), &p->row, has_parent ? &p->parent : NULL, user, folder))
        fold_put(p->fold, key, say, sm_buf_span(&p->line), ms);
}

static bool is_loopback(const struct procwatch_word *w)
{
    static const uint8_t one[16] = {[15] = 1}, mapped[13] = {[10] = 0xFF, [11] = 0xFF, [12] = 127};
    return w->v6 ? memcmp(w->to, one, 16) == 0 || memcmp(w->to, mapped, 13) == 0 : w->to[0] == 127;
}

/* An address as text; one of IPv4 also where it comes inside IPv6. */
static void address(const uint8_t *a, bool v6, char *ret)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    bool four = !v6 || memcmp(a, mapped, sizeof mapped) == 0;
    if (!inet_ntop(four ? AF_INET : AF_INET6, v6 && four ? a + 12 : a, ret, INET6_ADDRSTRLEN))
        ret[0] = 0;
}

static void tell_connection(struct procs *p, const struct procwatch_word *w)
{
    char ours[INET6_ADDRSTRLEN], other[INET6_ADDRSTRLEN], user[USERS_NAME] = "", where[80];
    const struct proctree_row *row = NULL;
    const bool out = w->kind == PROCWATCH_CONNECT;
    if (w->pid && !proctree_get(p->tree, w->pid, &row))
        users_name(p->users, row->uid, user);
    if (row && p->c.number) {
        p->row = *row;
        p->row.tree = p->c.number(p->c.ctx, &p->row);
        row = &p->row;
    }
    address(w->from, w->v6, ours);
    address(w->to, w->v6, other);
    /* Of loopback who speaks with which port is told once, whatever the other details. */
    snprintf(where, sizeof where, "%s %u", is_loopback(w) ? "loopback" : other, out ? w->to_port : w->from_port);
    uint64_t key = fold_key(out ? "out" : "in", row ? row->exe : "", where, "");
    int64_t ms = boot_ms();
    enum fold_say say = fold_ask(p->fold, key, 1, SAME_CONNECTION_MS, ms);
    if (say == FOLD_COUNTED)
        return;
    const struct sensor_connection c = {
        .initiated = out, .ours = ours, .other = other, .our_port = w->from_port, .other_port = w->to_port};
    sm_buf_clear(&p->line);
    if (!sensor_event_connection(&p->line, wall_of(w->at_ms), row, user, &c))
        fold_put(p->fold, key, say, sm_buf_span(&p->line), ms);
}

/* ---- words ---- */

static void say_word(struct procs *p, enum procs_what what, uint32_t pid)
{
    const struct proctree_row *row;
    if (p->c.word && !proctree_get(p->tree, pid, &row))
        p->c.word(p->c.ctx, what, row);
}

static struct program *program_at(struct procs *p, const uint64_t file[3])
{
    uint64_t h = (file[0] * 1099511628211u ^ file[1]) * 1099511628211u ^ file[2];
    return &p->programs[(h ^ h >> 29) % PROGRAMS];
}

static bool is_that_file(const struct procwatch_word *w, uint64_t ino, int64_t changed_ns)
{
    return ino == w->file[1] && changed_ns == (int64_t)w->file[2];
}

/* It ended before it could be looked at: the name it was started by, if that leads to the very file. */
static bool program_by_name(struct procs *p, const struct procwatch_word *w)
{
    char name[PROCWATCH_ARGS], real[PATH_MAX];
    struct stat st;
    snprintf(name, sizeof name, "%.*s", (int)w->name.n, (const char *)w->name.p);
    bool found = name[0] == '/' && realpath(name, real) && !stat(real, &st) && strlen(real) < sizeof p->row.exe &&
        is_that_file(w, st.st_ino, st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec);
    snprintf(p->row.exe, sizeof p->row.exe, "%s", found ? real : name);
    p->row.bits = found ? procinfo_program(p->row.exe) : procinfo_program_name(p->row.exe);
    p->unread += !found;
    return found;
}

/* The program's name and bits, into p->row: from what is known of its file, or by looking. */
static void find_program(struct procs *p, const struct procwatch_word *w)
{
    struct program *known = program_at(p, w->file);
    int64_t now = boot_ms();
    if (known->until > now && memcmp(known->file, w->file, sizeof known->file) == 0) {
        memcpy(p->row.exe, known->exe, sizeof p->row.exe);
        p->row.bits = known->bits;
        return;
    }
    const uint32_t of_file = PROC_PACKAGED | PROC_INTERPRETER | PROC_FRESH | PROC_SHELL;
    bool looked = !procinfo_look(w->pid, &p->info) && p->info.start == w->start && p->info.exe[0];
    bool sure = looked && is_that_file(w, p->info.ino, p->info.changed_ns);
    /* Where the kernel counts files in another way than it shows them, the same line is the same program. */
    if (sure || (looked && strcmp(p->info.line, p->row.line) == 0)) {
        memcpy(p->row.exe, p->info.exe, sizeof p->row.exe);
        p->row.bits = p->info.bits & of_file;
    } else {
        sure = program_by_name(p, w);
    }
    if (sure) {
        memcpy(known->file, w->file, sizeof known->file);
        memcpy(known->exe, p->row.exe, sizeof known->exe);
        known->bits = p->row.bits;
        known->until = now + PROGRAM_MS;
    }
}

/* What the watcher saw itself of a program's start, as a row. */
static void row_of(struct procs *p, const struct procwatch_word *w)
{
    const struct proctree_row *was;
    int r = proctree_get(p->tree, w->pid, &was);
    uint32_t parent = r ? 0 : was->parent;
    p->row =
        (struct proctree_row){.pid = w->pid, .parent = parent, .uid = w->uid, .session = w->session, .start = w->start};
    procinfo_join(w->args, p->row.line, sizeof p->row.line);
    find_program(p, w);
    if (w->uid > 0 && w->uid < 1000)
        p->row.bits |= PROC_SERVICE_USER;
    if (w->terminal && (w->session == w->pid || ((p->row.bits & PROC_SHELL) && procinfo_reads_terminal(w->pid))))
        p->row.bits |= PROC_TERMINAL;
}

/* Told by its number alone: it is looked at, if it is there yet and nobody else has the number. */
static bool look_at(struct procs *p, const struct procwatch_word *w)
{
    const struct proctree_row *was;
    uint64_t start = proctree_get(p->tree, w->pid, &was) ? 0 : was->start;
    return !look(p, w->pid, &p->row) && p->row.pid == w->pid && (!start || start == p->row.start) && p->row.exe[0];
}

static void on_exec(struct procs *p, const struct procwatch_word *w)
{
    const struct proctree_row *row;
    bool known = w->seen;
    if (w->seen)
        row_of(p, w);
    else
        known = look_at(p, w);
    p->unread += !known;
    if (known && !proctree_exec_seen(p->tree, &p->row, w->at_ms) && !proctree_get(p->tree, w->pid, &row) && row->exe[0])
        tell_start(p, row, w->at_ms);
    say_word(p, PROCS_PROGRAM, w->pid);
}

static void on_word(void *ctx, const struct procwatch_word *w)
{
    struct procs *p = ctx;
    if (w->kind == PROCWATCH_FORK) {
        if (!proctree_fork(p->tree, w->parent, w->pid, w->at_ms))
            say_word(p, PROCS_BORN, w->pid);
    } else if (w->kind == PROCWATCH_EXEC) {
        on_exec(p, w);
    } else if (w->kind == PROCWATCH_EXIT) {
        say_word(p, PROCS_ENDED, w->pid);
        proctree_exit(p->tree, w->pid, w->at_ms);
    } else {
        tell_connection(p, w);
    }
}

/* ---- plain looking ---- */

static void look_around(struct procs *p)
{
    const struct proctree_row *row;
    ssize_t n = procinfo_list(p->list, LIST_MAX);
    int64_t now = boot_ms();
    size_t i = 0, k = 0;
    while (n > 0 && (i < (size_t)n || k < p->before_n)) {
        if (k == p->before_n || (i < (size_t)n && p->list[i] < p->before[k])) {
            if (!proctree_get(p->tree, p->list[i], &row) && p->listed && !(row->bits & PROC_KERNEL))
                tell_start(p, row, now);
            if (p->listed)
                say_word(p, PROCS_BORN, p->list[i]);
            i++;
        } else if (i == (size_t)n || p->list[i] > p->before[k]) {
            say_word(p, PROCS_ENDED, p->before[k]);
            proctree_exit(p->tree, p->before[k++], now);
        } else {
            i++;
            k++;
        }
    }
    uint32_t *swap = p->before;
    p->before = p->list;
    p->list = swap;
    p->before_n = n > 0 ? (size_t)n : 0;
    p->listed = true;
}

/* ---- life ---- */

static int make(struct procs *p)
{
    int r = proctree_new(look, p, &p->tree);
    if (!r)
        r = fold_new(on_line, p, &p->fold);
    if (!r)
        r = users_new(&p->users);
    p->programs = calloc(PROGRAMS, sizeof *p->programs);
    p->list = calloc(LIST_MAX, sizeof *p->list);
    p->before = calloc(LIST_MAX, sizeof *p->before);
    if (!r && (!p->programs || !p->list || !p->before))
        r = -ENOMEM;
    enum procwatch_how best = !p->c.no_bpf ? PROCWATCH_BPF : p->c.no_connector ? PROCWATCH_NONE : PROCWATCH_CONNECTOR;
    return r ? r : procwatch_open(best, &p->watch, p->why);
}

int procs_new(const struct procs_config *config, struct procs **ret)
{
    struct procs *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->c = *config;
    p->line = SM_BUF_INIT(2 * EVENT_MAX);
    int r = make(p);
    if (r) {
        procs_free(p);
        return r;
    }
    if (p->why[0])
        sm_warn("processes: %s", p->why);
    proctree_on_gone(p->tree, p->c.tree_gone, p->c.ctx);
    proctree_threads(p->tree, process_of, p);
    /* Never a number of an earlier life of ours: 65536 trees a second are more than there can be. */
    proctree_number_from(p->tree, (uint64_t)plat_clock_wall().s << 16);
    look_around(p);
    *ret = p;
    return 0;
}

void procs_free(struct procs *p)
{
    if (!p)
        return;
    procwatch_close(p->watch);
    proctree_free(p->tree);
    fold_free(p->fold);
    users_free(p->users);
    free(p->programs);
    free(p->list);
    free(p->before);
    sm_buf_wipe(&p->line);
    free(p);
}

int procs_fd(const struct procs *p)
{
    return procwatch_fd(p->watch);
}

static void count(struct procs *p)
{
    atomic_store(&p->told_lost, p->lost + fold_dropped(p->fold));
    atomic_store(&p->told_folded, fold_folded(p->fold));
    atomic_store(&p->told_unread, p->unread);
}

void procs_drain(struct procs *p)
{
    if (procwatch_how(p->watch) == PROCWATCH_NONE) {
        if (boot_ms() < p->doubted + DOUBT_MS)
            return;
        p->doubted = boot_ms();
        proctree_doubt(p->tree);
        return;
    }
    (void)procwatch_drain(p->watch, 0, on_word, p); /* how many does not matter here */
    uint64_t lost = procwatch_lost(p->watch);
    if (lost != p->lost) {
        fold_lost(p->fold, lost - p->lost);
        p->lost = lost;
        proctree_doubt(p->tree);
    }
}

void procs_tick(struct procs *p)
{
    procs_drain(p);
    if (procwatch_how(p->watch) == PROCWATCH_NONE)
        look_around(p);
    fold_tick(p->fold, boot_ms(), plat_clock_wall());
    count(p);
}

struct proctree *procs_tree(struct procs *p)
{
    return p->tree;
}

static int add_why(json_t *state, const char *why)
{
    json_t *list = json_object_get(state, "why");
    if (!why[0])
        return 0;
    if (!json_is_array(list)) {
        list = json_array();
        if (!list || json_object_set_new(state, "why", list))
            return -ENOMEM;
    }
    return json_array_append_new(list, json_string(why)) ? -ENOMEM : 0;
}

int procs_state(const struct procs *p, json_t *state)
{
    static const char *const hows[] = {
        [PROCWATCH_NONE] = "none", [PROCWATCH_CONNECTOR] = "connector", [PROCWATCH_BPF] = "bpf"};
    if (json_object_set_new(state, "processes", json_string(hows[procwatch_how(p->watch)])) ||
        json_object_set_new(state, "processes_lost", json_integer((json_int_t)atomic_load(&p->told_lost))) ||
        json_object_set_new(state, "processes_folded", json_integer((json_int_t)atomic_load(&p->told_folded))) ||
        json_object_set_new(state, "processes_unread", json_integer((json_int_t)atomic_load(&p->told_unread))))
        return -ENOMEM;
    return add_why(state, p->why);
}
