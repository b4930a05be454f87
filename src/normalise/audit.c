/*
 * Linux audit: "type=EXECVE msg=audit(1364481363.243:24287): argc=2 a0="ls" ...", from audit.log, from the kernel
 * by syslog or
 * from journald, with or without what ausearch and auditd add behind byte 0x1d.
 *
 * Each record is an event of its own (service auditd, as Sigma's rules want it).  Records of one serial number that
 * start a program
 * make one event more, of category process_creation, when the last of them is in: normalise_more.
 */
#include <errno.h>
#include <stdlib.h>
#include "normalise/flow.h"

enum { SYSCALL_X86_64 = 59, SYSCALL_I386 = 11, SYSCALL_ARM64 = 221 };

struct head { struct sm_span type, node; uint64_t ms, serial; struct when when; };

/* Numbers of the kernel for types, when it writes to syslog itself. */
static const struct { const char *number, *name; } types[] = {
    { "1300", "SYSCALL" }, { "1302", "PATH" }, { "1307", "CWD" }, { "1309", "EXECVE" }, { "1327", "PROCTITLE" },
    { "1320", "EOE" },
    { "1400", "AVC" }, { "1305", "CONFIG_CHANGE" }, { "1326", "SECCOMP" }, { "1130", "SERVICE_START" },
    { "1131", "SERVICE_STOP" },
};

/* x86_64 */
static const struct { const char *number, *name; } syscalls[] = {
    { "59", "execve" }, { "322", "execveat" }, { "257", "openat" }, { "2", "open" }, { "41", "socket" },
    { "42", "connect" },
    { "49", "bind" }, { "43", "accept" }, { "288", "accept4" }, { "101", "ptrace" }, { "175", "init_module" },
    { "313", "finit_module" },
    { "176", "delete_module" }, { "87", "unlink" }, { "263", "unlinkat" }, { "82", "rename" }, { "90", "chmod" },
    { "92", "chown" },
    { "105", "setuid" }, { "321", "bpf" }, { "310", "process_vm_readv" }, { "165", "mount" }, { "166", "umount2" },
    { "319", "memfd_create" },
    { "62", "kill" }, { "132", "utime" }, { "235", "utimes" }, { "280", "utimensat" }, { "264", "renameat" },
    { "316", "renameat2" },
    { "84", "rmdir" }, { "83", "mkdir" }, { "91", "fchmod" }, { "268", "fchmodat" }, { "272", "unshare" },
    { "425", "io_uring_setup" },
};

static bool read_head(struct scan *s, struct head *h)
{
    struct scan t = *s;

    *h = (struct head){ 0 };
    (void)scan_lit(&t, "audit: ");
    if (scan_lit(&t, "node="))
        h->node = scan_past(&t, ' ');
    if (!scan_lit(&t, "type"))
        return false;
    scan_blank(&t);
    if (!scan_c(&t, '='))
        return false;
    h->type = scan_past(&t, ' ');
    (void)scan_lit(&t, "msg=");
    if (!h->type.n || !scan_lit(&t, "audit(") || !when_epoch(&t, &h->when) || !scan_c(&t, ':'))
        return false;
    h->ms = (uint64_t)h->when.s * 1000 + h->when.ns / 1000000;
    if (!scan_uint(&t, 1, 19, &h->serial) || !scan_c(&t, ')'))
        return false;
    (void)scan_c(&t, ':');
    scan_blank(&t);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (span_is(h->type, types[i].number))
            h->type = SM_SPAN_STR(types[i].name);
    *s = t;
    return true;
}

