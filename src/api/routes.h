/*
 * The table of routes: who may call what, how long a body may be, and what is written into the audit log.
 * Whether a caller may call is decided from this table alone.  Pure: front and tests link it too.
 */
#ifndef API_ROUTES_H
#define API_ROUTES_H
#include <stdbool.h>
#include <stddef.h>

/* Callers, one bit each. */
enum api_caller {
    API_NOBODY = 1, API_SETUP = 2, API_COUNTER = 4, API_STAFF = 8, API_VENDOR = 16, API_MANAGER = 32,
    API_DIRECTOR = 64, API_DEVICE = 128,  /* agent port, certificate of a known device */
    API_STRANGER = 256,                   /* agent port, no certificate */
    API_MONITOR = 512,                    /* a monitoring system with its own token: reads figures, nothing else */
    API_PEER = 1024,                      /* agent port, certificate of another box whose copy is kept here */
};
#define API_CALLERS 11
const char *api_caller_name(unsigned caller);   /* "director"; "?" for none or several */

enum api_body { API_NO_BODY, API_JSON, API_RAW, API_STREAM /* front hands it to the vault, brain sees none of it */ };
enum { API_NO_CSRF = 1, API_AUDIT = 2, API_UNLOCKED = 4 /* the restore key must be open */,
    API_HELD = 8 /* may be answered after up to 30 s */, API_FIRST_PASSWORD = 16 /* also before it was changed */,
    API_LOCAL = 32 /* only on the local socket and for the owner of the box, whoever is signed in; who is then 0 */ };

struct api_call;
typedef void (*api_handler_fn)(struct api_call *c);
struct api_route {
    const char *method, *path;      /* path parts in {} match one part of 1..128 bytes */
    unsigned who;
    enum api_body body;
    size_t body_max;
    unsigned flags;
    const char *act;                /* word in the audit log */
    api_handler_fn handler;
};
extern const struct api_route api_routes[];
extern const size_t api_routes_n;

#define API_PARAMS_MAX 3
struct api_match { const struct api_route *route; const char *part[API_PARAMS_MAX]; size_t part_n[API_PARAMS_MAX];
    unsigned parts; bool other_method; };
/* Find the route; NULL route when none (other_method: the path exists under another method).  Parts borrow path. */
void api_match(const char *method, const char *path, struct api_match *ret);
/* "GET, HEAD, POST": what the header Allow says of this path; "" when there is no such path. */
#define API_ALLOWED_MAX 48
void api_allowed(const char *path, char ret[API_ALLOWED_MAX]);
#endif
