/* The points of a machine.  A row each: its weight, and how it is judged. */
#include "api/posture.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DAY 86400
enum { DEFINITIONS_NEW_D = 3, DEFINITIONS_OLD_D = 7, SYSTEM_SOON_S = 180 * DAY };

const char *const posture_fact_names[POSTURE_FACTS] = { "agent", "protection", "definitions", "backup", "decoys", "media", "logs", "system", "remote" };
static const unsigned char weights[POSTURE_FACTS] = { 15, 25, 10, 20, 5, 5, 10, 5, 5 };

/* Ends of free security updates, as their makers publish them (Debian with LTS, Ubuntu without the paid part). */
static const struct {
    const char *name, *version;
    int64_t until_s;
} systems[] = {
    { "debian", "9", 1656547200 },   /* 2022-06-30 */
    { "debian", "10", 1719705600 },  /* 2024-06-30 */
    { "debian", "11", 1788134400 },  /* 2026-08-31 */
    { "debian", "12", 1845936000 },  /* 2028-06-30 */
    { "debian", "13", 1909008000 },  /* 2030-06-30 */
    { "ubuntu", "16.04", 1619740800 }, /* 2021-04-30 */
    { "ubuntu", "18.04", 1685491200 }, /* 2023-05-31 */
    { "ubuntu", "20.04", 1748649600 }, /* 2025-05-31 */
    { "ubuntu", "22.04", 1806451200 }, /* 2027-03-31 */
    { "ubuntu", "24.04", 1869609600 }, /* 2029-03-31 */
    { "centos", "6", 1606694400 },   /* 2020-11-30 */
    { "centos", "7", 1719705600 },   /* 2024-06-30 */
    { "centos", "8", 1640908800 },   /* 2021-12-31 */
    { "alma", "8", 1874880000 },     /* 2029-05-31 */
    { "alma", "9", 1969574400 },     /* 2032-05-31 */
    { "rocky", "8", 1874880000 },
    { "rocky", "9", 1969574400 },
};

static void lower(const char *s, char *ret, size_t size)
{
    size_t n = 0;
    for (; s[n] && n + 1 < size; n++)
        ret[n] = (char)tolower((unsigned char)s[n]);
    ret[n] = '\0';
}

/* The version as a number of its own: "debian gnu/linux 11 (bullseye)" holds 11, "1.11" does not. */
static bool holds_version(const char *s, const char *version)
{
    size_t n = strlen(version);
    for (const char *p = strstr(s, version); p; p = strstr(p + 1, version)) {
        bool before = p > s && (isdigit((unsigned char)p[-1]) || p[-1] == '.');
        /* A point and more digits after a whole version is its own update: 22.04.3, 8.9. */
        if (!before && !isdigit((unsigned char)p[n]))
            return true;
    }
    return false;
}

int64_t posture_system_until(const char *os)
{
    char s[128];
    lower(os, s, sizeof s);
    for (size_t i = 0; i < sizeof systems / sizeof *systems; i++)
        if (strstr(s, systems[i].name) && holds_version(s, systems[i].version))
            return systems[i].until_s;
    return 0;
}

static void span_words(int64_t s, char ret[48])
{
    (void)snprintf(ret, 48, "%lld", (long long)(s < 0 ? 0 : s / DAY)); /* fits */
}

static void set(struct posture_row *r, enum posture_state state, enum text_key text, enum text_key todo)
{
    r->state = state;
    r->text = text;
    r->todo = todo;
    r->points = state == POSTURE_GOOD ? r->of : state == POSTURE_PART ? r->of / 2 : 0;
}

static void judge_agent(const struct posture_facts *f, struct posture_row *r)
{
    if (f->there)
        set(r, POSTURE_GOOD, T_POSTURE_AGENT_GOOD, TEXT_KEYS);
    else if (!f->seen_s)
        set(r, POSTURE_UNKNOWN, T_POSTURE_AGENT_NEVER, T_POSTURE_AGENT_DO);
    else
        set(r, POSTURE_BAD, f->now - f->seen_s < DAY ? T_POSTURE_AGENT_AWAY : T_POSTURE_AGENT_GONE, T_POSTURE_AGENT_DO);
    span_words(f->now - f->seen_s, r->args[0]);
}

