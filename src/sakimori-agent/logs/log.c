/* One log: what the box wants of it, what it is told of it. */
#include <errno.h>
#include <stdarg.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/fs.h"
#include "sakimori-agent/logs/logs.h"

static const char audit_path[] = "/var/log/audit/audit.log";

static int add_path(struct log *l, const char *path)
{
    if (!path || path[0] != '/' || !path[1] || strlen(path) >= AGENT_PATH_MAX || path[strlen(path) - 1] == '/' ||
        l->path_n == LOG_PATHS_MAX)
        return -SM_EINVAL;
    l->path[l->path_n] = strdup(path);
    return l->path[l->path_n++] ? 0 : -ENOMEM;
}

static int read_row(struct log *l, const json_t *row, char *why)
{
    struct sm_obj o = SM_OBJ(row);
    const char *name = sm_obj_str(&o, "name", 1, LOG_NAME_MAX), *input = sm_obj_str(&o, "input", 1, 16);
    const json_t *paths = json_object_get(row, "paths") ? sm_obj_arr(&o, "paths", LOG_PATHS_MAX) : NULL;
    l->from_start = sm_obj_bool(&o, "from_start", false);
    l->input = log_input_named(input);
    int r = o.err ? o.err : !log_name_ok(name) ? -SM_EINVAL : !l->input ? -SM_EUNSUPPORTED : 0;
    snprintf(l->name, sizeof l->name, "%s", name);
    for (size_t i = 0; i < json_array_size(paths) && !r; i++)
        r = add_path(l, json_string_value(json_array_get(paths, i)));
    if (!r && l->input == &log_input_audit && !l->path_n)
        r = add_path(l, audit_path);
    if (!r && l->input->paths && !l->path_n)
        r = -SM_EINVAL;
    if (r)
        snprintf(why, 160, "%s",
            o.err                   ? o.why
            : r == -SM_EUNSUPPORTED ? "this agent does not know that input"
                                    : "a name and absolute paths are expected");
    return r;
}

/* ---- places ---- */

struct places {
    const struct logs *all;
    int dir;
    size_t n;
    char oldest[LOG_NAME_MAX + 8]; /* of those that are not read now */
    struct timespec at;
};

static bool is_read_now(const struct logs *all, const char *file)
{
    for (size_t i = 0; i < all->log_n; i++) {
        size_t n = strlen(all->log[i]->name);
        if (strncmp(file, all->log[i]->name, n) == 0 && strcmp(file + n, ".at") == 0)
            return true;
    }
    return false;
}

static int see_place(void *arg, struct sm_span name, unsigned char type)
{
    struct places *p = arg;
    struct stat st;
    const char *file = (const char *)name.p;
    (void)type;
    if (name.n >= sizeof p->oldest || name.n < 4 || strcmp(file + name.n - 3, ".at") != 0)
        return 0;
    p->n++;
    if (is_read_now(p->all, file) || fstatat(p->dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    bool older = st.st_mtim.tv_sec != p->at.tv_sec ? st.st_mtim.tv_sec < p->at.tv_sec
                                                   : st.st_mtim.tv_nsec < p->at.tv_nsec;
    if (!p->oldest[0] || older) {
        memcpy(p->oldest, file, name.n + 1);
        p->at = st.st_mtim;
    }
    return 0;
}

/* A box that names ever new logs does not fill the disk with their places: the oldest goes. */
static void make_room(const struct logs *all)
{
    struct places p;
    do {
        p = (struct places){.all = all, .dir = plat_fs_open_dir(all->folder, ".")};
        if (p.dir < 0)
            return;
        (void)plat_fs_list(p.dir, see_place, &p); /* of those that were seen until then */
        close(p.dir);
    } while (p.n >= LOG_PLACES_MAX && p.oldest[0] && !plat_fs_unlink(all->folder, p.oldest));
}

/* What was kept, or nothing; a file that is damaged is a gap. */
static void load_place(struct log *l)
{
    int r = l->all->folder == LOG_NO_FOLDER ? 0 : log_cursor_load(l->all->folder, l->name, &l->at);
    if (l->all->folder == LOG_NO_FOLDER)
        log_cursor_new(&l->at);
    if (r)
        log_cursor_new(&l->at);
    if (r == -ENOENT)
        make_room(l->all);
    else if (r)
        log_gap(l, 0, 0, "the place was lost");
}

int log_new(struct logs *all, const json_t *row, struct log **ret, char *ret_why)
{
    struct log *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    *l = (struct log){.all = all, .batch = SM_BUF_INIT((size_t)960 << 10), .state = "waiting", .dirty = true};
    int r = read_row(l, row, ret_why);
    if (!r) {
        load_place(l);
        r = l->input->open(l, l->at.state);
        if (r == -SM_EFORMAT) { /* of another input by the same name */
            log_gap(l, 0, 0, "the place was lost");
            json_decref(l->at.state);
            json_decref(l->at.range);
            l->at.state = l->at.range = NULL;
            r = l->input->open(l, NULL);
        }
    }
    if (r) {
        log_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

void log_free(struct log *l)
{
    if (!l)
        return;
    if (l->input)
        l->input->close(l);
    for (size_t i = 0; i < l->path_n; i++)
        free(l->path[i]);
    sm_buf_wipe(&l->batch);
    log_cursor_wipe(&l->at);
    free(l);
}

void log_gap(struct log *l, uint64_t files, uint64_t bytes, const char *why)
{
    l->at.gap_files += files ? files : 1;
    l->at.gap_bytes += bytes;
    snprintf(l->at.gap_why, sizeof l->at.gap_why, "%.79s", why);
    l->unsaved = true;
}

void log_state(struct log *l, const char *state, const char *fmt, ...)
{
    va_list ap;
    l->state = state;
    va_start(ap, fmt);
    (void)vsnprintf(l->detail, sizeof l->detail, fmt, ap); /* cut when it is long */
    va_end(ap);
    while (l->detail[0] && !sm_utf8_valid(SM_SPAN_STR(l->detail)))
        l->detail[strlen(l->detail) - 1] = 0;
}

json_t *log_tell(const struct log *l)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I}", "name", l->name, "input", l->input->name, "state",
        l->state, "detail", l->detail, "files", (json_int_t)l->files, "records", (json_int_t)l->at.counts.records,
        "bytes", (json_int_t)l->at.counts.bytes, "cut", (json_int_t)l->at.counts.cut, "gaps",
        (json_int_t)l->at.counts.gaps, "last_s", (json_int_t)l->last_s);
}

void logs_watch_dir(struct logs *all, int fd, const char *path)
{
    char name[48];
    if (all->inotify < 0 || !all->dir)
        return;
    snprintf(
        name, sizeof name, "/proc/self/fd/%d", fd); /* the folder that was walked to, not what a name leads to now */
    int wd = inotify_add_watch(all->inotify, name,
        IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB);
    for (size_t i = 0; wd >= 0 && i < all->dir_n; i++)
        if (all->dir[i].wd == wd && strcmp(all->dir[i].path, path) == 0)
            return;
    if (wd < 0 || all->dir_n == LOG_DIRS_MAX || strlen(path) >= sizeof all->dir[0].path)
        return; /* looked at by time then */
    struct log_dir *d = &all->dir[all->dir_n++];
    d->wd = wd;
    snprintf(d->path, sizeof d->path, "%s", path);
}
