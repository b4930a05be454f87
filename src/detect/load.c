#include "detect/load.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plat/fs.h"

struct names {
    char **name;
    size_t n, cap;
};
struct loading {
    struct sigma_set *set;
    sigma_fault_fn *fault;
    void *ctx;
    struct load_counts counts;
};

static void count_fault(void *arg, const struct sigma_fault *f)
{
    struct loading *l = arg;

    l->counts.faults++;
    if (l->fault)
        l->fault(l->ctx, f);
}

static void unreadable(struct loading *l, const char *path, int err)
{
    struct sigma_fault f = { .file = path };

    snprintf(f.why, sizeof f.why, "cannot be read: %s", sm_strerror(err));
    count_fault(l, &f);
}

static int keep_name(void *arg, struct sm_span name, unsigned char type)
{
    struct names *v = arg;

    if (v->n == LOAD_FILES_MAX)
        return -SM_ELIMIT;
    if (v->n == v->cap) {
        size_t cap = v->cap ? 2 * v->cap : 64;
        char **more = realloc(v->name, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        v->name = more;
        v->cap = cap;
    }
    v->name[v->n] = strndup((const char *)name.p, name.n);
    return v->name[v->n] ? (v->n++, 0) : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool ends(const char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end);

    return n > k && !strcmp(name + n - k, end);
}

static int one_file(struct loading *l, int dirfd, const char *name, const char *path)
{
    struct sm_buf text = SM_BUF_INIT(SIGMA_TEXT_MAX + 1);
    int r = plat_fs_read_file(dirfd, name, SIGMA_TEXT_MAX, &text);

    l->counts.files++;
    if (r < 0 && r != -ENOMEM) {
        unreadable(l, path, r);
        r = 0;
    } else if (r >= 0) {
        r = sigma_add(l->set, path, sm_buf_span(&text), count_fault, l);
        l->counts.rules += r > 0 ? (size_t)r : 0;
    }
    sm_buf_wipe(&text);
    return r < 0 ? r : 0;
}

static int folder(struct loading *l, int fd, const char *path, unsigned depth);

static int entry(struct loading *l, int fd, const char *path, const char *name, unsigned depth)
{
    struct stat st;
    char *whole = NULL;
    int r = 0;

    if (name[0] == '.' || !strcmp(name, "tests") || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (asprintf(&whole, "%s/%s", path, name) < 0)
        return -ENOMEM;
    if (S_ISDIR(st.st_mode) && depth < LOAD_DEPTH_MAX) {
        int sub = plat_fs_open_dir(fd, name);
        if (sub < 0)
            unreadable(l, whole, sub);
        else
            r = folder(l, sub, whole, depth + 1);
    } else if (S_ISREG(st.st_mode) && (ends(name, ".yml") || ends(name, ".yaml")) && strcmp(name, "logsources.yml")) {
        r = one_file(l, fd, name, whole);
    }
    free(whole);
    return r;
}

/* Takes fd. */
static int folder(struct loading *l, int fd, const char *path, unsigned depth)
{
    struct names v = { 0 };
    int r = plat_fs_list(fd, keep_name, &v);

    if (r < 0 && r != -ENOMEM) {
        unreadable(l, path, r);
        r = 0;
    }
    qsort(v.name, v.n, sizeof *v.name, by_name);
    for (size_t i = 0; i < v.n && r == 0; i++)
        r = entry(l, fd, path, v.name[i], depth);
    for (size_t i = 0; i < v.n; i++)
        free(v.name[i]);
    free(v.name);
    (void)close(fd); /* read only */
    return r;
}

int load_rules(struct sigma_set *set, const char *path, sigma_fault_fn *fault, void *ctx, struct load_counts *ret)
{
    struct loading l = { .set = set, .fault = fault, .ctx = ctx };
    struct stat st;
    int r;

    if (stat(path, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode)) {
        int fd = plat_fs_open_dir(AT_FDCWD, path);
        r = fd < 0 ? fd : folder(&l, fd, path, 0);
    } else {
        r = one_file(&l, AT_FDCWD, path, path);
    }
    if (r == 0) {
        ret->files += l.counts.files;
        ret->rules += l.counts.rules;
        ret->faults += l.counts.faults;
    }
    return r;
}

int load_sources(struct sigma_set *set, const char *path, struct sigma_fault *ret)
{
    struct sm_buf text = SM_BUF_INIT(SIGMA_TEXT_MAX + 1);
    int r = plat_fs_read_file(AT_FDCWD, path, SIGMA_TEXT_MAX, &text);

    if (r >= 0)
        r = sigma_sources(set, path, sm_buf_span(&text), ret);
    sm_buf_wipe(&text);
    return r;
}

/* One line, without its end; changed while it is read.  0: it is none, or was taken. */
static int list_line(struct sigma_set *set, char *line, bool *ret_bad)
{
    char *name = line + strspn(line, " \t"), *equal = strchr(name, '=');

    *ret_bad = false;
    if (!*name || *name == '#')
        return 0;
    char *value = equal ? equal + 1 + strspn(equal + 1, " \t") : name;
    size_t n = equal ? (size_t)(equal - name) : 0, k = strlen(value);
    while (n && (name[n - 1] == ' ' || name[n - 1] == '\t'))
        n--;
    while (k && (value[k - 1] == ' ' || value[k - 1] == '\t' || value[k - 1] == '\r'))
        k--;
    *ret_bad = !n || !k;
    if (*ret_bad)
        return 0;
    name[n] = 0;
    value[k] = 0;
    return sigma_list(set, name, value);
}

int load_lists(struct sigma_set *set, const char *path, struct sigma_fault *ret)
{
    struct sm_buf text = SM_BUF_INIT(SIGMA_TEXT_MAX + 1);
    int r = plat_fs_read_file(AT_FDCWD, path, SIGMA_TEXT_MAX, &text);
    unsigned number = 1;

    if (r >= 0 && !sm_buf_str(&text))
        r = -ENOMEM;
    for (char *line = (char *)text.p, *next; r >= 0 && line; line = next, number++) {
        bool bad;
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        r = list_line(set, line, &bad);
        if (bad) {
            *ret = (struct sigma_fault){ .file = path, .line = number, .why = "a line has to be `name = value`" };
            r = -SM_EFORMAT;
        }
    }
    sm_buf_wipe(&text);
    return r < 0 ? r : 0;
}
