#include <errno.h>
#include <string.h>
#include "detect/ransom/internal.h"

static const struct { const char *id, *ja, *en; } words[REASON_COUNT] = {
#define REASON(name, weight, cap, japanese, english) [REASON_##name] = {#name, japanese, english},
#include "detect/ransom/reason.def"
#undef REASON
};

static json_t *reasons_json(const struct ransom *r, const struct tree *t)
{
    json_t *list = json_array();
    for (unsigned w = 0; list && w < REASON_COUNT; w++) {
        unsigned points = score_reason(r, t, (enum reason)w);
        if (!points)
            continue;
        json_t *o = json_pack("{s:s,s:i,s:i,s:s,s:s}", "id", words[w].id, "points", (int)points, "times",
            (int)(t->times[w] ? t->times[w] : 1), "ja", words[w].ja, "en", words[w].en);
        if (json_array_append_new(list, o) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static const char *how_of(const struct file *f)
{
    return f->marks & GONE ? "removed" : f->marks & RENAMED && !(f->marks & OPENED) ? "renamed" : "changed";
}

static json_t *file_json(const struct file *f)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    json_t *o = NULL;
    if (sm_base64(file_path(f), &b) == 0 && sm_buf_str(&b))
        o = json_pack("{s:s,s:s,s:s,s:s}", "path", sm_buf_str(&b), "how", how_of(f), "was", kind_name((enum kind)f->was), "is",
            kind_name((enum kind)f->is));
    sm_buf_wipe(&b);
    return o;
}

static json_t *files_json(const struct tree *t)
{
    json_t *list = json_array();
    for (unsigned i = 0; list && i < t->shown_n; i++)
        if (json_array_append_new(list, file_json(t->shown[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

int ransom_explain(const struct ransom *r, uint64_t tree, json_t **ret)
{
    const struct tree *t = tree_find(r, tree);
    if (!t)
        return -SM_ENOTFOUND;
    json_t *why = reasons_json(r, t), *files = files_json(t);
    json_t *o = why && files ? json_pack("{s:i,s:i,s:i,s:i,s:O,s:O}", "score", (int)score_of(r, t), "threshold", (int)r->threshold, "touched",
        (int)t->touched, "destroyed", (int)t->destroyed, "reasons", why, "files", files) : NULL;
    json_decref(why);
    json_decref(files);
    if (!o)
        return -ENOMEM;
    *ret = o;
    return 0;
}
