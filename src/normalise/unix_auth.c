/* Programs of Unix that let people in, or make them somebody else: sshd, su, sudo, doas, login, PAM, logind, cron. */
#include "normalise/flow.h"
#include "normalise/syslog.h"

/* ---- PAM: inside any program ---- */

static struct sm_span kv(struct sm_span text, const char *key)
{
    return span_word_after(text, key, ";,");
}

/* "authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=10.0.3.1  user=root" */
static bool pam(struct format_ctx *c, struct sm_span body)
{
    if (span_has(body, "authentication failure; ") || span_has(body, " more authentication failure")) {
        struct sm_span rhost = kv(body, "rhost="), user = kv(body, " user=");
        put_login(c, 0, false, user, is_address(rhost) ? rhost : SM_SPAN(rhost.p, 0));
        if (!is_address(rhost))
            put(c, EVENT_F_SourceHostname, rhost);
        put(c, EVENT_F_TTY, kv(body, "tty="));
        put_named(c, SM_SPAN_STR("ruser"), EVENT_TEXT, kv(body, "ruser="));
        put_number(c, EVENT_F_uid, kv(body, " uid="));
        return true;
    }
    if (span_has(body, "check pass; user unknown")) {
        put_login(c, 0, false, SM_SPAN("", 0), SM_SPAN("", 0));
        return true;
    }
    bool opened = span_has(body, "session opened for user ");
    if (!opened && !span_has(body, "session closed for user "))
        return false;
    source_words(c, 0, EVENT_W_authentication, 0);
    put_str(c, EVENT_F_action, opened ? "session-opened" : "session-closed");
    put(c, EVENT_F_username, span_word_after(body, " for user ", "(.,"));
    return true;
}

/* ---- sshd ---- */

/* "Accepted password for root from 10.0.0.1 port 22 ssh2", "Failed none for invalid user x from ..." */
static bool ssh_login(struct format_ctx *c, struct sm_span body)
{
    struct scan s = scan_of(body);
    bool ok = scan_lit(&s, "Accepted "), postponed = !ok && scan_lit(&s, "Postponed ");

    if (!ok && !postponed && !scan_lit(&s, "Failed "))
        return false;
    struct sm_span method = scan_word(&s), rest = scan_rest(&s);
    if (!span_starts(rest, " for "))
        return false;
    struct scan t = scan_of(SM_SPAN(rest.p + 5, rest.n - 5));
    bool invalid = scan_lit(&t, "invalid user ") || scan_lit(&t, "illegal user ");
    const uint8_t *from = span_find(scan_rest(&t), " from ");
    struct sm_span user = from ? SM_SPAN(t.p, (size_t)(from - t.p)) : scan_word(&t);
    struct sm_span address = span_word_after(rest, " from ", ",");
    if (postponed) {
        put_str(c, EVENT_F_action, "postponed");
        put(c, EVENT_F_username, user);
        put(c, EVENT_F_src_ip, address);
    } else {
        put_login(c, EVENT_W_sshd, ok, user, address);
    }
    put_number(c, EVENT_F_src_port, span_word_after(rest, " port ", ","));
    put_named(c, SM_SPAN_STR("auth_method"), EVENT_TEXT, method);
    if (invalid)
        put_str(c, EVENT_F_reason, "invalid user");
    return true;
}

