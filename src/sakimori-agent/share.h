/*
 * backup's side of a share: a struct scan_remote that asks the part which speaks SMB (kinds/sharewire.h).  That part,
 * and the server behind it, may say what they like: every answer is checked, names and bytes are counted, and each
 * question has a time.  What cannot be asked any more ends the run; nothing is taken for deleted because a server fell
 * silent.
 */
#ifndef AGENT_SHARE_H
#define AGENT_SHARE_H
#include "sakimori-agent/kinds/sharewire.h"
#include "core/ipc.h"
#include "vault/scan/scan.h"

#define SHARE_ENTRIES_MAX ((uint64_t)50000000) /* names of one run */
#define SHARE_FOLDER_MAX ((uint64_t)5000000)   /* of one folder */
struct share {
    struct sm_ipc *ipc;         /* borrowed: to the part that speaks SMB */
    bool (*stopped)(void *arg); /* any thread */
    void *arg;
    uint64_t until_ms; /* when the run's time is over */
    uint32_t uid, gid; /* whose the files are when they are given back: a share's owners are not of this machine */
    /* its own */
    struct scan_remote remote;
    uint64_t entries, bytes_read;
    uint64_t entries_max, folder_max; /* the limits above; tests have less */
    int over;                         /* why nothing more can be asked, or 0 */
    int answer_err;
    bool answered;
    struct sm_buf answer;
};
/* Fill remote; what the caller set stays.  s must live until its ipc is gone. */
void share_begin(struct share *s);
void share_end(struct share *s);
#endif
