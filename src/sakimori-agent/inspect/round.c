#include "sakimori-agent/inspect/round.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define WATCHED                                                                                                        \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK)
enum { STAGGER_MS = 50, UPGRADE_S = 10 };

int round_init(struct round *r, int root, int dir, int inotify, uint64_t now_ms, int *ret_err)
{
    struct stat st;
    *r = (struct round){.look = {.root = root}, .dir = dir, .inotify = inotify};
    int e = baseline_new(&r->baseline);
    if (e)
        return e;
    e = baseline_load(r->baseline, dir);
    *ret_err = e == -SM_ENOTFOUND ? 0 : e;
    if (!e && !fstatat(dir, "baseline", &st, AT_SYMLINK_NOFOLLOW))
        r->saved_s = st.st_mtim.tv_sec;
    for (size_t i = 0; inspect_sensors[i] && i < ROUND_SENSORS; i++) {
        r->state[i].due_ms = now_ms + i * STAGGER_MS;
        r->state[i].at_s = r->saved_s;
    }
    return 0;
}

void round_wipe(struct round *r)
{
    baseline_free(r->baseline);
    for (size_t i = 0; i < ROUND_SENSORS; i++)
        items_wipe(&r->state[i].before);
    *r = (struct round){.dir = -1, .inotify = -1};
}