static bool sshd(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, 0, EVENT_W_sshd);
    if (ssh_login(c, body))
        return true;
    struct scan s = scan_of(body);
    if (scan_lit(&s, "Invalid user ") || scan_lit(&s, "Illegal user ")) {
        const uint8_t *from = span_find(scan_rest(&s), " from ");
        struct sm_span user = from ? SM_SPAN(s.p, (size_t)(from - s.p)) : scan_word(&s);
        put_login(c, EVENT_W_sshd, false, user, span_word_after(body, " from ", ","));
        put_number(c, EVENT_F_src_port, span_word_after(body, " port ", ","));
        put_str(c, EVENT_F_reason, "invalid user");
        return true;
    }
    if (pam(c, body))
        return true;
    struct sm_span max = span_after(body, "maximum authentication attempts exceeded for ");
    if (max.n) {
        s = scan_of(max);
        if (scan_lit(&s, "invalid user "))
            put_str(c, EVENT_F_reason, "invalid user");
        put_login(c, EVENT_W_sshd, false, scan_word(&s), span_word_after(max, " from ", ","));
        put_number(c, EVENT_F_src_port, span_word_after(max, " port ", ","));
        return true;
    }
    /* What is left names an address in a few ways. */
    static const char *const before[] = { " from ", "Address ", "remote host ", "negotiate with ", " by ",
        "closed by ", " user " };
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        struct sm_span a = span_word_after(body, before[i], ":;,");
        struct sm_span inside = span_word_after(a, "UNKNOWN", "");
        if (is_address(inside.n ? inside : a)) {
            put(c, EVENT_F_src_ip, inside.n ? inside : a);
            put_number(c, EVENT_F_src_port, span_word_after(body, " port ", ":,"));
            break;
        }
    }
    /* "closed by authenticating user root 10.0.0.1 port 1 [preauth]", "by invalid user x 10.0.0.1 port 1" */
    struct sm_span who = span_after(body, " user ");
    s = scan_of(who);
    struct sm_span user = scan_word(&s), address = scan_word(&s);
    if (is_address(address) && user.n) {
        put(c, EVENT_F_username, user);
        if (!event_get(c->e, EVENT_F_src_ip))
            put_address(c, EVENT_F_src_ip, EVENT_F_none, address);
    }
    struct sm_span bracket = span_word_after(body, "[", "]"); /* reverse mapping ... for name [10.0.0.1] failed */
    if (is_address(bracket) && !event_get(c->e, EVENT_F_src_ip))
        put(c, EVENT_F_src_ip, bracket);
    return true;
}

/* ---- su, sudo, doas ---- */

static void su_said(struct format_ctx *c, bool failed)
{
    put_str(c, EVENT_F_action, "su");
    put_str(c, EVENT_F_outcome, failed ? "failure" : "success");
}

static bool su(struct format_ctx *c, struct sm_span body)
{
    struct scan s = scan_of(body);

    source_words(c, EVENT_W_linux, EVENT_W_authentication, EVENT_W_auth);
    if (pam(c, body))
        return true;
    bool failed = scan_lit(&s, "FAILED SU ") || scan_lit(&s, "BAD SU ") || scan_lit(&s, "FAILED su ");
    /* FAILED SU (to root) user on pts/0; BAD SU a to b on x; Successful su for root by user */
    if (failed || scan_lit(&s, "Successful su ")) {
        struct sm_span rest = scan_rest(&s);
        su_said(c, failed);
        if (scan_lit(&s, "(to ")) {
            put(c, EVENT_F_target_user, scan_past(&s, ')'));
            put(c, EVENT_F_username, scan_word(&s));
        } else if (scan_lit(&s, "for ")) {
            put(c, EVENT_F_target_user, scan_word(&s));
            put(c, EVENT_F_username, span_word_after(rest, " by ", ""));
        } else {
            put(c, EVENT_F_username, scan_word(&s));
            put(c, EVENT_F_target_user, span_word_after(rest, " to ", ""));
        }
        put(c, EVENT_F_TTY, span_word_after(rest, " on ", ""));
        return true;
    }
    if (scan_lit(&s, "failed: ")) { /* failed: ttyq4 changing from ldap to root */
        su_said(c, true);
        put(c, EVENT_F_TTY, scan_word(&s));
        put(c, EVENT_F_username, span_word_after(body, " from ", ""));
        put(c, EVENT_F_target_user, span_word_after(body, " to ", ""));
        return true;
    }
    bool minus = scan_lit(&s, "- ");
    if (minus || scan_lit(&s, "+ ")) { /* + pts/1 user:root */
        put(c, EVENT_F_TTY, scan_word(&s));
        scan_blank(&s);
        su_said(c, minus);
        put(c, EVENT_F_username, scan_past(&s, ':'));
        put(c, EVENT_F_target_user, scan_word(&s));
        return true;
    }
    if (span_starts(body, "(to ")) { /* (to root) user on pts/1 */
        s.p += 4;
        su_said(c, false);
        put(c, EVENT_F_target_user, scan_past(&s, ')'));
        put(c, EVENT_F_username, scan_word(&s));
        return true;
    }
    struct sm_span first = scan_word(&s);
    if (scan_lit(&s, " to ")) { /* BSD: user to root on /dev/ttyp1 */
        su_said(c, false);
        put(c, EVENT_F_username, first);
        put(c, EVENT_F_target_user, scan_word(&s));
        put(c, EVENT_F_TTY, span_word_after(body, " on ", ""));
    }
    return true;
}

