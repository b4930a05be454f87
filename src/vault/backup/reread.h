/*
 * Inside of the backup room: reading again, bit by bit, what the times of a file say did not change.
 *
 * Every run takes an arc of a circle on which each path has its place (a keyed hash), as long as the time since the run
 * before, measured in the days of a round: after a round each file was read once, whatever the times of the runs.  An
 * arc
 * is at most a third of the circle (a machine that was off catches up slowly), and with a limit of bytes at most that
 * share of
 * the last generation's bytes; then a round takes longer.
 *
 * What is compared is a keyed sum over the words of the file (64 bits, words of zeros count nothing, so a hole and
 * zeros
 * are the same), kept in the tree beside its record.  It finds damage and forged times; it is no proof against
 * somebody who has the client's keys.
 */
#ifndef VAULT_BACKUP_REREAD_H
#define VAULT_BACKUP_REREAD_H
#include "vault/backup/run_internal.h"

#define REREAD_ARC_MAX (UINT64_MAX / 3)

/* ---- the sum ---- */
struct content_sum { uint64_t k0, k1, sum, at; uint8_t word[8]; };
void sum_begin(struct content_sum *s, const struct run_sum_key *k);
void sum_add(struct content_sum *s, const uint8_t *p, size_t n);
void sum_hole(struct content_sum *s, uint64_t n);
uint64_t sum_end(struct content_sum *s);

/* ---- the arc of this run ---- */
/* Reads the state and decides; total: bytes of the last generation, 0 when there is none. */
void reread_plan(struct run *r, uint64_t total);
bool reread_due(const struct run *r, struct sm_span path);
/* The generation was acknowledged: go on from behind the arc.  whole: everything was read anyway. */
void reread_done(struct run *r, bool whole);

/* ---- a look ---- */
enum reread_found { REREAD_SAME, REREAD_CHANGED, REREAD_MOVED /* its metadata changed meanwhile, or it is gone */ };
/* Read fd, whose metadata is m, and compare.  0, -errno of reading, -ENOMEM, -SM_ECANCEL. */
sm_must_use int reread_look(struct run *r, int fd, const struct plat_meta *m, uint64_t expected, uint64_t *ret_bytes,
    enum reread_found *ret);

#endif
