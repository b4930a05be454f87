/*
 * What a machine is, for the guide that tells how to build it anew: system, disks, addresses, people, what is installed and
 * runs.  It goes into the manifest of each generation (FORMAT section 4, "machine"), signed, and so into every copy.  No
 * secret, no content of a file of a source; whoever may see the box's list of machines may see it.  `facts = no` in
 * policy.conf keeps it on the machine.
 */
#ifndef AGENT_FACTS_H
#define AGENT_FACTS_H
#include "core/json.h"

#define FACTS_MAX ((size_t)16 << 10) /* of the whole, as canonical JSON */
#define FACTS_LIST_MAX 64u
#define FACTS_TEXT_MAX 120u
/* As canonical JSON appended to ret; root is "" (or a made-up one, in tests).  What cannot be read is left out.  -ENOMEM,
 * -SM_ELIMIT. */
sm_must_use int facts_collect(const char *root, struct sm_buf *ret);
/* The system alone, as it names itself; NULL when it does not, or policy.conf says `facts = no`.  The caller's. */
json_t *facts_os(const char *root, const char *data, const char *skip);

/* Each file's parser: what it finds is put into o (borrowed); any bytes will do. */
enum facts_file { FACTS_OS, FACTS_MEMORY, FACTS_ADDRESSES, FACTS_ROUTE, FACTS_NAMES, FACTS_USERS, FACTS_PACKAGES, FACTS_FILES };
void facts_parse(enum facts_file file, struct sm_span text, json_t *o);
#endif
