/*
 * Kinds of sources as the box knows them: a row each.  What a kind does is the agent's (src/sakimori-agent/kinds);
 * here is which options a person may set.  Names only: addresses, passwords and programs are the machine's own.
 */
#include "api/internal.h"

#define NAMES_MAX 256

enum { O_ACCESS = 1, O_NEEDS_ACCESS = 2, O_DATABASES = 4, O_LIMIT = 8, O_PATHS = 16, O_REREAD = 32, O_SHARE = 64 };
static const struct source_kind {
    const char *name, *root; /* root: what it stands under in a generation, when its paths are not folders of a machine */
    unsigned takes;
} kinds[] = {
    { "files", NULL, O_PATHS | O_REREAD },
    { "postgresql", "/postgresql", O_ACCESS | O_DATABASES | O_LIMIT },
    { "mariadb", "/mariadb", O_ACCESS | O_DATABASES | O_LIMIT },
    { "sqlite", NULL, O_PATHS | O_LIMIT },
    { "smb", "/smb", O_ACCESS | O_NEEDS_ACCESS | O_LIMIT | O_SHARE },
};

static const struct source_kind *find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}

bool source_kind_known(const char *kind)
{
    return find(kind) != NULL;
}

bool source_kind_staged(const char *kind)
{
    const struct source_kind *k = find(kind);
    return k && strcmp(k->name, "files") != 0;
}

const char *source_kind_root(const char *kind)
{
    const struct source_kind *k = find(kind);
    return k && !(k->takes & O_PATHS) ? k->root : NULL;
}

/* Names of files the machine keeps: access/NAME, hooks/NAME. */
static bool name_ok(const json_t *v)
{
    const char *s = json_string_value(v);
    size_t n = s ? strlen(s) : 0;
    return n >= 1 && n <= 32 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n && s[0] != '-' && s[0] != '_';
}

static bool names_ok(const json_t *v)
{
    size_t i;
    json_t *x;
    if (!json_is_array(v) || json_array_size(v) > NAMES_MAX)
        return false;
    json_array_foreach(v, i, x)
        if (!json_is_string(x) || json_string_length(x) < 1 || json_string_length(x) > 200)
            return false;
    return true;
}

/* One name of SMB, or with deep several with "/" between them: nothing that a server could take for something else. */
static bool share_ok(const json_t *v, bool deep)
{
    const char *s = json_string_value(v);
    size_t n = s ? json_string_length(v) : 0;
    if (!s || strlen(s) != n || n > (deep ? 1024 : 80) || (!deep && n == 0) || strpbrk(s, "\\:*?\"<>|"))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    while (n) { /* each part by itself */
        size_t part = strcspn(s, "/");
        bool dots = s[0] == '.' && (part == 1 || (part == 2 && s[1] == '.'));
        if (part == 0 || dots || (s[part] == '/' && (!deep || s[part + 1] == 0)))
            return false;
        if (!s[part])
            break;
        s += part + 1;
    }
    return true;
}

static bool whole(const json_t *v, int64_t min, int64_t max)
{
    return json_is_integer(v) && json_integer_value(v) >= min && json_integer_value(v) <= max;
}

static const char *hooks_bad(json_t *hooks)
{
    const char *key;
    json_t *v;
    void *next;
    if (!json_is_object(hooks))
        return "options.hooks";
    json_object_foreach_safe(hooks, next, key, v) {
        const char *s = json_string_value(v);
        bool hook = !strcmp(key, "before") || !strcmp(key, "after");
        if (hook && (json_is_null(v) || (s && !*s)))
            (void)json_object_del(hooks, key); /* none */
        else if (hook ? !name_ok(v)
                 : !strcmp(key, "limit_s") ? !whole(v, 1, 3600)
                 : strcmp(key, "on_failure") != 0 || !s || (strcmp(s, "fail") != 0 && strcmp(s, "partial") != 0))
            return hook ? !strcmp(key, "before") ? "options.hooks.before" : "options.hooks.after"
                   : !strcmp(key, "limit_s") ? "options.hooks.limit_s" : "options.hooks.on_failure";
    }
    return NULL;
}

