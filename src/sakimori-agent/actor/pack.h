/*
 * An archive that is written in one go: POSIX tar in a zstd stream, with a SHA-256 of each member and of the whole.  Names are ours,
 * at most 99 bytes; what is in a member may be anything.  One thread.
 */
#ifndef AGENT_ACTOR_PACK_H
#define AGENT_ACTOR_PACK_H
#include "core/json.h"

enum { PACK_NAME_MAX = 99, PACK_MEMBERS_MAX = 300, PACK_MEMBER_MAX = 32 << 20 };
struct pack;
/* fd: of an empty file, borrowed.  max_bytes: of the archive; what would make it larger is -SM_ELIMIT and nothing of it is in it. */
sm_must_use int tarpack_begin(int fd, uint64_t max_bytes, int64_t at_s, struct pack **ret);
/* -SM_ELIMIT no more room or members, -SM_EINVAL a name that is none, -ENOMEM, -errno (the archive is spoilt). */
sm_must_use int tarpack_add(struct pack *p, const char *name, struct sm_span content);
/* The last member (SHA256SUMS) and the end, synced.  *ret_files: [{"name","bytes","sha256"}…] (the caller's). */
sm_must_use int tarpack_end(struct pack *p, uint64_t *ret_bytes, char ret_sha256[65], json_t **ret_files);
void tarpack_free(struct pack *p);
#endif
