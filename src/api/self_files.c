/* The copy of database and audit log that selfsave reads: state/self, made for one run and removed after it. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "api/internal.h"
#include "plat/fs.h"

#define PIECE ((size_t)256 << 10)
#define FOLDER "self"

#define AUDIT_FILES_MAX 100000u

/* As many bytes as from has now, up to the end of its last whole line: brain may be writing the next one. */
static int copy_lines(int in, int out)
{
    struct sm_buf b = SM_BUF_INIT(PIECE);
    uint64_t size = 0, whole = 0;
    int r = plat_fs_size(in, &size);
    if (!r)
        r = sm_buf_reserve(&b, PIECE);
    for (uint64_t at = 0; at < size && !r;) {
        size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
        r = plat_fs_pread_all(in, b.p, n, at);
        if (!r)
            r = plat_fs_write_all(out, SM_SPAN(b.p, n));
        for (size_t i = n; i > 0 && !r; i--) {
            if (b.p[i - 1] == '\n') {
                whole = at + i;
                break;
            }
        }
        at += n;
    }
    sm_buf_wipe(&b);
    return r ? r : plat_fs_truncate(out, whole);
}

/* -ENOENT: there is no such file any more, all were copied. */
static int copy_one(int from, int to, const char *name)
{
    int in = plat_fs_open_read(from, name), out = in < 0 ? in : plat_fs_create(to, name, 0, 0600);
    int r = out < 0 ? out : copy_lines(in, out);
    if (in >= 0)
        (void)close(in); /* opened for reading */
    if (out >= 0 && close(out) < 0 && !r)
        r = -errno;
    return r;
}

static int copy_audit(int state, int to)
{
    char name[32];
    int from = plat_fs_open_dir(state, "audit");
    int r = from < 0 ? from : 0;
    for (unsigned i = 1; i < AUDIT_FILES_MAX && !r; i++) {
        (void)snprintf(name, sizeof name, "audit-%06u.jsonl", i); /* fits */
        r = copy_one(from, to, name);
    }
    if (from >= 0)
        (void)close(from);
    return r == -ENOENT ? 0 : r;
}

static int make(const struct self_files *f)
{
    char from[4200], to[4200];
    int n = snprintf(from, sizeof from, "%s/state", f->data);
    if (n < 0 || (size_t)n >= sizeof from)
        return -SM_ELIMIT;
    int state = plat_fs_open_dir(AT_FDCWD, from), folder = -1, audit = -1;
    int r = state < 0 ? state : 0;
    if (!r)
        r = plat_fs_remove_tree(state, FOLDER); /* of a run that was cut off */
    if (state >= 0 && (!r || r == -ENOENT))
        r = plat_fs_mkdir(state, FOLDER, 0700);
    if (!r)
        r = folder = plat_fs_open_dir(state, FOLDER);
    if (r >= 0)
        r = plat_fs_mkdir(folder, "audit", 0700);
    if (!r)
        r = audit = plat_fs_open_dir(folder, "audit");
    (void)snprintf(from, sizeof from, "%s/state/state.db", f->data);          /* as above */
    (void)snprintf(to, sizeof to, "%s/state/" FOLDER "/state.db", f->data); /* as above */
    /* The audit log last: every line that the database knows of is then in it. */
    if (r >= 0)
        r = state_snapshot(from, to);
    if (!r)
        r = copy_audit(state, audit);
    if (audit >= 0)
        (void)close(audit);
    if (folder >= 0)
        (void)close(folder);
    if (state >= 0)
        (void)close(state);
    return r;
}

void self_files_make(struct self_files *f)
{
    f->err = make(f);
}

void self_files_remove(const char *data)
{
    char path[4200];
    int n = snprintf(path, sizeof path, "%s/state", data);
    int state = n < 0 || (size_t)n >= sizeof path ? -1 : plat_fs_open_dir(AT_FDCWD, path);
    if (state < 0)
        return;
    (void)!plat_fs_remove_tree(state, FOLDER); /* the next run begins with it */
    (void)close(state);
}
