/* Rules and events of a test, in one line each. */
#ifndef SM_TESTS_DETECT_KIT_H
#define SM_TESTS_DETECT_KIT_H
#include "test.h"
#include "detect/sigma/sigma.h"

struct kit {
    struct event_names *names;
    struct sigma_set *set;
    struct sigma_matcher *m;
    struct sigma_scratch *s;
    struct event e;
    size_t faults;
    struct sigma_fault fault; /* the first */
    bool plain;
    size_t hits;
    const struct sigma_rule *hit[64];
};
void kit_open(struct kit *k);
void kit_close(struct kit *k);
/* Text of a file of rules; returns how many were loaded. */
int kit_add(struct kit *k, const char *text);
/* A rule of one selection (lines of the map, indented by eight) and `condition: selection`, for product test. */
void kit_rule(struct kit *k, const char *selection);
void kit_compile(struct kit *k);
/* The event anew: pairs of name and value, ended by NULL; a value NULL is null.  Words: product test. */
void kit_event(struct kit *k, ...) __attribute__((sentinel));
/* How many rules match it. */
size_t kit_match(struct kit *k);
/* All of it: does the selection match an event with this one field? */
bool holds(const char *selection, const char *name, const char *value);
#endif