/* Is the system's own package manager at work, or was it since this time? */
static bool is_upgrade(const struct round *r, int64_t since_s)
{
    static const char *const locks[] = {"var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock"};
    static const char *const books[] = {"var/lib/dpkg/status", "var/lib/rpm/rpmdb.sqlite"};
    struct stat st;
    for (size_t i = 0; i < 2; i++)
        if (!fstatat(r->look.root, books[i], &st, 0) && st.st_mtim.tv_sec + UPGRADE_S >= since_s)
            return true;
    for (size_t i = 0; i < 2; i++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = openat(r->look.root, locks[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        bool held = fd >= 0 && !fcntl(fd, F_GETLK, &lock) && lock.l_type != F_UNLCK;
        if (fd >= 0)
            close(fd);
        if (held)
            return true;
    }
    return false;
}

static void watch_folders(struct round *r, size_t sensor)
{
    const char *const *folder = inspect_sensors[sensor]->folders;
    for (; folder && *folder && r->inotify >= 0; folder++) {
        char path[64 + ITEM_KEY];
        snprintf(path, sizeof path, "/proc/self/fd/%d/%s", r->look.root, *folder);
        int wd = inotify_add_watch(r->inotify, path, WATCHED);
        size_t i = 0;
        if (wd < 0)
            continue; /* not there (yet): its turn comes */
        while (i < r->watch_n && r->watch[i].wd != wd)
            i++;
        if (i == r->watch_n && i < ROUND_WATCHES) {
            r->watch[i].wd = wd;
            r->watch[i].sensors = 0;
            r->watch_n++;
        }
        if (i < r->watch_n)
            r->watch[i].sensors |= UINT32_C(1) << sensor;
    }
}

static void ask_for(struct round *r, size_t i, uint64_t now_ms)
{
    if (!r->state[i].first_ms)
        r->state[i].first_ms = now_ms;
    uint64_t at = now_ms + ROUND_SOON_MS, latest = r->state[i].first_ms + ROUND_LATEST_MS;
    r->state[i].due_ms = at < latest ? at : latest; /* who writes on and on is looked at all the same */
}

void round_inotify(struct round *r, struct sm_span events, uint64_t now_ms)
{
    for (size_t at = 0; at + sizeof(struct inotify_event) <= events.n;) {
        struct inotify_event e;
        uint32_t sensors = 0;
        memcpy(&e, events.p + at, sizeof e);
        if (e.len > events.n - at - sizeof e)
            return;
        at += sizeof e + e.len;
        for (size_t i = 0; i < r->watch_n; i++)
            sensors |= (e.mask & IN_Q_OVERFLOW) || r->watch[i].wd == e.wd ? r->watch[i].sensors : 0;
        for (size_t i = 0; i < r->watch_n && (e.mask & IN_IGNORED); i++)
            if (r->watch[i].wd == e.wd)
                r->watch[i--] = r->watch[--r->watch_n];
        for (size_t i = 0; inspect_sensors[i] && i < ROUND_SENSORS; i++)
            if (sensors & UINT32_C(1) << i)
                ask_for(r, i, now_ms);
    }
}

void round_uevent(struct round *r, uint64_t now_ms)
{
    for (size_t i = 0; inspect_sensors[i] && i < ROUND_SENSORS; i++)
        if (inspect_sensors[i]->uevent)
            ask_for(r, i, now_ms);
}

/* ---- one sensor ---- */

static const struct item *find(const struct items *s, const char *key)
{
    size_t from = 0, to = s ? s->n : 0;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int d = strcmp(s->row[mid].key, key);
        if (d == 0)
            return &s->row[mid];
        if (d < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return NULL;
}

static void copy(struct items *to, const struct item *it)
{
    items_add(to, SM_SPAN_STR(it->key));
    if (to->err || !to->n)
        return;
    struct item *last = &to->row[to->n - 1];
    char *kept = strdup(it->kept), *told = strdup(it->told ? it->told : "");
    if (!kept || !told) {
        free(kept);
        free(told);
        to->err = -ENOMEM;
        return;
    }
    free(last->kept);
    free(last->told);
    last->kept = kept;
    last->told = told;
}

/* What counts of a sensor whose things come and go: new when seen twice, gone when missed twice. */
static void settle(
    const struct items *base, const struct items *before, bool first, const struct items *now, struct items *ret)
{
    for (size_t i = 0; i < now->n; i++)
        if (find(base, now->row[i].key) || find(before, now->row[i].key))
            copy(ret, &now->row[i]);
    for (size_t i = 0; i < base->n; i++)
        if (!find(now, base->row[i].key) && (first || find(before, base->row[i].key)))
            copy(ret, &base->row[i]);
    ret->cut = now->cut;
    items_sort(ret);
}

static int look_one(struct round *r, size_t i, struct sm_time wall, struct sm_buf *ret_lines)
{
    const struct inspect_sensor *s = inspect_sensors[i];
    const struct items *base = baseline_of(r->baseline, s->name);
    struct items now = {0}, settled = {0};
    size_t n = 0;
    watch_folders(r, i); /* before the look: what comes after it is heard */
    s->look(&r->look, &now);
    items_sort(&now);
    bool steady = s->steady && base;
    if (steady && !now.err)
        settle(base, &r->state[i].before, !r->state[i].looked, &now, &settled);
    struct items *is = steady ? &settled : &now;
    int e = now.err ? now.err : settled.err;
    const struct inspect_change how = {.at = wall, .during = is_upgrade(r, r->state[i].at_s) ? "upgrade" : "",
        .while_off = !r->state[i].looked};
    if (!e && base)
        e = inspect_diff(s, base, is, &how, ret_lines, &n);
    if (!e && (n || !base || base->n != is->n))
        r->unsaved = true;
    if (!e) {
        r->changes += n;
        r->state[i].looked = true;
        r->state[i].at_s = wall.s;
        e = baseline_set(r->baseline, s->name, is);
    }
    items_wipe(&r->state[i].before);
    if (steady && !e)
        r->state[i].before = now;
    else
        items_wipe(&now);
    items_wipe(&settled);
    return e;
}

int round_go(struct round *r, uint64_t now_ms, struct sm_time wall, struct sm_buf *ret_lines)
{
    int e = 0;
    for (size_t i = 0; inspect_sensors[i] && i < ROUND_SENSORS && !e; i++) {
        if (r->state[i].due_ms > now_ms)
            continue;
        e = look_one(r, i, wall, ret_lines);
        r->state[i].due_ms = now_ms + (uint64_t)inspect_sensors[i]->every_s * 1000;
        r->state[i].first_ms = 0;
    }
    return e;
}

int round_keep(struct round *r)
{
    int e = r->unsaved ? baseline_save(r->baseline, r->dir) : 0;
    if (!e)
        r->unsaved = false;
    return e;
}

uint64_t round_next(const struct round *r)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; inspect_sensors[i] && i < ROUND_SENSORS; i++)
        next = r->state[i].due_ms < next ? r->state[i].due_ms : next;
    return next;
}
