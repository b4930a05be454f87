/*
 * The agent of one machine: `join`, `run`, `status`.  Its processes and what each may: docs/PROTOCOL-agent.md,
 * "Processes of the agent".
 *
 *   supervisor   starts and restarts the others, hands each its channel; root where there is root, parses nothing from
 * outside link         the only one with a socket to the box; carries requests of the others, holds no key of content
 *   backup       reads files, seals; no network
 *   logs         reads the machine's logs; no network, no key (logs/logs.h)
 *   inspect      looks at the state of the machine and tells what changed; reads all, writes its own folder (inspect/inspect.h)
 *   lend         only where a folder is to be left out: opens for backup what its rules know nothing of (lend.c)
 *   guard        the supervisor's other half: each watches and starts the other (guard/guard.h)
 *   sensor       asks before files are opened, stops trees of processes; root with four capabilities (sensor/sensor.h)
 *   actor        kills, isolates, blocks, gives back, for a signed order or as the policy lets judge ask; no network (actor/actor.h)
 *   scan, yara   look at files for what is known to be bad; no network (scan/scan.h)
 *   judge        rules on events, findings, the endpoint's policy; no network, no key (judge/judge.h)
 *   prepare, hook  before and after files are read (helper.h); started for it and gone after it
 *   restore      writes files, for one signed order; no network; started for it and gone after it
 */
#ifndef AGENT_H
#define AGENT_H
#include "core/ipc.h"
#include "core/json.h"
#include "crypto/sign.h"
#include "plat/sandbox.h"
#include "vault/seal/format.h"

#define AGENT_PATH_MAX 4096

/* What join wrote: DATA/agent.json, readable by all parts. */
struct agent_config {
    char data[AGENT_PATH_MAX]; /* the folder itself */
    char url[512];             /* https://host:port, without a slash at the end */
    char device[65], name[256], institution[256];
    struct client_id client;
    struct vault_id vault;
    uint8_t order_pub[32], head_pub[32];
    struct sm_buf recipients; /* the set, pinned when joining */
    bool has_orders;          /* and so was the sheet's orders key (codes from version 2 on) */
    uint8_t orders_pub[32];
};
/* -SM_ENOTFOUND (not joined yet), -SM_EFORMAT, -SM_EVERSION, -errno; why has 160 bytes. */
sm_must_use int agent_config_load(const char *data, struct agent_config *ret, char *ret_why);
sm_must_use int agent_config_save(const struct agent_config *c);
void agent_config_wipe(struct agent_config *c);

/* The device's own secrets: DATA/keys/device.json, 0600 of the backup user. */
struct agent_keys {
    struct crypto_sign_pair device;
    uint8_t k_id[32], k_look[32];
};
sm_must_use int agent_keys_make(const char *data, struct agent_keys *ret); /* -SM_EEXISTS */
sm_must_use int agent_keys_load(const char *data, struct agent_keys *ret, char *ret_why);
void agent_keys_wipe(struct agent_keys *k);

