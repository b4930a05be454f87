/*
 * What was done on this machine: DATA/actor/journal-000001.jsonl, one JSON line for each beginning and end, the next number at 8 MiB.
 *   {"at","hash","n","prev","v":1,"what":"begin|end|refused|expired|start",…}   sorted keys, '\n'
 *   hash = SHA256("sakimori/v1/actor" ‖ the line's JSON without "hash"), prev = hash of line n - 1 (64 zeros for n = 1)
 * A line is on the disk before actlog_add returns; n has no gap over all files; only an incomplete last line is ever cut off.
 */
#ifndef AGENT_ACTOR_ACTLOG_H
#define AGENT_ACTOR_ACTLOG_H
#include "core/json.h"

enum { ACTLOG_LINE_MAX = 32 << 10, ACTLOG_FILE_MAX = 8 << 20 };
struct actlog;
/* folder: borrowed.  -SM_ECORRUPT: the last whole line is not what it should be; *ret is open all the same, and goes on behind it. */
sm_must_use int actlog_open(int folder, struct actlog **ret);
void actlog_close(struct actlog *j);
/* Takes line; at, hash, n, prev and v are put in.  -SM_ELIMIT too long, -errno. */
sm_must_use int actlog_add(struct actlog *j, json_t *line);
/* All of it: are the lines one chain?  *ret_n lines; -SM_ECORRUPT (*ret_n is the first bad one), -errno. */
sm_must_use int actlog_verify(int folder, uint64_t *ret_n);
#endif
