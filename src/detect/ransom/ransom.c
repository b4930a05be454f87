/* Acts of programs, one by one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "detect/ransom/internal.h"

enum {
    JUDGED_AT_ONCE = 8,     /* files looked at within one act */
    BACK = 64,              /* how far back in the tree's list they are looked for */
    SETTLED_MS = 1000,
    SIDE_BY_SIDE = 4, SIDE_MS = 100, WAIT_MS = 3, WAITS = 3,
    LOOK_MS = 250,          /* first interval of ransom_look, doubled up to a minute */
};

struct ransom *ransom_new(const struct ransom_files *files, int sensitivity)
{
    static const unsigned thresholds[] = {150, 100, 70};
    struct ransom *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->files = *files;
    r->threshold = thresholds[sensitivity < 0 ? 0 : sensitivity > 2 ? 2 : sensitivity];
    r->table = calloc(RANSOM_TREES_MAX, sizeof(struct tree *));
    r->file_table = calloc(RANSOM_ALL_MAX, sizeof(struct file *));
    if (!r->table || !r->file_table) {
        ransom_free(r);
        return NULL;
    }
    return r;
}

void ransom_free(struct ransom *r)
{
    if (!r)
        return;
    while (r->quiet)
        tree_drop(r, r->quiet);
    free(r->table);
    free(r->file_table);
    free(r);
}

/* ---- looking at what was changed ---- */
static void apply(struct ransom *r, struct tree *t, struct file *f, struct judged j)
{
    enum reason w = reason_of((enum found)j.found);
    if (j.found == FOUND_EMPTY && is_writing(file_path(f)) && f->size >= 64)
        w = REASON_BLANKED;
    if (j.found == FOUND_NOTHING && f->reason == REASON_NONE)
        return;
    if (j.found != FOUND_NOTHING)
        score_touch(t, f);
    if (f->marks & DECOY && j.found != FOUND_NOTHING && !(f->marks & COPIED)) {
        f->marks |= COPIED; /* counted once */
        score_add(r, t, REASON_DECOY, reason_weight(REASON_DECOY));
    }
    score_file(r, t, f, w, j.was, j.is);
}

static void look_at(struct ransom *r, struct tree *t, struct file *f)
{
    struct body was, is;
    unsigned links = 1;
    bool closed = f->marks & CLOSED, lies = r->now_ms - f->opened_ms >= SETTLED_MS;
    f->looked_ms = r->now_ms;
    f->looks = (uint8_t)(f->looks + (f->looks < 8));
    f->due = t->acts + (1u << (f->looks < 5 ? f->looks - 1 : 4));
    if (closed)
        file_dirty(r, f, false);
    if (!body_is(r, f, &is, &links))
        return;
    if (!links) {
        if (body_was(r, f, &was))
            apply(r, t, f, judge(&was, &is, true));
        gone_removed(r, t, f);
        return;
    }
    if (r->files.before(r->files.ctx, t->id, f->id, &was.size) >= 0) {
        was = (struct body){.files = &r->files, .tree = t->id, .file = f->id, .size = was.size, .before = true};
        /* Shorter than it was, and not closed: it is still being written. */
        apply(r, t, f, judge(&was, &is, closed || (lies && is.size >= was.size)));
    } else if (f->print) {
        apply(r, t, f, print_judge(f->print, &is));
    }
}

/* What this tree has opened for writing, and may have changed since. */
static void look_due(struct ransom *r, struct tree *t, bool all)
{
    unsigned back = 0, judged = 0, seen = 0, dirty = t->dirty;
    struct file *f = t->last, *before;
    for (; f && seen < dirty && back < BACK && judged < JUDGED_AT_ONCE; f = before, back++) {
        before = f->prev;
        if (!(f->marks & DIRTY))
            continue;
        seen++;
        bool known = f->marks & DESTROYED && !(f->marks & CLOSED);
        if (known || (!all && !(f->marks & CLOSED) && (int32_t)(t->acts - f->due) < 0))
            continue;
        judged++;
        look_at(r, t, f);
    }
}

/* ---- acts ---- */
static struct file *the_file(struct ransom *r, struct tree *t, const struct ransom_act *a)
{
    struct file *f = file_find(r, t, a->file), *there = f ? f : file_at(t, a->path);
    if (!f && there && (!a->file || !there->id))
        f = there;
    if (f) {
        if (a->file && !f->id)
            file_number(r, f, a->file);
        f->size = f->size ? f->size : a->size;
        file_seen(t, f);
        return f;
    }
    f = file_add(r, t, a->file, a->path);
    if (f && a->decoy)
        f->marks |= DECOY;
    if (f)
        f->size = a->size;
    return f;
}

static int act_read(struct ransom *r, struct tree *t, const struct ransom_act *a, struct ransom_verdict *v)
{
    (void)v;
    if (!a->file)
        return 0;
    struct file *f = the_file(r, t, a);
    if (!f)
        return -ENOMEM;
    if (f->marks & (MADE | READ))
        return 0;
    f->marks |= READ;
    f->pid = a->pid;
    if (a->line.n && says_pack(a->program, a->line) && kind_by_name(a->path) != KIND_IS_NONE && ++t->documents_read == 3)
        score_add(r, t, REASON_WILL_PACK, reason_weight(REASON_WILL_PACK));
    return 0;
}

