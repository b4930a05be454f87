/* What the files of the parent share: parent.c (life of the children), errand.c (what brain asks the parent for). */
#ifndef SAKIMORID_KIDS_H
#define SAKIMORID_KIDS_H
#include "plat/proc.h"
#include "sakimorid/companion.h"
#include "sakimorid/disks.h"
#include "sakimorid/parent.h"

enum { KIDS_MAX = 16, OPENER_ASKS_MAX = 16 };

enum kid_state { KID_OFF, KID_STARTING, KID_UP, KID_WAITING };
struct parent;
struct kid {
    struct parent *p;
    const struct child_row *row;
    enum kid_state state;
    struct plat_proc proc;
    struct sm_watch *watch;
    struct sm_ipc *ipc;
    struct sm_timer *timer;       /* restart, ready too late, end too late: what the state says */
    struct sm_ipc_rule rules[MSG_ROWS_MAX];
    uint64_t up_since_ms;
    unsigned restarts, fails;
    bool wanted;
    json_t *confined;             /* of C_READY */
    char fatal[200];
};

/* A child that is started for one job: what for, and the ids of brain's open requests (0 = none). */
struct errand { json_t *job; uint64_t start, stop; };

struct parent {
    struct sm_loop *loop;
    struct ground *g;
    const struct settings *s;
    struct kid kids[KIDS_MAX];
    size_t n;
    bool headless, announced, stopping;
    char setup_code[64], fingerprint[80];
    bool brain_noted, serving;
    uint64_t opener_asks[OPENER_ASKS_MAX]; /* ids of P_OPENER of the present brain */
    size_t opener_asks_n;
    struct disks *disks;
    struct errand copier, courier, self;
    int code;
    struct companion *companion;  /* the local agent, NULL when there is none */
};

/* ---- parent.c ---- */
struct kid *kid_of(struct parent *p, unsigned who);   /* NULL: there is none */
bool kid_lives(const struct kid *k);
void kid_start(struct kid *k);
/* A JSON message to k (send_take takes j); what cannot be sent is logged. */
void kid_send(struct kid *k, uint16_t type, const json_t *j, int fd);
void kid_send_take(struct kid *k, uint16_t type, json_t *j, int fd);

/* ---- errand.c ---- */
/* What brain asks for.  Each answers, at once or when it is done. */
void on_opener(struct kid *brain, struct sm_ipc_msg *m);
void on_copier(struct kid *brain, struct sm_ipc_msg *m);
void on_courier(struct kid *brain, struct sm_ipc_msg *m);
void on_address(struct kid *brain, struct sm_ipc_msg *m);
void on_self(struct kid *brain, struct sm_ipc_msg *m);
void on_mail(struct kid *brain, struct sm_ipc_msg *m);
void on_firewall(struct kid *brain, struct sm_ipc_msg *m);
void on_house(struct kid *brain, struct sm_ipc_msg *m);
void on_disks(void *parent);                          /* the list changed: brain is told */
void opener_answer(struct parent *p, int err);
struct errand *errand_of(struct parent *p, unsigned who);   /* NULL: no child that is started for one job */
void errand_answer(struct kid *k, uint64_t *id, int err, const char *why);
void errand_ended(struct kid *k);
void errands_forget(struct parent *p);                /* nobody waits for brain's requests any more */
#endif
