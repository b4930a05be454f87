/* Programs that may not start: their SHA-256 stands in the policy.  Asked for only while there are any. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "plat/clock.h"
#include "sakimori-agent/sensor/internal.h"

#define MOUNTS_MAX 256u

static bool is_blocked(struct sensor *s, const uint8_t hash[32])
{
    bool yes = false;
    pthread_mutex_lock(&s->settings_lock);
    for (size_t i = 0; i < s->block_n && !yes; i++)
        yes = memcmp(s->block[i], hash, 32) == 0;
    pthread_mutex_unlock(&s->settings_lock);
    return yes;
}

void programs_ask(struct sensor *s, const struct fswatch_ask *a, int slot)
{
    struct stat st;
    pthread_mutex_lock(&s->settings_lock);
    bool any = s->block_n > 0;
    pthread_mutex_unlock(&s->settings_lock);
    struct job *j = any && !who_is_us(s, a->thread) && !fstat(a->fd, &st) && S_ISREG(st.st_mode) ? calloc(1, sizeof *j) : NULL;
    if (!j) {
        slot_answer(s, slot, true);
        return;
    }
    *j = (struct job){.s = s, .what = WAIT_HASH, .slot = slot, .fd = a->fd, .tid = a->thread, .st = st,
        .until_ms = sensor_now_ms() + WAIT_MS};
    j->keep.tree = a->thread; /* spreads them over the workers */
    slot_waits(s, slot);
    if (job_add(s, j)) {
        free(j);
        slot_answer(s, slot, true);
        atomic_fetch_add(&s->lost_answers, 1);
    }
}

static void say_blocked(struct sensor *s, const struct job *j)
{
    char hash[80] = "SHA256=", path[FSWATCH_PATH];
    struct who *w = &s->who;
    ssize_t n = fswatch_fd_path(j->fd, path);
    sm_hex(j->hash, sizeof j->hash, hash + 7);
    struct saying x;
    say_begin(&x, "blocked_program");
    sensor_event_text(&x.e, "Hashes", hash);
    sensor_event_bytes(&x.e, "TargetFilename", SM_SPAN(path, n > 0 ? (size_t)n : 0));
    if (!who_is(s, j->tid, w))
        say_who(&x, w);
    say_end(s, &x);
}

void programs_hashed(struct sensor *s, struct job *j)
{
    if (j->answered) {
        close(j->fd);
        return;
    }
    bool blocked = !j->err && is_blocked(s, j->hash);
    struct stat now;
    bool same = !fstat(j->fd, &now) && now.st_ctim.tv_sec == j->st.st_ctim.tv_sec && now.st_ctim.tv_nsec == j->st.st_ctim.tv_nsec;
    if (blocked)
        say_blocked(s, j);
    else if (!j->err && same)
        (void)fswatch_program_known(s->w, j->fd); /* else it is asked for again */
    slot_answer(s, j->slot, !blocked);
}

/* ---- which file systems are asked for ---- */

static bool is_program_disk(const char *kind)
{
    static const char *const kinds[] = {"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "f2fs", "vfat", "exfat", "ntfs3", "overlay",
        "zfs", "bcachefs", "fuseblk", "iso9660", "udf", "squashfs"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return false;
}

/* mountinfo writes a blank as \040. */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++, to++) {
        unsigned v;
        *to = *s;
        if (s[0] == '\\' && sscanf(s + 1, "%3o", &v) == 1 && v) {
            *to = (char)v;
            s += 3;
        }
    }
    *to = 0;
}

static void mark_mount(struct sensor *s, char *line, bool on)
{
    char *dash = strstr(line, " - "), at[4096], kind[64];
    if (!dash || sscanf(dash, " - %63s", kind) != 1 || sscanf(line, "%*s %*s %*s %*s %4095s", at) != 1 || !is_program_disk(kind))
        return;
    unescape(at);
    int fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fswatch_programs(s->w, fd, on) && on)
        atomic_fetch_add(&s->folders_failed, 1);
    close(fd);
}

/* From the walker: when the policy changed, and whenever everything is walked. */
void programs_arm(struct sensor *s)
{
    char line[8192];
    pthread_mutex_lock(&s->settings_lock);
    bool on = s->block_n > 0;
    pthread_mutex_unlock(&s->settings_lock);
    if (!fswatch_has(s->w, FSWATCH_EXECS) || (!on && !s->programs_armed))
        return;
    fswatch_programs_forget(s->w);
    FILE *f = fopen("/proc/self/mountinfo", "re");
    for (unsigned n = 0; f && n < MOUNTS_MAX && fgets(line, sizeof line, f); n++)
        mark_mount(s, line, on);
    if (f)
        fclose(f);
    s->programs_armed = on;
}
