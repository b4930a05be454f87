/*
 * A finding as the box takes it (docs/PROTOCOL-agent.md, "Findings"): what finders tell is brought into this form, so that nothing they
 * say makes the box refuse the whole.
 */
#ifndef AGENT_JUDGE_FORM_H
#define AGENT_JUDGE_FORM_H
#include "core/json.h"

enum { FORM_TEXT_MAX = 8000 /* bytes of a text */ };

/* Names with plain values of o: lists and objects in it are left out, long texts are cut; NULL: it is no object.  The caller's. */
json_t *form_flat(const json_t *o);
/* Such objects of a list, at most max; the caller's. */
json_t *form_list(const json_t *list, size_t max);
/* What is known of a finding but its id, rev, state and acts; the caller's. */
json_t *form_finding(const json_t *f);
#endif
