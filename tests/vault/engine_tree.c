#include "engine_tree.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "crypto/hash.h"
#include "plat/fs.h"

#define MUST(x) do { if (!(x)) { fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #x, strerror(errno)); abort(); } } while (0)

uint64_t tree_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

void tree_tmp(char *ret)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(ret, 256, "%s/sakimori-engine-XXXXXX", base && *base ? base : "/tmp");
    MUST(mkdtemp(ret) != NULL);
}

void tree_remove(const char *path)
{
    MUST(plat_fs_remove_tree(AT_FDCWD, path) == 0 || errno == ENOENT);
}

struct seen { dev_t dev; ino_t ino; char path[1024]; };
struct text { struct sm_buf *out; struct seen seen[256]; size_t n; };

static void escaped(struct sm_buf *b, const char *s)
{
    for (; *s; s++)
        MUST(((unsigned char)*s < 0x21 || (unsigned char)*s > 0x7e || *s == '%'
                ? sm_buf_printf(b, "%%%02x", (unsigned char)*s) : sm_buf_put_u8(b, (uint8_t)*s)) == 0);
}

static void content(struct sm_buf *b, int dirfd, const char *name, const struct stat *st)
{
    struct sm_buf data = SM_BUF_INIT((size_t)256 << 20);
    uint8_t h[32];
    char hex[65];
    MUST(plat_fs_read_file(dirfd, name, data.max, &data) == 0);
    crypto_sha256(sm_buf_span(&data), h);
    sm_hex(h, 32, hex);
    bool sparse = st->st_size > 1 << 20 && st->st_blocks * 512 < st->st_size / 2;
    MUST(sm_buf_printf(b, " %zu %s%s", data.n, hex, sparse ? " sparse" : "") == 0);
    sm_buf_wipe(&data);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void attributes(struct sm_buf *b, int dirfd, const char *name)
{
    char path[4600], list[4096], value[4096], *names[64];
    size_t count = 0;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dirfd, name);
    ssize_t n = llistxattr(path, list, sizeof list);
    for (ssize_t at = 0; at < n && count < 64; at += (ssize_t)strlen(list + at) + 1)
        names[count++] = list + at;
    qsort(names, count, sizeof *names, by_name); /* their order on the disk says nothing */
    for (size_t k = 0; k < count; k++) {
        ssize_t have = lgetxattr(path, names[k], value, sizeof value);
        MUST(sm_buf_printf(b, " %s=", names[k]) == 0);
        for (ssize_t i = 0; i < have; i++)
            MUST(sm_buf_printf(b, "%02x", (unsigned char)value[i]) == 0);
    }
}

static void link_of(struct text *t, const struct stat *st, const char *rel)
{
    if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
        return;
    size_t i = 0;
    while (i < t->n && (t->seen[i].dev != st->st_dev || t->seen[i].ino != st->st_ino))
        i++;
    MUST(i < sizeof t->seen / sizeof *t->seen);
    if (i == t->n) {
        t->seen[t->n] = (struct seen){ .dev = st->st_dev, .ino = st->st_ino };
        (void)snprintf(t->seen[t->n++].path, sizeof t->seen[0].path, "%s", rel);
    }
    MUST(sm_buf_printf(t->out, " link:") == 0);
    escaped(t->out, t->seen[i].path);
}

static void text_dir(struct text *t, int dirfd, const char *rel);

