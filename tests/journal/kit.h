/* A folder with a journal in it, and events to put there. */
#ifndef TESTS_JOURNAL_KIT_H
#define TESTS_JOURNAL_KIT_H
#include "journal/journal.h"
#include "journal/search.h"

struct kit {
    char dir[64];
    struct evidence *j;
    struct evidence_conf conf;
    struct event_names *names;
    struct event e;
    struct evseal_state seal;
    uint8_t key[32];
};
int kit_set_up(void **state);
int kit_tear_down(void **state);
void kit_open(struct kit *k, struct evidence_found *found);
void kit_close(struct kit *k);
/* The n-th sample event: syslog with an address, Japanese every third; built in k->e, borrowed of static memory. */
void kit_sample(struct kit *k, unsigned n);
/* A flat JSON record whose path is escaped in raw. */
void kit_json(struct kit *k, unsigned n);
void kit_text(struct kit *k, int64_t time_s, const char *raw);
uint64_t kit_append(struct kit *k, unsigned n);
void kit_fill(struct kit *k, unsigned from, unsigned to);   /* and commit */
void kit_seal(struct kit *k);
void kit_advance(struct kit *k);
void kit_link(struct kit *k);       /* the first statement of a record that goes on with another's */
/* How many events match; "" is all. */
uint64_t kit_count(const char *dir, const char *query);
#endif
