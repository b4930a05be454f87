#include "decide/internal.h"

#include <ctype.h>
#include <string.h>

static void lower(char *s)
{
    for (; *s; s++)
        if (*s >= 'A' && *s <= 'Z')
            *s = (char)(*s - 'A' + 'a');
}

static bool is_address(const char *s)
{
    return strchr(s, ':') || strspn(s, "0123456789.") == strlen(s);
}

/* From the byte at from on. */
static void keep_from(char *s, const char *from)
{
    memmove(s, from, strlen(from) + 1);
}

void decide_entity_clean(struct decide_entity *e)
{
    char *s = e->text;

    s[DECIDE_TEXT_MAX - 1] = 0;
    lower(s);
    while (*s == ' ')
        keep_from(s, s + 1);
    for (size_t n = strlen(s); n && s[n - 1] == ' '; n--)
        s[n - 1] = 0;
    if (e->kind == DECIDE_HOST || e->kind == DECIDE_ADDRESS) {
        if (strncmp(s, "::ffff:", 7) == 0 && strchr(s, '.'))
            keep_from(s, s + 7);
        if (s[0] == '[' && strchr(s, ']'))
            *strchr(s, ']') = 0, keep_from(s, s + 1);
        while (s[0] == '\\')
            keep_from(s, s + 1);
        char *dot = e->kind == DECIDE_HOST && !is_address(s) ? strchr(s, '.') : NULL;
        if (dot)
            *dot = 0;
    } else if (e->kind == DECIDE_ACCOUNT) {
        char *slash = strrchr(s, '\\');
        if (slash)
            keep_from(s, slash + 1);
        char *at = strchr(s, '@');
        if (at)
            *at = 0;
    }
}

static bool one_of(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(s, *list) == 0)
            return true;
    return false;
}

bool decide_entity_generic(const struct decide_entity *e)
{
    static const char *const accounts[] = { "system", "local service", "network service", "anonymous logon", "root", "administrator",
        "administrators", "admin", "guest", "users", "everyone", "nobody", "daemon", "www-data", "unknown", "n/a", "s-1-5-18",
        "s-1-5-19", "s-1-5-20", "s-1-0-0", "null sid", "dwm-1", "umfd-0", "umfd-1", "(unknown)", "invalid user", NULL };
    static const char *const addresses[] = { "0.0.0.0", "255.255.255.255", "::", "::1", "local", "localhost", NULL };
    const char *s = e->text;

    if (!*s || strcmp(s, "-") == 0)
        return true;
    switch (e->kind) {
    case DECIDE_ACCOUNT:
        return s[strlen(s) - 1] == '$' || one_of(s, accounts);
    case DECIDE_ADDRESS:
        return strncmp(s, "127.", 4) == 0 || strncmp(s, "224.", 4) == 0 || strncmp(s, "239.", 4) == 0 ||
            strncmp(s, "ff02:", 5) == 0 || strncmp(s, "169.254.", 8) == 0 || one_of(s, addresses);
    case DECIDE_HOST:
        return one_of(s, addresses);
    default:
        return false;
    }
}

bool decide_entity_inside(const struct decide_entity *e)
{
    const char *s = e->text;
    bool b = strncmp(s, "172.", 4) == 0 && s[4] >= '1' && s[4] <= '3' && s[5] >= '0' && s[5] <= '9' && s[6] == '.';

    return strncmp(s, "10.", 3) == 0 || strncmp(s, "192.168.", 8) == 0 || strncmp(s, "fe80:", 5) == 0 || strncmp(s, "fd", 2) == 0 ||
        (b && strncmp(s + 4, "16", 2) >= 0 && strncmp(s + 4, "31", 2) <= 0);
}

bool decide_entity_eq(const struct decide_entity *a, const struct decide_entity *b)
{
    return a->kind == b->kind && strcmp(a->text, b->text) == 0;
}

bool decide_entity_in(const struct decide_entity *list, size_t n, const struct decide_entity *e)
{
    for (size_t i = 0; i < n; i++)
        if (decide_entity_eq(&list[i], e))
            return true;
    return false;
}

uint64_t decide_filter_of(const struct decide_filter_row *rows, size_t n, const struct decide_signal *s)
{
    for (size_t i = 0; i < n; i++) {
        const struct decide_filter_row *f = &rows[i];
        size_t k = 0;
        if (strcmp(f->rule, s->rule) != 0)
            continue;
        while (k < f->n && decide_entity_in(s->entity, s->n, &f->entity[k]))
            k++;
        if (k == f->n)
            return f->id;
    }
    return 0;
}
