/*
 * watch: batches of raw records → events → rules → the record, in that order; signals and what is known of sources go to brain.
 * It reads what strangers wrote, so it has no network and no key; keyd seals what it kept.
 *
 * Batches are taken in groups.  A group is one commit of the journal: what a batch was answered for is on the disk, and what
 * was on its way when this process died is sent again and taken once (streams.c).  While a thread keeps one group (keeper.c),
 * the next one is read and matched; groups are kept and answered in the order they came.
 */
#ifndef SAKIMORID_WATCH_H
#define SAKIMORID_WATCH_H
#include "detect/bundle/bundle.h"
#include "detect/correlate/correlate.h"
#include "detect/sigma/sigma.h"
#include "event/event.h"
#include "journal/journal.h"
#include "normalise/normalise.h"
#include "sakimorid/child.h"
#include "sakimorid/logbatch.h"

enum {
    GROUP_MS = 100,                 /* a batch waits at most so long for others to be kept with */
    GROUP_BYTES = 4 << 20,
    GROUP_RECORDS = 24000,
    JOBS_MAX = 512,                 /* batches that wait, and their bytes: past it they are refused, and come again */
    JOBS_BYTES = 48 << 20,
    SOURCES_MAX = 8192, HOSTS_MAX = 256 /* of one sender */,
    STATES_MAX = 256,               /* streams of agents whose records belong together */
    STREAMS_OF_ONE = 32,            /* of one agent, twice what it reads at once: logs are renamed */
    STREAMS_MAX = 4096, STREAMS_BYTES_MAX = 64 + STREAMS_MAX * 40,
    HITS_MAX = 64,                  /* rules kept with one event */
    FOLDS_MAX = 1024,
    FOLD_MS = 10000,                /* the same rule about the same machine, account and address is told again after this, with a count */
    ALIASES_MAX = 64,
    WHOS_MAX = 24, WHOS_MS = 60000, /* so many machines, accounts or addresses of one rule of one sender are told apart in that time */
    BUDGETS_MAX = 512,
    LOT_BYTES = 160 << 10,          /* of signals in one message: W_SIGNALS has room for 256 KiB, aliases included */
    SIGNALS_MAX = 512,              /* of one commit; more are counted */
    FAULTS_MAX = 500,
    RULE_FILES_MAX = 20000,
    BLOCK_AGE_MS = 15 * 60000,      /* an event is in a block, and a minute later sealed, after so long at most */
    FREE_BYTES = 192 << 20,         /* with less room on the disk than this, or than disk_reserve, nothing is taken in */
};

/* One who sends: what people said of it, and what its records left for the next one. */
struct origin {
    struct origin *next;            /* of its slot */
    unsigned listener;
    char address[LOG_ADDRESS_MAX + 1];
    char format[32], encoding[16], host[100]; /* host: of a machine with an agent, "" else */
    int zone_s;
    struct normalise_hint hint;
    struct normalise_state *state;  /* of agents, NULL else */
    unsigned hosts;
};

/* A machine that is heard of through an origin. */
struct source {
    struct source *next, *changed_next;
    struct origin *origin;
    uint64_t number;
    char host[100];
    uint8_t klass;
    bool changed, timed;
    uint64_t count, bytes, unparsed, cut;
    int64_t first_s, last_s, skew_s, jump_s, jumped_at_s;
    uint16_t format;
};

struct job {
    struct job *next;
    struct child_late late;
    struct sm_buf body;
    struct log_batch batch;         /* spans of body: what is left of it */
    struct log_run run;
    size_t bytes;                   /* of the body, also after it was read and dropped */
    bool in_group, keeping, bad, done, intended; /* intended: its records are of this group, not known already */
};

struct stream { uint8_t id[16]; uint64_t done, next; int64_t used_s; };

struct fold { uint32_t rule; uint64_t source, who, more, last_id; int64_t last_s; uint64_t until_ms; bool used; json_t *signal; };

/* How many the rule has told apart of a sender: one who makes up machines or accounts makes no flood of signals. */
struct budget { uint32_t rule; const struct origin *origin; uint64_t until_ms; unsigned n; };

struct hit { const struct sigma_rule *rule; };

/* Where a rule comes from, in the order in which the same rule counts; the numbers are sigma_rule.layer. */
enum rules_layer { LAYER_OWN = 1, LAYER_BUNDLE, LAYER_FOLDER, LAYER_SHIPPED, LAYER_TUNING, LAYERS };

