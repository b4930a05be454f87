/*
 * Orders of the box (docs/PROTOCOL-agent.md, Control): signed, for this device, fresh, single use.  Whoever acts on an
 * order checks it here itself: link only carries it.
 */
#ifndef AGENT_ORDERS_H
#define AGENT_ORDERS_H
#include "core/json.h"
#include "core/time.h"

#define ORDER_TEXT_MAX ((size_t)96 << 10)
#define ORDER_MAX ((size_t)136 << 10) /* as base64, with what stands around it */
#define ORDER_WINDOW_S (24 * 3600) /* not_after - issued at most */
#define ORDER_SKEW_S 300           /* the box's clock may be this much behind what an order says */
#define ORDERS_USED_MAX 4096       /* remembered ids; older ones have run out by then, or the order is refused */

struct order {
    char id[65], kind[33];
    int64_t issued_s, not_after_s;
    json_t *json, *args; /* args borrowed from json */
};
/*
 * Check row = {"order": base64, "sig": hex, "now": RFC 3339, the box's time}.  used_path is the file of used ids of the
 * process that acts; the id is written there, durably, before this returns 0.  device is this device's id. -SM_EAUTH
 * the signature, or another device's order -SM_ETIME    not yet, no longer, or a window that is too long -SM_EEXISTS
 * used before -SM_EFORMAT, -SM_EINVAL (ret_why, 160 bytes, names the field), -SM_ELIMIT (too many unfinished ids),
 * -errno
 */
sm_must_use int order_take(const json_t *row, const uint8_t order_pub[32], const char *device, const char *used_path,
    struct order *ret, char *ret_why);
/* The same without the list of used ids (tests, and to look at one). */
sm_must_use int order_check(
    const json_t *row, const uint8_t order_pub[32], const char *device, struct order *ret, char *ret_why);
/* Signature, form and whose it is alone, at whatever time (row needs no "now"): what is kept and read again later. */
sm_must_use int order_read(
    const json_t *row, const uint8_t order_pub[32], const char *device, struct order *ret, char *ret_why);
void order_wipe(struct order *o);
#endif
