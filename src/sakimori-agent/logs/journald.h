/* Loading the journal's library: before the part confines itself. */
#ifndef AGENT_LOG_JOURNALD_H
#define AGENT_LOG_JOURNALD_H
#include <stdbool.h>
/* False: this machine has none. */
bool log_journald_load(void);
/* Has this machine a journal with something in it?  The box's rows that are only meant for machines without one ask
 * that. */
bool log_journald_there(void);
#endif