/* Others of this tree have just opened files of theirs, and nobody knows yet what they do to them. */
static bool crowded(const struct ransom *r, const struct tree *t, const struct ransom_act *a)
{
    unsigned n = 0, back = 0;
    for (const struct file *f = t->last; f && back < BACK && t->dirty >= SIDE_BY_SIDE; f = f->prev, back++)
        n += f->marks & DIRTY && !(f->marks & (CLOSED | DESTROYED)) && f->pid != a->pid && r->now_ms - f->opened_ms <= SIDE_MS;
    return n >= SIDE_BY_SIDE;
}

static int act_write(struct ransom *r, struct tree *t, const struct ransom_act *a, struct ransom_verdict *v)
{
    if (!a->file)
        return 0;
    struct file *f = the_file(r, t, a);
    if (!f)
        return -ENOMEM;
    if (f->marks & MADE || !a->size) {
        if (a->who & RANSOM_CUT && !(f->marks & (MADE | TOUCHED)) && kind_by_name(a->path) != KIND_IS_NONE) {
            score_touch(t, f);
            score_file(r, t, f, REASON_EMPTIED, kind_by_name(a->path), KIND_IS_EMPTY);
        }
        return 0;
    }
    if (!(f->marks & DIRTY) && f->waits < WAITS && crowded(r, t, a)) {
        f->waits++;
        v->wait_ms = WAIT_MS;
        return 0;
    }
    if (f->marks & DECOY && !(f->marks & OPENED))
        score_add(r, t, a->how == RANSOM_EMPTY ? REASON_DECOY : REASON_DECOY_OPENED,
            reason_weight(a->how == RANSOM_EMPTY ? REASON_DECOY : REASON_DECOY_OPENED));
    if (a->who & RANSOM_SERVICE)
        f->marks |= SERVICE;
    f->marks &= (uint16_t)~CLOSED;
    f->marks |= OPENED;
    f->pid = a->pid;
    f->opened_ms = r->now_ms;
    f->looks = 0;
    f->due = t->acts + 1;
    file_dirty(r, f, true);
    return 0;
}

static int act_new(struct ransom *r, struct tree *t, const struct ransom_act *a, struct ransom_verdict *v)
{
    (void)v;
    struct file *old = file_find(r, t, a->file);
    if (old && old->marks & MADE)
        return 0;
    if (old) {
        /* The number came again: its first bearer is gone. */
        gone_removed(r, t, old);
        file_drop(r, old);
    }
    struct file *f = file_add(r, t, a->file, a->path);
    if (!f)
        return -ENOMEM;
    f->marks |= MADE;
    if (is_note(a->path))
        score_add(r, t, REASON_NOTE, reason_weight(REASON_NOTE));
    return 0;
}

static int act_list(struct ransom *r, struct tree *t, const struct ransom_act *a, struct ransom_verdict *v)
{
    (void)r, (void)t, (void)a, (void)v; /* that it acts is what counts: its files were looked at */
    return 0;
}

static int act_written(struct ransom *r, struct tree *t, const struct ransom_act *a, struct ransom_verdict *v)
{
    (void)v;
    struct file *f = file_find(r, t, a->file);
    if (!f)
        return 0;
    file_seen(t, f);
    if (f->marks & MADE) {
        gone_made(r, t, f);
    } else if (f->marks & DIRTY) {
        f->marks |= CLOSED;
        look_at(r, t, f);
    }
    return 0;
}

static int act_renamed(struct ransom *r, struct tree *t, const struct ransom_act *a, struct ransom_verdict *v)
{
    (void)v;
    struct file *f = the_file(r, t, a);
    if (!f)
        return -ENOMEM;
    struct file *over = file_at(t, a->to);
    if (over && over != f)
        gone_replaced(r, t, over, f);
    if (file_rename(f, a->to) < 0)
        return -ENOMEM;
    if (f->marks & MADE)
        return 0;
    score_touch(t, f);
    if (!(f->marks & RENAMED) && (f->marks & DECOY || a->decoy))
        score_add(r, t, REASON_DECOY_GONE, reason_weight(REASON_DECOY_GONE));
    f->marks |= RENAMED;
    file_show(t, f);
    gone_renamed(r, t, a->path, a->to);
    return 0;
}

static int act_removed(struct ransom *r, struct tree *t, const struct ransom_act *a, struct ransom_verdict *v)
{
    (void)v;
    struct file *f = the_file(r, t, a);
    struct body is;
    unsigned links = 0;
    if (!f)
        return -ENOMEM;
    if (f->marks & MADE) {
        t->copies -= f->marks & BROUGHT && t->copies;
        file_drop(r, f);
        return 0;
    }
    if (body_is(r, f, &is, &links) && links)
        return 0; /* one of its names */
    if (f->marks & DIRTY) {
        f->marks |= CLOSED;
        look_at(r, t, f);
    }
    t->takes = f->pid == a->pid && (!(a->who & RANSOM_PACKAGED) || a->who & RANSOM_INTERPRETER);
    gone_removed(r, t, f);
    t->takes = false;
    return 0;
}