static int nibble(uint8_t c)
{
    return is_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Names whose value is hexadecimal when it stands without quotes. */
static bool may_be_hex(struct sm_span key, bool execve)
{
    static const char *const keys[] = { "proctitle", "comm", "exe", "cwd", "name", "acct", "cmd", "data", "dir",
        "path", "key" };

    if (execve && key.n >= 2 && key.p[0] == 'a' && is_digit(key.p[1]))
        return true;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (span_is(key, keys[i]))
            return true;
    return false;
}

/* The bytes behind hexadecimal text, NUL as blank (arguments of a title); false when it is none. */
static bool unhex(struct format_ctx *c, struct sm_span v, struct sm_span *ret)
{
    if (v.n < 2 || v.n % 2)
        return false;
    for (size_t i = 0; i < v.n; i++)
        if (nibble(v.p[i]) < 0)
            return false;
    uint8_t *to = event_room(c->e, v.n / 2);
    if (!to)
        return false;
    for (size_t i = 0; i < v.n / 2; i++) {
        to[i] = (uint8_t)(nibble(v.p[2 * i]) << 4 | nibble(v.p[2 * i + 1]));
        if (!to[i])
            to[i] = ' ';
    }
    struct sm_span bytes = SM_SPAN(to, v.n / 2);
    while (bytes.n && bytes.p[bytes.n - 1] == ' ')
        bytes.n--;
    if (sm_utf8_valid(bytes)) {
        *ret = bytes;
        return true;
    }
    return normalise_decode(c->n, NULL, bytes, c->e, ret) == 0;
}

/* a, b: pairs end at blanks and at 0x1d; msg='...' holds pairs of its own. */
static bool next_pair(struct scan *s, struct pair *ret)
{
    const uint8_t *from;

    for (;;) {
        while (s->p < s->end && (*s->p == ' ' || *s->p == 0x1d || *s->p == '\'' || *s->p == ','))
            s->p++;
        if (scan_lit(s, "msg='"))
            continue;
        from = s->p;
        while (s->p < s->end && *s->p != '=' && *s->p != ' ')
            s->p++;
        if (s->p == s->end)
            return false;
        if (*s->p == '=')
            break; /* else a word without value */
    }
    *ret = (struct pair){ .key = SM_SPAN(from, (size_t)(s->p - from)) };
    s->p++;
    if (scan_c(s, '"')) {
        ret->value = scan_past(s, '"');
        ret->quoted = true;
        return true;
    }
    from = s->p;
    while (s->p < s->end && *s->p != ' ' && *s->p != 0x1d && *s->p != '\'')
        s->p++;
    ret->value = SM_SPAN(from, (size_t)(s->p - from));
    return true;
}

static struct sm_span value_of(struct format_ctx *c, const struct pair *p, bool execve)
{
    struct sm_span v = p->value;

    if (!p->quoted && may_be_hex(p->key, execve))
        (void)unhex(c, p->value, &v);
    return v;
}

static void put_syscall(struct format_ctx *c, struct sm_span number)
{
    for (size_t i = 0; i < sizeof syscalls / sizeof *syscalls; i++)
        if (span_is(number, syscalls[i].number))
            put_str(c, EVENT_F_SYSCALL, syscalls[i].name);
}

static void put_sign_in(struct format_ctx *c, const struct head *h, struct sm_span acct, struct sm_span addr,
    struct sm_span res)
{
    put(c, EVENT_F_username, acct);
    if (is_address(addr))
        put(c, EVENT_F_src_ip, addr);
    if (span_is(h->type, "USER_LOGIN") || span_is(h->type, "USER_AUTH"))
        source_words(c, 0, EVENT_W_authentication, 0);
    if (res.n)
        put_str(c, EVENT_F_outcome, span_starts(res, "success") || span_is(res, "1") ? "success" : "failure");
}

/* Into the group of its serial number; the oldest one makes room, as if it were complete. */
static void keep(struct format_ctx *c, const struct head *h, struct sm_span text)
{
    struct normalise_state *st = c->state;
    struct group *g = NULL, *oldest = NULL;
    size_t used = 0;

    if (!st || c->err < 0)
        return;
    bool last = span_is(h->type, "EOE") || span_is(h->type, "PROCTITLE");
    st->clock++;
    for (size_t i = 0; i < GROUPS_MAX; i++) {
        struct group *q = st->groups[i];
        if (!q || !q->n)
            continue;
        used++;
        if (q->serial == h->serial && q->ms == h->ms)
            g = q;
        if (!oldest || st->clock - q->age > st->clock - oldest->age)
            oldest = q;
    }
    if (!g && !span_is(h->type, "SYSCALL") && !span_is(h->type, "EXECVE"))
        return; /* what begins no program, and the end of what was told already */
    for (size_t i = 0; !g && i < GROUPS_MAX; i++) {
        if (!st->groups[i])
            st->groups[i] = calloc(1, sizeof *st->groups[i]);
        if (!st->groups[i]) {
            c->err = -ENOMEM;
            return;
        }
        if (st->groups[i]->n)
            continue;
        g = st->groups[i];
        g->serial = h->serial;
        g->ms = h->ms;
        g->done = g->process = false;
        used++;
    }
    if (!g)
        return;
    g->age = st->clock;
    g->process |= span_is(h->type, "EXECVE");
    if (text.n + 1 <= sizeof g->text - g->n) {
        memcpy(g->text + g->n, text.p, text.n);
        g->n += text.n;
        g->text[g->n++] = '\n';
    }
    g->done |= last;
    if (used >= GROUPS_MAX && oldest)
        oldest->done = true;
}

/* Groups that were told are empty from the next record on. */
static void sweep(struct normalise_state *st)
{
    for (size_t i = 0; st && i < GROUPS_MAX; i++)
        if (st->groups[i] && st->groups[i]->n && st->groups[i]->done)
            st->groups[i]->n = 0;
}

static int read(struct format_ctx *c, struct sm_span text)
{
    struct scan s = scan_of(text);
    struct head h;
    struct pair p;
    struct sm_span acct = { 0 }, addr = { 0 }, res = { 0 }, number = { 0 };
    bool named = false;

    if (!read_head(&s, &h))
        return -SM_EFORMAT;
    sweep(c->state);
    when_set(c, &h.when);
    source_words(c, EVENT_W_linux, 0, EVENT_W_auditd);
    if (h.node.n)
        c->e->host = h.node;
    put(c, EVENT_F_type, h.type);
    put_u64(c, event_names_add(c->names, SM_SPAN_STR("serial")), h.serial);
    bool execve = span_is(h.type, "EXECVE"), quiet_numbers = span_is(h.type, "SYSCALL");
    while (next_pair(&s, &p)) {
        struct sm_span v = value_of(c, &p, execve);
        put_named(c, p.key, !p.quoted && is_number(v) && !quiet_numbers ? EVENT_NUMBER : EVENT_TEXT, v);
        acct = span_is(p.key, "acct") ? v : acct;
        addr = span_is(p.key, "addr") ? v : addr;
        res = span_is(p.key, "res") ? v : res;
        number = span_is(p.key, "syscall") ? v : number;
        named |= span_is(p.key, "SYSCALL");
    }
    if (!named && number.n)
        put_syscall(c, number);
    if (acct.n || addr.n)
        put_sign_in(c, &h, acct, addr, res);
    if (!c->depth)
        put(c, EVENT_F_Message, text);
    keep(c, &h, text);
    return 0;
}

static int detect(struct sm_span t)
{
    struct scan s = scan_of(t);
    struct head h;

    return t.n > 20 && (t.p[0] == 't' || t.p[0] == 'n' || t.p[0] == 'a') && read_head(&s, &h) ? 96 : 0;
}

const struct format format_audit = {
    .row = { "audit", "Linux の監査ログ", "Linux audit" },
    .detect = detect, .read = read,
};

/* ---- several records, one program ---- */

struct started { struct sm_span exe, cwd, pid, ppid, ses, uid, user, title, auid; uint8_t *line; size_t n,
    cap; bool failed; };

static void argument(struct started *st, struct sm_span v)
{
    if (st->n + v.n + 1 > st->cap)
        return;
    if (st->n)
        st->line[st->n++] = ' ';
    if (v.n)
        memcpy(st->line + st->n, v.p, v.n);
    st->n += v.n;
}

static void take(struct format_ctx *c, struct started *st, const struct head *h, struct scan s)
{
    struct pair p;
    bool execve = span_is(h->type, "EXECVE"), syscall = span_is(h->type, "SYSCALL");

    while (next_pair(&s, &p)) {
        struct sm_span v = value_of(c, &p, execve);
        if (execve && p.key.n >= 2 && p.key.p[0] == 'a' && is_digit(p.key.p[1]) && !memchr(p.key.p, '_', p.key.n))
            argument(st, v);
        const struct { const char *key; struct sm_span *to; bool from; } all[] = {
            { "exe", &st->exe, syscall }, { "pid", &st->pid, syscall }, { "ppid", &st->ppid, syscall },
            { "ses", &st->ses, syscall },
            { "uid", &st->uid, syscall }, { "UID", &st->user, syscall }, { "auid", &st->auid, syscall },
            { "cwd", &st->cwd, span_is(h->type, "CWD") }, { "proctitle", &st->title, true },
        };
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            if (all[i].from && span_is(p.key, all[i].key))
                *all[i].to = v;
        st->failed |= syscall && span_is(p.key, "success") && span_is(v, "no");
    }
}

static int tell(struct format_ctx *c, const struct group *g)
{
    struct started st = { .cap = GROUP_BYTES };
    struct scan lines = scan_of(SM_SPAN(g->text, g->n));
    struct head h = { 0 };

    st.line = event_room(c->e, st.cap);
    if (!st.line)
        return -ENOMEM;
    while (lines.p < lines.end) {
        struct scan s = scan_of(scan_past(&lines, '\n'));
        if (read_head(&s, &h))
            take(c, &st, &h, s);
    }
    if (st.failed || !st.exe.n)
        return 0;
    when_set(c, &h.when);
    if (h.node.n)
        c->e->host = h.node;
    c->e->raw = SM_SPAN(g->text, g->n - 1);
    c->e->format = event_names_add(c->names, SM_SPAN_STR("audit"));
    source_words(c, EVENT_W_linux, EVENT_W_process_creation, 0);
    put(c, EVENT_F_Image, st.exe);
    put(c, EVENT_F_CommandLine, st.n ? SM_SPAN(st.line, st.n) : st.title);
    put(c, EVENT_F_CurrentDirectory, st.cwd);
    put_number(c, EVENT_F_ProcessId, st.pid);
    put_number(c, EVENT_F_ParentProcessId, st.ppid);
    put(c, EVENT_F_User, st.user.n ? st.user : span_is(st.uid, "0") ? SM_SPAN_STR("root") : st.uid);
    put(c, EVENT_F_LogonId, st.ses);
    put_number(c, EVENT_F_auid, st.auid);
    return c->err < 0 ? c->err : 1;
}

int audit_more(struct format_ctx *c)
{
    for (size_t i = 0; c->state && i < GROUPS_MAX; i++) {
        struct group *g = c->state->groups[i];
        if (!g || !g->n || !g->done || !g->process)
            continue;
        g->process = false; /* told once; the bytes stay until the next record */
        int r = tell(c, g);
        if (r)
            return r;
    }
    return 0;
}
