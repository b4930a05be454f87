#include "sakimori-agent/reach.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/fs.h"

static bool is_above(const struct reach *r, const char *path)
{
    return plat_but_place(path, r->out) == PLAT_ABOVE;
}

static int add_level(struct reach *r, const char *path)
{
    for (size_t i = 0; i < r->level_n; i++)
        if (strcmp(r->level[i], path) == 0)
            return 0;
    if (r->level_n == REACH_LEVELS_MAX)
        return -SM_ELIMIT;
    memcpy(r->level[r->level_n++], path, strlen(path) + 1);
    return 0;
}

/* real is there up to `there`: the first folder of the rest, when it comes to stand beside the path to what is left out. */
static int make_first(const struct reach *r, const char *real, size_t there)
{
    char path[PLAT_PATH_MAX];
    size_t n = there + (real[there] == '/');
    memcpy(path, real, there);
    path[there] = 0;
    if (!is_above(r, path))
        return 0;
    n += strcspn(real + n, "/");
    memcpy(path, real, n);
    path[n] = 0;
    return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* One target, its links followed.  folder: it will be one if it is not there. */
static int take_real(struct reach *r, const char *real, size_t there, bool folder)
{
    char parent[PLAT_PATH_MAX];
    struct stat st;
    if (plat_but_place(real, r->out) == PLAT_INSIDE)
        return -SM_EDENIED;
    memcpy(parent, real, strlen(real) + 1);
    char *slash = strrchr(parent, '/');
    slash[slash == parent] = 0;
    if (there < strlen(parent))
        return make_first(r, real, there);
    bool exists = lstat(real, &st) == 0;
    if (exists && S_ISDIR(st.st_mode))
        return is_above(r, real) ? add_level(r, real) : 0;
    if (!exists && folder)
        return make_first(r, real, strlen(parent));
    return is_above(r, parent) ? add_level(r, parent) : 0;
}

/* links: also the last part may be one that is followed (another place), else only what leads to it. */
static int take_path(struct reach *r, struct sm_span path, bool folder, bool links)
{
    char text[PLAT_PATH_MAX], name[256] = "", real[PLAT_PATH_MAX];
    size_t there, n = path.n;
    while (n > 1 && path.p[n - 1] == '/')
        n--;
    if (n == 0 || path.p[0] != '/' || memchr(path.p, 0, n))
        return -SM_EINVAL;
    if (n >= sizeof text)
        return 0; /* so deep down it is no folder above the box's, and no new one beside it */
    memcpy(text, path.p, n);
    text[n] = 0;
    char *last = strrchr(text, '/') + 1;
    if (!links && *last) {
        if (!plat_fs_name_ok(SM_SPAN_STR(last)))
            return -SM_EINVAL;
        memcpy(name, last, strlen(last) + 1);
        *last = 0;
    }
    int e = plat_real_path(text, real, &there);
    size_t k = strlen(real), m = strlen(name);
    if (!e && m && k + m + 2 > sizeof real)
        return 0;
    if (!e && m) {
        if (k > 1)
            real[k++] = '/';
        memcpy(real + k, name, m + 1);
    }
    e = e ? e : take_real(r, real, there, folder);
    if (e == -SM_EDENIED)
        memcpy(r->refused, real, strlen(real) + 1);
    return e;
}

static int take_list(struct reach *r, const json_t *list, bool folder)
{
    struct sm_buf b = SM_BUF_INIT((size_t)64 << 10);
    int e = 0;
    for (size_t i = 0; i < json_array_size(list) && !e; i++) {
        const char *b64 = json_string_value(json_array_get(list, i));
        sm_buf_clear(&b);
        e = b64 ? sm_unbase64(SM_SPAN_STR(b64), &b) : -SM_EFORMAT;
        e = e ? e : take_path(r, sm_buf_span(&b), folder, false);
    }
    sm_buf_wipe(&b);
    return e;
}

int reach_take(const struct order *o, const char *skip, struct reach *ret)
{
    size_t there;
    *ret = (struct reach){.work = -1};
    int e = skip ? plat_real_path(skip, ret->out, &there) : 0;
    if (e || !skip)
        return e;
    struct sm_obj a = SM_OBJ(o->args), t = SM_OBJ(sm_obj_obj(&a, "target"));
    const char *mode = sm_obj_str(&t, "mode", 1, 16), *existing = sm_obj_str(&a, "existing", 1, 16);
    if (a.err || t.err)
        return a.err ? a.err : t.err;
    if (strcmp(mode, "place") == 0) {
        struct sm_buf b = SM_BUF_INIT(8192);
        const char *b64 = sm_obj_str(&t, "place", 1, 8192);
        e = t.err ? t.err : sm_unbase64(SM_SPAN_STR(b64), &b);
        e = e ? e : take_path(ret, sm_buf_span(&b), true, true);
        sm_buf_wipe(&b);
        return e;
    }
    const json_t *paths = json_object_get(o->args, "paths");
    if (json_array_size(paths))
        return take_list(ret, paths, false);
    /* What stands there is left as it is, but a folder made here would count as standing there. */
    return take_list(ret, json_object_get(o->args, "roots"), strcmp(existing, "skip") != 0);
}

int reach_confine(struct reach *r, const char *notes, const uint8_t id[16], struct plat_confined *c)
{
    const char *out = r->out, *level[REACH_LEVELS_MAX];
    struct plat_path_rule also[] = {{notes, true, true}, {r->work_path, true, true}};
    char name[RESTORE_WORK_NAME];
    if (!r->out[0])
        return 0;
    for (size_t i = 0; i < r->level_n; i++)
        level[i] = r->level[i];
    if (r->level_n) {
        restore_work_name(id, name);
        snprintf(r->work_path, sizeof r->work_path, "%s/%s", strcmp(level[0], "/") == 0 ? "" : level[0], name);
        int e = mkdir(r->work_path, 0700) < 0 && errno != EEXIST ? -errno : 0;
        r->work = e ? e : plat_fs_open_dir(AT_FDCWD, r->work_path);
    }
    const struct plat_but but = {.out = &out,
        .out_n = 1,
        .write = true,
        .change = level,
        .change_n = r->level_n,
        .also = also,
        .also_n = r->work >= 0 ? 2 : 1};
    int e = plat_sandbox_landlock_but(&but, c);
    if (e != -SM_ELIMIT)
        return e;
    plat_confined_missing(c, "landlock: too many files stand beside the folder to be left out");
    return 0;
}

void reach_wipe(struct reach *r)
{
    if (r->work >= 0) {
        close(r->work);
        (void)rmdir(r->work_path); /* what a power cut leaves is an empty folder; the next run with this id removes it */
    }
    r->work = -1;
}
