/*
 * actor: the part that acts on this machine.  It runs as root with few capabilities, has no socket but the packet filter's, and does
 * nothing but the rows of its table (table.c, one file a row), each asked for by an order of the box that it verifies itself, or by
 * judge where the signed policy lets judge ask.  What is due to end by itself is written down before it begins (hold.h).
 */
#ifndef AGENT_ACTOR_ACTOR_H
#define AGENT_ACTOR_ACTOR_H
#include "plat/netfilter.h"
#include "plat/prockill.h"
#include "sakimori-agent/actor/hold.h"
#include "sakimori-agent/actor/actlog.h"
#include "sakimori-agent/agent.h"
#include "sakimori-agent/endpoint.h"

enum {
    ACTS_MAX = 16,          /* under way at once */
    ACT_DETAIL = 400,
    ASKED_A_MINUTE = 60,    /* by judge; more is refused */
    ACTOR_ARGS_MAX = 24 << 10,
};

struct actor {
    const char *data;
    struct agent_config config;
    struct agent_policy local;
    struct endpoint_policy policy;
    char own[AGENT_PATH_MAX + 16];          /* DATA/actor */
    int folder;                             /* the same, open */
    bool beside_box;                        /* a box stands on this machine */
    struct part_life life;
    struct sm_ipc *link, *judge, *scan;
    unsigned judge_life, scan_life;         /* count their channels */
    struct hold hold;
    struct actlog *journal;
    struct sm_timer *tick;
    struct act *acts;                       /* under way */
    unsigned acts_n;
    int wake[2];                            /* pipe: one byte for each that ended in its thread */
    struct sm_watch *wake_watch;
    struct reports *reports;                /* what the box is still to hear */
    uint64_t minute;                        /* of the rate limit */
    unsigned asked;
    uint64_t resolved_ms;
    bool resolving;
};

/* One action under way. */
struct act {
    struct act *next;
    struct actor *a;
    const struct action *row;
    char id[65];            /* of the order; "judge-…", "own-…" otherwise */
    char finding[33];
    bool by_order;
    json_t *args;           /* its own; never NULL */
    int64_t for_s;          /* 0: without an end */
    uint64_t began_ms;
    bool by_scan;           /* scan asked, else judge */
    unsigned judge_life;    /* the channel of who asked */
    uint64_t judge_ask;
    uint16_t judge_type;
    /* What came of it. */
    int err;
    char detail[ACT_DETAIL];
    json_t *facts;          /* for the journal, the box and the finding; may be NULL */
    void *mem;              /* of the row; freed by row->ended */
    bool over;              /* set by its thread, read after the pipe said so */
    bool silent;            /* nobody asked: no report */
};

/* Who may ask besides the box: what the policy must say. */
enum { ALLOW_NOBODY, ALLOW_KILL, ALLOW_GIVE_BACK, ALLOW_ISOLATE, ALLOW_DISABLE, ALLOW_SCAN, ALLOW_ALWAYS };

struct action {
    const char *name;
    int allow;
    bool again;             /* one that was cut off by the end of the agent is done again; else it is told as failed */
    /* In the loop: are the args good, and may it be done?  0 or an error with detail set.  NULL: no args. */
    int (*check)(struct act *t);
    /* In the loop: true when it asks somebody first and calls actor_go later.  NULL: no. */
    bool (*before)(struct act *t);
    /* In a thread of its own; reads of the actor only what never changes (data, config, local, own).  NULL: nothing slow. */
    void (*run)(struct act *t);
    /* In the loop, after run when that went well: true when more is to come before it is over (actor_over then).  NULL: no. */
    bool (*after)(struct act *t);
    /* In the loop, after run; also when run failed (t->err).  NULL: nothing. */
    void (*ended)(struct act *t);
};
extern const struct action *const actor_table[];
extern const size_t actor_table_n;
const struct action *actor_find(const char *name);
/* Does the signed policy let judge, or scan, have it done without an order? */
bool actor_allows(const struct actor *a, const struct action *row);

/* t->err and t->detail. */
void act_fail(struct act *t, int err, const char *fmt, ...) sm_printf(3, 4);
void act_say(struct act *t, const char *fmt, ...) sm_printf(2, 3);
/* The packet filter could not be set: the reason goes into the facts. */
void act_filter(struct act *t, int err, const char *why);
void act_fact(struct act *t, const char *key, json_t *v /* taken */);
const char *act_text(const struct act *t, const char *key); /* of the args; "" when absent */

/* Begin one (taken); ended by actor_over. */
void actor_begin(struct act *t);
void actor_go(struct act *t);   /* from before() */
void actor_over(struct act *t); /* from after() */
struct act *act_new(struct actor *a, const struct action *row, const char *id, const json_t *args);
void act_free(struct act *t);

/* ---- joints between the files ---- */
/* The packet filter is made what hold and policy say (block.c).  -SM_EUNSUPPORTED and others of plat_netfilter_set; ret_why as there. */
sm_must_use int net_apply(struct actor *a, char *ret_why);
void net_pin(struct actor *a); /* where the box is, to link, when it is named and cannot be looked up (block.c) */
/* The addresses of the box from its URL, and of blocked names, anew, in a thread (block.c). */
void net_resolve(struct actor *a);
int64_t actor_now_s(void);
/* An event of our own, to judge and by it to the box: taken. */
void actor_tick_soon(struct actor *a); /* something new may end by itself */
void actor_event(struct actor *a, const char *action, json_t *fields);
/* The list of blocked programs, to the sensor. */
void actor_tell_blocked(struct actor *a);
/* Ask judge, who asks the sensor: {"tree","do"}. */
sm_must_use int actor_tree(struct actor *a, uint64_t tree, const char *what);
/* Must this process never be touched?  arg: struct act. */
const char *actor_spare(void *arg, const struct plat_proc_look *p);
/* Start one of the programs this part may start, wait at most limit_s, take at most max of its output (may be NULL).  Any thread.
 * 0: it ended with 0.  -SM_EPARTIAL it ended otherwise, -SM_ETIME, -ENOENT none of that name here, -errno. */
sm_must_use int actor_program(const char *name, const char *const *args, unsigned limit_s, struct sm_buf *ret_out);
bool actor_has_program(const char *name);

/* Takes back the roll-back args name by number, or all of the tree (giveback.c).  Any thread.  -SM_ENOTFOUND none, -SM_ESTATE it is,
 * -SM_EPARTIAL files that failed are in the facts, -errno. */
sm_must_use int giveback_take_back(struct act *t);

/* ---- rows ---- */
extern const struct action act_isolate, act_release, act_block_address, act_unblock_address, act_block_file, act_unblock_file, act_kill,
    act_stop, act_resume, act_disable_account, act_enable_account, act_evidence, act_give_back, act_undo_give_back, act_quarantine,
    act_unquarantine, act_quarantine_remove, act_excuse, act_uninstall;

/* ---- what the box is told (report.c) ---- */
struct reports;
sm_must_use int reports_open(struct actor *a);
void reports_free(struct actor *a);
/* The end of an order: kept until the box has taken it. */
void report_order(struct actor *a, const char *order, const char *state, const char *detail, const json_t *facts);
/* A file that is set aside, given back or removed, as it is now (POST /quarantine). */
void report_quarantine(struct actor *a, const json_t *entry);
void reports_go(struct actor *a);
void reports_dropped(struct actor *a); /* link is gone */
/* Carry a request to the box (in the loop).  fn as of sm_ipc_ask. */
sm_must_use int actor_call(
    struct actor *a, unsigned method, const char *path, struct sm_span body, sm_ipc_answer_fn fn, void *arg);
#endif
