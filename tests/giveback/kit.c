#include "kit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "plat/fs.h"

void kit_begin(struct kit *k)
{
    const char *tmp = getenv("TMPDIR");
    unsigned seed = k->seed;
    *k = (struct kit){.limits = {64 << 20, 0, 16 << 20, 0}, .tree = 7, .seed = seed ? seed : 1};
    (void)snprintf(k->top, sizeof k->top, "%s/giveback-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(k->top));
    char real[4096];
    assert_non_null(realpath(k->top, real));
    assert_true(strlen(real) < sizeof k->top);
    memcpy(k->top, real, strlen(real) + 1);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/files", k->top);
    assert_ok(mkdir(path, 0755));
    (void)snprintf(path, sizeof path, "%s/keep", k->top);
    assert_ok(mkdir(path, 0700));
    k->keep = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(k->keep >= 0);
    assert_ok(giveback_open(k->keep, &k->limits, &k->g));
}

void kit_end(struct kit *k)
{
    giveback_close(k->g);
    close(k->keep);
    assert_ok(plat_fs_remove_tree(AT_FDCWD, k->top));
}

void kit_reopen(struct kit *k)
{
    giveback_close(k->g);
    k->g = NULL;
    assert_ok(giveback_open(k->keep, &k->limits, &k->g));
}

char *kit_path(const struct kit *k, const char *name)
{
    static char path[4][512];
    static unsigned turn;
    char *p = path[turn++ % 4];
    (void)snprintf(p, sizeof path[0], "%s/files/%s", k->top, name);
    return p;
}

struct sm_span kit_span(const struct kit *k, const char *name)
{
    return SM_SPAN_STR(kit_path(k, name));
}

bool kit_there(struct kit *k, const char *name)
{
    struct stat st;
    return lstat(kit_path(k, name), &st) == 0;
}

/* ---- pictures ---- */

static void picture(FILE *f, const char *path, const char *shown);

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void picture_folder(FILE *f, const char *path, const char *shown)
{
    struct dirent **list;
    int n = scandir(path, &list, NULL, by_name);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        char a[1024], b[1024];
        (void)snprintf(a, sizeof a, "%s/%s", path, list[i]->d_name);
        (void)snprintf(b, sizeof b, "%s/%s", shown, list[i]->d_name);
        if (strcmp(list[i]->d_name, ".") != 0 && strcmp(list[i]->d_name, "..") != 0)
            picture(f, a, b);
        free(list[i]);
    }
    free(list);
}

static void picture(FILE *f, const char *path, const char *shown)
{
    struct stat st;
    char text[4096], value[256];
    assert_ok(lstat(path, &st));
    (void)fprintf(f, "%s %o %u:%u", shown, st.st_mode, st.st_uid, st.st_gid);
    if (S_ISLNK(st.st_mode)) {
        ssize_t n = readlink(path, text, sizeof text);
        (void)fprintf(f, " -> %.*s\n", (int)n, text);
        return;
    }
    ssize_t v = lgetxattr(path, "user.colour", value, sizeof value);
    if (v >= 0)
        (void)fprintf(f, " colour=%.*s", (int)v, value);
    if (S_ISDIR(st.st_mode)) {
        (void)fprintf(f, "\n");
        picture_folder(f, path, shown);
        return;
    }
    (void)fprintf(f, " %lld.%09ld %lld:", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (long long)st.st_size);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    for (size_t n; (n = fread(text, 1, sizeof text, in)) > 0;) {
        for (size_t i = 0; i < n; i++)
            (void)fprintf(f, "%02x", (unsigned char)text[i]);
    }
    (void)fclose(in);
    (void)fprintf(f, "\n");
}

char *kit_picture(const struct kit *k)
{
    char *text = NULL, path[128];
    size_t n;
    FILE *f = open_memstream(&text, &n);
    (void)snprintf(path, sizeof path, "%s/files", k->top);
    picture_folder(f, path, "");
    (void)fclose(f);
    return text;
}

/* ---- what a person has ---- */

