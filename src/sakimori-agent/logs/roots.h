/*
 * Which logs the machine's own policy lets be read (policy.conf):
 *   logs = no           none at all
 *   logs = /srv/app/log a folder whose files may be read besides /var/log (repeat)
 *   nolog = /var/log/x  a file or folder that is never read (repeat), whatever it is called, nor what rotation made of
 *                       it; "nolog = journal": not the journal
 * The box can name files; only those below these folders are opened, walked one folder at a time and never through a
 * link, only regular files.  Landlock holds the part to the same folders, whatever becomes of it.
 */
#ifndef AGENT_LOG_ROOTS_H
#define AGENT_LOG_ROOTS_H
#include "sakimori-agent/policy.h"

struct log_root {
    char said[AGENT_PATH_MAX], real[AGENT_PATH_MAX]; /* as the administrator wrote it; with its links followed, once */
};
struct log_roots {
    const struct agent_policy *policy;
    struct log_root *root;
    size_t n;
    char *never[POLICY_LOGS_MAX]; /* the policy's nolog with links followed, once */
    size_t never_n;
    bool journal; /* may be read */
};
/* Roots that are not there, or lie in a folder that is skipped, are left out.  Borrows policy.  -ENOMEM. */
sm_must_use int log_roots_make(const struct agent_policy *policy, struct log_roots *ret);
void log_roots_free(struct log_roots *r);
/* A folder by its absolute path, for listing.  -EACCES: not allowed (what is below a root and then not), -ELOOP,
 * -errno. */
sm_must_use int log_roots_open_dir(const struct log_roots *r, const char *path);
/* A regular file in it; path: the whole, for what is never read.  -EACCES, -ELOOP, -errno. */
sm_must_use int log_roots_open_file(const struct log_roots *r, int dir, const char *path);
bool log_roots_allow(const struct log_roots *r, const char *path);
#endif
