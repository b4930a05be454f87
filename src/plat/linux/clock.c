#include "plat/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Both in milliseconds; a mapped file wins over the process's own. */
struct offsets {
    int64_t wall, running;
};
static struct offsets own;
static const volatile struct offsets *offsets = &own;

static uint64_t raw_ns(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t); /* cannot fail for the clocks used here */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct sm_time plat_clock_wall(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    int64_t move = offsets->wall;
    int64_t ns = t.tv_nsec + move % 1000 * 1000000;
    int64_t s = t.tv_sec + move / 1000;
    if (ns < 0) {
        ns += 1000000000;
        s--;
    } else if (ns >= 1000000000) {
        ns -= 1000000000;
        s++;
    }
    return (struct sm_time){s, (uint32_t)ns};
}

uint64_t plat_clock_mono_ns(void)
{
    return raw_ns(CLOCK_MONOTONIC);
}

uint64_t plat_clock_mono_ms(void)
{
    return raw_ns(CLOCK_MONOTONIC) / 1000000;
}

uint64_t plat_clock_running_ns(void)
{
    return raw_ns(CLOCK_MONOTONIC) + (uint64_t)offsets->running * 1000000u;
}

uint64_t plat_clock_boot_ns(void)
{
    return raw_ns(CLOCK_BOOTTIME) + (uint64_t)offsets->running * 1000000u;
}

int plat_clock_boot_id(char *ret)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    char text[PLAT_BOOT_ID_TEXT];
    ssize_t n = read(fd, text, sizeof text - 1);
    int err = n < 0 ? -errno : 0;
    close(fd);
    if (err < 0)
        return err;
    while (n > 0 && text[n - 1] == '\n')
        n--;
    text[n] = 0;
    memcpy(ret, text, (size_t)n + 1);
    return 0;
}

void plat_clock_override(int64_t wall_ms, int64_t running_ms)
{
    own = (struct offsets){wall_ms, running_ms};
    offsets = &own;
}

int plat_clock_override_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    struct stat st;
    int err = fstat(fd, &st) < 0 ? -errno : 0;
    if (err == 0 && st.st_size != (off_t)sizeof own)
        err = -SM_EFORMAT;
    if (err == 0) {
        /* Little-endian like everything on disk: the machines this runs on are. */
        void *p = mmap(NULL, sizeof own, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            err = -errno;
        else
            offsets = p;
    }
    close(fd);
    return err;
}

int plat_clock_override_write(const char *path, int64_t wall_ms, int64_t running_ms)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return -errno;
    struct offsets o = {wall_ms, running_ms};
    ssize_t n = pwrite(fd, &o, sizeof o, 0);
    int err = n < 0 ? -errno : n != (ssize_t)sizeof o ? -ENOSPC : 0;
    close(fd);
    return err;
}

bool plat_clock_is_overridden(void)
{
    return offsets->wall != 0 || offsets->running != 0;
}

void plat_clock_sleep_ms(uint64_t ms)
{
    const struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL); /* early is fine: the caller looks at the clock */
}