static void conclude(struct ransom *r, struct tree *t, struct ransom_verdict *v)
{
    v->score = score_of(r, t);
    v->touched = t->touched;
    v->destroyed = t->destroyed;
    v->say = v->score >= r->threshold ? RANSOM_STOP : v->score * 3 >= r->threshold ? RANSOM_SUSPECT : RANSOM_GO;
    if (v->say == RANSOM_STOP)
        v->wait_ms = 0;
    t->stopped = v->say == RANSOM_STOP;
}

int ransom_act(struct ransom *r, const struct ransom_act *a, struct ransom_verdict *ret)
{
    typedef int act_fn(struct ransom *r, struct tree *t, const struct ransom_act *a, struct ransom_verdict *v);
    static act_fn *const acts[] = {
        [RANSOM_READ] = act_read, [RANSOM_WRITE] = act_write, [RANSOM_EMPTY] = act_write, [RANSOM_NEW] = act_new, [RANSOM_LIST] = act_list,
        [RANSOM_WRITTEN] = act_written, [RANSOM_RENAMED] = act_renamed, [RANSOM_REMOVED] = act_removed,
    };
    if (!a->tree || a->how > RANSOM_REMOVED || (a->how == RANSOM_RENAMED && !a->to.n))
        return -SM_EINVAL;
    struct tree *t = tree_get(r, a->tree);
    if (!t)
        return -ENOMEM;
    r->now_ms = a->at_ms;
    t->group = a->group;
    t->acts++;
    if (a->who & RANSOM_FRESH && !t->points[REASON_FRESH])
        score_add(r, t, REASON_FRESH, reason_weight(REASON_FRESH));
    struct ransom_verdict v = {0};
    if (t->dirty) {
        /* Who was told to wait waited for what the others do: all of it is looked at. */
        const struct file *f = file_find(r, t, a->file);
        look_due(r, t, f && f->waits);
    }
    int err = acts[a->how](r, t, a, &v);
    if (err < 0)
        return err;
    conclude(r, t, &v);
    *ret = v;
    return 0;
}

void ransom_unkept(struct ransom *r, uint64_t tree, uint64_t file)
{
    struct tree *t = tree_find(r, tree);
    struct file *f = t ? file_find(r, t, file) : NULL;
    struct body is;
    unsigned links;
    if (!f || f->print || f->marks & MADE || !body_is(r, f, &is, &links))
        return;
    f->print = malloc(sizeof *f->print);
    if (f->print)
        print_take(&is, f->print);
}

int ransom_look(struct ransom *r, int64_t at_ms, unsigned files, uint64_t *ret_tree, struct ransom_verdict *ret)
{
    r->now_ms = at_ms;
    unsigned looked = 0;
    for (unsigned turns = 0; r->look && turns < 4 * files && looked < files; turns++) {
        struct file *f = r->look;
        struct tree *t = f->of;
        file_looked(r, f);
        int64_t every = t->destroyed ? LOOK_MS : (int64_t)LOOK_MS << f->looks;
        bool known = f->marks & DESTROYED;
        if (known || at_ms - (f->looks ? f->looked_ms : f->opened_ms) < every)
            continue;
        looked++;
        look_at(r, t, f);
        struct ransom_verdict v = {0};
        bool told = t->stopped;
        conclude(r, t, &v);
        if (v.say == RANSOM_STOP && !told) {
            *ret_tree = t->id;
            *ret = v;
            return 1;
        }
    }
    return 0;
}

void ransom_drop_file(struct ransom *r, uint64_t file)
{
    file_let_go(r, file);
}

void ransom_drop_tree(struct ransom *r, uint64_t tree)
{
    struct tree *t = tree_find(r, tree);
    if (t)
        tree_drop(r, t);
}

void ransom_excuse(struct ransom *r, uint64_t tree)
{
    struct tree *t = tree_find(r, tree);
    if (!t)
        return;
    /* Contents changed in place are one kind of act, in whatever way; files that went are another. */
    static const uint32_t in_place = (1u << (REASON_EMPTIED + 1)) - 1, went = 1u << REASON_VANISHED | 1u << REASON_PACKED | 1u << REASON_WILL_PACK |
        1u << REASON_TAKEN;
    for (unsigned w = 0; w < REASON_COUNT; w++)
        if (t->times[w])
            t->excused |= 1u << w & in_place ? in_place : 1u << w & went ? went : 1u << w;
    if (t->destroyed)
        t->excused |= 1u << REASON_REACH;
    t->stopped = false;
}

uint64_t ransom_forgotten(const struct ransom *r)
{
    return r->forgotten;
}
