#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "plat/fs.h"
#include "plat/sandbox.h"
#include "sim.h"

#define BLOCK ((size_t)64 << 10)
#define PART ((size_t)4 << 10)
#define SUFFIX ".locked"
static const char note_name[] = "HOW_TO_GET_BACK.txt";
static const char note_text[] = "Sakimori simulator: this is an exercise. Nothing was taken and nobody wants money.\n"
    "防人の練習用プログラムです。実際の被害ではありません。\n";

struct sim {
    struct crypto_aead *aead;
    uint8_t key[32], block[BLOCK + CRYPTO_AEAD_TAG_LEN];
    uint64_t counter;
    dev_t dev;
    unsigned styles;
    struct sim_counts n;
};

/* Encrypts the block in place, like the real thing: what was compressible no longer is. */
static int scramble(struct sim *s, size_t n)
{
    uint8_t nonce[12] = { 0 };
    memcpy(nonce, &s->counter, 8);
    s->counter++;
    return crypto_aead_seal(s->aead, s->key, nonce, SM_SPAN("", 0), SM_SPAN(s->block, n), s->block);
}

static int encrypt_file(struct sim *s, int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    size_t piece = s->styles & SIM_FULL ? BLOCK : PART;
    uint64_t off = 0, done = 0;
    int r = 0;
    for (;;) {
        ssize_t n = pread(fd, s->block, piece, (off_t)off);
        if (n <= 0) {
            r = n < 0 ? -errno : 0;
            break;
        }
        r = scramble(s, (size_t)n);
        if (r == 0)
            r = plat_fs_pwrite_all(fd, SM_SPAN(s->block, (size_t)n), off);
        if (r < 0)
            break;
        done += (uint64_t)n;
        off += BLOCK;
    }
    close(fd);
    s->n.bytes += done;
    return r;
}

static int one_file(struct sim *s, int dirfd, const char *name)
{
    char to[NAME_MAX + 1];
    int r = 0;
    if (s->styles & (SIM_FULL | SIM_PARTIAL))
        r = encrypt_file(s, dirfd, name);
    if (r == 0 && (s->styles & SIM_DELETE)) {
        r = unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
        s->n.deleted += r == 0;
    } else if (r == 0 && (s->styles & SIM_RENAME) && snprintf(to, sizeof to, "%s" SUFFIX, name) < (int)sizeof to) {
        r = plat_fs_rename(dirfd, name, dirfd, to, false);
        s->n.renamed += r == 0;
    }
    return r;
}

static int walk(struct sim *s, int fd, unsigned depth);

static void one_entry(struct sim *s, int fd, const char *name, unsigned depth)
{
    struct stat st;
    size_t n = strlen(name), m = sizeof SUFFIX - 1;
    bool ours = !strcmp(name, SIM_MARKER) || !strcmp(name, note_name) || (n > m && !strcmp(name + n - m, SUFFIX));
    if (ours || s->n.files >= SIM_FILES_MAX || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != s->dev)
        return;
    if (S_ISDIR(st.st_mode) && depth < SIM_DEPTH_MAX) {
        int sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        s->n.failed += sub < 0 || walk(s, sub, depth + 1) < 0;
    } else if (S_ISREG(st.st_mode)) {
        int r = one_file(s, fd, name);
        s->n.files += r == 0;
        s->n.failed += r < 0;
    }
}

static void drop_note(struct sim *s, int fd)
{
    int note = plat_fs_create(fd, note_name, PLAT_FS_EXCL, 0644);
    if (note < 0)
        return; /* one is there already */
    s->n.notes += plat_fs_write_all(note, SM_SPAN_STR(note_text)) == 0;
    close(note);
}

/* Names first, then the work: renaming while listing could show a file twice.  Takes fd. */
static int walk(struct sim *s, int fd, unsigned depth)
{
    struct dirent **names = NULL;
    int n = scandirat(fd, ".", &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i]->d_name, ".") && strcmp(names[i]->d_name, ".."))
            one_entry(s, fd, names[i]->d_name, depth);
        free(names[i]);
    }
    free(names);
    if (n >= 0 && (s->styles & SIM_NOTE))
        drop_note(s, fd);
    close(fd);
    return n < 0 ? -errno : 0;
}

static int marker_is_there(int fd)
{
    struct sm_buf b = SM_BUF_INIT(64);
    int r = plat_fs_read_file(fd, SIM_MARKER, 63, &b);
    bool right = r == 0 && sm_span_eq(sm_buf_span(&b), SM_SPAN_STR(SIM_MARKER_TEXT));
    sm_buf_wipe(&b);
    return right ? 0 : -SM_EDENIED;
}

int sim_files(const char *dir, unsigned styles, uint64_t seed, struct sim_counts *ret)
{
    struct sim *s = calloc(1, sizeof *s);
    struct stat st;
    char text[64];
    int fd = plat_fs_open_dir(AT_FDCWD, dir), r = !s ? -ENOMEM : fd < 0 ? fd : marker_is_there(fd);
    if (r == 0 && fstat(fd, &st) < 0)
        r = -errno;
    if (r == 0) {
        struct plat_confined c = { 0 };
        /* /proc is for the sanitizers of a test build alone. */
        const struct plat_path_rule rules[] = { { .path = dir, .write = true }, { .path = "/proc", .optional = true } };
        (void)snprintf(text, sizeof text, "sakimori-sim %llu", (unsigned long long)seed); /* fits */
        crypto_sha256(SM_SPAN_STR(text), s->key);
        s->dev = st.st_dev;
        s->styles = styles;
        r = plat_sandbox_landlock(rules, 2, &c);
    }
    if (r == 0)
        r = crypto_aead_new(&s->aead);
    if (r == 0) {
        r = walk(s, fd, 0);
        fd = -1;
        *ret = s->n;
    }
    if (fd >= 0)
        close(fd);
    if (s)
        crypto_aead_free(s->aead);
    free(s);
    return r;
}
