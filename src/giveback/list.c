/* What is kept, and what roll-backs there were, for people to read. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "giveback/internal.h"
#include "plat/fs.h"

static int put_base64(json_t *o, const char *key, struct sm_span s)
{
    struct sm_buf b = SM_BUF_INIT(3 * GIVEBACK_PATH_MAX);
    int r = sm_base64(s, &b);
    if (r == 0)
        r = json_object_set_new(o, key, json_stringn((const char *)b.p, b.n)) < 0 ? -ENOMEM : 0;
    sm_buf_wipe(&b);
    return r;
}

static const char *state_of(const struct kept *k, int cdir, const struct records *rs, uint64_t *size)
{
    struct stat st;
    char name[17];
    const struct kept *from = k->r.from ? records_find((struct records *)(uintptr_t)rs, k->r.from) : NULL;
    if (k->given)
        return "given";
    if (k->r.kind == GIVEBACK_REMOVED && !k->r.from && !k->r.meta.n)
        return "lost";
    if (!k->r.from || (from && from->r.kind == GIVEBACK_MADE))
        return "kept";
    id_name(k->r.from, name);
    if (!from || fstatat(cdir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return "let_go";
    *size = (uint64_t)st.st_size;
    return "kept";
}

static json_t *tell(const struct kept *k, int cdir, const struct records *rs)
{
    static const char *const kind[] = {"content", "made", "renamed", "removed"};
    uint64_t size = 0;
    const char *state = state_of(k, cdir, rs, &size);
    struct plat_meta m;
    if (!size && k->r.meta.n && meta_get(k->r.meta, &m) == 0) {
        size = m.size;
        plat_meta_wipe(&m);
    }
    json_t *o = json_pack("{s:I,s:s,s:I,s:I,s:s}", "id", (json_int_t)k->r.id, "kind", kind[k->r.kind], "size",
        (json_int_t)size, "at", (json_int_t)k->r.at, "state", state);
    if (o && (put_base64(o, "path", k->r.path) < 0 || (k->r.was.n && put_base64(o, "was", k->r.was) < 0))) {
        json_decref(o);
        return NULL;
    }
    return o;
}

int giveback_list(int folder, uint64_t tree, size_t from, size_t limit, json_t **ret)
{
    struct records rs = {0};
    int cdir = plat_fs_open_dir(folder, "c");
    if (cdir < 0)
        return cdir == -ENOENT ? -SM_ENOTFOUND : cdir;
    int r = records_load(folder, &rs);
    if (r == 0)
        r = records_mark(folder, &rs);
    json_t *list = r == 0 ? json_array() : NULL;
    size_t at = 0;
    for (size_t i = 0; i < rs.n && list && json_array_size(list) < limit; i++) {
        if (rs.v[i].r.tree != tree || at++ < from)
            continue;
        json_t *o = tell(&rs.v[i], cdir, &rs);
        if (!o || json_array_append_new(list, o) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    close(cdir);
    records_free(&rs);
    if (!list)
        return r < 0 ? r : -ENOMEM;
    *ret = list;
    return 0;
}

static json_t *tell_back(const struct back *b)
{
    size_t count[RES_ASIDE + 1] = {0};
    for (size_t i = 0; i < b->results; i++)
        count[b->result[i].what]++;
    const char *state = b->undone ? "undone" : b->undoing ? "undoing" : b->ended ? "given" : "running";
    return json_pack("{s:I,s:I,s:I,s:s,s:I,s:I,s:I}", "number", (json_int_t)b->number, "tree", (json_int_t)b->tree, "at",
        (json_int_t)b->at, "state", state, "files", (json_int_t)(count[RES_GIVEN] + count[RES_ASIDE]), "left",
        (json_int_t)count[RES_LEFT], "failed", (json_int_t)count[RES_FAILED]);
}

int giveback_backs(int folder, json_t **ret)
{
    uint64_t *v;
    size_t n;
    int r = backs_numbers(folder, &v, &n);
    if (r < 0)
        return r;
    json_t *list = json_array();
    for (size_t i = n > 1000 ? n - 1000 : 0; i < n && list; i++) {
        struct back b;
        if (back_load(folder, v[i], false, &b) < 0)
            continue;
        json_t *o = tell_back(&b);
        back_wipe(&b);
        if (!o || json_array_append_new(list, o) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    free(v);
    if (!list)
        return -ENOMEM;
    *ret = list;
    return 0;
}