/* ---- messages between the parts (core/ipc frames) ---- */
enum agent_msg {
    /* supervisor → part */
    A_CONFIG = 1, /* JSON {"data", "not_separated"?} */
    A_ATTACH = 2, /* JSON {"peer": "link"…} + descriptor */
    A_STOP = 3,
    /* part → supervisor */
    A_READY = 4,    /* plat_confined_put */
    A_RESTORE = 5,  /* link: start a restore process; the body is the whole poll row {"order","sig","now"} */
    A_CONFINED = 6, /* supervisor → link: JSON {"part": text} for the poll */
    A_HELP = 7,     /* backup → supervisor → helper: struct helper_work (helper.h) */
    A_LOCAL = 8,    /* supervisor → link: JSON {"features": […] what this machine has for sources (access.h),"os"?: its system (facts.h),"endpoint":bool it has one} */
    A_CERT = 9,     /* link → supervisor: a new certificate (PEM) to keep (renew.h) */
    /* link → backup, restore */
    L_ORDER = 10,    /* JSON {"order","sig","now"} → {"state","detail"} */
    L_SETTINGS = 11, /* JSON {"sources": […]} */
    L_LOGS = 12,       /* link → logs: JSON {"logs": […]} as the box wants them */
    L_LOGS_STATE = 13, /* logs → link: JSON {"logs": […]} how they are */
    L_PINNED = 15,     /* actor → link: "HOST:PORT:ADDRESS,…" of the box while no name can be looked up, "" no more; ≤ 900 bytes */
    L_ENDPOINT = 14,   /* judge → link: JSON ≤ 32 KiB, key "endpoint" of the poll */
    /* Parts of the endpoint (PROTOCOL-agent.md, "Endpoint"; bodies: E_*_MAX below) */
    E_EVENT = 50,        /* sensor, inspect, scan, actor, supervisor → judge: JSON objects, one a line */
    E_FINDING = 51,      /* the same: JSON of one finding */
    E_SENSOR_STATE = 52, /* sensor → judge: JSON, every 10 s and on change */
    E_PART_STATE = 53,   /* inspect, scan, actor, supervisor → judge: JSON ≤ 4 KiB: a key of that name in L_ENDPOINT */
    E_LOG = 54,          /* logs → judge: u8 n ‖ name of the log ‖ u8 n ‖ its format or nothing ‖ records (logs/cut.h), ≤ 960 KiB */
    E_POLICY = 70,       /* judge → sensor, inspect, scan, actor: the signed row (endpoint_policy_take) */
    E_TREE = 71,         /* judge → sensor; actor → judge, who passes it on: JSON {"tree","do":"stop|go|excuse|drop"} */
    E_DO = 80,           /* judge → actor: JSON {"action","finding","args"} → {"state","detail"} */
    E_MEMBERS = 81,      /* actor → judge → sensor: JSON {"tree"} → {"processes":[{"pid","start"}…≤1000]}: who lives of it */
    E_BLOCKED = 82,      /* actor → judge → sensor: JSON {"files":[sha256…≤400]}: programs that orders block, all of them each time */
    E_AGAIN = 83,        /* judge → actor: empty; the sensor is new: E_BLOCKED once more */
    E_LOOK = 90,         /* sensor, judge → scan: JSON {"path"}, a program that was started or written; or {"to","program"}, where it connected */
    Y_SCAN = 92,         /* scan → yara: an open file goes along → the name of the rule that matched, or nothing */
    /* The agent's own life (guard/, alive.h; PROTOCOL-agent.md, "Alive") */
    A_BEAT = 100,  /* part → supervisor, as often as part_life says: nothing in it */
    A_ALIVE = 101, /* supervisor → link: JSON {"life","machine","parts":{part: ms since its last beat},"why":[notes]} */
    A_SAID = 102,  /* link → supervisor: u64: the box has heard of all notes up to this number */
    A_BYE = 103,   /* supervisor → link: JSON {"why"} → nothing in it, when the box has heard */
    G_BEAT = 104,  /* supervisor → guard, every second: nothing in it */
    G_NOTE = 105,  /* guard → supervisor: JSON {"action","part"?,"detail"?} */
    /* backup, restore, logs → link: carry this to the box.  The answer is u16 HTTP status ‖ body (MORE frames when long);
     * SM_EPEER when the box could not be reached in time. */
    L_CALL =
        20, /* u8 method (0 GET, 1 POST JSON, 2 POST raw, 3 POST raw with a streamed answer) ‖ u16 n ‖ path ‖ body */
    L_PACK = 21, /* JSON {"path","length","bytes_s"} + descriptor of the pack's bytes */
    /* backup → prepare: the source's settings */
    W_SOURCE = 30,
    /* backup → prepare, of a kind that is read where it is (kinds/sharewire.h) */
    W_LOOK = 34,
    W_LIST = 35,
    W_MORE = 36,
    W_OPEN = 37,
    W_READ = 38,
    W_AGAIN = 39,
    W_SHUT = 40,
    /* helper → backup */
    W_PROBLEM = 31, /* JSON {"path","error","what"} */
    W_NOW = 32,     /* JSON {"now","bytes"} */
    W_READY = 33,   /* the last word; prepare: JSON {"err","folder","root","partial","served"}, hook: {"good","end","said"} */
};
#define L_CALL_BODY ((size_t)512 << 10)
#define E_EVENT_MAX ((size_t)256 << 10)
#define E_FINDING_MAX ((size_t)256 << 10)
#define E_SENSOR_STATE_MAX ((size_t)16 << 10)
#define E_PART_STATE_MAX ((size_t)4 << 10)
#define E_TREE_MAX ((size_t)256)
#define E_LOOK_MAX ((size_t)16 << 10)
#define E_DO_MAX ((size_t)32 << 10)
#define E_BLOCKED_MAX ((size_t)64 << 10)
#define L_ENDPOINT_MAX ((size_t)32 << 10)
#define L_PATH_MAX 256

