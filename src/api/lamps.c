#include "api/lamps.h"

const char *const lamp_state_names[] = { "on", "look", "off" };
const struct lamp_word lamp_words[LAMPS] = {
    [LAMP_COPIES] = { "copies", "3", T_LAMP_COPIES },
    [LAMP_MEDIA] = { "media", "2", T_LAMP_MEDIA },
    [LAMP_ELSEWHERE] = { "elsewhere", "1", T_LAMP_ELSEWHERE },
    [LAMP_OFFLINE] = { "offline", "1", T_LAMP_OFFLINE },
    [LAMP_ERRORS] = { "errors", "0", T_LAMP_ERRORS },
};

static bool unsound(const struct lamp_copy *c)
{
    return c->complete && c->verified_s && !c->sound;
}

bool lamp_current(const struct lamp_facts *f, const struct lamp_copy *c)
{
    /* A copy whose last reading found errors is none until they are gone. */
    if (!c->complete || unsound(c))
        return false;
    return c->covers_s >= f->newest_s || f->now - c->covers_s <= c->max_age_s;
}

typedef bool (*counts_fn)(const struct lamp_copy *c);

static bool any(const struct lamp_copy *c)
{
    (void)c;
    return true;
}

static bool other_medium(const struct lamp_copy *c)
{
    return !c->same_disk;
}

static bool marked_elsewhere(const struct lamp_copy *c)
{
    return c->elsewhere;
}

/* A disk that says "elsewhere" and is plugged in is here. */
static bool is_elsewhere(const struct lamp_copy *c)
{
    return c->elsewhere && !(c->detachable && c->attached);
}

static bool could_be_offline(const struct lamp_copy *c)
{
    return c->detachable || c->append_only;
}

static bool is_offline(const struct lamp_copy *c)
{
    return c->append_only || (c->detachable && !c->attached);
}

/* The newest copy that counts; current ones first. */
static const struct lamp_copy *best(const struct lamp_facts *f, counts_fn fn, bool *ret_current)
{
    const struct lamp_copy *found = NULL;
    bool current = false;
    for (size_t i = 0; i < f->n; i++) {
        const struct lamp_copy *c = &f->copies[i];
        bool now = lamp_current(f, c);
        if (!c->complete || unsound(c) || !fn(c) || (current && !now))
            continue;
        if (!found || (now && !current) || c->covers_s > found->covers_s)
            found = c;
        current |= now;
    }
    *ret_current = current;
    return found;
}

struct words { enum text_key on, old, off, todo_old, todo_off; };

/* on: a current copy counts; look: one counts but is old; off: none. */
static struct lamp by_best(const struct lamp_facts *f, counts_fn fn, const struct words *w)
{
    bool current = false;
    const struct lamp_copy *c = f->generations ? best(f, fn, &current) : NULL;
    if (!c)
        return (struct lamp){ LAMP_OFF, w->off, w->todo_off, "" };
    if (!current)
        return (struct lamp){ LAMP_LOOK, w->old, w->todo_old, c->name };
    return (struct lamp){ LAMP_ON, w->on, w->on, c->name };
}

static struct lamp errors(const struct lamp_facts *f)
{
    if (f->checked_s && !f->sound)
        return (struct lamp){ LAMP_OFF, T_LAMP_ERRORS_VAULT, T_LAMP_TODO_DAMAGE, "" };
    if (f->drill_failed)
        return (struct lamp){ LAMP_OFF, T_LAMP_ERRORS_DRILL, T_LAMP_TODO_DRILL, "" };
    for (size_t i = 0; i < f->n; i++)
        if (unsound(&f->copies[i]))
            return (struct lamp){ LAMP_OFF, T_LAMP_ERRORS_COPY, T_LAMP_TODO_COPY_AGAIN, f->copies[i].name };
    if (!f->checked_s || f->now - f->checked_s > LAMP_CHECK_MAX_S)
        return (struct lamp){ LAMP_LOOK, f->checked_s ? T_LAMP_ERRORS_OLD : T_LAMP_ERRORS_NEVER, T_LAMP_TODO_VERIFY, "" };
    for (size_t i = 0; i < f->n; i++) {
        const struct lamp_copy *c = &f->copies[i];
        if (c->complete && (!c->verified_s || f->now - c->verified_s > LAMP_VERIFY_MAX_S))
            return (struct lamp){ LAMP_LOOK, T_LAMP_ERRORS_COPY_OLD, T_LAMP_TODO_COPY_VERIFY, c->name };
    }
    return (struct lamp){ LAMP_ON, T_LAMP_ERRORS_NONE, T_LAMP_ERRORS_NONE, "" };
}

void lamps_compute(const struct lamp_facts *f, struct lamp ret[LAMPS])
{
    static const struct words copies = { T_LAMP_COPIES_ON, T_LAMP_COPY_OLD, T_LAMP_COPIES_OFF, T_LAMP_TODO_RENEW,
        T_LAMP_TODO_MAKE };
    static const struct words media = { T_LAMP_MEDIA_ON, T_LAMP_COPY_OLD, T_LAMP_MEDIA_OFF, T_LAMP_TODO_RENEW,
        T_LAMP_TODO_OTHER_DISK };
    static const struct words away = { T_LAMP_ELSEWHERE_ON, T_LAMP_COPY_OLD, T_LAMP_ELSEWHERE_OFF, T_LAMP_TODO_RENEW,
        T_LAMP_TODO_ELSEWHERE };
    static const struct words offline = { T_LAMP_OFFLINE_ON, T_LAMP_COPY_OLD, T_LAMP_OFFLINE_OFF, T_LAMP_TODO_RENEW,
        T_LAMP_TODO_OFFLINE };
    bool current = false;
    const struct lamp_copy *c;
    ret[LAMP_COPIES] = by_best(f, any, &copies);
    ret[LAMP_MEDIA] = by_best(f, other_medium, &media);
    ret[LAMP_ELSEWHERE] = by_best(f, is_elsewhere, &away);
    ret[LAMP_OFFLINE] = by_best(f, is_offline, &offline);
    /* What is only missing is a hand that pulls the disk out and carries it away. */
    c = f->generations ? best(f, marked_elsewhere, &current) : NULL;
    if (ret[LAMP_ELSEWHERE].state == LAMP_OFF && c)
        ret[LAMP_ELSEWHERE] = (struct lamp){ LAMP_LOOK, T_LAMP_STILL_IN, T_LAMP_TODO_DETACH_AWAY, c->name };
    c = f->generations ? best(f, could_be_offline, &current) : NULL;
    if (ret[LAMP_OFFLINE].state == LAMP_OFF && c)
        ret[LAMP_OFFLINE] = (struct lamp){ LAMP_LOOK, T_LAMP_STILL_IN, T_LAMP_TODO_DETACH, c->name };
    ret[LAMP_ERRORS] = errors(f);
}
