/*
 * Isolation: this machine talks to its box and to nobody else, until the time is over or it is released.  It is written down first, so
 * that a start in the middle makes it again; the kernel ends it too, should nobody be there.
 */
#include <errno.h>

#include "sakimori-agent/actor/actor.h"

#define STANDARD_S 86400
#define LEAST_S 60
#define MOST_S (INT64_C(30) * 86400)

static int check(struct act *t)
{
    struct actor *a = t->a;
    if (a->beside_box) {
        act_say(t, "the box stands on this machine: all others would lose it");
        return -SM_EDENIED;
    }
    if (!json_array_size(hold_list(&a->hold, "box"))) {
        act_say(t, "the box's address is not known by number yet, so it would be cut off as well");
        return -SM_ESTATE;
    }
    if (t->for_s && (t->for_s < LEAST_S || t->for_s > MOST_S)) {
        act_say(t, "isolation lasts a minute to 30 days");
        return -SM_EINVAL;
    }
    return 0;
}

/* A longer one is in force: it stays, unless it was said that this one is to be shorter. */
static bool longer_stays(struct act *t, int64_t now, int64_t until)
{
    char text[SM_TIME_TEXT];
    int64_t is = json_integer_value(json_object_get(json_object_get(t->a->hold.o, "isolated"), "until"));
    if (is <= until || json_is_true(json_object_get(t->args, "shorter")))
        return false;
    sm_time_rfc3339((struct sm_time){.s = is}, text);
    act_say(t, "it is cut off for longer already, and that stays");
    act_fact(t, "until", json_string(text));
    act_fact(t, "kept_s", json_integer((json_int_t)(is - now)));
    return true;
}

static void isolate(struct act *t)
{
    struct actor *a = t->a;
    char why[PLAT_NF_WHY] = "";
    int64_t now = actor_now_s(), until = now + (t->for_s ? t->for_s : STANDARD_S);
    if (longer_stays(t, now, until))
        return;
    json_t *before = json_incref(json_object_get(a->hold.o, "isolated"));
    json_t *o = json_pack(
        "{s:I,s:I,s:s}", "since", (json_int_t)now, "until", (json_int_t)until, "by", t->by_order ? t->id : "policy");
    int r = !o || json_object_set_new(a->hold.o, "isolated", o) ? -ENOMEM : hold_save(&a->hold);
    if (!r)
        r = net_apply(a, why);
    if (r) {
        (void)json_object_set(a->hold.o, "isolated", before); /* as it was */
        (void)!hold_save(&a->hold);                            /* as above; it would end by itself */
        act_filter(t, r, why);
    } else {
        char text[SM_TIME_TEXT];
        sm_time_rfc3339((struct sm_time){.s = until}, text);
        act_say(t, "only the box stays reachable");
        act_fact(t, "until", json_string(text));
        actor_event(a, "isolated", json_pack("{s:s,s:s}", "by", t->by_order ? "order" : "policy", "until", text));
        actor_tick_soon(a);
    }
    json_decref(before);
}

const struct action act_isolate = {.name = "isolate", .allow = ALLOW_ISOLATE, .check = check, .ended = isolate};

static void release(struct act *t)
{
    struct actor *a = t->a;
    char why[PLAT_NF_WHY] = "";
    bool was = json_is_object(json_object_get(a->hold.o, "isolated"));
    int r = json_object_set_new(a->hold.o, "isolated", json_null()) ? -ENOMEM : hold_save(&a->hold);
    if (!r)
        r = net_apply(a, why);
    if (r)
        act_filter(t, r, why);
    else
        act_say(t, "%s", was ? "the machine reaches others again" : "it was not isolated");
    if (!r && was)
        actor_event(a, "released", json_pack("{s:s}", "by", t->by_order ? "order" : "policy"));
}

const struct action act_release = {.name = "release", .allow = ALLOW_NOBODY, .ended = release};
