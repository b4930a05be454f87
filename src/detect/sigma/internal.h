/* What the files of the Sigma engine share.  sigma.h is the contract. */
#ifndef SM_DETECT_SIGMA_INTERNAL_H
#define SM_DETECT_SIGMA_INTERNAL_H

#include "detect/sigma/sigma.h"

/* ---- memory that lives as long as its owner (pool.c) ---- */
struct pool_block;
struct pool {
    struct pool_block *blocks;
    size_t bytes;
};
void *pool_get(struct pool *p, size_t n);                    /* zeroed, 16-byte aligned; NULL: no memory */
char *pool_text(struct pool *p, const void *text, size_t n); /* copy, ended by NUL */
void pool_wipe(struct pool *p);

/* ---- YAML as a tree (yaml.c) ---- */
enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };
struct node {
    enum node_kind kind;
    bool plain; /* a scalar without quotes: may be a number, bool, null */
    unsigned line;
    const char *text; /* of a scalar, ended by NUL; text_n bytes */
    size_t text_n, n; /* n: children */
    struct node *child, *last, *next;
    const struct node *key; /* of a child of a map */
};
/* Each document of text in turn.  A document that is not sound ends the file (what came before it is kept).
 * -SM_EFORMAT or -SM_ELIMIT with fault filled; what `each` returns when negative; -ENOMEM. */
typedef int yaml_each(void *ctx, struct node *document);
sm_must_use int yaml_read(
    struct pool *pool, const char *file, struct sm_span text, yaml_each *each, void *ctx, struct sigma_fault *fault);
struct node *node_get(const struct node *map, const char *key);
bool node_is_null(const struct node *n); /* plain ~, null or nothing */

/* ---- letters (fold.c) ---- */
/* Lower case of n bytes of UTF-8, the same length: pairs of letters of unequal length stay as they are. */
void fold_text(uint8_t *to, const uint8_t *from, size_t n);

/* ---- patterns (pattern.c) ---- */
enum pattern_kind { PATTERN_EXACT, PATTERN_PREFIX, PATTERN_SUFFIX, PATTERN_CONTAINS, PATTERN_GLOB, PATTERN_ANY };
enum { TOKEN_ONE = 256, TOKEN_STAR, TOKEN_DASH }; /* above the bytes */
struct pattern {
    uint8_t kind;
    bool cased;
    uint32_t n;            /* of text, or of token */
    const uint8_t *text;   /* all kinds but GLOB; folded unless cased */
    const uint16_t *token; /* GLOB; TOKEN_STAR stands where it is open */
    const char *source;    /* as the rule has it */
};
/* Building one: tokens. */
struct tokens {
    uint16_t *t;
    size_t n, cap;
    int err;
};
void tokens_put(struct tokens *t, uint16_t v);
void tokens_value(struct tokens *t, struct sm_span value); /* wildcards and backslashes by the specification */
sm_must_use int pattern_make(
    struct pool *pool, const struct tokens *t, bool cased, const char *source, struct pattern *ret);
/* folded is fold_text of value. */
bool pattern_match(const struct pattern *p, struct sm_span value, const uint8_t *folded);
/* The longest stretch of folded bytes every match contains, and whether it stands at the start or the end of the value.
 */
struct stretch {
    uint8_t *p;
    uint32_t n;
    bool start, end;
};
sm_must_use int pattern_stretch(struct pool *pool, const struct pattern *p, struct stretch *ret);

/* ---- comparisons (compare.c) ---- */
enum compare { CMP_EQ, CMP_LT, CMP_LTE, CMP_GT, CMP_GTE };
struct cidr {
    uint8_t address[16];
    uint8_t bits;
    bool v6;
};
bool number_read(struct sm_span text, double *ret); /* decimal, or 0x hexadecimal */
bool number_compare(enum compare c, double have, double want);
bool cidr_read(struct sm_span text, struct cidr *ret);
bool cidr_match(const struct cidr *c, struct sm_span text);
enum unit { UNIT_NONE, UNIT_MINUTE, UNIT_HOUR, UNIT_DAY, UNIT_WEEK, UNIT_MONTH, UNIT_YEAR };
bool unit_read(enum unit u, struct sm_span text, double *ret); /* of a date as text */
double unit_of(enum unit u, int64_t s);                        /* of a moment, already in the clock meant */

