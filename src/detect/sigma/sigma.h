/*
 * Sigma: rules as data, compiled into one matcher.
 *
 * A set takes texts of rules, filters and correlations (specification v2.1.0), one file after the other.  What is wrong
 * with one document is reported with file, line and reason and harms no other.  sigma_compile makes a matcher of the
 * set: it never changes and may be used by several threads, each with a scratch of its own.  An event is matched in two
 * steps: literals of its values say which rules could match (detect/sigma/literal.h: vectorscan, or plain C), then the
 * whole condition of these few is evaluated.
 *
 * Which events a log source of a rule means, and under which names their fields stand there, is data:
 * rules/logsources.yml (docs/RULES.md).  A log source that table lacks is found by the words of the event (product,
 * category, service).
 *
 * Not seen here: files, settings, the box.  Nothing logs.  What matches is evaluated as the specification says: letters
 * of either case are equal unless `cased`; a comparison with a field that is absent is false, and `not` of it true.
 */
#ifndef SM_DETECT_SIGMA_SIGMA_H
#define SM_DETECT_SIGMA_SIGMA_H

#include "event/event.h"

enum {
    SIGMA_TEXT_MAX = 1 << 20, /* bytes of one file */
    SIGMA_DEPTH_MAX = 16,     /* nesting of YAML and of brackets in a condition */
    SIGMA_NODES_MAX = 60000,  /* values of one file, aliases counted where they are used */
    SIGMA_RULES_MAX = 50000,  /* rules, filters and correlations of a set */
    SIGMA_WHY_MAX = 240,
};

enum sigma_level { SIGMA_NONE, SIGMA_INFORMATIONAL, SIGMA_LOW, SIGMA_MEDIUM, SIGMA_HIGH, SIGMA_CRITICAL };
enum sigma_kind { SIGMA_RULE, SIGMA_FILTER, SIGMA_CORRELATION };

/* One document.  Texts are the set's and live as long as it; "" when absent. */
struct sigma_rule {
    uint32_t number; /* place in the set, 0 .. */
    enum sigma_kind kind;
    enum sigma_level level;
    const char *id, *name, *title, *status, *description, *author, *license, *date, *modified;
    const char *file; /* as given to sigma_add */
    unsigned line;    /* of its first key */
    const char *product, *category, *service;
    const char *const *tags, *const *references, *const *falsepositives, *const *fields; /* NULL-ended, never NULL */
    /* `x-sakimori`: what clinic staff reads (our own rules); "" elsewhere */
    const char *title_ja, *what_ja, *todo_ja;
    const char *waits; /* placeholder without a list: the rule is loaded and never matches; "" if none */
    bool correlated;   /* a correlation that is used refers to it and does not `generate`: not a signal of its own */
    bool off;          /* switched off by sigma_switch, or: */
    bool broken;       /* cannot be used: left out by sigma_link */
    bool replaced;     /* the rule with its id that was added before counts */
    unsigned layer;    /* of sigma_layer, when it was added */
};

struct sigma_set;
struct sigma_matcher;
struct sigma_scratch;

/* What was wrong with a document.  line counts from 1; 0: the whole file. */
struct sigma_fault {
    const char *file;
    unsigned line;
    char why[SIGMA_WHY_MAX];
};
typedef void sigma_fault_fn(void *ctx, const struct sigma_fault *fault);

/* names is borrowed and must outlive set, matchers and scratches; fields of rules get their numbers there.  NULL: no
 * memory. */
struct sigma_set *sigma_set_new(struct event_names *names);
void sigma_set_free(struct sigma_set *set);

/* The table of log sources.  Before sigma_compile; a second one adds to the first.  -SM_EFORMAT (ret says where and
 * why), -SM_ELIMIT, -ENOMEM. */
sm_must_use int sigma_sources(struct sigma_set *set, const char *file, struct sm_span text, struct sigma_fault *ret);
/* Values of the placeholder %name% (`expand`); wildcards count.  Called again for more values.  -ENOMEM. */
sm_must_use int sigma_list(struct sigma_set *set, const char *name, const char *value);
/* Every document of one file.  fault is called for each document that could not be loaded.  Returns how many were
 * loaded; -ENOMEM. */