/* backup → lend: the absolute path of a file, raw bytes without NUL → a descriptor for reading (none: refused). */
enum { L_LEND = 22 };

/* ---- the parts ---- */
/* Channel to the supervisor is descriptor 3.  Each returns an exit code. */
int link_main(const char *data, const char *skip);
int backup_main(const char *data, const char *skip);
int restore_main(const char *data, const char *skip);
int decoy_main(const char *data, const char *skip);
int lend_main(const char *data, const char *skip);
int logs_main(const char *data, const char *skip);
int sensor_main(const char *data, const char *skip);
int actor_main(const char *data, const char *skip);
int scan_main(const char *data, const char *skip);
int yara_main(const char *data, const char *skip);
int judge_main(const char *data, const char *skip);
/* local_socket as in supervisor_main; kept: the service manager starts the supervisor again. */
int guard_main(const char *data, const char *skip, const char *local_socket, bool kept);
#define JUDGE_USER "_sakimori-judge"
#define JUDGE_UID 64325u
#define SCAN_USER "_sakimori-scan" /* and of yara, which has no capability */
#define SCAN_UID 64326u
#define LOGS_USER "_sakimori-logs"
#define LOGS_UID 64324u
sm_must_use int logs_folder(const char *data); /* DATA/logs, of that user; made by the supervisor */
/* local_socket: of a box on this machine, to join it by itself.  skip: a folder that is never read (the box's own
 * data).  Both may be NULL. */
/* revived: by the guard; the note that says why, else NULL. */
int supervisor_main(const char *data, const char *local_socket, const char *skip, const char *revived);
int status_main(const char *data, bool json);

/* What every part does first: read A_CONFIG, confine itself, say A_READY. */
struct part_rules {
    const char *profile; /* of plat_sandbox_seccomp */
    const char *user;
    unsigned uid; /* used when root, else ignored; user "" = stay */
    const int *caps;
    size_t caps_n;
    const struct plat_path_rule *paths; /* the file system is these alone, with landlock */
    size_t paths_n;
    bool landlock;
    const char *out; /* or: everything but this folder, and paths; NULL: not so */
    bool out_write, out_add; /* as in struct plat_but */
    unsigned nofile;
};
sm_must_use int part_confine(const struct part_rules *rules, struct plat_confined *ret);

/* A part that waits for messages: its loop, and its channel to the supervisor.  It ends when that channel does, and at A_STOP. */
struct part_life {
    struct sm_loop *loop;
    struct sm_ipc *up;
    /* A channel to another part; *fd is taken by setting it to -1.  fresh: as in supervisor.c, "met". */
    void (*attach)(void *arg, const char *peer, bool fresh, int *fd);
    void (*message)(void *arg, struct sm_ipc_msg *m); /* what also lists; NULL: nothing */
    const struct sm_ipc_rule *also;                   /* of the supervisor, besides A_ATTACH and A_STOP; at most 6 */
    size_t also_n;
    void *arg;
    struct sm_ipc_rule rules[8]; /* private */
    unsigned beat_ms;            /* how often it beats; 0: 2.5 s */
    bool told;                   /* A_STOP came: it ends because it was asked to */
    struct sm_timer *beat;       /* private: the supervisor sees by it that the loop turns */
};
/* The life of a confined part begins: loop (unless there is one), channel (descriptor 3), A_READY.  -errno, -ENOMEM. */
sm_must_use int part_begin(struct part_life *p, const struct plat_confined *c);
/* The same for a part without a loop: *ret_up is its channel, which may receive what rules (borrowed as long) list. */
sm_must_use int part_begin_plain(
    const struct sm_ipc_rule *rules, size_t n, const struct plat_confined *c, struct sm_ipc **ret_up);

#endif
