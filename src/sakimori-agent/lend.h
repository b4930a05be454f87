/* What the lend part does for a path; apart from its life, so that tests can ask. */
#ifndef AGENT_LEND_H
#define AGENT_LEND_H
#include "plat/fs.h"
#include "plat/meta.h"
#include "sakimori-agent/policy.h"

/* Open the regular file at path (absolute, raw bytes) for reading; never below skip or a folder of p.  Gives the
 * descriptor, the caller's; -EACCES refused, -SM_EINVAL no such path can be, -ELOOP, -ENOTDIR a link where none was,
 * -ENAMETOOLONG, -errno. */
sm_must_use int lend_open(const struct agent_policy *p, const char *skip, struct sm_span path);
#endif
