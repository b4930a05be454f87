#include <unistd.h>
#include "plat/proc.h"
#include "vault/restore/restore_internal.h"

/* What this machine calls the owner; the number stands where it does not know the name.  Asking costs a file parse, so
 * answers are kept. */
static uint32_t owner_of(struct owner_cache *o, bool group, const char *name, uint32_t number)
{
    size_t h = 0;
    if (!name[0])
        return number;
    for (const char *p = name; *p; p++)
        h = h * 31 + (unsigned char)*p;
    h %= 32;
    bool hit = group ? o->group[h].used && strcmp(o->group[h].name, name) == 0
                     : o->user[h].used && strcmp(o->user[h].name, name) == 0;
    if (!hit) {
        uid_t uid = 0;
        gid_t gid = 0;
        bool known = group ? plat_group_lookup(name, &gid) == 0 : plat_user_lookup(name, &uid, &gid) == 0;
        if (group) {
            (void)snprintf(o->group[h].name, sizeof o->group[h].name, "%s", name);
            o->group[h].id = gid;
            o->group[h].used = true;
            o->group[h].known = known;
        } else {
            (void)snprintf(o->user[h].name, sizeof o->user[h].name, "%s", name);
            o->user[h].id = uid;
            o->user[h].used = true;
            o->user[h].known = known;
        }
    }
    if (group)
        return o->group[h].known ? o->group[h].id : number;
    return o->user[h].known ? o->user[h].id : number;
}

int what_meta(struct owner_cache *o, struct sm_span meta, uint8_t kind, struct plat_meta *ret,
    struct meta_extra *ret_extra)
{
    struct plat_meta m = { 0 };
    struct meta_extra x = { 0 };
    int e = meta_to_plat(meta, kind, &m, &x);
    if (e < 0)
        return e;
    m.uid = owner_of(o, false, m.user, m.uid);
    m.gid = owner_of(o, true, m.group, m.gid);
    *ret = m;
    *ret_extra = x;
    return 0;
}

void what_apply(struct target *t, int dirfd, const char *name, const struct plat_meta *m)
{
    struct plat_meta_report rep;
    int e = plat_meta_apply(dirfd, name, m, PLAT_APPLY_OWNER | PLAT_APPLY_XATTR | PLAT_APPLY_PRUNE, &rep);
    if (e < 0 && rep.n == 0)
        restore_problem(t->r, target_told(t), e, "metadata");
    for (size_t i = 0; i < rep.n; i++)
        restore_problem(t->r, target_told(t), rep.fail[i].err, rep.fail[i].what);
}

static bool same_xattrs(const struct plat_meta *a, const struct plat_meta *b)
{
    if (a->xattr_n != b->xattr_n)
        return false;
    for (size_t i = 0; i < a->xattr_n; i++)
        if (strcmp(a->xattr[i].name, b->xattr[i].name) != 0 || a->xattr[i].value_n != b->xattr[i].value_n ||
            memcmp(a->xattr[i].value, b->xattr[i].value, a->xattr[i].value_n) != 0)
            return false;
    return true;
}

void what_compare(struct target *t, const struct plat_meta *want, const struct plat_meta *have)
{
    const struct { bool same; const char *what; } row[] = {
        { want->mode == have->mode || want->type == PLAT_SYMLINK, "mode" },
        { want->uid == have->uid && want->gid == have->gid, "owner" },
        { sm_time_cmp(want->mtime, have->mtime) == 0, "mtime" },
        { sm_span_eq(sm_buf_span(&want->target), sm_buf_span(&have->target)), "target" },
        { same_xattrs(want, have), "xattr" },
        { want->rdev_major == have->rdev_major && want->rdev_minor == have->rdev_minor, "device" },
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (!row[i].same)
            restore_problem(t->r, target_told(t), -SM_EMISMATCH, row[i].what);
}