/* ---- regular expressions (regex.c) ---- */
struct regex;
enum { REGEX_I = 1, REGEX_M = 2, REGEX_S = 4 };
/* ret_why: SIGMA_WHY_MAX.  -SM_EFORMAT, -ENOMEM. */
sm_must_use int regex_new(const char *text, size_t n, unsigned flags, struct regex **ret, char *ret_why);
void regex_free(struct regex *r);
struct regex_state;
struct regex_state *regex_state_new(void);
void regex_state_free(struct regex_state *s);
/* 1 found, 0 not, -SM_ELIMIT given up. */
int regex_match(const struct regex *r, struct regex_state *s, struct sm_span value);
/* Bytes every match contains, folded; n 0 when none are known. */
sm_must_use int regex_stretch(struct pool *pool, const struct regex *r, struct stretch *ret);

/* ---- conditions as trees ---- */
enum test { TEST_TEXT, TEST_REGEX, TEST_CIDR, TEST_NUMBER, TEST_NULL, TEST_EXISTS, TEST_REF, TEST_UNIT };
struct atom {
    uint8_t test, compare, unit, ref_kind; /* ref_kind: PATTERN_* of fieldref */
    bool cased;
    uint16_t name; /* 0: every value of the event (keywords) */
    uint16_t ref;
    uint32_t n; /* patterns: one of them has to match */
    struct pattern *pattern;
    struct regex *regex;
    struct cidr cidr;
    double number;
    const char *want; /* as the rule has it, for people */
};
enum op { OP_ATOM, OP_AND, OP_OR, OP_NOT, OP_NEVER, OP_RULE /* n: which of a correlation's rules */ };
struct expr {
    uint8_t op;
    uint32_t n;
    struct expr **kid;
    struct atom *atom;
    const char *label; /* selection, or field with modifiers; NULL */
};

/* ---- rules ---- */
enum correlate_type {
    CORRELATE_EVENT_COUNT,
    CORRELATE_VALUE_COUNT,
    CORRELATE_TEMPORAL,
    CORRELATE_TEMPORAL_ORDERED,
    CORRELATE_VALUE_SUM,
    CORRELATE_VALUE_AVG,
    CORRELATE_VALUE_PERCENTILE,
    CORRELATE_VALUE_MEDIAN
};
enum correlate_cmp {
    CORRELATE_GT,
    CORRELATE_GTE,
    CORRELATE_LT,
    CORRELATE_LTE,
    CORRELATE_EQ,
    CORRELATE_NEQ,
    CORRELATE_CMPS
};
struct correlate_alias {
    const char *name;
    size_t n;
    const char **rule;
    uint16_t *field;
};
struct correlation {
    enum correlate_type type;
    bool generate;
    size_t rules_n;
    const char **rule_name;
    const struct sigma_rule **rule; /* by sigma_link */
    size_t group_n;
    const char **group_name;
    uint16_t *group; /* fields; 0 for an alias */
    size_t field_n;
    uint16_t *field;
    const char **field_name;
    size_t alias_n;
    struct correlate_alias *alias;
    int64_t timespan_s;
    bool has[CORRELATE_CMPS];
    double limit[CORRELATE_CMPS];
    double percentile; /* value_percentile: which; negative: the share of a value among all, in percent */
    struct expr *when; /* temporal, temporal_ordered: which of the rules have to be there; NULL: all, or as many as the limits say */
    bool absence;      /* when says of a rule that it must not be there */
};
struct filter {
    size_t n;
    const char **rule;
    bool any;
};
struct rule {
    struct sigma_rule pub;
    struct expr *cond; /* rules and filters */
    struct correlation *correlation;
    struct filter *filter;
    uint16_t product, category, service; /* words of the table of names */
};

/* ---- log sources (sources.c) ---- */
struct rename {
    uint16_t from, to;
};
struct where {
    uint16_t name;
    size_t n;
    const char **value;
};             /* folded */
struct found { /* one way in which events of a log source come */
    const char *place;
    size_t channel_n, provider_n, id_n, rename_n, where_n;
    const char **channel, **provider; /* folded */
    uint32_t *id;
    struct rename *rename;
    struct where *where;
    uint16_t product, category, service; /* words; all 0: none */
    bool windows;                        /* every event that names a channel or provider */
    bool alone;                          /* words: only of events that name neither channel nor provider */
};
struct source {
    const char *product, *category, *service;
    size_t n;
    struct found *found;
};

