/*
 * Where a log is: DATA/logs/NAME.at, two lines: canonical JSON, and the SHA-256 of it.  Replaced whole, synced, before
 * a batch is sent.  A file that cannot be read is a gap, never a guess: numbering begins anew under another life.
 */
#ifndef AGENT_LOG_CURSOR_H
#define AGENT_LOG_CURSOR_H
#include "sakimori-agent/agent.h"

#define LOG_NAME_MAX 48u
#define LOG_LIFE 16u /* hex digits */
#define LOG_CURSOR_MAX ((size_t)256 << 10)
#define LOG_CURSOR_VERSION 1

struct log_counts {
    uint64_t records, bytes, cut, gaps;
};
struct log_cursor {
    char life[LOG_LIFE + 1];
    uint64_t number; /* of the last batch that was begun */
    json_t *state;   /* of the input, up to where the box has all; NULL: never seen */
    json_t *range;   /* the batch that was begun and not answered: {"gap","in"}; NULL: none */
    struct log_counts counts;
    uint64_t gap_files, gap_bytes; /* not told yet */
    char gap_why[80];
};
bool log_name_ok(const char *name);
/* -ENOENT, -SM_EFORMAT (damaged), -SM_EVERSION (of a newer program), -errno. */
sm_must_use int log_cursor_load(int folder, const char *name, struct log_cursor *ret);
sm_must_use int log_cursor_parse(struct sm_span text, struct log_cursor *ret);
sm_must_use int log_cursor_save(int folder, const char *name, const struct log_cursor *c);
void log_cursor_new(struct log_cursor *ret); /* another life */
void log_cursor_wipe(struct log_cursor *c);
#endif
