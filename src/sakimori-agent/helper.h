/*
 * Helpers of a run: short-lived parts that the supervisor starts when backup asks, before and after files are read.
 *   prepare   makes the files of a kind of source (kinds/kind.h), as the user and with the rights of the kind's row
 *   proof     starts a server from what a restore drill brought back (kinds/trial.h); restore asks for it, not backup
 *   hook      runs one program of the machine's own administrator, DATA/hooks/NAME, as who started the agent
 * What each has to know before it confines itself comes in a fixed form (struct helper_work); everything that needs a
 * parser (the settings) comes after that, from backup, over a channel of their own.
 */
#ifndef AGENT_HELPER_H
#define AGENT_HELPER_H
#include "sakimori-agent/agent.h"

#define HOOK_NAME_MAX 32
#define HOOK_LIMIT_MAX_S 3600u
#define HOOK_LIMIT_S 300u
#define HOOK_SAID_MAX 2000u
struct helper_work {
    char kind[16];              /* prepare, proof: the kind; hook: "before" or "after" */
    char name[40];              /* prepare: the access; hook: its name; proof: "proof" */
    char source[33], run[33], status[16];
    uint32_t limit_s;
};
/* Is it of the right length, ended, and of harmless characters? */
sm_must_use int helper_work_get(struct sm_span body, struct helper_work *ret);

/* What a helper hears first from the supervisor (descriptor 3): its work and its channel to backup.  *ret_up, *ret_fd
 * are the caller's. */
sm_must_use int helper_begin(struct helper_work *ret_work, struct sm_ipc **ret_up, int *ret_fd);

int prepare_main(const char *data, const char *skip);
int hook_main(const char *data, const char *skip);
int proof_main(const char *data, const char *skip);

/* Remove what stagings hold (of one source, or all with NULL): also what a crash left.  -errno. */
sm_must_use int staging_clear(const char *data, const char *source);

/* ---- backup's side ---- */
struct assist {
    struct sm_ipc *ipc;
    struct sm_ipc *up;
    void (*pump)(void *arg, int ms);         /* take what others have to say, for about so long */
    bool (*stopped)(void *arg);
    void (*problem)(void *arg, const char *path, const char *error, const char *what);
    void (*now)(void *arg, const char *text, uint64_t bytes);
    void *arg;
};
/* The channel that came with A_ATTACH; takes fd. */
void assist_take(struct assist *a, int fd);
void assist_end(struct assist *a); /* lets the helper go: it cleans up after itself */
struct assist_ready {
    char folder[AGENT_PATH_MAX], root[64];
    bool partial, served; /* served: no folder, ask over the channel (share.h) */
};
/* Problems and words that came beside answers. */
void assist_words(struct assist *a);
/* Have the files of source made.  0, or an error after telling a problem: -SM_ECANCEL, -SM_EPEER (no helper came, or it
 * died), its own.  The files are there until assist_end. */
sm_must_use int assist_prepare(
    struct assist *a, const struct helper_work *work, const json_t *source, struct assist_ready *ret);
/* Have a database tried that the drill work->source restored: *ret is what is said of it (proof.c), the caller's.  0,
 * -SM_ECANCEL, -SM_EPEER (it died), -SM_ETIME. */
sm_must_use int assist_proof(struct assist *a, const struct helper_work *work, json_t **ret);
/* Run a hook to its end, also when the run was cancelled; what assist_prepare made stays.  0, -SM_EPARTIAL (it failed; told as a problem), -SM_EPEER. */
sm_must_use int assist_hook(struct assist *a, const struct helper_work *work);
#endif
