/* What the files of this room share; nobody else includes it. */
#ifndef API_INTERNAL_H
#define API_INTERNAL_H
#include "api/api.h"
#include "api/audit.h"
#include "api/handlers.h"
#include "api/routes.h"
#include "api/text.h"
#include "api/worker.h"
#include "core/json.h"
#include "crypto/pass.h"
#include "crypto/totp.h"
#include "core/time.h"
#include "plat/clock.h"

#define API_ID_BYTES 16
#define API_ID_TEXT (2 * API_ID_BYTES + 1)
#define API_CALLS_MAX 1024
#define API_ANSWER_MAX ((size_t)16 << 20)   /* frames of one answer together */
#define API_LIST_MAX 200
#define API_LIST_STANDARD 50
#define API_PATH_MAX 1024

/* drilled: under this unlock a drill began by itself; drill_tries, drill_next_s: what was tried until then, when again. */
struct api_unlock { char until[SM_TIME_TEXT]; int64_t until_s, since_s, drill_next_s; char by[API_ID_TEXT]; unsigned drill_tries; bool drilled; };

struct api {
    struct api_config cfg;
    char *data;
    json_t *names;
    struct state *state;
    struct audit *audit;
    struct worker *worker;
    struct api_call *calls;         /* open ones, newest first */
    size_t calls_n;
    uint64_t next_call;
    struct sm_timer *tick;
    char *agent_url;
    /* what is known of the others */
    json_t *children;               /* name → P_CHILD object */
    json_t *keys;                   /* K_STATUS answer: ca_pem, recipients, order_pub ... */
    json_t *changes;                /* of recipients, executed, oldest first: V_RECIPIENTS */
    json_t *vault;                  /* V_STATUS answer */
    json_t *verify;                 /* progress or last report of a verify run */
    json_t *copying;                /* the copy under way (copies.c), NULL when none */
    json_t *copies_wanted;          /* those waiting for their turn */
    json_t *selfing;                /* the box's own backup under way (self.c), NULL when none is */
    int64_t self_due_s;             /* it is due then, 0: by the day alone */
    json_t *disks;                  /* UUIDs plugged in, NULL until the parent said so */
    json_t *progress;               /* run or restore id → progress, too quick for the database */
    json_t *endpoint_asked;         /* device → {number, at_s, refused?} of the endpoint's policy that was sent last (endpoint.c) */
    json_t *links;                  /* device → which life of its link polled last */
    json_t *boxes;                  /* notes for Today: clock, separation */
    char head[513];                 /* newest signed head, hex */
    bool opener_there, opener_asked, started, starting;
    json_t *loaded;                 /* manifest → grant, in the opener since the unlock */
    struct api_unlock unlock;
    /* first set-up */
    json_t *log_rates;              /* source → {minute, n (in it), before (in the one before)} */
    json_t *log_senders;            /* of the collector's present life: {stream, of: {listener/address: counts}, listeners} */
    int64_t log_lost_told;
    json_t *house;                  /* the last H_STATE, NULL none */
    json_t *clocks;                 /* of machines, as their last polls told them: {device: {boot, clock_s, up_s}} */
    struct alive *alive;            /* alive.h */
    bool watch_there, seeker_there;
    int64_t logkeep_asked_s, logcheck_asked_s, logcheck_run_s; /* W_SAVE, J_VERIFY: when it was asked last; run: one goes on since */
    char setup_code[32];
    char *setup_password;           /* the director's, until the restore key is made */
    unsigned setup_wrong; int64_t setup_wait_until_s;
    int64_t last_head_s, last_daily_s, last_schedule_s, last_alive_s;
};

struct api_caller_info {
    unsigned bit;                   /* enum api_caller */
    char person[API_ID_TEXT], name[256], account[128], role[16], session[API_ID_TEXT], csrf[72], kind[12];
    char until[SM_TIME_TEXT];
    bool bearer, must_change, by_itself; /* by_itself: the box acts under what this person unlocked */
    char device[API_ID_TEXT], client[API_ID_TEXT];
    char remote[72];
};

typedef void (*api_then_fn)(struct api_call *c, int err, struct sm_span body, const char *text);