void kit_file(struct kit *k, const char *name, const char *text, size_t n)
{
    char *path = kit_path(k, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    struct timespec t[2] = {{1700000000 + (time_t)n, 123456789}, {1600000000 + (time_t)n, 987654321}};
    assert_ok(futimens(fd, t));
    if (n % 3 == 0)
        (void)fsetxattr(fd, "user.colour", "green", 5, 0); /* where the file system has them */
    if (geteuid() == 0 && n % 2)
        assert_ok(fchown(fd, 1234, 4321));
    assert_ok(fchmod(fd, n % 2 ? 0604 : 0640));
    assert_ok(futimens(fd, t));
    close(fd);
}

void kit_folder(struct kit *k, const char *name, unsigned mode)
{
    assert_ok(mkdir(kit_path(k, name), 0755));
    assert_ok(chmod(kit_path(k, name), mode));
}

/* ---- what the tree does ---- */

static int told(struct kit *k, uint8_t kind, int fd, const char *path, const char *was)
{
    uint64_t id;
    struct giveback_what w = {.tree = k->tree, .pid = 42, .kind = kind, .fd = fd, .path = kit_span(k, path), .at_s = 1};
    if (was)
        w.was = kit_span(k, was);
    int r = giveback_keep(k->g, &w, NULL, &id);
    if (r == 0)
        assert_true(id > 0);
    k->failed = k->failed || r < 0;
    return r;
}

int do_write(struct kit *k, const char *name, uint64_t off, const char *text, size_t n, bool cut)
{
    int in = open(kit_path(k, name), O_RDONLY | O_CLOEXEC);
    assert_true(in >= 0);
    int r = told(k, GIVEBACK_CONTENT, in, name, NULL);
    close(in);
    if (r < 0)
        return r;
    int fd = open(kit_path(k, name), O_WRONLY | O_CLOEXEC | (cut ? O_TRUNC : 0));
    assert_int_equal(pwrite(fd, text, n, (off_t)off), n);
    close(fd);
    return 0;
}

int do_make(struct kit *k, const char *name, const char *text, size_t n)
{
    int fd = open(kit_path(k, name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    int r = told(k, GIVEBACK_MADE, fd, name, NULL);
    if (r == 0)
        assert_int_equal(write(fd, text, n), n);
    close(fd);
    if (r < 0)
        unlink(kit_path(k, name));
    return r;
}

int do_make_folder(struct kit *k, const char *name)
{
    assert_ok(mkdir(kit_path(k, name), 0755));
    int fd = open(kit_path(k, name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = told(k, GIVEBACK_MADE, fd, name, NULL);
    close(fd);
    if (r < 0)
        rmdir(kit_path(k, name));
    return r;
}

int do_rename(struct kit *k, const char *from, const char *to)
{
    int over = open(kit_path(k, to), O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r = 0;
    int fd = open(kit_path(k, from), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (over >= 0)
        r = told(k, GIVEBACK_REMOVED, over, to, NULL);
    if (r == 0)
        r = told(k, GIVEBACK_RENAMED, fd, to, from);
    if (r == 0)
        assert_ok(rename(kit_path(k, from), kit_path(k, to)));
    if (over >= 0)
        close(over);
    close(fd);
    return r;
}

int do_remove(struct kit *k, const char *name)
{
    struct stat st;
    int fd = open(kit_path(k, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    assert_true(fd >= 0);
    assert_ok(fstat(fd, &st));
    int r = told(k, GIVEBACK_REMOVED, fd, name, NULL);
    if (r == 0)
        assert_ok(S_ISDIR(st.st_mode) ? rmdir(kit_path(k, name)) : unlink(kit_path(k, name)));
    close(fd);
    return r;
}

static unsigned pick(struct kit *k, unsigned n)
{
    k->seed = k->seed * 1103515245u + 12345u;
    return (k->seed >> 16) % n;
}

static const char *const names[] = {"a", "b", "c", "d", "e", "one/a", "one/b", "one/c", "two/a", "two/b", "new/a", "new/b"};
static const char *const folders[] = {"one", "two", "new", "old"};

static void one_file_step(struct kit *k)
{
    char text[700];
    const char *x = names[pick(k, 12)], *y = names[pick(k, 12)];
    size_t n = 1 + pick(k, sizeof text - 1);
    memset(text, (int)('a' + pick(k, 26)), n);
    switch (pick(k, 5)) {
    case 0:
        if (kit_there(k, x))
            (void)do_write(k, x, pick(k, 900), text, n, pick(k, 2));
        break;
    case 1:
        if (!kit_there(k, x) && kit_there(k, ".") && access(kit_path(k, x), F_OK) < 0 && errno == ENOENT) {
            char dir[32];
            (void)snprintf(dir, sizeof dir, "%.*s", strchr(x, '/') ? (int)(strchr(x, '/') - x) : 1,
                strchr(x, '/') ? x : ".");
            if (kit_there(k, dir))
                (void)do_make(k, x, text, n);
        }
        break;
    case 2:
        if (kit_there(k, x))
            (void)do_remove(k, x);
        break;
    default: {
        char dir[32];
        (void)snprintf(dir, sizeof dir, "%.*s", strchr(y, '/') ? (int)(strchr(y, '/') - y) : 1,
            strchr(y, '/') ? y : ".");
        if (kit_there(k, x) && kit_there(k, dir) && strcmp(x, y) != 0)
            (void)do_rename(k, x, y);
    }
    }
}

static bool empty(struct kit *k, const char *name)
{
    DIR *d = opendir(kit_path(k, name));
    unsigned n = 0;
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n == 2;
}

void kit_history(struct kit *k, unsigned n)
{
    for (unsigned i = 0; i < n && !k->failed; i++) {
        const char *x = folders[pick(k, 4)], *y = folders[pick(k, 4)];
        unsigned what = pick(k, 12);
        if (what == 0 && !kit_there(k, x))
            (void)do_make_folder(k, x);
        else if (what == 1 && kit_there(k, x) && !kit_there(k, y))
            (void)do_rename(k, x, y);
        else if (what == 2 && kit_there(k, x) && empty(k, x))
            (void)do_remove(k, x);
        else
            one_file_step(k);
    }
}

static void say(void *ctx, struct sm_span path, const char *what, int err)
{
    (void)ctx;
    if (getenv("KIT_SAY"))
        print_message("  %.*s %s %s\n", (int)path.n, (const char *)path.p, what, err ? sm_errname(err) : "");
}

int kit_roll(struct kit *k, uint64_t *number, struct giveback_done *done)
{
    return giveback_roll_back(k->keep, k->tree, NULL, 0, say, NULL, number, done);
}

int kit_undo(struct kit *k, uint64_t number, struct giveback_done *done)
{
    return giveback_undo(k->keep, number, NULL, NULL, done);
}
