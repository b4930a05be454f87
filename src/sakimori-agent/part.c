/* What backup, restore and link have in common: their birth. */
#include <errno.h>
#include <unistd.h>

#include "crypto/init.h"
#include "plat/proc.h"
#include "sakimori-agent/agent.h"

int part_confine(const struct part_rules *rules, struct plat_confined *ret)
{
    struct plat_confined c = {0};
    uid_t uid = rules->uid;
    gid_t gid = rules->uid;
    int r = crypto_init();
    if (!r)
        r = plat_sandbox_hygiene(rules->nofile, getppid(), &c);
    if (!r && rules->landlock)
        r = plat_sandbox_landlock(rules->paths, rules->paths_n, &c);
    if (!r && rules->user[0]) {
        (void)plat_user_lookup(rules->user, &uid, &gid); /* without such a user the number serves */
        r = plat_sandbox_user(uid, gid, NULL, 0, rules->caps, rules->caps_n, &c);
    } else if (!r) {
        r = plat_sandbox_caps(rules->caps, rules->caps_n, &c);
    }
    if (!r)
        r = plat_sandbox_seccomp(rules->profile, &c);
    if (!r)
        *ret = c;
    return r;
}