sm_must_use int sigma_add(
    struct sigma_set *set, const char *file, struct sm_span text, sigma_fault_fn *fault, void *ctx);
/* What is added from now on belongs to this layer.  The same rule in two layers is no fault: the one added first replaces
 * the other. */
void sigma_layer(struct sigma_set *set, unsigned layer);
/* After the last sigma_add and before sigma_compile: joins filters and correlations to their rules.  fault is called
 * for each filter or correlation that names a rule that is not there (a filter that finds none of its rules changes
 * nothing; one for `any` rule of a log source is right without any; a correlation that lacks one is left out).  -ENOMEM. */
sm_must_use int sigma_link(struct sigma_set *set, sigma_fault_fn *fault, void *ctx);
/* By id or name; counts for matchers compiled afterwards.  What was left out (broken) stays so.  A correlation that is off
 * no longer makes its rules `correlated`.  -SM_ENOTFOUND. */
sm_must_use int sigma_switch(struct sigma_set *set, const char *id, bool on);

size_t sigma_count(const struct sigma_set *set);
const struct sigma_rule *sigma_rule_at(const struct sigma_set *set, size_t i);
/* By id, else by name; NULL. */
const struct sigma_rule *sigma_find(const struct sigma_set *set, const char *id);

/* After sigma_link: the rules a correlation refers to, and the correlations that refer to a rule; at most max into ret.
 * Returns how many. */
size_t sigma_refers(
    const struct sigma_set *set, const struct sigma_rule *correlation, const struct sigma_rule **ret, size_t max);
size_t sigma_feeds(const struct sigma_set *set, const struct sigma_rule *rule, const struct sigma_rule **ret, size_t max);

struct sigma_options {
    int zone_s; /* of the clock that `hour` and such of @timestamp mean; 32400 is Japan */
    bool plain; /* no vectorscan: the plain C scanner */
};
/* The set is borrowed and must outlive the matcher.  -ENOMEM. */
sm_must_use int sigma_compile(struct sigma_set *set, const struct sigma_options *options, struct sigma_matcher **ret);
void sigma_matcher_free(struct sigma_matcher *m);

struct sigma_size {
    size_t rules, instances, buckets, databases, literals, direct, bytes;
};
void sigma_matcher_size(const struct sigma_matcher *m, struct sigma_size *ret);

/* One per thread. NULL: no memory. */
struct sigma_scratch *sigma_scratch_new(const struct sigma_matcher *m);
void sigma_scratch_free(struct sigma_scratch *s);

/* Called once for each rule that matches, in order of their numbers within a log source. */
typedef void sigma_hit_fn(void *ctx, const struct sigma_rule *rule, const struct event *event);
/* Returns how many rules matched (0 ..), -ENOMEM. */
sm_must_use int sigma_match(
    const struct sigma_matcher *m, struct sigma_scratch *s, const struct event *e, sigma_hit_fn *hit, void *ctx);
/* Events, candidates evaluated, hits, and how often the regular expression of a rule was given up at its limit (it then
 * counts as not matching); ret_rule is the last rule that happened to, or NULL. */
struct sigma_counts {
    uint64_t events, candidates, hits, regex_limits;
    const struct sigma_rule *ret_rule;
};
void sigma_scratch_counts(const struct sigma_scratch *s, struct sigma_counts *ret);

/*
 * Why a rule matches an event or does not, as lines from the outermost to the single comparison.
 * depth nests them; truth: did it hold.  what: "log source", "condition", "selection_img", "Image|endswith".  Called
 * for everything that took part, whether or not it decided.
 */
struct sigma_line {
    unsigned depth;
    bool truth;
    const char *what;    /* as the rule has it */
    const char *want;    /* what it compares with, "" if nothing */
    struct sm_span have; /* the event's value; empty if none */
    bool absent;         /* the event has no such field */
    const char *field;   /* the name in the event when the log source renames it, else "" */
};
typedef void sigma_line_fn(void *ctx, const struct sigma_line *line);
/* Returns 1 it matches, 0 it does not, -SM_ENOTFOUND the rule is no detection rule, -ENOMEM. */
sm_must_use int sigma_explain(const struct sigma_matcher *m, struct sigma_scratch *s, const struct sigma_rule *rule,
    const struct event *e, sigma_line_fn *line, void *ctx);

#endif
