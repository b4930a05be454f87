/* Events and queries by chance, and the comparison of two ways to search. */
#ifndef TESTS_JOURNAL_HOUSE_KIT_H
#define TESTS_JOURNAL_HOUSE_KIT_H
#include "journal/house.h"
#include "kit.h"

struct chance {
    uint64_t s;
};
uint32_t chance(struct chance *c, uint32_t below);
/* One event of k->e, all of it borrowed of static memory until the next. */
void house_event_by_chance(struct kit *k, struct chance *c, unsigned n);
/* A query that parses. */
void house_query_by_chance(struct chance *c, char *ret, size_t n);
#endif
