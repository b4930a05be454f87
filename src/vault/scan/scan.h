/*
 * Walk the folders of a source, depth first, names of each folder ascending by bytes.
 *
 * Symbolic links are never followed (but for those above a source's own path, which its owner set).  Every folder is
 * opened relative to the one above and must be the one that was looked at, so nobody can divert the walk by
 * exchanging names.  Memory is bounded whatever the size of a folder (names.h) and the depth.  Never entered:
 * file systems that are not files (proc, sysfs, ...; told as empty folders), and folders whose identity is in `skip`
 * (not told at all).
 * Reads no file content.  One thread.
 */
#ifndef VAULT_SCAN_SCAN_H
#define VAULT_SCAN_SCAN_H
#include <errno.h>
#include <sys/types.h>

#include "plat/meta.h"
#include "vault/scan/rules.h"

#define SCAN_ROOTS_MAX 256u         /* paths of one source */
#define SCAN_SKIP_MAX 16u
#define SCAN_DEPTH_MAX 58u          /* folders below a root: the format allows 64 levels, stream pages included */
#define SCAN_PATH_MAX ((size_t)16 << 10)
#define SCAN_NAMES_MEMORY ((size_t)8 << 20) /* of all folders on the way down */

struct scan_entry {
    struct sm_span name;            /* of a root: its absolute path */
    struct sm_span path;            /* absolute; NUL-terminated too */
    int dirfd;                      /* the folder it stands in (AT_FDCWD for a root) */
    const char *at;                 /* its name there */
    const struct plat_meta *meta;   /* without attributes and names of owners */
    bool root;
    size_t root_n;                  /* bytes of path that are the root */
};
/* All spans and pointers are borrowed for the call.  A non-zero answer stops the walk and is returned, but for
 * SCAN_PRUNE from enter: the folder's content is not looked at, and leave is not called. */
#define SCAN_PRUNE 1
struct scan_calls {
    int (*enter)(void *arg, const struct scan_entry *dir);
    int (*entry)(void *arg, const struct scan_entry *e);           /* everything that is no folder */
    int (*leave)(void *arg, const struct scan_entry *dir, bool whole); /* whole: every name in it was dealt with */
    /* Something could not be taken: what is stable English ("open", "list", "stat", "depth", "root"). */
    void (*problem)(void *arg, struct sm_span path, int err, const char *what);
    bool (*cancelled)(void *arg);                                  /* may be NULL */
    void *arg;
};
/*
 * A tree that is of no file system of this machine (a share of another one), in place of roots on the disk.  Called
 * from the walking thread alone, one file open at a time.  path: below the root, parts with '/' between them, "" the
 * root itself.  What it tells is not trusted: a name that comes twice, a folder that stands in itself, a link to a
 * folder and too many levels are problems of the walk, a name that is none its end (-SM_EPROTO).  Answers: an error of
 * the house (SM_E...) ends the walk and is returned; -errno is a problem of that name alone.
 */
#define SCAN_REMOTE_NAME_MAX 1024u /* bytes of a name; SMB has 255 units of UTF-16 */
struct scan_remote {
    int (*look)(void *arg, struct plat_meta *ret); /* the root folder */
    int (*list)(void *arg, const char *path,
        int (*each)(void *to, struct sm_span name, const struct plat_meta *m), void *to);
    int (*open)(void *arg, const char *path, struct plat_meta *ret); /* a file, for reading from its beginning */
    ssize_t (*read)(void *arg, void *to, size_t n);                  /* 0 at its end */
    int (*again)(void *arg, struct plat_meta *ret);                  /* what it is now; read goes on at its beginning */
    void (*close)(void *arg);
    void *arg;
};
/* Did a call of a remote say that nothing more can be had from it? */
static inline bool scan_remote_over(int err)
{
    return err <= -SM_EFORMAT || err == -ENOMEM;
}
/* The path below the root for struct scan_remote. */
const char *scan_below(const struct scan_entry *e);

struct scan_config {
    const struct scan_remote *remote;           /* NULL, or what the one root stands for (then it is never opened) */
    const char *const *roots; size_t roots_n;   /* absolute paths; visited in byte order, doubles once */
    const char *const *shown;                   /* NULL, or for each root the absolute path it is told and kept as (NULL:
                                                 * its own): a staging folder that stands for something else */
    const struct scan_rules *rules;             /* may be NULL */
    bool one_file_system;
    const struct plat_id *skip; size_t skip_n;  /* folders never entered (the box's own data) */
    int tmp_dir;                                /* for large folders; -1: none */
};
/*
 * Walk.  Returns 0 (problems, if any, were told), -SM_ECANCEL, -SM_EINVAL (a root that is not absolute, too many),
 * -ENOMEM, -errno of the temporary file, or a callback's answer.
 */
sm_must_use int scan_walk(const struct scan_config *c, const struct scan_calls *calls);

#endif