static void judge_protection(const struct posture_facts *f, struct posture_row *r)
{
    if (f->cover == 'n')
        set(r, POSTURE_BAD, T_POSTURE_PROTECTION_NONE, T_POSTURE_PROTECTION_NONE_DO);
    else if (!f->there) /* what it said last may be long over */
        set(r, POSTURE_UNKNOWN, T_POSTURE_PROTECTION_UNKNOWN, TEXT_KEYS);
    else if (f->by_policy)
        set(r, POSTURE_BAD, T_POSTURE_PROTECTION_POLICY, T_POSTURE_PROTECTION_POLICY_DO);
    else if (f->cover == 's')
        set(r, POSTURE_UNKNOWN, T_POSTURE_PROTECTION_START, TEXT_KEYS);
    else if (f->cover == 'e')
        set(r, POSTURE_BAD, T_POSTURE_PROTECTION_EMPTY, T_POSTURE_PROTECTION_EMPTY_DO);
    else if (f->cover == 'f')
        set(r, POSTURE_BAD, T_POSTURE_PROTECTION_OFF, T_POSTURE_PROTECTION_OFF_DO);
    else if (f->cover == 'p')
        set(r, POSTURE_PART, T_POSTURE_PROTECTION_PART, T_POSTURE_PROTECTION_PART_DO);
    else
        set(r, POSTURE_GOOD, T_POSTURE_PROTECTION_GOOD, TEXT_KEYS);
}

static void judge_definitions(const struct posture_facts *f, struct posture_row *r)
{
    int64_t age = f->now - f->definitions_s;
    span_words(age, r->args[0]);
    if (f->definitions_s == POSTURE_NOT_KNOWN)
        set(r, POSTURE_UNKNOWN, T_POSTURE_DEFINITIONS_UNKNOWN, TEXT_KEYS);
    else if (!f->definitions_s)
        set(r, POSTURE_BAD, T_POSTURE_DEFINITIONS_NONE, T_POSTURE_DEFINITIONS_NONE_DO);
    else if (age < DEFINITIONS_NEW_D * DAY)
        set(r, POSTURE_GOOD, T_POSTURE_DEFINITIONS_GOOD, TEXT_KEYS);
    else
        set(r, age < DEFINITIONS_OLD_D * DAY ? POSTURE_PART : POSTURE_BAD, T_POSTURE_DEFINITIONS_OLD, T_POSTURE_DEFINITIONS_DO);
}

static void judge_backup(const struct posture_facts *f, struct posture_row *r)
{
    span_words(f->now - f->backup_s, r->args[0]);
    if (!f->sources)
        set(r, POSTURE_BAD, T_POSTURE_BACKUP_NONE, T_POSTURE_BACKUP_NONE_DO);
    else if (!f->backup_s)
        set(r, POSTURE_BAD, T_POSTURE_BACKUP_NEVER, T_POSTURE_BACKUP_DO);
    else if (f->late)
        set(r, f->now - f->backup_s < 3 * DAY ? POSTURE_PART : POSTURE_BAD, T_POSTURE_BACKUP_LATE, T_POSTURE_BACKUP_DO);
    else
        set(r, POSTURE_GOOD, T_POSTURE_BACKUP_GOOD, TEXT_KEYS);
}

static void judge_small(const struct posture_facts *f, struct posture_row *decoys, struct posture_row *media, struct posture_row *logs)
{
    if (f->decoys == POSTURE_NOT_KNOWN)
        set(decoys, POSTURE_UNKNOWN, T_POSTURE_DECOYS_UNKNOWN, TEXT_KEYS);
    else if (f->decoys > 0)
        set(decoys, POSTURE_GOOD, T_POSTURE_DECOYS_GOOD, TEXT_KEYS);
    else
        set(decoys, POSTURE_BAD, T_POSTURE_DECOYS_NONE, T_POSTURE_DECOYS_DO);
    if (!f->media_held)
        set(media, POSTURE_UNKNOWN, T_POSTURE_MEDIA_UNKNOWN, TEXT_KEYS);
    else if (!strcmp(f->media, "allow"))
        set(media, POSTURE_PART, T_POSTURE_MEDIA_ALLOW, T_POSTURE_MEDIA_DO);
    else
        set(media, POSTURE_GOOD, T_POSTURE_MEDIA_GOOD, TEXT_KEYS);
    if (f->logs == POSTURE_NOT_KNOWN)
        set(logs, POSTURE_UNKNOWN, T_POSTURE_LOGS_UNKNOWN, TEXT_KEYS);
    else if (f->logs > 0)
        set(logs, POSTURE_GOOD, T_POSTURE_LOGS_GOOD, TEXT_KEYS);
    else
        set(logs, POSTURE_BAD, T_POSTURE_LOGS_NONE, T_POSTURE_LOGS_DO);
}

