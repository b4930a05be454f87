/*
 * Processes, inside the part `sensor`: the watcher feeds the tree of processes, and what happens becomes events.  One
 * thread: whoever calls procs_drain also owns the tree.
 *
 *   procs_new before part_confine (it opens what needs CAP_BPF, PERFMON and NET_ADMIN); nothing after it makes unusual
 *     system calls but reads of /proc
 *   procs_drain when procs_fd is readable, and before each decision on a file: whoever did it is then in the tree
 *   procs_tick once a second: tells what was folded, looks by itself where there is no watcher
 */
#ifndef AGENT_SENSOR_PROCS_H
#define AGENT_SENSOR_PROCS_H
#include "sensor/proctree.h"

enum procs_what { PROCS_BORN, PROCS_PROGRAM, PROCS_ENDED };
struct procs_config {
    /* One event, a JSON object without a line end; from within procs_drain and procs_tick.  Not NULL. */
    void (*event)(void *ctx, struct sm_span line);
    /* A process began, became another program, ended (row is borrowed for the call).  Must not call back in here. NULL:
     * nobody asks. */
    void (*word)(void *ctx, enum procs_what what, const struct proctree_row *row);
    /* The number that events have for the tree of row (borrowed for the call).  NULL: the tree's own. */
    uint64_t (*number)(void *ctx, const struct proctree_row *row);
    /* The last living process of a tree ended.  NULL: nobody asks. */
    void (*tree_gone)(void *ctx, uint64_t tree);
    void *ctx;
    bool no_bpf, no_connector; /* not even where they are to be had: for tests */
};
struct procs;
sm_must_use int procs_new(const struct procs_config *config, struct procs **ret); /* -ENOMEM */
void procs_free(struct procs *p);
int procs_fd(const struct procs *p);          /* for the loop; -1: there is none, procs_tick does it all */
void procs_drain(struct procs *p);            /* next to nothing when there is nothing */
void procs_tick(struct procs *p);
struct proctree *procs_tree(struct procs *p); /* borrowed; drain first */
/* As of the last tick; from any thread.  Into *state (the body of E_SENSOR_STATE): "processes":"bpf|connector|none",
 * "processes_lost" (dropped ones too), "processes_folded" (told in sum), "processes_unread" (known by the name they
 * were started by alone), and words in "why". */
sm_must_use int procs_state(const struct procs *p, json_t *state);
#endif