struct api_call {
    struct api *api;
    struct api_call *next, **prev;
    uint64_t id;
    const struct api_route *route;
    struct api_caller_info who;
    char path[API_PATH_MAX];
    char part[API_PARAMS_MAX][129];
    json_t *req, *query, *body;     /* body: JSON routes only, never NULL there */
    struct sm_buf raw;
    enum text_lang lang;
    api_done_fn done; void *done_arg;
    json_t *mem;                    /* what a handler keeps between its steps */
    struct sm_buf keep, answer;
    api_then_fn then;
    bool asking, again, ended, gone, held;
    unsigned retried;
    char message[24];
    uint64_t hold_until_ms;         /* held polls */
    char audit_what[400];           /* what the audit line says it was done to */
    bool audit_not;                 /* nothing was done, although the route is one that acts */
    json_t *cookies;                /* array of Set-Cookie texts */
};

/* ---- answering: exactly one of these a call ---- */
/* Takes body.  The audit line is on disk before the answer goes out. */
void api_reply(struct api_call *c, int status, json_t *body);
void api_reply_raw(struct api_call *c, int status, struct sm_span body, json_t *headers, json_t *then);
/* {"error":{code, message in the caller's language, field?, ...extra}}; takes extra (may be NULL). */
void api_fail(struct api_call *c, int status, const char *code, const char *field, json_t *extra);
/* The same with an English sentence of its own (agents, field errors). */
void api_fail_say(
    struct api_call *c, int status, const char *code, const char *field, const char *message, json_t *extra);
/* What an error number of a peer or the database means for the caller. */
void api_fail_err(struct api_call *c, int err, const char *text);
/* The answer to a change: rows of state_do, or its error.  None: 404. */
void api_changed(struct api_call *c, int rows);
/* A body or query that sm_obj refused: 400 with the field.  True when it failed. */
bool api_refused(struct api_call *c, const struct sm_obj *o);
void api_audit_what(struct api_call *c, const char *fmt, ...) sm_printf(2, 3);

/* ---- asking others; one question a call at a time ---- */
/* Takes body.  then is called once, with all frames together. */
void api_ask(struct api_call *c, const char *message, json_t *body, api_then_fn then);
void api_ask_raw(struct api_call *c, const char *message, struct sm_span body, api_then_fn then);
/* u32 n, JSON, raw.  Takes json. */
void api_ask_join(struct api_call *c, const char *message, json_t *json, struct sm_span raw, api_then_fn then);
/* Without a call: fn may be NULL.  Takes body. */
typedef void (*api_told_fn)(struct api *a, int err, const json_t *answer, const char *text, json_t *mem);
void api_tell(struct api *a, const char *message, json_t *body, api_told_fn fn, json_t *mem /* taken */);
void api_tell_raw(struct api *a, const char *message, struct sm_span body, api_told_fn fn, json_t *mem /* taken */);
/* Parse an answer that must be one JSON object; NULL after api_fail_err was said. */
json_t *api_answer(struct api_call *c, int err, struct sm_span body, const char *text);
/* Do work in the worker thread, then then(c) in the loop.  ctx must outlive both. */
void api_work(struct api_call *c, void (*work)(void *ctx), void *ctx, void (*then)(struct api_call *c, void *ctx));

/* A call of the box's own, under somebody's name: this person acted, and what follows of it is done here.  Takes body.
 * Nobody waits for the answer; the audit log has it as any other. */
void api_by_itself(struct api *a, const struct api_caller_info *who, const char *method, const char *path, json_t *body,
    api_done_fn done, void *arg);

/* ---- small things ---- */
int64_t api_now(void);
void api_id(char ret[API_ID_TEXT]);
bool api_is_hex(const char *s, size_t n);         /* exactly n lower-case hex digits */
json_t *api_time(int64_t s);                      /* RFC 3339 text, null for 0 */
int64_t api_time_s(const char *text);             /* 0 when it is none */
/* As people write it: RFC 3339, or without zone 2026-11-24, …T08:30, …:15 (a space for the T), which is Japan's time.  end: a day
 * alone means its end.  False when it is none of these, *ret_s untouched. */