/* "user : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/bin/ls" */
static bool sudo(struct format_ctx *c, struct sm_span body)
{
    struct scan s = scan_of(body);

    source_words(c, EVENT_W_linux, 0, EVENT_W_sudo);
    if (pam(c, body))
        return true;
    struct sm_span user = scan_word(&s);
    scan_blank(&s);
    if (!scan_c(&s, ':'))
        return true;
    put(c, EVENT_F_username, user);
    bool failed = false;
    while (s.p < s.end) {
        scan_blank(&s);
        struct sm_span rest = scan_rest(&s);
        if (span_starts(rest, "COMMAND=")) { /* to the end: a command may have ; in it */
            put(c, EVENT_F_COMMAND, SM_SPAN(rest.p + 8, rest.n - 8));
            break;
        }
        struct sm_span part = span_trim(scan_past(&s, ';'));
        struct scan p = scan_of(part);
        struct sm_span key = scan_past(&p, '=');
        if (p.p == p.end && !span_ends(part, "=")) {
            failed = true;
            put(c, EVENT_F_reason, part);
        } else if (span_is(key, "TTY")) {
            put(c, EVENT_F_TTY, scan_rest(&p));
        } else if (span_is(key, "PWD")) {
            put(c, EVENT_F_PWD, scan_rest(&p));
        } else if (span_is(key, "USER")) {
            put(c, EVENT_F_USER, scan_rest(&p));
            put(c, EVENT_F_target_user, scan_rest(&p));
        } else {
            put_named(c, key, EVENT_TEXT, scan_rest(&p));
        }
    }
    put_str(c, EVENT_F_action, "sudo");
    put_str(c, EVENT_F_outcome, failed ? "failure" : "success");
    return true;
}

static bool doas(struct format_ctx *c, struct sm_span body)
{
    struct scan s = scan_of(body);

    source_words(c, EVENT_W_linux, EVENT_W_authentication, EVENT_W_auth);
    bool failed = scan_lit(&s, "failed ");
    put_str(c, EVENT_F_action, "doas");
    put_str(c, EVENT_F_outcome, failed ? "failure" : "success");
    if (failed) {
        put(c, EVENT_F_username, span_word_after(body, " for ", ":"));
        put(c, EVENT_F_COMMAND, span_after(body, ": "));
        return true;
    }
    put(c, EVENT_F_username, scan_word(&s));
    put(c, EVENT_F_target_user, span_word_after(body, " as ", ":"));
    struct sm_span command = span_after(body, " ran command ");
    put(c, EVENT_F_COMMAND, span_starts(command, "as ") ? span_after(body, ": ") : span_word_after(body,
        " ran command ", ""));
    return true;
}

/* ---- login, logind, accounts, cron ---- */

static bool login(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, 0, EVENT_W_auth);
    if (pam(c, body))
        return true;
    if (span_starts(body, "FAILED LOGIN") || span_has(body, "LOGIN FAILURE")) {
        struct sm_span user = span_word_after(body, " FOR ", ",");
        struct scan q = scan_of(user);
        (void)(scan_c(&q, '\'') || scan_c(&q, '`'));
        put_login(c, 0, false, scan_until(&q, '\''), SM_SPAN("", 0));
        put(c, EVENT_F_SourceHostname, span_word_after(body, " FROM ", ","));
    } else if (span_starts(body, "ROOT LOGIN") || span_starts(body, "LOGIN ON ")) {
        struct sm_span by = span_word_after(body, " BY ", ",");
        put_login(c, 0, true, by.n ? by : SM_SPAN_STR("root"), SM_SPAN("", 0));
        put(c, EVENT_F_TTY, span_word_after(body, " ON ", ""));
    }
    return true;
}

