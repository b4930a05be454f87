/* What the files of this room share. */
#ifndef SM_DECIDE_INTERNAL_H
#define SM_DECIDE_INTERNAL_H
#include "decide/decide.h"

/* The one spelling of an entity: lower case, machine names without domain, "CLINIC\user" as "user", no brackets around IPv6. */
void decide_entity_clean(struct decide_entity *e);
/* Joins nothing by itself: empty, "-", accounts of systems, loopback, everybody's addresses. */
bool decide_entity_generic(const struct decide_entity *e);
/* An address of networks that no internet router passes on. */
bool decide_entity_inside(const struct decide_entity *e);
bool decide_entity_eq(const struct decide_entity *a, const struct decide_entity *b);
bool decide_entity_in(const struct decide_entity *list, size_t n, const struct decide_entity *e);

struct decide_filter_row { uint64_t id; char rule[DECIDE_RULE_MAX]; struct decide_entity entity[DECIDE_ENTITIES_MAX]; size_t n; };
/* The filter that holds for s, 0 if none; s->entity are clean. */
uint64_t decide_filter_of(const struct decide_filter_row *rows, size_t n, const struct decide_signal *s);
#endif
