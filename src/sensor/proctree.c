#include "sensor/proctree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 8192, DEPTH_MAX = 64, EXITS = 256, TELL_MAX = 200, TICK_MS = 10, SAME_MS = 50 };

/* A name or line, shared by a process and what it forked. */
struct text {
    uint32_t refs, n;
    char s[];
};

struct family {
    uint64_t id;
    uint32_t living;
    struct node *first, *last;
    struct family *next;
};

struct node {
    uint32_t pid, parent, uid, session, bits;
    uint32_t trust; /* proctree.doubts when it was last believed */
    bool of_gate;   /* its parent was a gate when it was born */
    bool seen;      /* its birth was told, not only found */
    uint64_t start, group;
    int64_t began, ended;
    struct text *exe, *line;
    struct family *family;
    struct node *same_pid;            /* bucket */
    struct node *before, *after;      /* in its family, by age */
    struct node *ended_before, *ended_after;
};

struct proctree {
    proctree_look_fn *look;
    void *look_ctx;
    void (*gone)(void *ctx, uint64_t tree);
    void *gone_ctx;
    int (*process_of)(void *ctx, uint32_t id, uint32_t *ret_pid);
    void *process_ctx;
    struct node *by_pid[BUCKETS];
    struct family *by_tree[BUCKETS];
    struct node *ended_first, *ended_last;
    size_t nodes, text;
    uint64_t next_tree, unkept;
    uint32_t doubts;
    int64_t now;
    struct {
        uint32_t pid;
        int64_t at;
    } exits[EXITS]; /* ends of processes whose birth was not told yet */
    size_t exits_next;
    struct proctree_row out, looked;
};

/* Programs below which something new begins, when they are the system's own and a gate started them. */
static const char *const keepers[] = {"systemd", "init", "sshd", "sshd-session", "sshd-auth", "login", "agetty", "cron",
    "crond", "anacron", "atd", "containerd-shim", "containerd-shim-runc-v2", "conmon", "dockerd", "containerd",
    "runsvdir", "runsv", "s6-supervise", "s6-svscan", "supervisord", "xrdp", "xrdp-sesman", "gdm3",
    "gdm-session-worker", "gdm-x-session", "gdm-wayland-session", "lightdm", "sddm", "sddm-helper", "Xorg",
    "gnome-shell", "gnome-session-binary", "gnome-session", "gnome-terminal-server", "xfce4-session", "xfce4-panel",
    "xfdesktop", "plasmashell", "kded5", "kwin_x11", "kwin_wayland", "mate-session", "mate-panel", "cinnamon",
    "cinnamon-session", "lxsession", "lxpanel", "dbus-daemon", "dbus-broker", "konsole", "xfce4-terminal",
    "mate-terminal", "lxterminal", "qterminal", "xterm", "tmux: server", "tmux", "screen", NULL};
/* The same, within one session: what they start is the same person at work. */
static const char *const carriers[] = {"su", "sudo", "doas", "runuser", "newgrp", "sg", NULL};

