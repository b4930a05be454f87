/*
 * The way of backup and restore to the box: requests that link carries.  Blocking; messages of link that arrive
 * meanwhile are kept.
 */
#ifndef AGENT_CARRIER_H
#define AGENT_CARRIER_H
#include "sakimori-agent/agent.h"

enum carrier_method { CARRY_GET, CARRY_POST, CARRY_POST_RAW, CARRY_STREAM };
/* ret_body is cleared first (NULL: the answer does not matter).  Returns 0 when the box answered (*ret_status is
 * HTTP's), -SM_EPEER when it could not be reached, -SM_ETIME, ... */
sm_must_use int carrier_call(struct sm_ipc *link, enum carrier_method method, const char *path, struct sm_span body,
    int timeout_ms, int *ret_status, struct sm_buf *ret_body);
/* The same with JSON both ways; *ret (may be NULL) is the caller's, NULL when the answer is no JSON. */
sm_must_use int carrier_json(struct sm_ipc *link, const char *path, const json_t *body, int *ret_status, json_t **ret);
/* Again for as long as patience_ms while the box cannot be reached; stop (may be NULL) ends it. */
sm_must_use int carrier_json_patient(struct sm_ipc *link, const char *path, const json_t *body, uint64_t patience_ms,
    bool (*stop)(void *), void *arg, int *ret_status, json_t **ret);
/* Have the length bytes behind fd sent as a pack, at most bytes_s a second (0: no limit).  Returns at once; fn gets the frames of the answer (sm_ipc_await). */
sm_must_use int carrier_pack_begin(
    struct sm_ipc *link, const char *path, int fd, uint64_t length, uint64_t bytes_s, sm_ipc_answer_fn fn, void *arg);
/* The whole answer to it.  *ret is the caller's, NULL when it is no JSON. */
sm_must_use int carrier_pack_answer(const struct sm_buf *answer, int *ret_status, json_t **ret);
#endif
