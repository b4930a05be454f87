/* Entries as JSON. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "plat/fs.h"
#include "quarantine/internal.h"

bool id_ok(const char *id)
{
    uint8_t b[8];
    return strlen(id) == 16 && sm_unhex(id, 16, b, 8) == 0 && strspn(id, "0123456789abcdef") == 16;
}

void data_name(const char *id, const char *end, char ret[32])
{
    (void)snprintf(ret, 32, "%.16s%s", id, end);
}

const char *entry_text(const json_t *e, const char *key)
{
    const char *s = json_string_value(json_object_get(e, key));
    return s ? s : "";
}

int entry_path(const json_t *e, const char *key, struct sm_buf *ret)
{
    const char *s = entry_text(e, key);
    size_t before = ret->n;
    int r = sm_unbase64(SM_SPAN_STR(s), ret);
    if (r == 0 && (ret->n - before < 2 || ret->n - before >= PATH_BYTES || ret->p[before] != '/' ||
        memchr(ret->p + before, 0, ret->n - before)))
        r = -SM_EFORMAT;
    if (r < 0)
        ret->n = before;
    return r;
}

int entry_set_path(json_t *e, const char *key, struct sm_span path)
{
    struct sm_buf b = SM_BUF_INIT(2 * PATH_BYTES);
    int r = sm_base64(path, &b);
    if (r == 0 && json_object_set_new(e, key, json_stringn((const char *)b.p, b.n)) < 0)
        r = -ENOMEM;
    sm_buf_wipe(&b);
    return r;
}

int entry_set_object(json_t *e, const struct plat_object *o)
{
    json_t *v = json_pack("[I,I,I,I]", (json_int_t)o->dev, (json_int_t)o->ino, (json_int_t)o->born_s,
        (json_int_t)o->born_ns);
    return json_object_set_new(e, "object", v) < 0 ? -ENOMEM : 0;
}

int entry_object(const json_t *e, struct plat_object *ret)
{
    const json_t *v = json_object_get(e, "object");
    if (json_array_size(v) != 4)
        return -SM_EFORMAT;
    *ret = (struct plat_object){(uint64_t)json_integer_value(json_array_get(v, 0)),
        (uint64_t)json_integer_value(json_array_get(v, 1)), json_integer_value(json_array_get(v, 2)),
        (uint32_t)json_integer_value(json_array_get(v, 3))};
    return 0;
}

static json_t *pack_time(struct sm_time t)
{
    return json_pack("[I,I]", (json_int_t)t.s, (json_int_t)t.ns);
}

static int get_time(const json_t *v, struct sm_time *ret)
{
    json_int_t ns = json_integer_value(json_array_get(v, 1));
    if (json_array_size(v) != 2 || ns < 0 || ns > 999999999)
        return -SM_EFORMAT;
    *ret = (struct sm_time){json_integer_value(json_array_get(v, 0)), (uint32_t)ns};
    return 0;
}

static json_t *pack_xattr(const struct plat_meta *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->xattr_n && list; i++) {
        struct sm_buf b = SM_BUF_INIT(2 * PLAT_XATTR_BYTES);
        int r = sm_base64(SM_SPAN(m->xattr[i].value, m->xattr[i].value_n), &b);
        json_t *name = json_string(m->xattr[i].name);
        /* A name that is not UTF-8 cannot be written here: it is left out. */
        if (r == 0 && name)
            r = json_array_append_new(list, json_pack("[o,o]", name, json_stringn((const char *)b.p, b.n)));
        else
            json_decref(name);
        sm_buf_wipe(&b);
        if (r < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

int entry_set_meta(json_t *e, const struct plat_meta *m)
{
    json_t *v = json_pack("{s:I,s:I,s:I,s:o,s:o,s:o}", "mode", (json_int_t)m->mode, "uid", (json_int_t)m->uid, "gid",
        (json_int_t)m->gid, "atime", pack_time(m->atime), "mtime", pack_time(m->mtime), "xattr", pack_xattr(m));
    return json_object_set_new(e, "meta", v) < 0 ? -ENOMEM : 0;
}

static int get_xattr(const json_t *list, struct plat_meta *m)
{
    int r = json_array_size(list) > PLAT_XATTR_MAX ? -SM_EFORMAT : 0;
    for (size_t i = 0; i < json_array_size(list) && r == 0; i++) {
        const json_t *one = json_array_get(list, i);
        const char *name = json_string_value(json_array_get(one, 0)), *value = json_string_value(json_array_get(one, 1));
        struct sm_buf b = SM_BUF_INIT(PLAT_XATTR_BYTES);
        if (!name || !*name || strlen(name) > 255 || !value)
            return -SM_EFORMAT;
        r = sm_unbase64(SM_SPAN_STR(value), &b);
        if (r == 0)
            r = plat_meta_add_xattr(m, name, sm_buf_span(&b));
        sm_buf_wipe(&b);
    }
    return r;
}

int entry_meta(const json_t *e, struct plat_meta *ret)
{
    const json_t *v = json_object_get(e, "meta");
    struct plat_meta m = {.type = PLAT_FILE};
    json_int_t mode = json_integer_value(json_object_get(v, "mode")), uid = json_integer_value(json_object_get(v, "uid")),
        gid = json_integer_value(json_object_get(v, "gid"));
    if (!json_is_object(v) || mode < 0 || mode > 07777 || uid < 0 || uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX)
        return -SM_EFORMAT;
    m.mode = (uint32_t)mode;
    m.uid = (uint32_t)uid;
    m.gid = (uint32_t)gid;
    int r = get_time(json_object_get(v, "atime"), &m.atime);
    if (r == 0)
        r = get_time(json_object_get(v, "mtime"), &m.mtime);
    if (r == 0)
        r = get_xattr(json_object_get(v, "xattr"), &m);
    if (r < 0) {
        plat_meta_wipe(&m);
        return r == -SM_EEXISTS ? -SM_EFORMAT : r;
    }
    *ret = m;
    return 0;
}

int entry_check(const json_t *e)
{
    static const char *const states[] = {"taking", "kept", "giving", "given", "removed"};
    struct sm_buf path = SM_BUF_INIT(2 * PATH_BYTES);
    struct plat_meta m;
    struct plat_object o;
    uint8_t b[32];
    bool known = false;
    if (!json_is_object(e) || !id_ok(entry_text(e, "id")))
        return -SM_EFORMAT;
    if (json_integer_value(json_object_get(e, "v")) != 1)
        return -SM_EVERSION;
    for (size_t i = 0; i < 5; i++)
        known = known || strcmp(entry_text(e, "state"), states[i]) == 0;
    if (!known || sm_unhex(entry_text(e, "pad"), strlen(entry_text(e, "pad")), b, PAD) < 0 ||
        sm_unhex(entry_text(e, "sha256"), strlen(entry_text(e, "sha256")), b, 32) < 0 ||
        json_integer_value(json_object_get(e, "size")) < 0 || entry_object(e, &o) < 0)
        return -SM_EFORMAT;
    int r = entry_path(e, "path", &path);
    if (r == 0 && json_object_get(e, "to"))
        r = entry_path(e, "to", &path);
    sm_buf_wipe(&path);
    if (r == 0)
        r = entry_meta(e, &m);
    if (r == 0)
        plat_meta_wipe(&m);
    return r;
}

int entry_load(int folder, const char *id, json_t **ret)
{
    struct sm_buf b = SM_BUF_INIT(ENTRY_MAX + 1);
    char name[32];
    json_t *e = NULL;
    if (!id_ok(id))
        return -SM_ENOTFOUND;
    data_name(id, ".json", name);
    int r = plat_fs_read_file(folder, name, ENTRY_MAX, &b);
    if (r == 0)
        r = sm_json_parse(sm_buf_span(&b), ENTRY_MAX, &e, NULL);
    sm_buf_wipe(&b);
    if (r == 0)
        r = entry_check(e);
    if (r == 0 && strcmp(entry_text(e, "id"), id) != 0)
        r = -SM_EFORMAT;
    if (r < 0) {
        json_decref(e);
        return r == -ENOENT ? -SM_ENOTFOUND : r;
    }
    *ret = e;
    return 0;
}

int entry_save(int folder, json_t *e)
{
    struct sm_buf b = SM_BUF_INIT(ENTRY_MAX);
    char name[32];
    data_name(entry_text(e, "id"), ".json", name);
    int r = sm_json_dump(e, &b);
    if (r == 0)
        r = plat_replace(folder, name, sm_buf_span(&b), 0600);
    sm_buf_wipe(&b);
    return r;
}

struct walk { int folder; entry_fn *fn; void *ctx; char (*id)[17]; size_t n; };

static int one_name(void *arg, struct sm_span name, unsigned char type)
{
    struct walk *w = arg;
    (void)type;
    if (w->n == QUARANTINE_MAX || name.n != 21 || memcmp(name.p + 16, ".json", 5) != 0)
        return 0;
    memcpy(w->id[w->n], name.p, 16);
    w->id[w->n][16] = 0;
    w->n += id_ok(w->id[w->n]);
    return 0;
}

int entries(int folder, entry_fn *fn, void *ctx)
{
    struct walk w = {folder, fn, ctx, calloc(QUARANTINE_MAX, sizeof *w.id), 0};
    if (!w.id)
        return -ENOMEM;
    int r = plat_fs_list(folder, one_name, &w);
    for (size_t i = 0; i < w.n && r == 0; i++) {
        json_t *e;
        if (entry_load(folder, w.id[i], &e) < 0)
            continue; /* damaged, or of a later version: left alone */
        r = fn(ctx, e);
        json_decref(e);
    }
    free(w.id);
    return r;
}