static void judge_system(const struct posture_facts *f, struct posture_row *r)
{
    int64_t until = posture_system_until(f->os);
    (void)snprintf(r->args[0], sizeof r->args[0], "%.40s", f->os); /* cut is fine; whole characters are seen to below */
    for (size_t n = strlen(r->args[0]); n && !sm_utf8_valid(SM_SPAN_STR(r->args[0])); r->args[0][--n] = '\0')
        ;
    if (!until)
        set(r, POSTURE_UNKNOWN, T_POSTURE_SYSTEM_UNKNOWN, TEXT_KEYS);
    else if (f->now >= until)
        set(r, POSTURE_BAD, T_POSTURE_SYSTEM_OLD, T_POSTURE_SYSTEM_DO);
    else if (until - f->now < SYSTEM_SOON_S)
        set(r, POSTURE_PART, T_POSTURE_SYSTEM_SOON, T_POSTURE_SYSTEM_SOON_DO);
    else
        set(r, POSTURE_GOOD, T_POSTURE_SYSTEM_GOOD, TEXT_KEYS);
}

static void judge_remote(const struct posture_facts *f, struct posture_row *r)
{
    static const struct {
        unsigned bit;
        const char *word;
    } doors[] = { { POSTURE_RDP, "RDP" }, { POSTURE_VNC, "VNC" }, { POSTURE_TELNET, "telnet" }, { POSTURE_SSH, "SSH" }, { POSTURE_SMB, "SMB" } };
    size_t n = 0;
    for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
        if (f->remote & doors[i].bit)
            n += (size_t)snprintf(r->args[0] + n, sizeof r->args[0] - n, "%s%s", n ? ", " : "", doors[i].word); /* all of them fit */
    if (f->remote & POSTURE_REMOTE_UNKNOWN)
        set(r, POSTURE_UNKNOWN, T_POSTURE_REMOTE_UNKNOWN, TEXT_KEYS);
    else if (!n)
        set(r, POSTURE_GOOD, T_POSTURE_REMOTE_GOOD, TEXT_KEYS);
    else
        set(r, f->remote & (POSTURE_RDP | POSTURE_VNC | POSTURE_TELNET) ? POSTURE_BAD : POSTURE_PART, T_POSTURE_REMOTE_OPEN, T_POSTURE_REMOTE_DO);
}

/* The worst that holds gives the sentence. */
static void judge_guard(const struct posture_facts *f, struct posture *p)
{
    const struct posture_row *r = p->rows;
    p->guard = POSTURE_LOOK;
    p->why = TEXT_KEYS;
    if (f->cover == 'n')
        p->guard = POSTURE_NONE;
    else if (!f->there)
        p->why = T_POSTURE_WHY_AWAY;
    else if (f->cover == 'f') {
        p->guard = POSTURE_STOPPED;
        p->why = T_POSTURE_WHY_OFF;
    } else if (f->cover == 's')
        p->why = T_POSTURE_PROTECTION_START;
    else if (f->cover == 'e')
        p->why = T_POSTURE_PROTECTION_EMPTY;
    else if (f->open) {
        p->why = T_POSTURE_WHY_OPEN;
        (void)snprintf(p->why_arg, sizeof p->why_arg, "%u", f->open); /* fits */
    } else if (f->isolated)
        p->why = T_POSTURE_WHY_ISOLATED;
    else if (f->cover == 'p')
        p->why = T_POSTURE_WHY_PART;
    else if (r[POSTURE_DEFINITIONS].state == POSTURE_BAD)
        p->why = f->definitions_s ? T_POSTURE_WHY_DEFINITIONS : T_POSTURE_WHY_NO_DEFINITIONS;
    else
        p->guard = POSTURE_GUARDED;
}

void posture_judge(const struct posture_facts *f, struct posture *ret)
{
    struct posture p = { .next = -1, .why = TEXT_KEYS };
    unsigned lost = 0;
    for (size_t i = 0; i < POSTURE_FACTS; i++)
        p.rows[i].of = weights[i];
    judge_agent(f, &p.rows[POSTURE_AGENT]);
    judge_protection(f, &p.rows[POSTURE_PROTECTION]);
    judge_definitions(f, &p.rows[POSTURE_DEFINITIONS]);
    judge_backup(f, &p.rows[POSTURE_BACKUP]);
    judge_small(f, &p.rows[POSTURE_DECOYS], &p.rows[POSTURE_MEDIA], &p.rows[POSTURE_LOGS]);
    judge_system(f, &p.rows[POSTURE_SYSTEM]);
    judge_remote(f, &p.rows[POSTURE_REMOTE]);
    for (size_t i = 0; i < POSTURE_FACTS; i++) {
        const struct posture_row *r = &p.rows[i];
        p.score += r->points;
        p.unknown += r->state == POSTURE_UNKNOWN;
        if (r->todo != TEXT_KEYS && r->of - r->points > lost) {
            lost = r->of - r->points;
            p.next = (int)i;
        }
    }
    judge_guard(f, &p);
    *ret = p;
}