bool api_moment(const char *text, bool end, int64_t *ret_s);
bool api_moment_zoned(const char *text);          /* it says its zone itself */
const char *api_str(const json_t *o, const char *key);           /* "" when absent */
int64_t api_int(const json_t *o, const char *key, int64_t otherwise);
bool api_bool(const json_t *o, const char *key);
void api_set(json_t *o, const char *key, json_t *v); /* takes v; out of memory ends the process */
/* Is this process of the box always there?  Others only when there is work. */
bool api_child_lasting(const char *name);
void api_append(json_t *a, json_t *v);
/* limit and cursor of a list; false after 400 was said. */
bool api_page(struct api_call *c, int64_t *ret_limit, int64_t *ret_offset);
/* {"items":[…],"next"}: takes items, which may hold one more than limit. */
void api_reply_list(struct api_call *c, json_t *items, int64_t limit, int64_t offset);
/* A machine came back or was removed: the one of the box need not wait for a person any more; asked again if it must. */
void device_settled(struct api *a);
void api_event(struct api *a, const char *topic, const char *id, json_t *data /* taken */);
json_t *api_row(struct api *a, enum state_query q, const struct state_arg *args, size_t n);  /* NULL when none */
json_t *api_rows(struct api *a, enum state_query q, const struct state_arg *args, size_t n); /* [] when none */
/* Change and say internal error when it fails. */
bool api_do(struct api_call *c, enum state_query q, const struct state_arg *args, size_t n);
const char *api_language(struct api *a);
enum text_lang api_box_lang(struct api *a);
bool api_setup_done(struct api *a);
bool api_unlocked(struct api *a);
void api_lock(struct api *a, const char *why);

/* ---- sessions ---- */
void session_find(struct api *a, const json_t *req, struct api_caller_info *ret);
/* A new session of kind for person (NULL allowed); the token is put into the call's cookies, or given as text. */
int session_make(
    struct api_call *c, const char *kind, const char *person, const char *label, char ret_token[72], char ret_csrf[72]);
json_t *session_json(struct api *a, const struct api_caller_info *who);
void session_drop_person(struct api *a, const char *person, const char *but_session);
void cookie_set(struct api_call *c, const char *name, const char *value, int64_t max_age_s);
/* Wrong tries: n so far, and how long to wait (0 = may try). */
int64_t fails_wait(struct api *a, const char *key);
unsigned fails_add(struct api *a, const char *key, unsigned free_tries);
void fails_clear(struct api *a, const char *key);

/* ---- other joints between the files ---- */
const char *pass_reason_word(int reason); /* of enum crypto_pass_reason, as docs/API.md names them */
json_t *qr_svg(const char *text);                                    /* JSON string, null when it does not fit */
void card_write(struct api *a);
json_t *contacts_get(struct api *a, enum text_lang lang); /* a list that was never changed is in lang */
void keys_refresh(struct api *a);
void setup_begin(struct api *a);
/* Adds the authenticator's secret (text, URI, QR) and the one-time codes to j, to be shown once. */
void person_paper(json_t *j, const char *account, const char *secret_hex, char codes[][CRYPTO_ONCE_CODE]);
/* 422 unless the new password keeps the rules (second: with a second factor). */
bool password_rules(struct api_call *c, const char *field, const char *account, const char *password, bool second);

/* The restore card opens with the password of one director: whose, and whether that password still is. */
void card_fits(struct api *a, const char *person);
void card_orphaned(struct api *a, const char *person); /* that person's password is gone; nothing when it is not theirs */
bool card_is_of(struct api *a, const char *person);    /* a change of this person's password has to wrap it anew */
void card_unlocked(struct api *a, const char *person);
void card_tick(struct api *a);                         /* the alarm stays until a card fits again */

/* The caller's own password once more; then goes on when it is right, else it was answered. */
/* The answer to one's own password mistyped: 422 "password" of that field, with the tries left. */
void password_wrong(struct api_call *c, const char *field, unsigned left);
void owner_check(struct api_call *c, const char *password, void (*then)(struct api_call *c));
/* V_ORDER with ask (taken); answers the call and tells everybody. */
void order_hand_in(struct api_call *c, json_t *ask);
int head_lines(const struct api *a, struct sm_buf *ret);   /* both forms of the newest signed head; -SM_ENOTFOUND none yet */
void recipients_sync(struct api *a);                   /* the vault's changes to keyd; again whenever either came back */
void recipients_used(struct api_call *c, const char *fingerprint);   /* a machine says which set it wraps for */

/* Alarms: opened once per key; told by mail and web hook once, and again when it becomes a call. */
struct alarm_new { const char *kind, *state, *key, *source, *device, *manifest; json_t *facts; /* taken */ };
void outbox_put(struct api *a, const char *kind, json_t *body /* taken */);   /* kind mail or webhook: sent, and tried again */
void alarm_open(struct api *a, const struct alarm_new *n);
/* A run found n files with other bytes under the same times; problems: its list, which names them. */
void alarm_silent_change(struct api *a, const char *run, int64_t n, const json_t *problems);
void alarm_close_key(struct api *a, const char *key, const char *by);
json_t *alarm_json(struct api *a, const json_t *row, enum text_lang lang);
bool retention_event(struct api *a, const json_t *e);    /* of the vault, about deletion */
void alarm_refusal(struct api *a, const char *device, const char *what);
void alarms_tick(struct api *a);
void outbox_tick(struct api *a);

