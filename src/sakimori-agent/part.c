/* What backup, restore and link have in common: their birth. */
#include <errno.h>
#include <unistd.h>

#include "crypto/init.h"
#include "plat/proc.h"
#include "sakimori-agent/agent.h"

static int confine_files(const struct part_rules *rules, struct plat_confined *c)
{
    const struct plat_but but = {.out = &rules->out,
        .out_n = 1,
        .write = rules->out_write,
        .add = rules->out_add,
        .also = rules->paths,
        .also_n = rules->paths_n};
    if (!rules->out)
        return rules->landlock ? plat_sandbox_landlock(rules->paths, rules->paths_n, c) : 0;
    int r = plat_sandbox_landlock_but(&but, c);
    if (r != -SM_ELIMIT)
        return r;
    plat_confined_missing(c, "landlock: too many files stand beside the folder to be left out");
    return 0;
}

int part_confine(const struct part_rules *rules, struct plat_confined *ret)
{
    struct plat_confined c = {0};
    uid_t uid = rules->uid;
    gid_t gid = rules->uid;
    int r = crypto_init();
    if (!r)
        r = plat_sandbox_hygiene(rules->nofile, getppid(), &c);
    if (!r)
        r = confine_files(rules, &c);
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
