/*
 * A harmless attacker for tests: quick SHAPE FOLDER [processes [pause-ms]].  It changes files below FOLDER only, and only when FOLDER holds
 * the file .sakimori-range whose text is "files below may be destroyed by tests" (tests/attack/range.py makes such folders); at most
 * 20,000 files, no network, nothing stays.  The keystream is no cipher, it only looks like one; nothing is sent or asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 20000, BIG = 1 << 28 };
static const char mark[] = "files below may be destroyed by tests\n";
static struct victim { char *path; off_t size; int depth; } victims[MOST];
static size_t count;
static uint8_t *room;

static void die(const char *what)
{
    fprintf(stderr, "quick: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void keystream(uint8_t *p, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t z = seed += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        for (size_t k = 0; k < 8 && i + k < n; k++)
            p[i + k] ^= (uint8_t)(z >> (8 * k));
    }
}

static int found(const char *path, const struct stat *st, int type, struct FTW *f)
{
    if (type != FTW_F || count == MOST || st->st_size == 0 || st->st_size > BIG || strstr(path, ".sakimori-range"))
        return 0;
    victims[count++] = (struct victim){strdup(path), st->st_size, f->level};
    return 0;
}

static int smaller(const void *a, const void *b)
{
    const struct victim *x = a, *y = b;
    return x->size < y->size ? -1 : x->size > y->size;
}

static int deeper(const void *a, const void *b)
{
    return ((const struct victim *)b)->depth - ((const struct victim *)a)->depth;
}

static ssize_t slurp(int fd)
{
    ssize_t n = 0, got;
    while ((got = read(fd, room + n, BIG - (size_t)n)) > 0)
        n += got;
    return n;
}

/* ---- shapes: one file each; false: it went wrong, the next one is tried ---- */
typedef bool shape_fn(const struct victim *v, uint64_t seed);

static bool in_place(const struct victim *v, uint64_t seed)
{
    int fd = open(v->path, O_RDWR);
    if (fd < 0)
        return false;
    ssize_t n = slurp(fd);
    keystream(room, (size_t)n, seed);
    bool good = pwrite(fd, room, (size_t)n, 0) == n;
    close(fd);
    return good;
}

static bool whole(const char *path, int flags, size_t n)
{
    int fd = open(path, flags, 0600);
    if (fd < 0)
        return false;
    bool good = write(fd, room, n) == (ssize_t)n;
    close(fd);
    return good;
}

static ssize_t taken(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return -1;
    ssize_t n = slurp(fd);
    close(fd);
    return n;
}

static bool truncating(const struct victim *v, uint64_t seed)
{
    ssize_t n = taken(v->path);
    if (n < 0)
        return false;
    keystream(room, (size_t)n, seed);
    return whole(v->path, O_WRONLY | O_TRUNC, (size_t)n);
}

static bool copy_delete(const struct victim *v, uint64_t seed)
{
    char to[4096];
    ssize_t n = taken(v->path);
    if (n < 0)
        return false;
    keystream(room, (size_t)n, seed);
    memset(room + n, (int)seed, 64);
    keystream(room + n, 64, seed ^ 99);
    (void)snprintf(to, sizeof to, "%s.q7x", v->path);
    return whole(to, O_WRONLY | O_CREAT | O_EXCL, (size_t)n + 64) && unlink(v->path) == 0;
}

static bool rename_over(const struct victim *v, uint64_t seed)
{
    char to[4096];
    ssize_t n = taken(v->path);
    if (n < 0)
        return false;
    keystream(room, (size_t)n, seed);
    (void)snprintf(to, sizeof to, "%s.tmp~", v->path);
    return whole(to, O_WRONLY | O_CREAT | O_EXCL, (size_t)n) && rename(to, v->path) == 0;
}

static bool rename_first(const struct victim *v, uint64_t seed)
{
    char to[4096];
    (void)snprintf(to, sizeof to, "%s.q7x", v->path);
    if (rename(v->path, to) < 0)
        return false;
    struct victim w = {to, v->size, 0};
    return in_place(&w, seed);
}

static bool partial(const struct victim *v, uint64_t seed)
{
    int fd = open(v->path, O_RDWR);
    if (fd < 0)
        return false;
    bool good = true;
    for (off_t at = 0; at < v->size; at += 16 * 4096) {
        ssize_t n = pread(fd, room, 4096, at);
        if (n <= 0)
            break;
        keystream(room, (size_t)n, seed + (uint64_t)at);
        good &= pwrite(fd, room, (size_t)n, at) == n;
    }
    close(fd);
    return good;
}

/* The first KiB stays. */
static bool behind_head(const struct victim *v, uint64_t seed)
{
    int fd = open(v->path, O_RDWR);
    if (fd < 0)
        return false;
    ssize_t n = slurp(fd);
    bool good = false;
    if (n > 1024) {
        keystream(room + 1024, (size_t)n - 1024, seed);
        good = pwrite(fd, room + 1024, (size_t)n - 1024, 1024) == n - 1024;
    }
    close(fd);
    return good;
}

static bool through_map(const struct victim *v, uint64_t seed)
{
    int fd = open(v->path, O_RDWR);
    if (fd < 0)
        return false;
    uint8_t *p = mmap(NULL, (size_t)v->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED)
        return false;
    keystream(p, (size_t)v->size, seed);
    munmap(p, (size_t)v->size);
    return true;
}

