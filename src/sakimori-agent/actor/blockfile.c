/* Programs that may not start, by the hash of their file: the list is kept here, the sensor refuses (it hears it through judge). */
#include <errno.h>

#include "sakimori-agent/actor/actor.h"

static int check(struct act *t)
{
    const char *h = act_text(t, "sha256");
    if (strlen(h) != 64 || strspn(h, "0123456789abcdef") != 64) {
        act_say(t, "this is no SHA-256");
        return -SM_EINVAL;
    }
    if (!hold_find(&t->a->hold, "files", "sha256", h) && json_array_size(hold_list(&t->a->hold, "files")) >= HOLD_FILES_MAX) {
        act_say(t, "too many are blocked already");
        return -SM_ELIMIT;
    }
    return 0;
}

static void block(struct act *t)
{
    struct actor *a = t->a;
    const char *h = act_text(t, "sha256");
    int64_t now = actor_now_s();
    hold_drop(&a->hold, "files", "sha256", h);
    json_t *row = json_pack("{s:s,s:I,s:I,s:s}", "sha256", h, "since", (json_int_t)now, "until",
        (json_int_t)(t->for_s ? now + t->for_s : 0), "by", t->by_order ? t->id : "policy");
    int r = !row || json_array_append_new(hold_list(&a->hold, "files"), row) ? -ENOMEM : hold_save(&a->hold);
    if (r) {
        act_fail(t, r, "%s", sm_strerror(r));
        return;
    }
    actor_tell_blocked(a);
    act_say(t, "%s", a->judge ? "this program is not started any more" : "it is blocked as soon as the sensor is there");
    actor_tick_soon(a);
}

const struct action act_block_file = {.name = "block_file", .allow = ALLOW_NOBODY, .check = check, .ended = block};

static void unblock(struct act *t)
{
    struct actor *a = t->a;
    const char *h = act_text(t, "sha256");
    if (!hold_find(&a->hold, "files", "sha256", h)) {
        act_fail(t, -SM_ENOTFOUND, "it is not blocked by an order");
        return;
    }
    hold_drop(&a->hold, "files", "sha256", h);
    int r = hold_save(&a->hold);
    if (r) {
        act_fail(t, r, "%s", sm_strerror(r));
        return;
    }
    actor_tell_blocked(a);
    act_say(t, "this program may start again");
}

const struct action act_unblock_file = {.name = "unblock_file", .allow = ALLOW_NOBODY, .ended = unblock};
