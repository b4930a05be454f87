/* Who acts: the process, its tree, and whether it is one of ours. */
#include <errno.h>
#include <unistd.h>

#include "sakimori-agent/sensor/internal.h"

#define NARROWED ((uint64_t)1 << 62)
#define CLIMB_MAX 64

/* Everything above this process: what belongs to their trees is divided at them, so that an agent started by hand from a shell or
 * a script never takes its own starter, and all that runs below it, for one program. */
void who_init(struct sensor *s)
{
    struct proctree *t = procs_tree(s->procs);
    const struct proctree_row *row;
    struct stat st;
    uint32_t pid = (uint32_t)getpid();
    procs_drain(s->procs);
    s->ancestor_n = 0;
    while (s->ancestor_n < ANCESTORS_MAX && pid > 1 && !proctree_get(t, pid, &row)) {
        s->ancestor[s->ancestor_n].pid = pid;
        s->ancestor[s->ancestor_n++].tree = row->tree;
        pid = row->parent;
    }
    if (!stat("/proc/self/exe", &st)) {
        s->exe_dev = st.st_dev;
        s->exe_ino = st.st_ino;
    }
}

bool who_is_us(const struct sensor *s, uint32_t thread)
{
    for (size_t i = 0; i < sizeof s->tid / sizeof s->tid[0]; i++)
        if (atomic_load_explicit(&s->tid[i], memory_order_relaxed) == thread)
            return true;
    return false;
}

static bool is_ancestor(const struct sensor *s, uint32_t pid)
{
    for (size_t i = 0; i < s->ancestor_n; i++)
        if (s->ancestor[i].pid == pid)
            return true;
    return false;
}

/* Programs of the agent: this very file, started by the supervisor or by what it started. */
static bool look_own(struct sensor *s, const struct proctree_row *row)
{
    char path[48];
    struct stat st;
    uint32_t up = row->parent;
    const struct proctree_row *r;
    if (row->pid == (uint32_t)getpid() || row->pid == s->setup.boss)
        return true;
    snprintf(path, sizeof path, "/proc/%u/exe", row->pid);
    if (!s->setup.boss || stat(path, &st) || st.st_dev != s->exe_dev || st.st_ino != s->exe_ino)
        return false;
    for (unsigned k = 0; k < 3 && up > 1; k++) {
        if (up == s->setup.boss)
            return true;
        if (proctree_get(procs_tree(s->procs), up, &r))
            return false;
        up = r->parent;
    }
    return false;
}

static bool is_own(struct sensor *s, const struct who *w, const struct proctree_row *row)
{
    size_t i = w->pid % (sizeof s->own / sizeof s->own[0]);
    if (s->own[i].pid != w->pid || s->own[i].start != w->start) {
        s->own[i].pid = w->pid;
        s->own[i].start = w->start;
        s->own[i].own = look_own(s, row);
    }
    return s->own[i].own;
}

/* The tree of row, whose parent climbs until what is above us. */
static uint64_t narrow(struct sensor *s, const struct proctree_row *row)
{
    const uint64_t base = row->tree;
    uint32_t pid = row->pid, parent = row->parent;
    uint64_t start = row->start;
    bool shared = false;
    for (size_t i = 0; i < s->ancestor_n && !shared; i++)
        shared = s->ancestor[i].tree == base;
    if (!shared || is_ancestor(s, pid))
        return base;
    for (unsigned k = 0; k < CLIMB_MAX && parent > 1 && !is_ancestor(s, parent); k++) {
        const struct proctree_row *r;
        if (proctree_get(procs_tree(s->procs), parent, &r) || r->tree != base)
            break;
        pid = r->pid;
        start = r->start;
        parent = r->parent;
    }
    return NARROWED | (start & 0xffffffffffu) << 22 | (pid & 0x3fffffu);
}

uint64_t who_number(void *sensor, const struct proctree_row *row)
{
    return narrow(sensor, row);
}

uint64_t who_base(struct sensor *s, uint64_t number)
{
    const struct proctree_row *row;
    if (!(number & NARROWED))
        return number;
    bool same = !proctree_get(procs_tree(s->procs), (uint32_t)(number & 0x3fffffu), &row) &&
        (row->start & 0xffffffffffu) == (number >> 22 & 0xffffffffffu);
    return same ? row->tree : 0;
}

int who_is(struct sensor *s, uint32_t thread, struct who *ret)
{
    const struct proctree_row *row;
    int r = proctree_get(procs_tree(s->procs), thread, &row);
    if (r)
        return r;
    ret->pid = row->pid;
    ret->uid = row->uid;
    ret->start = row->start;
    ret->group = row->group;
    ret->bits = (uint8_t)((row->bits & PROC_PACKAGED ? RANSOM_PACKAGED : 0) |
        (row->bits & PROC_INTERPRETER ? RANSOM_INTERPRETER : 0) | (row->bits & PROC_FRESH ? RANSOM_FRESH : 0));
    ret->service = row->bits & PROC_SERVICE_USER;
    memcpy(ret->exe, row->exe, strlen(row->exe) + 1);
    memcpy(ret->line, row->line, strlen(row->line) + 1);
    const struct proctree_row copy = {.pid = row->pid, .parent = row->parent, .start = row->start, .tree = row->tree};
    ret->own = is_own(s, ret, &copy);
    ret->t = ret->own ? NULL : trees_get(s, narrow(s, &copy), copy.tree);
    return 0;
}

uint8_t who_bits(const struct who *w, uint32_t owner)
{
    return (uint8_t)(w->bits | (w->service && owner == w->uid ? RANSOM_SERVICE : 0));
}

/* All living processes of a tree into s->rows, but none of ours and none above us; parents first. */
size_t who_members(struct sensor *s, const struct tree *t)
{
    size_t n = proctree_members(procs_tree(s->procs), t->base, s->rows, s->rows_max), kept = 0;
    while (n > s->rows_max && s->rows_max < 16384) { /* a storm of processes: room for all of them, as far as it goes */
        struct proctree_row *more = realloc(s->rows, 2 * n * sizeof *more);
        if (!more)
            break;
        s->rows = more;
        s->rows_max = 2 * n;
        n = proctree_members(procs_tree(s->procs), t->base, s->rows, s->rows_max);
    }
    n = n < s->rows_max ? n : s->rows_max;
    for (size_t i = 0; i < n; i++) {
        struct proctree_row *row = &s->rows[i];
        if (row->pid <= 1 || row->pid == s->setup.boss || is_ancestor(s, row->pid) || narrow(s, row) != t->tree)
            continue;
        if (kept != i)
            s->rows[kept] = *row;
        kept++;
    }
    return kept;
}