/* "New session 5 of user root.", "Removed session 5.", "new user: name=x, UID=1001, ..." */
static bool accounts(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, 0, EVENT_W_auth);
    if (pam(c, body))
        return true;
    struct sm_span user = span_word_after(body, " of user ", ".");
    if (user.n) {
        put_str(c, EVENT_F_action, "session-opened");
        put(c, EVENT_F_username, user);
        put_number(c, EVENT_F_session, span_word_after(body, "session ", "."));
    }
    bool added = span_starts(body, "new user: ");
    struct sm_span name = span_word_after(body, "name=", ",");
    if (added || span_starts(body, "new group: ") || span_starts(body, "delete user ") || span_has(body,
        "password changed for ")) {
        struct sm_span changed = span_word_after(body, "password changed for ", ",");
        put_str(c, EVENT_F_action, added ? "user-added" : changed.n ? "password-changed" : name.n
            ? "group-added" : "user-removed");
        put(c, EVENT_F_target_user, changed.n ? changed : name.n ? name : span_word_after(body, "user '", "'"));
        put_number(c, EVENT_F_uid, span_word_after(body, "UID=", ","));
    }
    return true;
}

/* "(root) CMD (command)", "(user) REPLACE (user)" */
static bool cron(struct format_ctx *c, struct sm_span body)
{
    struct scan s = scan_of(body);

    source_words(c, EVENT_W_linux, 0, EVENT_W_cron);
    if (pam(c, body) || !scan_c(&s, '('))
        return true;
    put(c, EVENT_F_username, scan_past(&s, ')'));
    put(c, EVENT_F_action, scan_word(&s));
    scan_blank(&s);
    struct sm_span rest = scan_rest(&s);
    if (rest.n >= 2 && rest.p[0] == '(' && rest.p[rest.n - 1] == ')')
        put(c, EVENT_F_COMMAND, SM_SPAN(rest.p + 1, rest.n - 2));
    return true;
}

/* Of any program: lines that PAM writes for it. */
static bool only_pam(struct format_ctx *c, struct sm_span body)
{
    source_words(c, EVENT_W_linux, 0, EVENT_W_auth);
    return pam(c, body);
}

static const struct { const char *name; bool (*read)(struct format_ctx *, struct sm_span); } programs[] = {
    { "sshd", sshd }, { "sshd-session", sshd }, { "su", su }, { "sudo", sudo }, { "doas", doas }, { "login", login },
    { "CRON", cron }, { "cron", cron }, { "crond", cron }, { "CROND", cron }, { "crontab", cron }, { "anacron", cron },
    { "systemd-logind", accounts }, { "useradd", accounts }, { "userdel", accounts }, { "usermod", accounts },
    { "groupadd", accounts }, { "passwd", accounts }, { "chpasswd", accounts }, { "gdm", only_pam },
    { "auth", only_pam },
};

/* "sshd(pam_unix)" is sshd. */
static struct sm_span base_name(struct sm_span program)
{
    const uint8_t *paren = program.n ? memchr(program.p, '(', program.n) : NULL;

    return paren ? SM_SPAN(program.p, (size_t)(paren - program.p)) : program;
}

bool unix_program(struct format_ctx *c, struct sm_span body)
{
    struct sm_span p = base_name(c->program);

    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (programs[i].name[0] == (char)p.p[0] && span_is(p, programs[i].name))
            return programs[i].read(c, body);
    bool says_pam = p.n != c->program.n || span_starts(body, "pam_unix(");
    if (says_pam && only_pam(c, body))
        return true;
    return unix_service(c, p, body);
}
