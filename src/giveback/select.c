#include "giveback/select.h"
#include <errno.h>
#include <stdlib.h>

/* ---- names through renames ---- */

struct names { struct sm_buf *v; size_t n, cap, fixed; };

static int names_add(struct names *s, struct sm_span p)
{
    for (size_t i = 0; i < s->n; i++) {
        if (sm_span_eq(sm_buf_span(&s->v[i]), p))
            return 0;
    }
    if (s->n == s->cap) {
        size_t more = s->cap ? s->cap * 2 : 16;
        struct sm_buf *v = reallocarray(s->v, more, sizeof *v);
        if (!v)
            return -ENOMEM;
        s->v = v;
        s->cap = more;
    }
    s->v[s->n] = SM_BUF_INIT(2 * GIVEBACK_PATH_MAX);
    int r = sm_buf_put_span(&s->v[s->n], p);
    s->n += r == 0;
    return r;
}

static void names_free(struct names *s)
{
    for (size_t i = 0; i < s->n; i++)
        sm_buf_wipe(&s->v[i]);
    free(s->v);
}

/* path, which is `from` or below it, with `to` for it. */
static int moved(struct sm_span path, struct sm_span from, struct sm_span to, struct sm_buf *ret)
{
    sm_buf_clear(ret);
    int r = sm_buf_put_span(ret, to);
    return r < 0 ? r : sm_buf_put(ret, path.p + from.n, path.n - from.n);
}

/* Where a name of before went: renames followed from the oldest. */
static int name_of_now(const struct records *rs, uint64_t tree, struct sm_span path, struct sm_buf *ret)
{
    struct sm_buf next = SM_BUF_INIT(2 * GIVEBACK_PATH_MAX);
    int r = sm_buf_put_span(ret, path);
    for (size_t i = 0; i < rs->n && r == 0; i++) {
        const struct record *k = &rs->v[i].r;
        if (k->tree != tree || k->kind != GIVEBACK_RENAMED || !path_within(sm_buf_span(ret), k->was))
            continue;
        r = moved(sm_buf_span(ret), k->was, k->path, &next);
        sm_buf_clear(ret);
        if (r == 0)
            r = sm_buf_put_span(ret, sm_buf_span(&next));
    }
    sm_buf_wipe(&next);
    return r;
}

static bool wanted(const struct names *s, struct sm_span path)
{
    for (size_t i = 0; i < s->n; i++) {
        if (path_within(path, sm_buf_span(&s->v[i])))
            return true;
    }
    return false;
}

/* From the newest: a name that was given by a rename is followed to the one before. */
static int follow_back(struct names *s, struct kept *k)
{
    struct sm_buf b = SM_BUF_INIT(2 * GIVEBACK_PATH_MAX);
    int r = 0;
    k->chosen = wanted(s, k->r.path);
    size_t n = s->n;
    for (size_t i = 0; i < n && k->r.kind == GIVEBACK_RENAMED && r == 0; i++) {
        struct sm_span name = sm_buf_span(&s->v[i]);
        if (path_within(k->r.path, name)) {
            r = names_add(s, k->r.was); /* it came in from elsewhere */
        } else if (path_within(name, k->r.path)) {
            k->chosen = true; /* a folder above it was renamed */
            r = moved(name, k->r.path, k->r.was, &b);
            if (r == 0)
                r = names_add(s, sm_buf_span(&b));
        }
    }
    sm_buf_wipe(&b);
    /* Made there: what had this name before is another story, but where the person named it. */
    for (size_t i = s->fixed; i < s->n && k->r.kind == GIVEBACK_MADE; i++) {
        if (!sm_span_eq(sm_buf_span(&s->v[i]), k->r.path))
            continue;
        sm_buf_wipe(&s->v[i]);
        s->v[i] = s->v[--s->n];
        break;
    }
    return r;
}

int select_records(struct records *rs, uint64_t tree, uint64_t upto, const struct sm_span *paths, size_t n)
{
    struct names s = {0};
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        struct sm_buf now = SM_BUF_INIT(2 * GIVEBACK_PATH_MAX);
        r = names_add(&s, paths[i]);
        if (r == 0)
            r = name_of_now(rs, tree, paths[i], &now);
        if (r == 0)
            r = names_add(&s, sm_buf_span(&now));
        sm_buf_wipe(&now);
    }
    s.fixed = s.n;
    for (size_t i = rs->n; i > 0 && r == 0; i--) {
        struct kept *k = &rs->v[i - 1];
        k->chosen = false;
        if (k->r.tree != tree || k->r.id > upto)
            continue;
        if (n)
            r = follow_back(&s, k);
        else
            k->chosen = true;
        k->chosen = k->chosen && !k->given;
    }
    names_free(&s);
    return r;
}

/* ---- others ---- */

static bool other(const struct kept *q, const struct kept *k)
{
    return q->r.tree != k->r.tree && !q->given;
}

static size_t after(const struct records *rs, uint64_t id)
{
    size_t from = 0, to = rs->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (rs->v[mid].r.id <= id)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

bool others_after(const struct records *rs, const struct kept *k, struct sm_span path, const struct plat_object *object)
{
    for (size_t i = after(rs, k->r.id); i < rs->n; i++) {
        const struct kept *q = &rs->v[i];
        if (!other(q, k))
            continue;
        if (sm_span_eq(q->r.path, path) || (q->r.was.n && sm_span_eq(q->r.was, path)) ||
            (object && plat_object_eq(&q->r.object, object)))
            return true;
    }
    return false;
}

bool others_below(const struct records *rs, const struct kept *k)
{
    for (size_t i = after(rs, k->r.id); i < rs->n; i++) {
        const struct kept *q = &rs->v[i];
        if (other(q, k) && path_within(q->r.path, k->r.path))
            return true;
    }
    return false;
}

bool told_elsewhere(const struct records *rs, const struct kept *k)
{
    for (size_t i = 0; i < rs->n; i++) {
        const struct record *q = &rs->v[i].r;
        bool tells = q->kind == GIVEBACK_MADE || q->kind == GIVEBACK_REMOVED || q->from == q->id;
        if (tells && q->tree == k->r.tree && (k->r.object.ino || k->r.object.dev) &&
            plat_object_eq(&q->object, &k->r.object))
            return true;
    }
    return false;
}
