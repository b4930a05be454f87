#include "sakimori-agent/guard/pins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "plat/fs.h"

#define PACKAGE_MS ((uint64_t)900000) /* nobody installs for longer */

struct pin {
    char *path;
    bool there, unit, hashed;
    struct stat st;
    uint8_t hash[32];
};

void pins_init(struct pins *p)
{
    *p = (struct pins){.notify = -1};
}

void pins_wipe(struct pins *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->of[i].path);
    free(p->of);
    if (p->notify >= 0)
        close(p->notify);
    pins_init(p);
}

/* ---- one ---- */

static int hash_file(int fd, uint8_t ret[32])
{
    struct crypto_sha256_ctx *c;
    uint8_t *block = malloc(65536);
    ssize_t k = 0;
    int r = block ? crypto_sha256_new(&c) : -ENOMEM;
    if (!r) {
        while ((k = read(fd, block, 65536)) > 0)
            crypto_sha256_put(c, SM_SPAN(block, (size_t)k));
        crypto_sha256_final(c, ret);
        crypto_sha256_free(c);
    }
    free(block);
    return r ? r : k < 0 ? -errno : 0;
}

static int hash_of(const struct pin *p, uint8_t ret[32])
{
    char to[PATH_MAX];
    if (S_ISLNK(p->st.st_mode)) {
        ssize_t k = readlink(p->path, to, sizeof to);
        if (k < 0)
            return -errno;
        crypto_sha256(SM_SPAN(to, (size_t)k), ret);
        return 0;
    }
    if (!S_ISREG(p->st.st_mode) || p->st.st_size > PINS_FILE_MAX)
        return -SM_EUNSUPPORTED;
    int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int r = hash_file(fd, ret);
    close(fd);
    return r;
}

static void pin_now(struct pin *p)
{
    p->there = lstat(p->path, &p->st) == 0;
    p->hashed = p->there && hash_of(p, p->hash) == 0;
}

static bool same_times(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mode == b->st_mode &&
           a->st_uid == b->st_uid && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Is it another one?  whole: its bytes are read whatever its times say.  *p is as it is now then, and path stays. */
static bool is_other(struct pin *p, bool whole, bool *ret_gone)
{
    struct pin now = *p;
    struct stat st;
    bool there = lstat(p->path, &st) == 0;
    *ret_gone = p->there && !there;
    if (!there && !p->there)
        return false;
    if (there && p->there && same_times(&st, &p->st) && !whole)
        return false;
    pin_now(&now);
    bool other = now.there != p->there || now.st.st_mode != p->st.st_mode || now.st.st_uid != p->st.st_uid ||
                 now.st.st_size != p->st.st_size || now.hashed != p->hashed || (now.hashed && memcmp(now.hash, p->hash, 32) != 0);
    *p = now;
    return other;
}

/* ---- all ---- */

static int add_one(struct pins *p, const char *path, bool unit)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->of[i].path, path) == 0)
            return 0;
    if (p->n == PINS_MAX)
        return -SM_ELIMIT;
    struct pin *more = realloc(p->of, (p->n + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    p->of = more;
    p->of[p->n] = (struct pin){.path = strdup(path), .unit = unit};
    if (!p->of[p->n].path)
        return -ENOMEM;
    pin_now(&p->of[p->n++]);
    return 0;
}

static int add_folder(struct pins *p, const char *path, int depth)
{
    char below[PATH_MAX];
    struct stat st;
    int r = 0;
    DIR *d = depth ? opendir(path) : NULL;
    for (struct dirent *e; d && !r && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            (size_t)snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= sizeof below || lstat(below, &st) < 0)
            continue;
        r = S_ISDIR(st.st_mode) ? add_folder(p, below, depth - 1) : add_one(p, below, false);
    }
    if (d)
        closedir(d);
    return r;
}

int pins_add(struct pins *p, const char *path, bool only_there, bool unit)
{
    struct stat st;
    bool there = lstat(path, &st) == 0;
    if (!there && only_there)
        return 0;
    return there && S_ISDIR(st.st_mode) ? add_folder(p, path, PINS_DEPTH) : add_one(p, path, unit);
}