/* Rules ready to be used: made beside those in use, then put in their place. */
struct ruleset {
    struct sigma_set *set;
    struct sigma_matcher *matcher;
    struct sigma_scratch *scratch;
    struct correlate *correlate;
    uint64_t *hits, *told;          /* by number: since they are used, and how many of them brain knows */
    json_t *faults;
    size_t faults_n, files_n;
};

struct watch {
    struct child *c;
    struct event_names *names;
    struct normalise *normalise;
    struct event e, more;
    struct evidence *journal;       /* shared with the keeper's thread */
    struct evidence_status status;  /* as it was when the keeper was idle last */
    struct evidence_class classes[EVIDENCE_CLASSES_MAX]; /* beside it, of each class */
    struct keeper *keeper;
    bool tick_due;                  /* the keeper was busy when the clock came by */
    struct evidence_rules retention;
    uint64_t free_bytes;            /* room on the disk that logs leave: what backups must leave, too */
    int state_dir;                  /* DATA/watch */

    /* rules.c */
    char *shipped, *own;
    struct sigma_set *set;          /* of rules, as the four below */
    struct sigma_matcher *matcher;
    struct sigma_scratch *scratch;
    struct correlate *correlate;
    uint64_t *rule_hits;            /* by number */
    struct ruleset rules;
    json_t *off;                    /* ids that people switched off */
    json_t *places;                 /* %known_places% of the rules: addresses outside that the institution knows */
    json_t *own_rules, *tuning;     /* of brain: [{id, text}], [{id, rule, conditions: [{field, modifier, values}]}] */
    bool own_changed;
    uint64_t rules_generation;

    /* bundles.c */
    json_t *bundles;                /* DATA/watch/rules/state */
    char bundle_fault[BUNDLE_WHY_MAX]; /* why the one in use cannot be read, "" it can */
    struct sm_buf upload;
    size_t upload_total;

    /* take.c */
    struct job *jobs, **jobs_last;
    size_t jobs_n, jobs_bytes, waiting_n, waiting_bytes; /* waiting: those that are in no group yet */
    /* A group is open while its records are read, ready when all were, keeping from when it was handed to the keeper until it is
     * on the disk; keep_failed: it is not, and is tried again. */
    bool group_open, group_ready, keeping, keep_failed, full;
    uint64_t group_first;           /* number of its first event */
    struct sm_timer *group, *tick;
    bool group_set;
    const struct source *now_source; /* of the event that is kept just now, and its number */
    uint64_t now_id;
    struct hit hits[HITS_MAX];
    size_t hits_n;
    uint64_t taken, matched;

    /* streams.c */
    struct stream streams[STREAMS_MAX];
    size_t streams_n;

    /* sources.c */
    struct origin *origins[4096];
    struct source *sources[SOURCES_MAX];
    struct source *changed;
    size_t origins_n, sources_n, states_n;
    json_t *machines;               /* with agents: [{device, host, logs: {stream: {format, encoding}}}] */
    json_t *heads;                  /* of columns, of streams of agents: {address: base64} */
    bool heads_dirty;
    json_t *hints;                  /* what people said: [{listener, address, host, class, format, …}] */

    /* signals.c */
    struct fold folds[FOLDS_MAX];
    struct budget budgets[BUDGETS_MAX];
    json_t *signals, *held, *ready; /* of events not yet handed to the keeper; that are being kept; that may be told */
    json_t *aliases;                /* which machine has which address, as far as signals need it */
    uint64_t signals_lost;

    /* sealing.c */
    bool seal_begun, sealing, broken_seal;
    bool damage_told, ends_early;   /* ends_early: the record has fewer events than it had */
    char damaged[160];              /* what opening the record, or looking after it, found; "" nothing */
    uint64_t seal_due_ms, retire_due_ms;
    struct sm_buf tombstone;

    /* keeping.c */
    uint64_t guard_due_ms, save_until_ms;
    bool saving;
    int64_t save_at_s;
    struct child_late save_late;
};

