/* The parsed query: a tree in one array.  query.c makes it, match.c runs it. */
#ifndef EVIDENCE_QUERY_H
#define EVIDENCE_QUERY_H

#include "journal/internal.h"
#include "journal/search.h"

enum q_op { Q_ALL, Q_AND, Q_OR, Q_NOT, Q_TERM, Q_EXISTS, Q_RANGE, Q_CIDR, Q_TIME };
enum { QUERY_KEYS_MAX = 48, QUERY_PATTERN_MAX = 1024, Q_LITERAL = 0, Q_ANY = 1 /* * */, Q_ONE = 2 /* ? */ };

/* Folded text; wild says for each byte whether it stands for itself.  word: begins and ends where words do; whole:
 * is the value. */
struct q_pattern { uint8_t *p, *wild; size_t n; bool whole, any, one; };
struct q_bound { bool there, inclusive, number; double value; struct sm_span text; };
struct q_node {
    enum q_op op;
    int a, b;                       /* children, -1 none */
    struct sm_span field;           /* as written; empty: free text */
    unsigned own;                   /* enum ev_kind when the field is one of the block's own; EV_RAW: raw */
    struct q_pattern pattern;
    struct q_bound low, high;
    uint8_t address[16];            /* Q_CIDR; IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
    struct event_time from, to;     /* Q_TIME: from <= time < to */
    uint64_t key[QUERY_KEYS_MAX];   /* all must be in the filter of a block */
    size_t keys;
};
struct evquery {
    struct q_node *node;
    size_t n;
    int root;
    uint8_t **owned;                /* patterns and texts */
    size_t owned_n;
};

/* kana.c: s with katakana in its full or half form, the marks of voiced sounds joined or apart; other bytes as they are.
 * *ret_changed: true when there was any to change, else untouched.  -ENOMEM, -SM_ELIMIT of ret. */
sm_must_use int q_kana_full(struct sm_span s, struct sm_buf *ret, bool *ret_changed);
sm_must_use int q_kana_half(struct sm_span s, struct sm_buf *ret, bool *ret_changed);

/* An address in text, whole: 0, -SM_EFORMAT. */
int q_address(struct sm_span text, uint8_t ret[16]);
/* A number in text, whole. */
bool q_number(struct sm_span text, double *ret);

/* ---- match.c ---- */
/* May anything in this filter match?  ask tells whether a key is in it. */
typedef int (*q_ask_fn)(void *arg, uint64_t key);
int q_maybe(const struct evquery *q, q_ask_fn ask, void *arg);
/* One bit an event of the block.  bits has (events + 63) / 64 words. */
sm_must_use int q_match(const struct evquery *q, struct ev_block *b, uint64_t *bits);
/* Does one text match (for tests and explanations)?  text is not folded. */
sm_must_use int q_pattern_in(const struct q_pattern *p, struct sm_span text, bool *ret);

#endif
