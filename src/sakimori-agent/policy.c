#include "sakimori-agent/policy.h"

#include <errno.h>
#include <fcntl.h>

#include "plat/fs.h"
#include "plat/meta.h"

#define FILE_MAX ((size_t)64 << 10)

static int add_skip(struct agent_policy *p, const char *path)
{
    struct plat_meta m;
    if (p->skip_n == SCAN_SKIP_MAX)
        return -SM_ELIMIT;
    if (plat_meta_read(AT_FDCWD, path, 0, &m))
        return 0; /* not there: nothing to skip */
    p->skip[p->skip_n] = m.id;
    plat_meta_wipe(&m);
    p->skip_path[p->skip_n] = strdup(path);
    return p->skip_path[p->skip_n++] ? 0 : -ENOMEM;
}

static int add_kind(struct agent_policy *p, const char *value)
{
    size_t n = strcspn(value, " \t");
    if (n == 0 || n >= sizeof p->kind[0] || strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789") != n)
        return -SM_EINVAL;
    if (p->kind_n == POLICY_KINDS_MAX)
        return -SM_ELIMIT;
    memcpy(p->kind[p->kind_n], value, n);
    p->kind[p->kind_n++][n] = 0;
    return 0;
}

static int add_path(char **list, size_t *n, size_t max, const char *value)
{
    if (value[0] != '/')
        return -SM_EINVAL;
    if (*n == max)
        return -SM_ELIMIT;
    list[*n] = strdup(value);
    return list[(*n)++] ? 0 : -ENOMEM;
}

static int line(struct agent_policy *p, const char *name, const char *value)
{
    if (strcmp(name, "kind") == 0)
        return add_kind(p, value);
    if (strcmp(name, "logs") == 0 && value[0] != '/') {
        p->no_logs = strcmp(value, "no") == 0;
        return p->no_logs || strcmp(value, "yes") == 0 ? 0 : -SM_EINVAL;
    }
    if (strcmp(name, "logs") == 0)
        return add_path(p->logs, &p->logs_n, POLICY_LOGS_MAX, value);
    if (strcmp(name, "nolog") == 0 && strcmp(value, "journal") == 0) {
        p->no_journal = true;
        return 0;
    }
    if (strcmp(name, "nolog") == 0)
        return add_path(p->nolog, &p->nolog_n, POLICY_LOGS_MAX, value);
    if (strcmp(name, "facts") == 0) {
        p->no_facts = strcmp(value, "no") == 0;
        return p->no_facts || strcmp(value, "yes") == 0 ? 0 : -SM_EINVAL;
    }
    if (strcmp(name, "endpoint") == 0) {
        p->no_endpoint = strcmp(value, "no") == 0;
        return p->no_endpoint || strcmp(value, "yes") == 0 ? 0 : -SM_EINVAL;
    }
    if (value[0] != '/')
        return -SM_EINVAL;
    if (strcmp(name, "protect") == 0)
        return add_path(p->protect, &p->protect_n, POLICY_LOGS_MAX, value);
    if (strcmp(name, "unprotect") == 0)
        return add_path(p->unprotect, &p->unprotect_n, POLICY_LOGS_MAX, value);
    if (strcmp(name, "clamd") == 0) {
        size_t one = p->clamd != NULL;
        return add_path(&p->clamd, &one, 1, value);
    }
    if (strcmp(name, "rules") == 0)
        return add_path(p->rules, &p->rules_n, POLICY_RULES_MAX, value);
    if (strcmp(name, "media") == 0)
        return add_path(p->media, &p->media_n, POLICY_LOGS_MAX, value);
    if (strcmp(name, "skip") == 0)
        return add_skip(p, value);
    if (strcmp(name, "allow") != 0)
        return -SM_EINVAL;
    return add_path(p->allow, &p->allow_n, POLICY_ALLOW_MAX, value);
}

static int parse(struct agent_policy *p, const char *text, char *why)
{
    char name[16], value[1024];
    for (unsigned n = 1; *text; n++) {
        size_t len = strcspn(text, "\n");
        const char *s = text + strspn(text, " \t");
        if (s < text + len && *s != '#') {
            name[0] = value[0] = 0;
            int got = len < sizeof value ? sscanf(s, "%15[a-z] = %1023[^\n]", name, value) : 0;
            for (size_t end = strlen(value); end && strchr(" \t\r", value[end - 1]); end--)
                value[end - 1] = 0; /* a name with a blank behind it would be no name of anything */
            int r = got == 2 ? line(p, name, value) : -SM_EINVAL;
            if (r) {
                snprintf(why, 160, "policy.conf:%u: \"name = value\" is expected, with a name and a value that docs/OPERATIONS.md lists (limits of an agent)", n);
                return r;
            }
        }
        text += len + (text[len] == '\n');
    }
    return 0;
}

int policy_load(const char *data, const char *skip, struct agent_policy *ret, char *ret_why)
{
    char path[AGENT_PATH_MAX + 32];
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    snprintf(path, sizeof path, "%s/policy.conf", data);
    int r = plat_fs_read_file(AT_FDCWD, path, FILE_MAX, &text);
    if (r == -ENOENT)
        r = 0;
    else if (!r)
        r = parse(ret, sm_buf_str(&text), ret_why);
    if (!r)
        r = add_skip(ret, data);
    if (!r && skip)
        r = add_skip(ret, skip);
    sm_buf_wipe(&text);
    return r;
}

void policy_wipe(struct agent_policy *p)
{
    for (size_t i = 0; i < p->allow_n; i++)
        free(p->allow[i]);
    for (size_t i = 0; i < p->skip_n; i++)
        free(p->skip_path[i]);
    for (size_t i = 0; i < p->logs_n; i++)
        free(p->logs[i]);
    for (size_t i = 0; i < p->nolog_n; i++)
        free(p->nolog[i]);
    for (size_t i = 0; i < p->rules_n; i++)
        free(p->rules[i]);
    free(p->clamd);
    for (size_t i = 0; i < p->protect_n; i++)
        free(p->protect[i]);
    for (size_t i = 0; i < p->media_n; i++)
        free(p->media[i]);
    for (size_t i = 0; i < p->unprotect_n; i++)
        free(p->unprotect[i]);
    *p = (struct agent_policy){0};
}

size_t policy_above(const struct agent_policy *p, struct plat_id ret[POLICY_KEEP_MAX])
{
    size_t n = 0, there;
    for (size_t i = 0; i < p->skip_n; i++) {
        char real[PLAT_PATH_MAX];
        if (plat_real_path(p->skip_path[i], real, &there))
            continue; /* gone meanwhile */
        for (char *slash; n < POLICY_KEEP_MAX && (slash = strrchr(real, '/')) && slash > real;) {
            struct plat_meta m;
            *slash = 0;
            if (plat_meta_read(AT_FDCWD, real, 0, &m))
                continue;
            ret[n++] = m.id;
            plat_meta_wipe(&m);
        }
    }
    return n;
}

bool policy_may_read(const struct agent_policy *p, const char *path)
{
    for (size_t i = 0; i < p->allow_n; i++) {
        size_t n = strlen(p->allow[i]);
        while (n > 1 && p->allow[i][n - 1] == '/')
            n--;
        if (strncmp(path, p->allow[i], n) == 0 && (path[n] == 0 || path[n] == '/' || n == 1) && !strstr(path, "/../"))
            return true;
    }
    return p->allow_n == 0;
}

bool policy_may_kind(const struct agent_policy *p, const char *kind)
{
    for (size_t i = 0; i < p->kind_n; i++)
        if (strcmp(p->kind[i], kind) == 0)
            return true;
    return p->kind_n == 0 && (p->allow_n == 0 || strcmp(kind, "sqlite") == 0);
}