struct list {
    const char *name;
    size_t n, cap;
    const char **value;
    struct list *next;
};
enum beside { AT_TIMESTAMP, AT_HOST, AT_PRODUCT, AT_CATEGORY, AT_SERVICE, AT_FORMAT, AT_SEVERITY, AT_COUNT };
struct sigma_set {
    struct event_names *names;
    struct pool pool;
    struct rule **rule;
    size_t n, cap;
    struct source *source;
    size_t source_n, source_cap;
    unsigned layer;
    struct list *lists;
    struct regex **regex; /* owned: pools free no foreign memory */
    size_t regex_n, regex_cap;
    uint16_t at[AT_COUNT], at_first, at_last; /* names of what is no field of an event */
};

/* Reading one document; err is sticky: -SM_EFORMAT with why and line, or -ENOMEM. */
struct reader {
    struct sigma_set *set;
    struct pool *pool;
    const char *file;
    int err;
    unsigned line;
    char why[SIGMA_WHY_MAX];
    const char *waits;
    unsigned depth;
};
void sigma_fail(struct reader *r, unsigned line, const char *fmt, ...) sm_printf(3, 4);
void *sigma_get(struct reader *r, size_t n);                    /* pool, sticky -ENOMEM */
const char *sigma_text(struct reader *r, const struct node *n); /* "" for NULL */
/* One search identifier (detection.c), one condition (condition.c), the correlation section (correlation.c). */
struct expr *detection_read(struct reader *r, const struct node *value, const char *label);
struct expr *expr_new(struct reader *r, enum op op, size_t kids);
struct named {
    const char *name;
    struct expr *expr;
};
struct expr *condition_read(struct reader *r, const struct named *named, size_t n, const char *text, unsigned line);
struct correlation *correlation_read(struct reader *r, const struct node *map);
/* Does it hold when these rules (bits) are there? */
bool correlation_when(const struct expr *when, uint64_t there);
/* rule.c */
sm_must_use int rule_read(struct reader *r, const struct node *document, struct rule **ret);
const struct correlation *sigma_correlation(const struct sigma_rule *rule);

/* sources.c: which ways lead to a rule's events, by the table; and in ret_words the one that always is, by words of the
 * event. */
const struct found *sources_find(
    const struct sigma_set *set, const struct rule *rule, struct found *ret_words, size_t *ret_n);

/* Which of what is no field that name is; AT_COUNT: none. */
static inline enum beside at_of(const struct sigma_set *s, uint16_t name)
{
    enum beside i = AT_COUNT;

    if (name >= s->at_first && name <= s->at_last)
        for (i = 0; i < AT_COUNT && s->at[i] != name;)
            i++;
    return i;
}

/* ---- evaluating (eval.c) ---- */
struct view { /* an event as the matcher sees it */
    const struct event *e;
    const struct sigma_set *set;
    int zone_s;
    uint32_t stamp;
    struct {
        uint32_t stamp;
        uint16_t at;
    } * index;        /* by name: the first field of it */
    uint8_t **folded; /* by field; NULL until asked for */
    uint8_t *room;    /* for folded values */
    size_t room_n, room_cap;
    size_t all_n; /* bytes of room that are all values; 0: not asked for */
    size_t folded_cap;
    const struct rename *rename;
    size_t rename_n;
    struct regex_state *regex;
    uint64_t regex_limits;
    bool limit;                  /* a regular expression was given up since it was cleared */
    struct event_field extra[8]; /* values of the @ names */
    char extra_text[40];
    int err;
};
int view_init(struct view *v, const struct sigma_set *set, int zone_s);
void view_wipe(struct view *v);
void view_open(struct view *v, const struct event *e);
const struct event_field *view_get(struct view *v, uint16_t name);
const struct event_field *view_next(struct view *v, const struct event_field *f);
/* NULL: no memory (v->err). */
const uint8_t *view_folded(struct view *v, const struct event_field *f);
const uint8_t *view_folded_raw(struct view *v);
/* All values (and the raw text where it counts), folded, one after the other with a newline between.  NULL: no memory.
 */
const uint8_t *view_folded_all(struct view *v, size_t *ret_n);
bool eval_expr(struct view *v, const struct expr *x);
bool eval_atom(struct view *v, const struct atom *a);
bool eval_where(struct view *v, const struct where *w);
bool view_raw_counts(const struct view *v); /* is raw text that keywords are looked for in */

#endif
