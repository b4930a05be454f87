#include "sakimori-agent/actor/hold.h"

#include <errno.h>
#include <fcntl.h>

#include "plat/fs.h"

#define NAME "hold.json"

static json_t *empty(void)
{
    return json_pack("{s:i,s:n,s:[],s:[],s:{},s:[],s:[],s:[]}", "v", 1, "isolated", "to", "files", "accounts", "box",
        "running", "tell");
}

/* Lists are lists of objects (or texts, for box), of bounded length. */
static bool sound(const json_t *o)
{
    static const struct {
        const char *name;
        size_t max;
        bool texts;
    } lists[] = {{"to", HOLD_TO_MAX, false}, {"files", HOLD_FILES_MAX, false}, {"running", 64, false},
        {"tell", 4096, false}, {"box", HOLD_AT_MAX, true}};
    const json_t *isolated = json_object_get(o, "isolated"), *v;
    if (!json_is_object(json_object_get(o, "accounts")) || (!json_is_null(isolated) && !json_is_object(isolated)))
        return false;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const json_t *l = json_object_get(o, lists[i].name);
        size_t k;
        if (!json_is_array(l) || json_array_size(l) > lists[i].max)
            return false;
        json_array_foreach(l, k, v) if (lists[i].texts ? !json_is_string(v) : !json_is_object(v)) return false;
    }
    return true;
}

static int read_it(int folder, json_t **ret)
{
    struct sm_buf b = SM_BUF_INIT(HOLD_TEXT_MAX);
    json_t *o = NULL;
    int r = plat_fs_read_file(folder, NAME, HOLD_TEXT_MAX, &b);
    if (!r)
        r = sm_json_parse(sm_buf_span(&b), HOLD_TEXT_MAX, &o, NULL);
    sm_buf_wipe(&b);
    if (!r && json_integer_value(json_object_get(o, "v")) > 1)
        r = -SM_EVERSION;
    if (!r && !sound(o))
        r = -SM_EFORMAT;
    if (r)
        json_decref(o);
    else
        *ret = o;
    return r;
}

int hold_open(int folder, struct hold *ret)
{
    json_t *o = NULL;
    int r = read_it(folder, &o), told = 0;
    if (r == -SM_EFORMAT || r == -SM_ELIMIT) {
        told = -SM_EFORMAT;
        r = plat_fs_rename(folder, NAME, folder, "hold.damaged", true);
        r = r ? r : -ENOENT;
    }
    if (r == -ENOENT) {
        o = empty();
        r = o ? 0 : -ENOMEM;
    }
    if (r)
        return r;
    *ret = (struct hold){folder, o};
    return told;
}

void hold_free(struct hold *h)
{
    json_decref(h->o);
    h->o = NULL;
}

int hold_save(const struct hold *h)
{
    struct sm_buf b = SM_BUF_INIT(HOLD_TEXT_MAX);
    int r = sm_json_dump(h->o, &b);
    if (!r)
        r = plat_replace(h->folder, NAME, sm_buf_span(&b), 0600);
    sm_buf_wipe(&b);
    return r;
}

json_t *hold_list(const struct hold *h, const char *key)
{
    return json_object_get(h->o, key);
}

static int64_t until_of(const json_t *row)
{
    return json_integer_value(json_object_get(row, "until"));
}

static size_t place(const struct hold *h, const char *list, const char *key, const char *value)
{
    json_t *l = hold_list(h, list), *row;
    size_t i;
    json_array_foreach(l, i, row)
    {
        const char *s = json_string_value(json_object_get(row, key));
        if (s && strcmp(s, value) == 0)
            return i;
    }
    return SIZE_MAX;
}

json_t *hold_find(const struct hold *h, const char *list, const char *key, const char *value)
{
    size_t i = place(h, list, key, value);
    return i == SIZE_MAX ? NULL : json_array_get(hold_list(h, list), i);
}

void hold_drop(struct hold *h, const char *list, const char *key, const char *value)
{
    size_t i = place(h, list, key, value);
    if (i != SIZE_MAX)
        json_array_remove(hold_list(h, list), i);
}

static int note(json_t **gone, const char *what, const char *value)
{
    if (!*gone)
        *gone = json_array();
    return json_array_append_new(*gone, json_pack("{s:s,s:s}", "what", what, "value", value ? value : "")) ? -ENOMEM : 0;
}

int hold_expire(struct hold *h, int64_t now_s, json_t **ret)
{
    static const char *const lists[][2] = {{"to", "to"}, {"files", "sha256"}};
    const json_t *isolated = json_object_get(h->o, "isolated");
    json_t *gone = NULL;
    int r = 0;
    if (json_is_object(isolated) && until_of(isolated) && until_of(isolated) <= now_s) {
        r = note(&gone, "isolated", "");
        if (!r)
            r = json_object_set_new(h->o, "isolated", json_null()) ? -ENOMEM : 0;
    }
    for (size_t k = 0; k < 2; k++) {
        json_t *l = hold_list(h, lists[k][0]);
        for (size_t i = json_array_size(l); i-- > 0 && !r;) {
            const json_t *row = json_array_get(l, i);
            if (!until_of(row) || until_of(row) > now_s)
                continue;
            r = note(&gone, lists[k][0], json_string_value(json_object_get(row, lists[k][1])));
            json_array_remove(l, i);
        }
    }
    if (r)
        json_decref(gone);
    else
        *ret = gone;
    return r;
}

int64_t hold_next(const struct hold *h)
{
    static const char *const lists[] = {"to", "files"};
    int64_t next = until_of(json_object_get(h->o, "isolated"));
    for (size_t k = 0; k < 2; k++) {
        json_t *row;
        size_t i;
        json_array_foreach(hold_list(h, lists[k]), i, row)
        {
            int64_t u = until_of(row);
            if (u && (!next || u < next))
                next = u;
        }
    }
    return next;
}