static void text_entry(struct text *t, int dirfd, const char *name, const char *rel)
{
    struct stat st;
    MUST(fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
    escaped(t->out, rel);
    MUST(sm_buf_printf(t->out, " %06o %u:%u", st.st_mode, st.st_uid, st.st_gid) == 0);
    if (strchr(rel, '/'))
        MUST(sm_buf_printf(t->out, " %lld.%09ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec) == 0);
    if (S_ISREG(st.st_mode))
        content(t->out, dirfd, name, &st);
    if (S_ISLNK(st.st_mode)) {
        char to[4096];
        ssize_t n = readlinkat(dirfd, name, to, sizeof to - 1);
        MUST(n >= 0);
        to[n] = 0;
        MUST(sm_buf_printf(t->out, " -> ") == 0);
        escaped(t->out, to);
    }
    link_of(t, &st, rel);
    attributes(t->out, dirfd, name);
    MUST(sm_buf_put_u8(t->out, '\n') == 0);
    if (S_ISDIR(st.st_mode)) {
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        MUST(fd >= 0);
        text_dir(t, fd, rel);
    }
}

static void text_dir(struct text *t, int dirfd, const char *rel)
{
    char *names[4096], path[4096];
    size_t n = 0;
    DIR *d = fdopendir(dirfd);
    struct dirent *e;
    MUST(d != NULL);
    while ((e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && n < 4096)
            names[n++] = strdup(e->d_name);
    qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", rel, names[i]);
        text_entry(t, dirfd, names[i], path);
        free(names[i]);
    }
    closedir(d);
}

void tree_text(const char *path, struct sm_buf *ret)
{
    struct text *t = calloc(1, sizeof *t);
    MUST(t != NULL);
    t->out = ret;
    sm_buf_clear(ret);
    text_entry(t, AT_FDCWD, path, ".");
    free(t);
}

const char *tree_diff(const struct sm_buf *a, const struct sm_buf *b)
{
    static char line[2][600];
    size_t i = 0, begin = 0;
    for (; i < a->n && i < b->n && a->p[i] == b->p[i]; i++)
        if (a->p[i] == '\n')
            begin = i + 1;
    if (i == a->n && i == b->n)
        return "";
    for (int k = 0; k < 2; k++) {
        const struct sm_buf *x = k ? b : a;
        const uint8_t *end = begin < x->n ? memchr(x->p + begin, '\n', x->n - begin) : NULL;
        size_t n = end ? (size_t)(end - x->p) - begin : 0;
        (void)snprintf(line[k], sizeof line[k], "%.*s", (int)(n < 280 ? n : 280), n ? (const char *)x->p + begin : "");
    }
    (void)snprintf(line[0] + strlen(line[0]), sizeof line[0] - strlen(line[0]), "  <>  %.280s", line[1]);
    return line[0];
}

void tree_file(const char *dir, const char *name, const void *data, size_t n)
{
    char path[4600];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    MUST(fd >= 0);
    for (size_t at = 0; at < n;) {
        ssize_t k = write(fd, (const char *)data + at, n - at);
        MUST(k > 0);
        at += (size_t)k;
    }
    close(fd);
}

void tree_text_file(const char *dir, const char *name, const char *text)
{
    tree_file(dir, name, text, strlen(text));
}

void tree_fill(const char *dir, const char *name, size_t size, unsigned kind, uint64_t seed)
{
    static const char *word[8] = { "PID|||", "OBX|1|NM|", "WBC^", "|mg/dL|", "20260101", "\r", "CLINIC|", "||F|||" };
    uint8_t *p = malloc(size + 16);
    MUST(p != NULL);
    for (size_t at = 0; at < size;) {
        uint64_t r = tree_random(&seed);
        if (kind) {
            memcpy(p + at, &r, 8);
            at += 8;
        } else {
            size_t n = strlen(word[r & 7]);
            memcpy(p + at, word[r & 7], n);
            p[at + n] = (uint8_t)('0' + (r >> 8) % 10);
            at += n + 1;
        }
    }
    tree_file(dir, name, p, size);
    free(p);
}

static void at(const char *dir, const char *name, char *ret)
{
    (void)snprintf(ret, 4600, "%s/%s", dir, name);
}

static void edge_links(const char *d)
{
    char a[4600], b[4600];
    tree_text_file(d, "plain.txt", "hello\n");
    at(d, "plain.txt", a);
    MUST(utimensat(AT_FDCWD, a, (struct timespec[2]){ { 1000000000, 123456789 }, { 1000000000, 123456789 } }, 0) == 0);
    at(d, "hardlink.txt", b);
    MUST(link(a, b) == 0);
    at(d, "symlink", b);
    MUST(symlink("plain.txt", b) == 0);
    at(d, "dangling", b);
    MUST(symlink("/nonexistent/\xe3\x81\xa9\xe3\x81\x93", b) == 0);
    at(d, "loop", b);
    MUST(symlink(".", b) == 0);
    at(d, "big-a", a);
    tree_fill(d, "big-a", 300000, 1, 7);
    at(d, "zz-big-b", b);
    MUST(link(a, b) == 0);
}

static void edge_names(const char *d)
{
    char longest[256], deep[4600];
    memset(longest, 'N', 255);
    longest[255] = 0;
    tree_text_file(d, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x80\x80.txt", "\x8a\xb3\x8e\xd2");
    tree_text_file(d, "\x90\x66\x97\xc3\x98\x5e.txt", "name is not UTF-8");
    tree_text_file(d, "new\nline and 'quote\" $x *?.txt", "odd name");
    tree_text_file(d, longest, "longest name");
    (void)snprintf(deep, sizeof deep, "%s", d);
    for (int i = 0; i < 40; i++) {
        size_t n = strlen(deep);
        (void)snprintf(deep + n, sizeof deep - n, "/deep%02d", i);
        MUST(mkdir(deep, 0755) == 0);
    }
    tree_text_file(deep, "bottom", "b");
}

static void edge_modes(const char *d)
{
    char a[4600];
    tree_text_file(d, "empty", "");
    tree_text_file(d, "setuid", "#!/bin/sh\n");
    at(d, "setuid", a);
    MUST(chmod(a, 04755) == 0);
    tree_text_file(d, "readonly", "r");
    at(d, "readonly", a);
    MUST(chmod(a, 0400) == 0);
    at(d, "emptydir", a);
    MUST(mkdir(a, 0755) == 0 && chmod(a, 01777) == 0);
    at(d, "fifo", a);
    MUST(mkfifo(a, 0640) == 0);
    if (geteuid() == 0) {
        tree_text_file(d, "owned", "o");
        at(d, "owned", a);
        MUST(chown(a, 12345, 54321) == 0);
    }
}

static void edge_attributes(const char *d)
{
    static const uint8_t acl[] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xe8, 3, 0, 0, 4, 0, 4, 0, 255,
        255, 255, 255, 16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255 };
    char a[4600];
    tree_text_file(d, "xattr", "x");
    at(d, "xattr", a);
    if (setxattr(a, "user.clinic", "\0\1binary\xff", 9, 0) == 0)
        (void)!setxattr(a, "system.posix_acl_access", acl, sizeof acl, 0);
    at(d, "acldir", a);
    MUST(mkdir(a, 0750) == 0);
    (void)!setxattr(a, "system.posix_acl_default", acl, sizeof acl, 0);
    tree_text_file(a, "inherits", "i");
}

void tree_edge(const char *dir)
{
    char a[4600];
    edge_links(dir);
    edge_names(dir);
    edge_modes(dir);
    edge_attributes(dir);
    at(dir, "sparse.img", a);
    int fd = open(a, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    MUST(fd >= 0 && ftruncate(fd, 64 << 20) == 0);
    for (int i = 0; i < 1000; i++)
        MUST(pwrite(fd, "island", 6, (10 << 20) + 6 * i) == 6);
    MUST(ftruncate(fd, 65 << 20) == 0);
    close(fd);
    at(dir, "allhole", a);
    fd = open(a, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    MUST(fd >= 0 && ftruncate(fd, 3 << 20) == 0);
    close(fd);
    tree_fill(dir, "noise.bin", 3000000, 1, 3);
    tree_fill(dir, "records.txt", 1500000, 0, 4);
    for (int i = 0; i < 60; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "small-%03d.hl7", i * 7);
        tree_fill(dir, name, 200 + (size_t)i * 400, 0, (uint64_t)i);
    }
}
