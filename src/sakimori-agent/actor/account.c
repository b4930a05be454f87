/*
 * An account: its password locked, the account expired, its processes ended; and back.  The system's own program changes the account
 * (PAM, shadow and its locks are not ours).  What it was before is written down, so that the way back makes it that and no more.
 */
#include <errno.h>
#include <pwd.h>
#include <shadow.h>
#include <stdlib.h>
#include <unistd.h>

#include "sakimori-agent/actor/actor.h"

enum { KILL_MS = 10000, LIMIT_S = 30 };

struct found { uid_t uid; bool there, locked; long expire; };

static bool plain(const char *s)
{
    size_t n = strlen(s);
    return n >= 1 && n <= 32 && *s != '-' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static int look(const char *name, struct found *ret)
{
    char room[16384];
    struct passwd pw, *p = NULL;
    struct spwd sp, *s = NULL;
    if (getpwnam_r(name, &pw, room, sizeof room, &p) || !p)
        return -SM_ENOTFOUND;
    *ret = (struct found){.uid = p->pw_uid, .expire = -1};
    if (!getspnam_r(name, &sp, room, sizeof room, &s) && s) {
        ret->there = true;
        ret->locked = s->sp_pwdp && s->sp_pwdp[0] == '!';
        ret->expire = s->sp_expire;
    }
    return 0;
}

/* Root is the way back, and the agent's own accounts hold nobody. */
static int check(struct act *t)
{
    const char *name = act_text(t, "account");
    struct found f;
    if (!plain(name)) {
        act_say(t, "this is no name of an account");
        return -SM_EINVAL;
    }
    int r = look(name, &f);
    if (r) {
        act_say(t, "there is no such account on this machine");
        return r;
    }
    if (f.uid == 0 || f.uid == geteuid() || strncmp(name, "_sakimori", 9) == 0) {
        act_say(t, "%s", f.uid ? "the agent needs this account" : "root is never disabled: it is the way back");
        return -SM_EDENIED;
    }
    return 0;
}

static int check_disable(struct act *t)
{
    int r = check(t);
    if (!r && json_object_size(json_object_get(t->a->hold.o, "accounts")) >= HOLD_ACCOUNTS_MAX &&
        !json_object_get(json_object_get(t->a->hold.o, "accounts"), act_text(t, "account"))) {
        act_say(t, "too many are disabled already");
        r = -SM_ELIMIT;
    }
    struct found f;
    if (!r && !look(act_text(t, "account"), &f) && !json_object_get(json_object_get(t->a->hold.o, "accounts"), act_text(t, "account"))) {
        json_t *was = json_pack("{s:b,s:I,s:I,s:s}", "locked", f.locked, "expire", (json_int_t)f.expire, "since",
            (json_int_t)actor_now_s(), "by", t->by_order ? t->id : "policy");
        r = json_object_set_new(json_object_get(t->a->hold.o, "accounts"), act_text(t, "account"), was) ? -ENOMEM : 0;
    }
    return r; /* written down with what is under way */
}

static void end_sessions(struct act *t, uid_t uid)
{
    struct plat_killed done = {0};
    const struct plat_kill k = {.by_user = true, .uid = uid, .spare = actor_spare, .arg = t, .timeout_ms = KILL_MS};
    const char *const args[] = {"terminate-user", act_text(t, "account"), NULL};
    if (actor_has_program("loginctl"))
        (void)!actor_program("loginctl", args, LIMIT_S, NULL); /* where there is a session manager; what it leaves is killed */
    int r = plat_proc_kill_all(&k, &done);
    act_fact(t, "killed", json_integer(done.killed));
    if (r && r != -ESRCH)
        act_fail(t, r, "disabled, but some of its processes are still there");
}

static void disable(struct act *t)
{
    const char *name = act_text(t, "account");
    const char *const args[] = {"-L", "-e", "1", name, NULL};
    struct found f = {0};
    int r = look(name, &f);
    if (!r)
        r = actor_program("usermod", args, LIMIT_S, NULL);
    if (r) {
        act_fail(t, r, "%s", r == -SM_EPARTIAL ? "usermod refused: is the account kept elsewhere?" : sm_strerror(r));
        return;
    }
    end_sessions(t, f.uid);
    if (!t->err)
        act_say(t, "disabled, and its sessions are ended");
}

const struct action act_disable_account = {
    .name = "disable_account", .allow = ALLOW_DISABLE, .again = true, .check = check_disable, .run = disable};

static int check_enable(struct act *t)
{
    int r = check(t);
    json_t *was = json_object_get(json_object_get(t->a->hold.o, "accounts"), act_text(t, "account"));
    if (!r && !was) {
        act_say(t, "it was not disabled by an order");
        r = -SM_ENOTFOUND;
    }
    if (!r)
        t->mem = json_incref(was);
    return r;
}

static void enable(struct act *t)
{
    const char *name = act_text(t, "account");
    const json_t *was = t->mem;
    json_int_t expire = json_integer_value(json_object_get(was, "expire"));
    char date[32] = "";
    if (expire >= 0)
        (void)snprintf(date, sizeof date, "%lld", (long long)expire); /* days since 1970, as usermod takes them */
    const char *const unlock[] = {"-U", name, NULL}, *const open_again[] = {"-e", date, name, NULL};
    int r = actor_program("usermod", open_again, LIMIT_S, NULL);
    if (!r && !json_is_true(json_object_get(was, "locked")))
        r = actor_program("usermod", unlock, LIMIT_S, NULL);
    if (r)
        act_fail(t, r, "%s", r == -SM_EPARTIAL ? "usermod refused: is the account kept elsewhere?" : sm_strerror(r));
    else
        act_say(t, "this account can be used again");
}

static void enabled(struct act *t)
{
    json_decref(t->mem);
    t->mem = NULL;
    if (!t->err)
        json_object_del(json_object_get(t->a->hold.o, "accounts"), act_text(t, "account"));
}

const struct action act_enable_account = {
    .name = "enable_account", .allow = ALLOW_NOBODY, .check = check_enable, .run = enable, .ended = enabled};
