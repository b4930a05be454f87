/*
 * The part `sensor`: watches folders of people's files (plat/fswatch.h), asks detect/ransom about every act in them, stops trees of
 * processes, and has giveback keep what is about to be changed.  docs/PROTOCOL-agent.md, "Endpoint: sensor".
 *
 * Threads: the deciding one (decide.c) answers asks, reads notices and owns the tree of processes, the scores and the held files;
 * the walker (marks.c) marks folders; two workers (keep.c) copy what is large; the watchdog (watchdog.c) answers when the deciding
 * thread stands.  Whoever made the sensor has its loop, and takes what is to be said with sensor_deliver.
 */
#ifndef AGENT_SENSOR_H
#define AGENT_SENSOR_H
#include <stdio.h>

#include "giveback/giveback.h"
#include "sakimori-agent/endpoint.h"

struct sensor;
struct sensor_setup {
    const char *data;               /* the agent's folder: never watched; DATA/decoys is read.  NULL: none */
    int giveback;                   /* an open folder; -1: nothing can be kept.  Borrowed for sensor_new */
    struct giveback_limits limits;
    bool everywhere;                /* "auto" means all folders of people's files; else those of sources alone */
    uint32_t boss;                  /* the supervisor: our own programs below it are answered first; 0: this process alone */
    /* What is to be told: E_EVENT (a line of JSON without its end), E_FINDING.  From within sensor_deliver. */
    void (*say)(void *ctx, int type, struct sm_span body);
    void *ctx;
};
/* Opens everything that needs rights which are given up later.  why: 400 bytes, what this machine has not, "" when it has all.
 * Without any way to watch it is a sensor all the same, which says so in its state.  -ENOMEM. */
sm_must_use int sensor_new(const struct sensor_setup *setup, struct sensor **ret, char *ret_why);
/* Its threads begin; nothing is watched before the first sensor_policy.  -errno. */
sm_must_use int sensor_start(struct sensor *s);
void sensor_free(struct sensor *s); /* all asks are let go, all threads end */
/* From now on this holds (copied).  sources: more folders to protect where the policy says "auto".  -ENOMEM. */
sm_must_use int sensor_policy(struct sensor *s, const struct endpoint_policy *p, const char *const *sources, size_t n);
/* What a person or the judge decided about a tree. */
enum sensor_do { SENSOR_STOP, SENSOR_GO, SENSOR_EXCUSE, SENSOR_DROP,
    SENSOR_MEMBERS /* who lives of it is said as E_MEMBERS {"tree","processes":[{"pid","start"}]} */ };
sm_must_use int sensor_tree(struct sensor *s, uint64_t tree, enum sensor_do what);
int sensor_fd(const struct sensor *s); /* readable when there is something to deliver */
void sensor_deliver(struct sensor *s);
/* The body of E_SENSOR_STATE. */
sm_must_use int sensor_state(struct sensor *s, json_t **ret);

/* sakimori-agent sensor-check (check.c): argv[0] is the command.  Exit code. */
int sensor_check_command(int argc, char **argv, bool japanese);
/* Text from outside for a terminal: control characters, and bytes that are not UTF-8, as \xNN. */
void sensor_check_text(FILE *to, const char *text);
#endif