/* Other boxes whose copies are kept here (peers.c, agent_peer.c). */
#define PEER_CN "peer-"               /* what the names of their certificates begin with; no machine's does */
void peer_by_certificate(struct api *a, const char *cert, struct api_caller_info *ret);
void peers_open(struct api *a);       /* the vault is there */
void peers_event(struct api *a, const json_t *e);
bool peer_is_forked(struct api *a, const char *id); /* a person was called, and did not close it yet */
void peer_forked(struct api *a, const char *id, const char *why);
void peer_full(struct api *a, const char *id);
/* After a take-over: what was kept for other boxes is not here, and a person is told, for each; until it is let in again. */
void peers_lost(struct api *a);
void peer_back(struct api *a, const char *id);
/* What every message to the vault says of one: {id, vault, head_pub, quota}.  NULL when there is none. */
json_t *peer_said(struct api *a, const char *id);
void peer_keep(struct api *a, const char *id, const json_t *state);
#define JOIN_SECRET_LEN 10
int code_text(const char *prefix, struct sm_span secret, struct sm_span pin, struct sm_buf *ret);  /* PREFIX-XXXX-… */
bool join_waits(struct api_call *c, const char *key);
void join_wrong(struct api_call *c, const char *key);
void join_code_hash(const uint8_t *secret, char ret[65]);            /* what is kept of a join code */

void task_open(struct api *a, const char *kind, int64_t now);
/* Schedule. */
int64_t schedule_next(const json_t *schedule, int64_t after_s);      /* 0 = never */
/* bandwidth.c: KiB/s a source's machine may send at this moment, 0 = no limit; what is wrong with options.hours, or NULL. */
int64_t bandwidth_now(const json_t *source, int64_t now_s);
const char *bandwidth_bad(const json_t *hours);
int64_t schedule_cycle_s(const json_t *schedule);
/* After an incident: the next run of each source of this machine drops its cache and reads everything. */
void schedule_anew(struct api *a, const char *device);
void schedule_tick(struct api *a);
void schedule_device(struct api *a, const char *device);            /* it just polled: what is due for it now */
void poll_tick(struct api *a);
/* Make a run of the source; ret_run its id.  -SM_EEXISTS one is under way. */
int run_make(struct api *a, const json_t *source, const char *kind, const char *by, char ret_run[API_ID_TEXT]);
void run_finish(struct api *a, const char *run, const char *state, const char *why);
/* Kinds of sources (source_kinds.c).  staged: what is kept is made for each run, and has no folder of the machine to go
 * back to by itself.  root: what stands for its paths, NULL when the person names them. */
bool source_kind_known(const char *kind);
bool source_kind_staged(const char *kind);
const char *source_kind_root(const char *kind);
/* Its folders, or of a share "\\\\server\\share\\folder" as Windows writes it; new. */
json_t *source_where(struct api *a, const json_t *row);
/* The field of options that is wrong, or NULL; standards are filled in. */
const char *source_options_bad(const char *kind, json_t *options, enum text_key *ret_why);
json_t *source_json(struct api *a, json_t *row, enum text_lang lang);
/* Its time has passed without a new copy; one never saved is late a day after it was made, whatever its schedule. */
bool source_late(const json_t *row, int64_t now);
/* Its newest run failed, and none has been good since. */
bool source_failing(const json_t *row);
/* Open or close the alarm about failing runs of this source. */
void alarm_source_runs(struct api *a, const json_t *row);
bool source_is_server(const json_t *row);
void source_saw_generation(struct api *a, const char *source, json_t *generation /* taken */);
/* Order: signed by keyd, stored, and the device's poll woken.  Takes args. */
/* who_name beside who, where that is the id of a machine. */
void who_name(struct api *a, json_t *line);
/* Words beside the keys (words.c): of problems "code" and "text"; of lines of the audit log and of the access record "…_text",
 * and "who_name" of those who are no people. */
