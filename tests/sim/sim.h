/*
 * The attack simulator `sakimori-sim`: harmless, for tests and the demo.
 *
 * Files: works only below a folder that holds the marker SIM_MARKER (made by the test or the demo, never by this
 * program), follows no link, leaves that folder's file system never, and is confined to it by Landlock where the kernel
 * has it.  The key is made from a seed and printed nowhere; it is sample data.
 * Protocol: speaks to a box as a machine whose keys were stolen, and tries to harm its backups.  Bounded calls.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H
#include <jansson.h>
#include "core/buf.h"

#define SIM_MARKER ".sakimori-sim-allowed"
#define SIM_MARKER_TEXT "sakimori-sim\n"
#define SIM_DEPTH_MAX 64
#define SIM_FILES_MAX 1000000u

enum { SIM_FULL = 1, SIM_PARTIAL = 2, SIM_RENAME = 4, SIM_DELETE = 8, SIM_NOTE = 16 };
struct sim_counts { uint64_t files, bytes, renamed, deleted, notes, failed; };
/* -SM_EDENIED without the marker, -errno of the folder; files that resist are counted. */
sm_must_use int sim_files(const char *dir, unsigned styles, uint64_t seed, struct sim_counts *ret);

struct sim_hostile {
    const char *agent;   /* copy of an agent's data folder */
    const char *url;     /* https://host:port, NULL = the one in agent.json */
    const char *source, *run; /* hex, NULL = taken from an order of the box */
    const char *work;    /* empty folder for caches and a few files */
    const char *only;    /* name of one attack, NULL = all */
};
/* Each attack as one JSON object to fn.  0, or an error before the first. */
sm_must_use int sim_hostile(const struct sim_hostile *h, void (*fn)(void *arg, json_t *row), void *arg);
#endif
