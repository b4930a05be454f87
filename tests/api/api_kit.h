/* A box without processes: the API over a database in a temporary folder, and a vault, keyd and opener played in place.
 */
#ifndef API_KIT_H
#define API_KIT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "api/api.h"
#include "core/json.h"

#define KIT_PASSWORD "umi-to-yama-7"
#define KIT_TOTP "3132333435363738393031323334353637383930"

struct kit_answer;
/* Who is calling. */
struct kit_who { const char *port, *cookie, *csrf, *bearer, *cert, *cn, *remote, *lang; const json_int_t *uid; };

struct kit {
    char dir[64];
    struct state *state;
    struct api *api;
    struct kit_answer *queue;
    json_t *asked;              /* every message: array of {message, body, text: of a body that is no JSON} */
    json_t *answers;            /* message → object, or integer error; else a standard answer */
    json_t *events, *notes;
    int status;                 /* of the last answer */
    json_t *body, *then, *headers;
    struct sm_buf raw;
    bool answered;
    uint64_t call;
    char token[200], csrf[80];   /* of the last session made */
    char card[64];
};

/* What api_config.decide is for the boxes opened after this; NULL as long as nobody says. */
extern int (*kit_decide)(void *arg, const char *what, const json_t *in, json_t **ret);
extern void *kit_decide_arg;
extern int (*kit_respond)(const char *what, const json_t *in, json_t **ret, char *ret_why);
/* So many bytes of the next body, whatever is in them; 0: it is a text. */
extern size_t kit_body_n;
extern const char *kit_sign_pub; /* of the machines that kit_device makes, as hex */
int kit_open(void **state);     /* cmocka set-up and tear-down */
int kit_close(void **state);
/* Set-up is done and there is one person a role: accounts "director", "manager", "staff", "vendor", TOTP off. */
void kit_people(struct kit *k);
/* One request; body NULL, JSON text, or raw.  What was asked of others is answered until nothing is left. */
int kit_call(struct kit *k, const struct kit_who *who, const char *method, const char *path, const char *body);
/* The same without answering the others. */
void kit_begin(struct kit *k, const struct kit_who *who, const char *method, const char *path, const char *body);
void kit_run(struct kit *k);
/* Sign in; k->token and k->csrf are then those of the new session.  The status. */
int kit_sign_in(struct kit *k, const char *account, const char *password, const char *totp);
struct kit_who kit_me(const struct kit *k);
void kit_take_cookie(struct kit *k);             /* of the last answer into k->token */
/* A joined machine; its certificate is cert (64 hex digits), its id goes to ret_device. */
void kit_device(struct kit *k, const char *cert, char ret_device[33]);
/* A neighbour that was let in, with this certificate. */
void kit_peer(struct kit *k, const char *cert, char ret_peer[33]);
const char *kit_code(const struct kit *k);       /* error code of the last answer, "" when there is none */
const char *kit_str(const struct kit *k, const char *key);
/* Move the wall clock; the API's own clock is turned once. */
void kit_clock(struct kit *k, int64_t s);
/* How often this message was asked. */
unsigned kit_asked(const struct kit *k, const char *message);
#endif