static const char *option_bad(const struct source_kind *k, const char *key, json_t *v)
{
    if (!strcmp(key, "hooks"))
        return hooks_bad(v);
    if (!strcmp(key, "hours"))
        return bandwidth_bad(v);
    if (!strcmp(key, "reread"))
        return (k->takes & O_REREAD) && json_is_string(v) &&
            (!strcmp(json_string_value(v), "month") || !strcmp(json_string_value(v), "off")) ? NULL : "options.reread";
    if (!strcmp(key, "reread_mib"))
        return (k->takes & O_REREAD) && whole(v, 0, 100000000) ? NULL : "options.reread_mib";
    if (!strcmp(key, "access"))
        return (k->takes & O_ACCESS) && name_ok(v) ? NULL : "options.access";
    if (!strcmp(key, "limit_s"))
        return (k->takes & O_LIMIT) && whole(v, 10, 86400) ? NULL : "options.limit_s";
    if (!strcmp(key, "share"))
        return (k->takes & O_SHARE) && share_ok(v, false) ? NULL : "options.share";
    if (!strcmp(key, "folder"))
        return (k->takes & O_SHARE) && share_ok(v, true) ? NULL : "options.folder";
    if (!strcmp(key, "databases"))
        return (k->takes & O_DATABASES) && names_ok(v) ? NULL : "options.databases";
    if (!strcmp(key, "exclude_databases"))
        return (k->takes & O_DATABASES) && names_ok(v) ? NULL : "options.exclude_databases";
    return "options";
}

const char *source_options_bad(const char *kind, json_t *options, enum text_key *ret_why)
{
    const struct source_kind *k = find(kind);
    const char *key, *bad = NULL;
    json_t *v;
    *ret_why = T_BAD_REQUEST;
    if (!k)
        return "kind";
    if (!json_is_object(options))
        return "options";
    json_object_foreach(options, key, v)
        if (!bad)
            bad = option_bad(k, key, v);
    if (!bad && (k->takes & O_NEEDS_ACCESS) && !json_object_get(options, "access"))
        bad = "options.access";
    else if (!bad && (k->takes & O_SHARE) && !json_object_get(options, "share"))
        bad = "options.share";
    else if (!bad && (k->takes & O_ACCESS) && !json_object_get(options, "access"))
        api_set(options, "access", json_string("local"));
    if (bad)
        *ret_why = strstr(bad, "hooks") ? T_SOURCE_HOOK : strstr(bad, "access") ? T_SOURCE_ACCESS
                   : strstr(bad, "share") || strstr(bad, "folder") ? T_SOURCE_SHARE
                   : strstr(bad, "databases") ? T_SOURCE_DATABASES : T_BAD_REQUEST;
    return bad;
}

/* ---- where it is, as people say it ---- */

/* The host of an access, as the machine told it: "server:KIND:ACCESS:HOST".  "" when it did not. */
static const char *server_of(const json_t *device, const char *kind, const char *access)
{
    char prefix[64];
    int n = snprintf(prefix, sizeof prefix, "server:%.16s:%.32s:", kind, access); /* fits */
    const json_t *v;
    size_t i;
    json_array_foreach(json_object_get(device, "features"), i, v)
        if (!strncmp(json_string_value(v) ? json_string_value(v) : "", prefix, (size_t)n))
            return json_string_value(v) + n;
    return "";
}

static int share_text(const json_t *options, const char *host, struct sm_buf *b)
{
    const char *folder = api_str(options, "folder");
    int r = sm_buf_printf(b, "%s%s%s%s%s%s", host[0] ? "\\\\" : "", host, host[0] ? "\\" : "", api_str(options, "share"),
        folder[0] ? "\\" : "", folder);
    for (size_t i = 0; i < b->n; i++)
        if (b->p[i] == '/')
            b->p[i] = '\\';
    return r;
}

json_t *source_where(struct api *a, const json_t *row)
{
    const char *kind = api_str(row, "kind");
    const struct source_kind *k = find(kind);
    const json_t *options = json_object_get(row, "options");
    if (!k || !(k->takes & O_SHARE))
        return json_incref(json_object_get(row, "paths"));
    json_t *device = api_row(a, STATE_device, STATE_ARGS(state_t(api_str(row, "device")))), *out = NULL;
    struct sm_buf b = SM_BUF_INIT(4096);
    if (share_text(options, server_of(device, kind, api_str(options, "access")), &b) == 0)
        out = json_pack("[s]", sm_buf_str(&b));
    sm_buf_wipe(&b);
    json_decref(device);
    return out ? out : json_incref(json_object_get(row, "paths"));
}
