/*
 * Folders of rules into a set: what the command line and the process that watches share.
 * Every *.yml and *.yaml below a folder in order of names, at most LOAD_DEPTH_MAX deep; links are not followed, names
 * that begin with a dot and folders called "tests" are left out, logsources.yml is the table of log sources and no
 * rule.
 */
#ifndef SM_DETECT_LOAD_H
#define SM_DETECT_LOAD_H

#include "detect/sigma/sigma.h"

enum { LOAD_DEPTH_MAX = 12, LOAD_FILES_MAX = 60000 };

struct load_counts {
    size_t files, rules, faults;
};
/* path is a folder or one file.  What cannot be read is a fault too.  -ENOMEM; -errno when path itself cannot be
 * opened. */
sm_must_use int load_rules(
    struct sigma_set *set, const char *path, sigma_fault_fn *fault, void *ctx, struct load_counts *ret);
/* The table of log sources in that file.  As sigma_sources, and -errno. */
sm_must_use int load_sources(struct sigma_set *set, const char *path, struct sigma_fault *ret);
/* Values of placeholders: lines `name = value`, # comments; as many lines of one name as it has values.  -SM_EFORMAT,
 * -ENOMEM, -errno. */
sm_must_use int load_lists(struct sigma_set *set, const char *path, struct sigma_fault *ret);

#endif
