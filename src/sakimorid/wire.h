/*
 * Small things every child does with JSON bodies: hex and text fields, the one answer of a request.
 */
#ifndef SAKIMORID_WIRE_H
#define SAKIMORID_WIRE_H
#include "sakimorid/child.h"

#define WIRE_JSON_MAX ((size_t)256 << 10) /* the largest is an order to sign; every message has its own bound besides */

/* Answer m with o (taken, may be NULL), or with error r and why (NULL or "": the error's own words). */
void wire_answer(struct sm_ipc *ipc, struct sm_ipc_msg *m, json_t *o, int r, const char *why);
/* The body as an object (the caller's), or NULL after an error answer. */
json_t *wire_body(struct sm_ipc *ipc, struct sm_ipc_msg *m);
/* Set o[key]; n <= 512.  Out of memory leaves the key out, which the reader of the object notices as missing. */
void wire_hex(json_t *o, const char *key, const void *p, size_t n);
void wire_text(json_t *o, const char *key, struct sm_span s);
void wire_int(json_t *o, const char *key, uint64_t v);
/* A text field as a span that borrows from the JSON. */
struct sm_span wire_get(struct sm_obj *o, const char *key, size_t max);
/* Optional id of n bytes: true when it was there (o->err when it is wrong). */
bool wire_hex_opt(struct sm_obj *o, const char *key, void *ret, size_t n);
#endif