int pins_add_agent(struct pins *p, const char *root, const char *program, const char *data)
{
    static const struct {
        const char *path;
        bool only_there, unit;
    } units[] = {
        {"/usr/lib/systemd/system/sakimori-agent.service", true, true},
        {"/lib/systemd/system/sakimori-agent.service", true, true},
        {"/etc/systemd/system/sakimori-agent.service", false, false}, /* over the package's, or a mask */
        {"/etc/systemd/system/sakimori-agent.service.d/override.conf", false, false},
        {"/etc/systemd/system/multi-user.target.wants/sakimori-agent.service", true, true},
        {"/usr/lib/systemd/system-sleep/sakimori-agent", true, false},
        {"/usr/share/sakimori/rules", true, false},
        {"/usr/share/sakimori-agent", true, false},
    };
    static const char *const own[] = {"policy.conf", "agent.json", "keys", "link/ca.pem"};
    char path[PATH_MAX];
    int r = pins_add(p, program, false, true);
    for (size_t i = 0; i < sizeof units / sizeof units[0] && !r; i++) {
        snprintf(path, sizeof path, "%s%s", root, units[i].path);
        r = pins_add(p, path, units[i].only_there, units[i].unit);
    }
    for (size_t i = 0; i < sizeof own / sizeof own[0] && !r; i++) {
        snprintf(path, sizeof path, "%s/%s", data, own[i]);
        r = pins_add(p, path, false, false);
    }
    snprintf(p->lock, sizeof p->lock, "%s/var/lib/dpkg/lock-frontend", root);
    return r;
}

void pins_watch(struct pins *p)
{
    char folder[PATH_MAX], last[PATH_MAX] = "";
    int n = 0;
    p->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    for (size_t i = 0; p->notify >= 0 && i < p->n && n < PINS_WATCH_MAX; i++) {
        snprintf(folder, sizeof folder, "%s", p->of[i].path);
        *strrchr(folder, '/') = 0; /* absolute, and of a file */
        if (strcmp(folder, last) == 0)
            continue;
        snprintf(last, sizeof last, "%s", folder);
        n += inotify_add_watch(p->notify, folder,
                 IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB | IN_ONLYDIR) >= 0;
    }
}

void pins_drain(struct pins *p)
{
    char buf[4096];
    while (read(p->notify, buf, sizeof buf) > 0) /* what it was is looked at anyway */
        ;
}

/* Does somebody install now?  dpkg and apt hold it for as long as they work. */
static bool package_busy(const struct pins *p)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = p->lock[0] ? open(p->lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;
    bool busy = fd >= 0 && fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK;
    if (fd >= 0)
        close(fd);
    return busy;
}

static void say(pins_fn fn, void *arg, const struct pin *pin, bool gone, bool package)
{
    char text[PATH_MAX + 32], to[PATH_MAX];
    ssize_t k = pin->there && S_ISLNK(pin->st.st_mode) ? readlink(pin->path, to, sizeof to - 1) : -1;
    if (k >= 0)
        to[k] = 0;
    bool masked = k >= 0 && strcmp(to, "/dev/null") == 0;
    snprintf(text, sizeof text, "%s: %s", gone ? "removed" : masked ? "masked" : "changed", pin->path);
    bool wants = strstr(pin->path, ".target.wants/") != NULL;
    fn(arg, package ? "agent_updated" : masked || (gone && wants) ? "agent_disabled" : "agent_touched", text);
}

void pins_look(struct pins *p, uint64_t now_ms, pins_fn fn, void *arg)
{
    bool whole = now_ms - p->whole_ms >= PINS_WHOLE_MS, busy = package_busy(p);
    if (busy && !p->package_ms)
        p->package_ms = now_ms;
    if (busy && now_ms - p->package_ms < PACKAGE_MS)
        return; /* when it has let go */
    bool package = p->package_ms && !busy;
    p->package_ms = busy ? p->package_ms : 0;
    if (whole)
        p->whole_ms = now_ms;
    for (size_t i = 0; i < p->n; i++) {
        bool gone;
        if (is_other(&p->of[i], whole, &gone))
            say(fn, arg, &p->of[i], gone, package);
    }
}