/* take.c */
void take_batch(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void take_go(void *arg);            /* timer */
void take_kept(struct watch *w);    /* the keeper is idle again */
void take_finish(struct watch *w);  /* all that can be kept now */
void take_free(struct watch *w);

/* keeper.c.  keeper_start when the process is confined; all others from the main thread.  keeper_go: streams_write (if there is
 * an intent), evidence_keep; then take_kept.  keeper_wait: until it is idle; what the last one said. */
int keeper_new(struct watch *w);
int keeper_start(struct watch *w);
struct sm_buf *keeper_intent(struct watch *w);
void keeper_go(struct watch *w);
bool keeper_busy(struct watch *w);
int keeper_wait(struct watch *w);
void keeper_free(struct watch *w);

/* streams.c: which batches of a stream were kept.  -errno. */
int streams_open(struct watch *w);
bool streams_known(struct watch *w, const struct log_batch *b);
int streams_intend(struct watch *w, struct sm_buf *ret);            /* before a group is kept: its batches, and the number of its first event */
int streams_write(const struct watch *w, struct sm_span intent);    /* on the keeper's thread */
void streams_done(struct watch *w);             /* after its commit */

/* sources.c */
struct origin *origin_of(struct watch *w, unsigned listener, struct sm_span address);
struct source *source_of(struct watch *w, struct origin *o, struct sm_span host);
void source_saw(struct watch *w, struct source *s, const struct event *e);
void sources_tell(struct watch *w);
json_t *sources_lot(const struct watch *w, struct source **ret_next); /* as many of those that changed as one message holds; the caller's */
void sources_hints(struct watch *w, json_t *list /* taken */);
void sources_machines(struct watch *w, json_t *list /* taken */); /* seen by the next sources_hints */
void sources_free(struct watch *w);

/* heads.c */
void heads_open(struct watch *w);
void heads_saw(struct watch *w, const struct origin *o, struct sm_span line);
void heads_give(struct watch *w, const struct origin *o);
void heads_tick(struct watch *w);

/* rules.c */
int rules_load(struct watch *w);                /* -ENOMEM; the rules before stay then */
/* Rules with b (NULL: none), beside those in use; then instead of them. */
int rules_make(struct watch *w, const struct bundle *b, struct ruleset *ret);
void rules_use(struct watch *w, struct ruleset *r /* taken */);
void ruleset_wipe(struct ruleset *r);
void rules_free(struct watch *w);
/* One set of everything with own (an array as own_rules) in front, linked; faults go to fault. */
int rules_gather(struct watch *w, const json_t *own, const struct bundle *b, sigma_fault_fn *fault, void *ctx, size_t *ret_files,
    struct sigma_set **ret);
int rules_tables(struct watch *w, const struct bundle *b, struct sigma_set *set, sigma_fault_fn *fault, void *ctx);
int rules_tune(struct watch *w, struct sigma_set *set);
void rules_hits(struct watch *w);               /* to brain: W_HITS */

/* rulelist.c */
void rules_on_list(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void rules_on_one(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
json_t *rule_json(const struct watch *w, const struct sigma_rule *r);
const struct sigma_rule *rule_by_id(const struct sigma_set *set, const char *id); /* the one that counts, filters left out; NULL */
/* The document of the rule, as it stands in its file.  -errno, -SM_E…. */
int rule_text(struct watch *w, const struct sigma_rule *r, struct sm_buf *ret);

/* ruletry.c */
void rules_on_try(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);

/* bundles.c */
int bundles_open(struct watch *w);
/* The one in use, read and checked anew; *ret NULL: none.  It is the caller's. */
int bundles_current(struct watch *w, struct bundle **ret, char *ret_why);
void bundles_on(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);
void bundles_free(struct watch *w);
uint64_t bundles_serial(const struct watch *w); /* 0: none in use */
int64_t bundles_made_s(const struct watch *w);

/* signals.c */
void signals_add(struct watch *w, const struct sigma_rule *rule, const struct event *e, const struct source *s, uint64_t id);
void signals_correlated(void *ctx, const struct correlate_hit *hit);
void signals_hold(struct watch *w);             /* those there are rest on what is being kept now */
void signals_kept(struct watch *w);             /* and may be told */
void signals_tick(struct watch *w);
void signals_forget(struct watch *w);
/* One signal as W_SIGNALS tells it, the caller's (s may be NULL); whom the event is about, as one number; into w->aliases: which machine has
 * which address. */
json_t *signals_json(const struct sigma_rule *rule, const struct event *e, const struct source *s, uint64_t id, uint64_t times);
uint64_t signals_who(const struct event *e);
void signals_aliases(struct watch *w, const struct event *e, const struct source *s);

/* sealing.c */
void sealing_attached(struct watch *w);
void sealing_tick(struct watch *w, uint64_t now_ms);
void sealing_retention(struct watch *w, const json_t *list);
void sealing_holds(struct watch *w, const json_t *list);

/* keeping.c */
void keeping_damaged(struct watch *w, const char *file, const char *kind, bool rescued);
void keeping_tick(struct watch *w, uint64_t now_ms);
void keeping_go(struct watch *w);               /* something was sealed: a copy may have waited for it */
void keeping_on_save(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m);

/* watch.c */
void watch_due(struct watch *w);                            /* what the clock wants of the journal; the keeper is idle */
void watch_say(struct watch *w, json_t *body /* taken */);  /* W_EVENT */
#endif