/* Why something did not work: error is the name of a number ("" = unknown), why a program's words for it; new. */
json_t *why_words(const char *error, const char *why, enum text_lang lang);
void problems_words(json_t *problems, enum text_lang lang);
void audit_words(struct api *a, json_t *line, enum text_lang lang);
void access_words(json_t *line, enum text_lang lang);
/* One more order for work whose process died?  Those before are over then. */
bool order_may_again(struct api *a, const char *kind, const char *ref);
void run_died(struct api *a, const char *id, const char *why);
void restore_over(struct api *a, const char *restore);
void restore_died(struct api *a, const char *id, const char *why);
#define ORDER_TEXT_MAX ((size_t)96 << 10)   /* bytes of an order; an agent takes no longer one */
void order_make(struct api *a, const char *device, const char *kind, const char *ref, int64_t lasts_s, json_t *args);
void poll_wake(struct api *a, const char *device);                   /* NULL: all */
bool device_there(const json_t *device, int64_t now);
/* As its signals name it: its host name, else the name people gave it. */
const char *device_host(const json_t *d);
json_t *device_of_host(struct api *a, const char *host); /* the caller's; NULL: none of that name */
json_t *generation_words(json_t *generation, enum text_lang lang);   /* adds texts; borrowed and returned */
json_t *today_json(struct api *a, enum text_lang lang);
void access_note(struct api *a, json_t *record /* taken */);
void progress_bound(json_t *p, const char *part, const char *whole);  /* whole is never less than part */
json_t *progress_of(struct sm_obj *o);                               /* of a body of progress */
json_t *problems_of(struct sm_obj *o);
bool answer_split(
    struct api_call *c, int err, struct sm_span body, const char *text, json_t **ret, struct sm_span *ret_raw);
json_t *reasons_words(const json_t *reasons, enum text_lang lang);
json_t *not_separated(struct api *a, enum text_lang lang);
void copies_start(struct api *a);
void copies_tick(struct api *a);
void copies_peer_gone(struct api *a, const char *peer);
bool copies_any(struct api *a);
json_t *lamps_json(struct api *a, enum text_lang lang);
/* Names of copy disks that should have been pulled out long ago: fn for each. */
void copies_left_in(struct api *a, void (*fn)(void *arg, const char *name), void *arg);
/* The box's own backup (self.c). */
/* After a take-over: the machine of that id that joined the box before, and is joined still, or NULL; the caller's. */
json_t *self_joined_before(struct api *a, const char *machine_id);
void self_start(struct api *a);
void self_tick(struct api *a);
void self_gone(struct api *a);
json_t *self_logs_continued(struct api *a); /* of a box that took over: what it has of the old one's logs, null else */
void self_child(struct api *a);    /* what a->selfing says is laid out: on with it */
/* The record of logs in the vault, and its checks by the clock (logkeep.c). */
void logkeep_tick(struct api *a);
void logkeep_over(struct api *a, const json_t *run, int err, const char *why);
void logkeep_damaged(struct api *a);                 /* what was saved of it until now stays */
json_t *logkeep_json(struct api *a, enum text_lang lang);
void logcheck_begun(struct api *a);                  /* a person began one: its end is kept, too */
json_t *logcheck_json(struct api *a);                /* what the checks by the clock found last */
json_t *logcheck_month(struct api *a, const char *month);
void self_acted(struct api *a, const char *act); /* somebody did what the audit log calls act: a change worth saving? */
bool self_is(struct api *a, const char *client); /* the client that is the box itself */
/* Lay out the copy for selfsave in state/self (self_files.c); in the worker's thread. */
struct self_files { char data[4096]; int err; };
void self_files_make(struct self_files *f);
void self_files_remove(const char *data);
void restores_tick(struct api *a);
void restore_order(struct api *a, const json_t *row);                /* a row of restores that waits */
/* Bring a generation into the opener, with its access record; then the route's own step.  c->mem has it as "load". */
void browse_load(struct api_call *c, const char *manifest);
void drill_go(struct api_call *c);
void drill_ended(struct api *a, const char *restore, const char *status, const json_t *told);
json_t *drill_last(struct api *a, const char *manifest /* NULL: any */);
bool drill_due(struct api *a, int64_t now);
#define DRILL_CALM_S 20 /* after an unlock: whoever unlocked for a restore comes first */
void drill_tick(struct api *a);       /* the director unlocked: a drill that is due begins by itself */
bool drill_by_itself(struct api *a);  /* the setting */
void restores_grant_again(struct api *a);
void restore_fail(struct api *a, const char *restore, const char *why);
#endif