/* As a file server does it for its guest: mapped, synced, and the handle kept. */
static bool like_smb(const struct victim *v, uint64_t seed)
{
    int fd = open(v->path, O_RDWR);
    if (fd < 0)
        return false;
    uint8_t *p = mmap(NULL, (size_t)v->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return false;
    keystream(p, (size_t)v->size, seed);
    msync(p, (size_t)v->size, MS_SYNC);
    return true; /* neither unmapped nor closed */
}

static bool xored(const struct victim *v, uint64_t seed)
{
    int fd = open(v->path, O_RDWR);
    if (fd < 0)
        return false;
    ssize_t n = slurp(fd);
    for (ssize_t i = 0; i < n; i++)
        room[i] ^= (uint8_t) "k3y!~\xf1\x82wQ\x03zz"[i % 12];
    bool good = pwrite(fd, room, (size_t)n, 0) == n;
    close(fd);
    return good && seed;
}

static bool zeros(const struct victim *v, uint64_t seed)
{
    int fd = open(v->path, O_WRONLY);
    if (fd < 0)
        return false;
    memset(room, 0, (size_t)v->size);
    bool good = write(fd, room, (size_t)v->size) == v->size;
    close(fd);
    return good && unlink(v->path) == 0 && seed;
}

/* Written somewhere else under names that say nothing, times set back, original removed. */
static bool elsewhere(const struct victim *v, uint64_t seed)
{
    static char out[4096];
    char to[4200];
    struct stat st;
    ssize_t n = taken(v->path);
    if (n < 0 || stat(v->path, &st) < 0)
        return false;
    if (!out[0]) {
        (void)snprintf(out, sizeof out, "%.*s/.cache-%d", (int)(strrchr(v->path, '/') - v->path), v->path, (int)getpid());
        (void)mkdir(out, 0700);
    }
    keystream(room, (size_t)n, seed);
    (void)snprintf(to, sizeof to, "%s/%016llx", out, (unsigned long long)(seed * 0x9e3779b97f4a7c15u));
    if (!whole(to, O_WRONLY | O_CREAT | O_EXCL, (size_t)n))
        return false;
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    (void)utimensat(AT_FDCWD, to, times, 0);
    return unlink(v->path) == 0;
}

static const struct shape {
    const char *name;
    shape_fn *one;
    int (*order)(const void *, const void *);
    bool forks; /* a child for each file, which may outlive its parent */
} shapes[] = {
    {"in_place", in_place, NULL, false}, {"truncating", truncating, NULL, false}, {"copy_delete", copy_delete, NULL, false},
    {"rename_over", rename_over, NULL, false}, {"rename_first", rename_first, NULL, false}, {"partial", partial, NULL, false},
    {"behind_head", behind_head, NULL, false}, {"small_first", in_place, smaller, false}, {"deepest_first", in_place, deeper, false},
    {"mmap", through_map, NULL, false}, {"smb", like_smb, NULL, false}, {"xor", xored, NULL, false}, {"zeros", zeros, NULL, false},
    {"elsewhere", elsewhere, NULL, false}, {"child_per_file", copy_delete, NULL, true}, {"database", partial, NULL, false},
};

static void check_range(const char *folder)
{
    char path[4096], text[sizeof mark] = "";
    (void)snprintf(path, sizeof path, "%s/.sakimori-range", folder);
    int fd = open(path, O_RDONLY | O_NOFOLLOW);
    if (fd < 0 || read(fd, text, sizeof mark - 1) != (ssize_t)sizeof mark - 1 || strcmp(text, mark) != 0) {
        fprintf(stderr, "quick: %s is not a folder made for this\n", folder);
        exit(2);
    }
    close(fd);
}

static void work(const struct shape *s, size_t from, size_t step, long pause_ms)
{
    for (size_t i = from; i < count; i += step) {
        struct timespec t = {pause_ms / 1000, pause_ms % 1000 * 1000000};
        if (pause_ms)
            (void)nanosleep(&t, NULL);
        if (s->forks) {
            pid_t child = fork();
            if (child == 0) {
                /* Its own child does it, and belongs to nobody then. */
                if (fork() == 0)
                    (void)s->one(&victims[i], i + 1);
                _exit(0);
            }
            (void)waitpid(child, NULL, 0);
            continue;
        }
        (void)s->one(&victims[i], i + 1);
    }
}

int main(int argc, char **argv)
{
    const struct shape *s = NULL;
    for (size_t i = 0; argc >= 3 && i < sizeof shapes / sizeof shapes[0]; i++)
        if (!strcmp(argv[1], shapes[i].name))
            s = &shapes[i];
    if (!s) {
        fprintf(stderr, "quick SHAPE FOLDER [processes [pause-ms]]\n");
        return 2;
    }
    check_range(argv[2]);
    long processes = argc > 3 ? strtol(argv[3], NULL, 10) : 1, pause_ms = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
    if (processes < 1 || processes > 64)
        return 2;
    room = mmap(NULL, BIG + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED || nftw(argv[2], found, 16, FTW_PHYS) < 0)
        die(argv[2]);
    if (s->order)
        qsort(victims, count, sizeof victims[0], s->order);
    for (long p = 1; p < processes; p++)
        if (fork() == 0) {
            work(s, (size_t)p, (size_t)processes, pause_ms);
            return 0;
        }
    work(s, 0, (size_t)processes, pause_ms);
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    return 0;
}