static bool is_one_of(const char *const *list, const char *exe)
{
    const char *slash = strrchr(exe, '/'), *name = slash ? slash + 1 : exe;
    for (size_t i = 0; list[i]; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

/* Does a shell with this line ask a person for its commands: no script, no -c? */
static bool is_bare(const char *line)
{
    const char *p = strchr(line, ' ');
    while (p) {
        while (*p == ' ')
            p++;
        if (!*p)
            return true;
        if (*p != '-' && *p != '+')
            return false;
        const char *end = strchr(p, ' ');
        size_t n = end ? (size_t)(end - p) : strlen(p);
        if (p[1] != '-' && memchr(p, 'c', n))
            return false;
        p = end;
    }
    return true;
}

static const char *str(const struct text *x)
{
    return x ? x->s : "";
}

static void judge_gate(struct node *n)
{
    bool named = is_one_of(keepers, str(n->exe)) || is_one_of(carriers, str(n->exe));
    bool asks = (n->bits & PROC_SHELL) && (n->bits & PROC_TERMINAL) && is_bare(str(n->line));
    bool gate = n->pid == 1 || (n->bits & PROC_KERNEL) || (n->of_gate && (n->bits & PROC_PACKAGED) && (named || asks));
    n->bits = gate ? n->bits | PROC_GATE : n->bits & ~(uint32_t)PROC_GATE;
}

/* ---- texts ---- */

static struct text *text_new(struct proctree *t, const char *s, size_t max)
{
    size_t n = strnlen(s, max - 1);
    struct text *x = n ? malloc(sizeof *x + n + 1) : NULL;
    if (!x)
        return NULL; /* without a name rather than not at all */
    x->refs = 1;
    x->n = (uint32_t)n;
    memcpy(x->s, s, n);
    x->s[n] = 0;
    t->text += sizeof *x + n + 1;
    return x;
}

static struct text *text_share(struct text *x)
{
    if (x)
        x->refs++;
    return x;
}

static void text_drop(struct proctree *t, struct text *x)
{
    if (!x || --x->refs)
        return;
    t->text -= sizeof *x + x->n + 1;
    free(x);
}

/* ---- tables ---- */

static struct node *find(const struct proctree *t, uint32_t pid)
{
    struct node *n = t->by_pid[pid % BUCKETS];
    while (n && n->pid != pid)
        n = n->same_pid;
    return n; /* the latest with this number: new ones are put in front */
}

static bool is_living(const struct node *n)
{
    return n && !(n->bits & PROC_ENDED);
}

static struct family *family_find(const struct proctree *t, uint64_t id)
{
    struct family *f = t->by_tree[id % BUCKETS];
    while (f && f->id != id)
        f = f->next;
    return f;
}

static struct family *family_new(struct proctree *t)
{
    struct family *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->id = t->next_tree++;
    f->next = t->by_tree[f->id % BUCKETS];
    t->by_tree[f->id % BUCKETS] = f;
    return f;
}

static void family_free(struct proctree *t, struct family *f)
{
    struct family **at = &t->by_tree[f->id % BUCKETS];
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    free(f);
}

static void ended_unlink(struct proctree *t, struct node *n)
{
    *(n->ended_before ? &n->ended_before->ended_after : &t->ended_first) = n->ended_after;
    *(n->ended_after ? &n->ended_after->ended_before : &t->ended_last) = n->ended_before;
    n->ended_before = n->ended_after = NULL;
}

/* An ended node is forgotten, its family with the last. */
static void forget(struct proctree *t, struct node *n)
{
    struct family *f = n->family;
    struct node **at = &t->by_pid[n->pid % BUCKETS];
    while (*at != n)
        at = &(*at)->same_pid;
    *at = n->same_pid;
    ended_unlink(t, n);
    *(n->before ? &n->before->after : &f->first) = n->after;
    *(n->after ? &n->after->before : &f->last) = n->before;
    if (!f->first)
        family_free(t, f);
    text_drop(t, n->exe);
    text_drop(t, n->line);
    t->nodes--;
    free(n);
}

static void sweep(struct proctree *t, int64_t at)
{
    if (at > t->now)
        t->now = at;
    while (t->ended_first && t->ended_first->ended + PROCTREE_AFTER_MS < t->now)
        forget(t, t->ended_first);
}

/* Is there room for one more living process? */
static bool make_room(struct proctree *t)
{
    while (t->ended_first && (t->nodes >= PROCTREE_MAX || t->text >= PROCTREE_TEXT))
        forget(t, t->ended_first);
    if (t->nodes < PROCTREE_MAX && t->text < PROCTREE_TEXT)
        return true;
    t->unkept++;
    return false;
}

/* What a child takes from its parent; the parent itself may be forgotten to make room for the child. */
struct birth {
    bool of_gate, same_session;
    uint64_t tree, group; /* tree 0: one of its own */
};

static struct birth birth_below(const struct node *p)
{
    if (!p)
        return (struct birth){.of_gate = true};
    bool gate = p->bits & PROC_GATE;
    return (struct birth){.of_gate = gate,
        .same_session = !gate || (p->bits & PROC_SHELL) || is_one_of(carriers, str(p->exe)),
        .tree = gate ? 0 : p->family->id,
        .group = p->group};
}

/* A living node below parent (NULL: nothing is above it).  -SM_ELIMIT, -ENOMEM. */
static int add(struct proctree *t, uint32_t pid, const struct node *parent, uint32_t parent_pid, struct node **ret)
{
    const struct birth birth = birth_below(parent);
    if (!make_room(t))
        return -SM_ELIMIT;
    struct node *n = calloc(1, sizeof *n);
    struct family *f = n && birth.tree ? family_find(t, birth.tree) : NULL;
    if (n && !f)
        f = family_new(t);
    if (!f) {
        free(n);
        return -ENOMEM;
    }
    n->pid = pid;
    n->parent = parent_pid;
    n->trust = t->doubts;
    n->of_gate = birth.of_gate;
    n->family = f;
    n->group = birth.same_session ? birth.group : f->id;
    n->before = f->last;
    *(f->last ? &f->last->after : &f->first) = n;
    f->last = n;
    f->living++;
    n->same_pid = t->by_pid[pid % BUCKETS];
    t->by_pid[pid % BUCKETS] = n;
    t->nodes++;
    *ret = n;
    return 0;
}

static void end(struct proctree *t, struct node *n, int64_t at)
{
    n->bits |= PROC_ENDED;
    n->ended = at > 0 ? at : 1;
    n->ended_before = t->ended_last;
    *(t->ended_last ? &t->ended_last->ended_after : &t->ended_first) = n;
    t->ended_last = n;
    if (--n->family->living == 0 && t->gone)
        t->gone(t->gone_ctx, n->family->id);
}

/* ---- what is known of one ---- */

static void put_row(struct proctree *t, struct node *n, const struct proctree_row *row)
{
    struct text *exe = text_new(t, row->exe, sizeof row->exe), *line = text_new(t, row->line, sizeof row->line);
    uint32_t keep = n->bits & PROC_ENDED;
    if (exe || line) { /* of one that is just ending nothing may be left to see */
        text_drop(t, n->exe);
        text_drop(t, n->line);
        n->exe = exe;
        n->line = line;
    }
    n->uid = row->uid;
    n->session = row->session;
    n->start = row->start ? row->start : n->start;
    n->began = n->began ? n->began : (int64_t)n->start * TICK_MS;
    n->bits = (row->bits & ~(uint32_t)(PROC_GATE | PROC_ENDED)) | keep;
    n->trust = t->doubts;
    judge_gate(n);
}

static void fill(const struct node *n, struct proctree_row *ret)
{
    ret->pid = n->pid;
    ret->parent = n->parent;
    ret->uid = n->uid;
    ret->session = n->session;
    ret->start = n->start;
    ret->tree = n->family->id;
    ret->group = n->group;
    ret->began_ms = n->began;
    ret->ended_ms = n->ended;
    ret->bits = n->bits;
    size_t exe = n->exe ? n->exe->n : 0, line = n->line ? n->line->n : 0;
    memcpy(ret->exe, str(n->exe), exe + 1);
    memcpy(ret->line, str(n->line), line + 1);
}

static int add_looked(struct proctree *t, const struct proctree_row *row, unsigned depth, struct node **ret);

/* The node of a parent, looked at when it is not known; NULL when there is none. */
static struct node *parent_node(struct proctree *t, uint32_t pid, unsigned depth)
{
    struct node *n = pid ? find(t, pid) : NULL;
    if (n || !pid || depth >= DEPTH_MAX)
        return n;
    struct proctree_row *row = malloc(sizeof *row);
    if (row && !t->look(t->look_ctx, pid, row) && row->pid == pid)
        (void)add_looked(t, row, depth + 1, &n); /* not kept: its child stands alone */
    free(row);
    return n;
}

static int add_looked(struct proctree *t, const struct proctree_row *row, unsigned depth, struct node **ret)
{
    struct node *parent = row->parent != row->pid ? parent_node(t, row->parent, depth) : NULL;
    struct node *n;
    int r = add(t, row->pid, parent, row->parent, &n);
    if (r)
        return r;
    put_row(t, n, row);
    *ret = n;
    return 0;
}

int proctree_new(proctree_look_fn *look, void *ctx, struct proctree **ret)
{
    struct proctree *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->look = look;
    t->look_ctx = ctx;
    t->next_tree = 1;
    *ret = t;
    return 0;
}

void proctree_number_from(struct proctree *t, uint64_t first)
{
    if (first > t->next_tree)
        t->next_tree = first;
}

void proctree_free(struct proctree *t)
{
    for (size_t i = 0; t && i < BUCKETS; i++) {
        for (struct node *n = t->by_pid[i], *next; n; n = next) {
            next = n->same_pid;
            text_drop(t, n->exe);
            text_drop(t, n->line);
            free(n);
        }
        for (struct family *f = t->by_tree[i], *next; f; f = next) {
            next = f->next;
            free(f);
        }
    }
    free(t);
}

void proctree_on_gone(struct proctree *t, void (*gone)(void *ctx, uint64_t tree), void *ctx)
{
    t->gone = gone;
    t->gone_ctx = ctx;
}

void proctree_threads(struct proctree *t, int (*process_of)(void *ctx, uint32_t id, uint32_t *ret_pid), void *ctx)
{
    t->process_of = process_of;
    t->process_ctx = ctx;
}

/* Did an end of this process come before the word of its birth? */
static int64_t early_exit(struct proctree *t, uint32_t pid, int64_t born)
{
    for (size_t i = 0; i < EXITS; i++) {
        if (t->exits[i].pid == pid && t->exits[i].at >= born) {
            t->exits[i].pid = 0;
            return t->exits[i].at;
        }
    }
    return 0;
}

int proctree_fork(struct proctree *t, uint32_t parent, uint32_t child, int64_t at_ms)
{
    sweep(t, at_ms);
    struct node *n = find(t, child);
    if (!child ||
        (n && at_ms <= n->began + (n->seen ? 0 : SAME_MS))) { /* told twice, late, or found before it was told */
        if (n)
            n->seen = true;
        return 0;
    }
    if (n && !is_living(n) && at_ms < n->ended)
        return 0; /* an old word */
    if (is_living(n))
        end(t, n, at_ms); /* its end was never told, and its number is another's now */
    int r = add(t, child, parent_node(t, parent, 0), parent, &n);
    if (r)
        return r == -SM_ELIMIT ? 0 : r;
    const struct node *p = parent ? find(t, parent) : NULL;
    if (p && p != n) {
        n->exe = text_share(p->exe);
        n->line = text_share(p->line);
        n->uid = p->uid;
        n->session = p->session;
        n->bits = p->bits & ~(uint32_t)(PROC_ENDED | PROC_GATE | PROC_TERMINAL);
        judge_gate(n);
    }
    n->began = at_ms;
    n->seen = true;
    int64_t ended = early_exit(t, child, at_ms);
    if (ended)
        end(t, n, ended);
    return 0;
}

int proctree_exec_seen(struct proctree *t, const struct proctree_row *row, int64_t at_ms)
{
    sweep(t, at_ms);
    struct node *n = find(t, row->pid);
    if (n && at_ms < n->began)
        return 0; /* of one that had this number before */
    if (n && !is_living(n) && at_ms <= n->ended) {
        put_row(t, n, row); /* late, but it is good to know what it was */
        return 0;
    }
    if (is_living(n)) {
        put_row(t, n, row);
        return 0;
    }
    int r = add_looked(t, row, 0, &n);
    return r == -SM_ELIMIT ? 0 : r;
}

int proctree_exec(struct proctree *t, uint32_t pid, int64_t at_ms)
{
    sweep(t, at_ms);
    if (t->look(t->look_ctx, pid, &t->looked) || t->looked.pid != pid)
        return 0; /* it ended before it was read: what was known stays */
    struct node *n = find(t, pid);
    if (is_living(n) && n->start && t->looked.start != n->start)
        return 0; /* the number is another's by now; its own words will come */
    return proctree_exec_seen(t, &t->looked, at_ms);
}

void proctree_exit(struct proctree *t, uint32_t pid, int64_t at_ms)
{
    sweep(t, at_ms);
    struct node *n = find(t, pid);
    if (is_living(n)) {
        if (at_ms >= n->began)
            end(t, n, at_ms);
        return;
    }
    if (n && at_ms <= n->ended)
        return;
    t->exits[t->exits_next % EXITS].pid = pid;
    t->exits[t->exits_next++ % EXITS].at = at_ms;
}

void proctree_doubt(struct proctree *t)
{
    t->doubts++;
}

/* No room to keep it: it is shown all the same, in its parent's tree where that is known. */
static void show_unkept(struct proctree *t)
{
    const struct node *p = find(t, t->looked.parent);
    t->out = t->looked;
    t->out.tree = p && !(p->bits & PROC_GATE) ? p->family->id : t->next_tree++;
    t->out.group = p ? p->group : t->out.tree;
    t->out.began_ms = (int64_t)t->looked.start * TICK_MS;
    t->out.ended_ms = 0;
}

/* It was said to have ended, but it goes on: only its first thread did. */
static void revive(struct proctree *t, struct node *n)
{
    ended_unlink(t, n);
    n->bits &= ~(uint32_t)PROC_ENDED;
    n->ended = 0;
    n->family->living++;
}

/* What was looked at is the process n: still the same, or another with its number. */
static struct node *believe(struct proctree *t, struct node *n)
{
    if (n && !is_living(n) && n->start && n->start == t->looked.start)
        revive(t, n);
    if (!is_living(n))
        return NULL;
    if (!n->start || n->start == t->looked.start) {
        put_row(t, n, &t->looked);
        return n;
    }
    end(t, n, t->now > n->began ? t->now : n->began);
    return NULL;
}

/* The process that is known by this number, or whose thread has it. */
static struct node *known(struct proctree *t, uint32_t id)
{
    struct node *n = find(t, id);
    uint32_t pid;
    if (is_living(n) || !t->process_of || t->process_of(t->process_ctx, id, &pid) || pid == id)
        return n;
    struct node *process = find(t, pid);
    return is_living(process) ? process : n;
}

int proctree_get(struct proctree *t, uint32_t id, const struct proctree_row **ret)
{
    struct node *n = known(t, id);
    if (is_living(n) && n->trust == t->doubts) {
        fill(n, &t->out);
        *ret = &t->out;
        return 0;
    }
    int r = t->look(t->look_ctx, id, &t->looked);
    if (r && !n)
        return -ESRCH;
    if (r && is_living(n))
        end(t, n, t->now > n->began ? t->now : n->began); /* its end was lost */
    if (!r) {
        struct node *p = believe(t, find(t, t->looked.pid));
        r = p ? 0 : add_looked(t, &t->looked, 0, &p);
        if (r == -ENOMEM)
            return r;
        n = p;
    }
    if (n)
        fill(n, &t->out);
    else
        show_unkept(t);
    *ret = &t->out;
    return 0;
}

size_t proctree_members(const struct proctree *t, uint64_t tree, struct proctree_row *ret, size_t n)
{
    const struct family *f = family_find(t, tree);
    size_t k = 0;
    for (const struct node *m = f ? f->first : NULL; m; m = m->after) {
        if (!is_living(m))
            continue;
        if (k < n)
            fill(m, &ret[k]);
        k++;
    }
    return k;
}

/* Bytes as JSON text: in what is not UTF-8, those past ASCII as \xNN. */
static json_t *tell_text(const struct text *x)
{
    if (!x)
        return json_string("");
    if (sm_utf8_valid(SM_SPAN(x->s, x->n)))
        return json_stringn(x->s, x->n);
    struct sm_buf b = SM_BUF_INIT((size_t)8 * PROCTREE_LINE);
    int r = 0;
    for (size_t i = 0; i < x->n && !r; i++) {
        uint8_t c = (uint8_t)x->s[i];
        r = c >= 0x80 ? sm_buf_printf(&b, "\\x%02X", c) : sm_buf_put_u8(&b, c);
    }
    json_t *o = r ? NULL : json_stringn((const char *)b.p, b.n);
    sm_buf_wipe(&b);
    return o;
}

static json_t *tell_one(const struct node *m)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:o,s:o,s:I,s:I}", "pid", (json_int_t)m->pid, "start", (json_int_t)m->start,
        "parent", (json_int_t)m->parent, "uid", (json_int_t)m->uid, "exe", tell_text(m->exe), "line",
        tell_text(m->line), "began", (json_int_t)m->began, "ended", (json_int_t)m->ended);
}

int proctree_tell(const struct proctree *t, uint64_t tree, json_t **ret)
{
    const struct family *f = family_find(t, tree);
    if (!f)
        return -SM_ENOTFOUND;
    json_t *list = json_array();
    size_t n = 0;
    for (const struct node *m = f->first; m && list && n < TELL_MAX; m = m->after, n++) {
        json_t *o = tell_one(m);
        if (!o || json_array_append_new(list, o)) {
            json_decref(list);
            list = NULL;
        }
    }
    if (!list)
        return -ENOMEM;
    *ret = list;
    return 0;
}

size_t proctree_count(const struct proctree *t)
{
    return t->nodes;
}

uint64_t proctree_unkept(const struct proctree *t)
{
    return t->unkept;
}
