/*
 * The agent may be removed from this machine within the hour: until when stands in DATA/actor/uninstall, where the package looks before it lets
 * itself be removed (packaging/debian/sakimori-agent.prerm), and the supervisor before it says why it ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "plat/fs.h"
#include "sakimori-agent/actor/actor.h"

enum { HOUR_S = 3600 };

static void allow(struct act *t)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%" PRId64 "\n", actor_now_s() + HOUR_S);
    int r = plat_replace(t->a->folder, "uninstall", SM_SPAN(text, (size_t)n), 0600);
    if (r) {
        act_fail(t, r, "%s", sm_strerror(r));
        return;
    }
    act_say(t, "the agent may be removed within the hour");
}

const struct action act_uninstall = {.name = "uninstall", .allow = ALLOW_NOBODY, .ended = allow};
