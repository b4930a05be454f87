/*
 * What this machine lets the box ask of it: DATA/policy.conf, written by the machine's administrator; absent,
 * everything is allowed.
 *   allow = /srv         a folder that may be backed up and restored to (repeat); none: all
 *   skip = /var/lib/x    a folder that is never read (repeat); the agent's own data and the box's are always skipped
 *   facts = no          what this machine is (facts.h) is not told to the box
 *   logs = no           no log of this machine is sent; logs = /folder: files below it may be, besides /var/log (repeat)
 *   nolog = /var/log/x  a log, or a folder of logs, that is never read (repeat); nolog = journal: not the journal
 *   endpoint = no       nothing on this machine is watched, stopped or scanned (parts sensor, judge, actor …)
 *   protect = /srv       a folder whose files are watched and given back (repeat); none: all folders of people's files
 *   media = /srv/images  a disk image that is mounted from there counts as a removable medium (repeat)
 *   unprotect = /srv/tmp a folder below that is not (repeat)
 *   rules = /folder      detection rules that are read besides those of the package (repeat): Sigma (*.yml), YARA (*.yar), indicators
 *                        (*.indicators)
 *   clamd = /run/x.ctl   the socket of ClamAV's server; none: /run/clamav/clamd.ctl
 *   kind = postgresql    a kind of source besides files that may be backed up (repeat); none: all when no folder is
 *                        named either, else only those whose paths are folders (sqlite)
 */
#ifndef AGENT_POLICY_H
#define AGENT_POLICY_H
#include "sakimori-agent/agent.h"
#include "vault/scan/scan.h"

#define POLICY_ALLOW_MAX 64
#define POLICY_KINDS_MAX 8
#define POLICY_LOGS_MAX 32
#define POLICY_RULES_MAX 8
struct agent_policy {
    char *allow[POLICY_ALLOW_MAX];
    size_t allow_n;
    char kind[POLICY_KINDS_MAX][16];
    size_t kind_n;
    bool no_facts, no_logs, no_journal, no_endpoint;
    char *logs[POLICY_LOGS_MAX], *nolog[POLICY_LOGS_MAX], *protect[POLICY_LOGS_MAX], *unprotect[POLICY_LOGS_MAX], *media[POLICY_LOGS_MAX];
    size_t logs_n, nolog_n, protect_n, unprotect_n, media_n;
    char *rules[POLICY_RULES_MAX];
    size_t rules_n;
    char *clamd; /* NULL: the standard one */
    struct plat_id skip[SCAN_SKIP_MAX];
    char *skip_path[SCAN_SKIP_MAX];
    size_t skip_n;
};
#define POLICY_KEEP_MAX 256
/* skip: one more folder that is never read, may be NULL.  -SM_EINVAL names the line in ret_why (160 bytes); -SM_ELIMIT,
 * -errno. */
sm_must_use int policy_load(const char *data, const char *skip, struct agent_policy *ret, char *ret_why);
void policy_wipe(struct agent_policy *p);
/* May this absolute path be read (or restored to)? */
bool policy_may_read(const struct agent_policy *p, const char *path);
/* The folders above those that are skipped, at most POLICY_KEEP_MAX; gives their number. */
size_t policy_above(const struct agent_policy *p, struct plat_id ret[POLICY_KEEP_MAX]);
/* May sources of this kind be backed up? */
bool policy_may_kind(const struct agent_policy *p, const char *kind);
#endif
