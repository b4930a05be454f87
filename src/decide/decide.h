/*
 * From signals to incidents.  A rule that fired is a signal; this room joins signals that belong together into one incident, says
 * how bad it is and when people are to be told, and forgets what a person called a false alarm.
 *
 * It holds open incidents and the signals of the last days in memory, nothing on disk: the caller keeps signals and incidents in
 * its database, hands every signal over once, in the order it came, and after a start puts the open ones back (decide_restore).
 * Time is the caller's.  Not safe for two threads.
 *
 * How signals are joined.  Two belong together when they share something particular: a process, an account, an address, a
 * machine.  What everybody shares joins nothing: accounts of the system (entity.c), what the caller names with decide_common.
 * The worse a signal is, the older the thing it shares may be (table in decide.c): an attack of weeks stays one story.
 *
 * How bad.  Each rule counts once, by its level, and each further stage of the attack adds: the shape of an attack is many stages,
 * the shape of a false alarm is one rule that fires a hundred times.  Rules of level low or less add no stage.  Below DECIDE_OPEN_SCORE
 * nothing opens, and without a grave signal only several stages close together do.
 */
#ifndef SM_DECIDE_DECIDE_H
#define SM_DECIDE_DECIDE_H

#include "core/buf.h"
#include "core/json.h"

enum {
    DECIDE_TEXT_MAX = 160,      /* bytes of an entity, NUL included; longer ones are cut */
    DECIDE_RULE_MAX = 80,
    DECIDE_ENTITIES_MAX = 8,    /* of a signal */
    DECIDE_INCIDENT_ENTITIES = 96, /* kept of an incident: the ones seen last */
    DECIDE_INCIDENT_RULES = 128,
    DECIDE_INCIDENTS_MAX = 256, /* open at once; past that the one that was quiet longest is given up (DECIDE_GIVEN_UP) */
    DECIDE_WAITING_MAX = 4096,  /* signals without an incident, of the last DECIDE_WAIT_S */
    DECIDE_WAIT_S = 3 * 86400,
    DECIDE_ADOPT_MAX = 64,
    DECIDE_FILTERS_MAX = 1024,
    DECIDE_ALIASES_MAX = 8192,
    DECIDE_OPEN_SCORE = 8,      /* with a signal of level high or critical */
    DECIDE_WEAK_SCORE = 20,     /* without one, together with DECIDE_WEAK_STAGES */
    DECIDE_WEAK_STAGES = 3,
    DECIDE_WEAK_MOMENTS = 4,
    DECIDE_CRITICAL_SCORE = 36, /* together with DECIDE_CRITICAL_STAGES */
    DECIDE_CRITICAL_STAGES = 3,
};

enum decide_level { DECIDE_INFORMATIONAL, DECIDE_LOW, DECIDE_MEDIUM, DECIDE_HIGH, DECIDE_CRITICAL };
enum decide_stage {
#define S(symbol, tag, ja, en, a, b, c) DECIDE_STAGE_##symbol,
#include "decide/stage.def"
#undef S
    DECIDE_STAGES
};
enum decide_kind { DECIDE_HOST, DECIDE_ACCOUNT, DECIDE_ADDRESS, DECIDE_PROCESS, DECIDE_KINDS };

struct decide_entity { uint8_t kind; char text[DECIDE_TEXT_MAX]; };
struct decide_signal {
    uint64_t id;                    /* the caller's, ascending, never 0 */
    int64_t at_s;                   /* when it happened, UTC */
    char rule[DECIDE_RULE_MAX];     /* id of the rule */
    uint8_t level, stage;
    struct decide_entity entity[DECIDE_ENTITIES_MAX];
    size_t n;
};

enum decide_severity { DECIDE_LOOK, DECIDE_CALL };  /* 見てください, すぐ電話してください */
enum decide_what {
    DECIDE_FILTERED,    /* somebody said this is a false alarm: filter says which */
    DECIDE_WAITS,       /* kept; not enough by itself */
    DECIDE_OPENED,      /* a new incident, with the signals in adopted */
    DECIDE_JOINED,      /* a new thing in an open incident */
    DECIDE_FOLDED,      /* the same again */
};
enum decide_tell { DECIDE_TELL_OPENED = 1, DECIDE_TELL_CALL = 2, DECIDE_TELL_IMPACT = 4 };
struct decide_result {
    uint8_t what, severity;
    uint8_t tell;                   /* whom to wake: at most once each for an incident */
    uint64_t incident, filter, given_up;
    uint64_t adopted[DECIDE_ADOPT_MAX];     /* earlier signals that are part of it now */
    size_t adopted_n;
    uint64_t merged[DECIDE_ADOPT_MAX];      /* incidents that turned out to be this one: theirs is ours now */
    size_t merged_n;
};

struct decide;
/* first_id: incidents get numbers from here on.  NULL when out of memory. */
struct decide *decide_new(uint64_t first_id);
void decide_free(struct decide *d);
/* -SM_EINVAL: id 0, level, stage or kind out of range; -ENOMEM.  *ret only on success. */
sm_must_use int decide_signal(struct decide *d, const struct decide_signal *s, struct decide_result *ret);

/* The address belongs to this machine (from sign-ins, DHCP, agents); the latest holds, for a week. */
void decide_alias(struct decide *d, const char *address, const char *host, int64_t at_s);
/* This entity joins nothing: the box itself, a name server, an account of the backup.  -SM_ELIMIT past 256. */
sm_must_use int decide_common(struct decide *d, enum decide_kind kind, const char *text);

/* A false alarm, learnt: signals of that rule that have all these entities (none: all of that rule) are filtered.
 * -SM_ELIMIT past DECIDE_FILTERS_MAX, -SM_EEXISTS the id is there, -SM_EINVAL. */
sm_must_use int decide_filter(struct decide *d, uint64_t id, const char *rule, const struct decide_entity *e, size_t n);
/* Taken back.  -SM_ENOTFOUND. */
sm_must_use int decide_unfilter(struct decide *d, uint64_t id);
/* What a filter for s would hold at its most particular: rule, machine, account, process; addresses only without a machine. */
size_t decide_suggest(const struct decide_signal *s, struct decide_entity ret[DECIDE_ENTITIES_MAX]);

struct decide_incident {
    uint64_t id;
    int64_t first_s, last_s;
    uint32_t score, signals;        /* signals: folded ones too */
    uint16_t stages;                /* bits of enum decide_stage */
    uint8_t severity, told, stage;  /* stage: the furthest */
    struct decide_entity entity[DECIDE_INCIDENT_ENTITIES];
    size_t n;
};
/* -SM_ENOTFOUND.  The latest seen entities come first. */
sm_must_use int decide_get(const struct decide *d, uint64_t incident, struct decide_incident *ret);
/* A person closed it: nothing joins it any more.  -SM_ENOTFOUND. */
sm_must_use int decide_close(struct decide *d, uint64_t incident);
/* Everything that is needed to go on after a start, as JSON ({"v":1, …}), and back.  dump: -SM_ENOTFOUND, -ENOMEM.
 * restore: -SM_EFORMAT, -SM_EVERSION, -SM_EEXISTS, -SM_ELIMIT, -ENOMEM. */
sm_must_use int decide_dump(const struct decide *d, uint64_t incident, json_t **ret);
sm_must_use int decide_restore(struct decide *d, const json_t *dumped);

/* ---- words (story.c) ---- */

enum decide_lang { DECIDE_JA, DECIDE_EN };
/* One line for an incident, by its furthest stage; ret is ended by NUL and cut at a character. */
void decide_headline(const struct decide_incident *i, enum decide_lang lang, char *ret, size_t size);
struct decide_step { const char *id, *title, *detail, *link; };
/* The next three things to do. */
void decide_steps(const struct decide_incident *i, enum decide_lang lang, struct decide_step ret[3]);
/* The stage that a rule's tag names ("attack.initial-access", "attack.initial_access"); DECIDE_STAGE_none for others. */
enum decide_stage decide_stage_of(const char *tag);
const char *decide_stage_tag(enum decide_stage stage);
/* "critical" … → level; DECIDE_MEDIUM for what is not known. */
enum decide_level decide_level_of(const char *name);

#endif
