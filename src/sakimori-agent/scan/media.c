/* Mounts that appear: those of media that can be taken out are told once. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "plat/fs.h"
#include "sakimori-agent/scan/scan.h"

enum { MOUNTS_MAX = 4096, MOUNTINFO_MAX = 4 << 20 };
struct media { uint64_t seen[MOUNTS_MAX]; size_t n; bool begun; };

int media_new(struct media **ret)
{
    struct media *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    *ret = m;
    (void)media_look(m, NULL, 0); /* what is there already was scanned, or is no medium that was put in */
    m->begun = true;
    return 0;
}

void media_free(struct media *m)
{
    free(m);
}

static bool one_says(const char *path)
{
    struct sm_buf b = SM_BUF_INIT(16);
    bool yes = plat_fs_read_file(AT_FDCWD, path, 15, &b) == 0 && b.n && b.p[0] == '1';
    sm_buf_wipe(&b);
    return yes;
}

/* /dev/NAME of something on USB, a card, a disc, or that calls itself removable; loop devices stand for them in trials. */
static bool is_removable(const char *source)
{
    char path[PATH_MAX], real[PATH_MAX], flag[PATH_MAX + 32];
    if (strncmp(source, "/dev/", 5) != 0 || strchr(source + 5, '/'))
        return false;
    if (strncmp(source + 5, "loop", 4) == 0 || strncmp(source + 5, "sr", 2) == 0)
        return true;
    (void)snprintf(path, sizeof path, "/sys/class/block/%.200s", source + 5);
    if (!realpath(path, real))
        return false;
    if (strstr(real, "/usb") || strstr(real, "/mmc_host/"))
        return true;
    (void)snprintf(flag, sizeof flag, "%s/removable", real);
    if (one_says(flag))
        return true;
    (void)snprintf(flag, sizeof flag, "%s/../removable", real); /* of a partition: its disk */
    return one_says(flag);
}

/* The next run of bytes that are not c; NULL at the end. */
static char *next_part(char *begin, char c, char **at)
{
    char *s = begin ? begin : *at;
    while (s && *s == c)
        s++;
    if (!s || !*s)
        return NULL;
    char *end = strchr(s, c);
    *at = end ? end + 1 : s + strlen(s);
    if (end)
        *end = 0;
    return s;
}

/* \040 and the like, in place. */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; to++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
            *to = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 4;
        } else {
            *to = *s++;
        }
    }
    *to = 0;
}

/* "36 35 98:0 / /mnt rw - ext4 /dev/sdb1 rw": number, place, source. */
static bool parse(char *line, uint64_t *ret_id, char **ret_place, char **ret_source)
{
    char *save = NULL, *word = next_part(line, ' ', &save), *end;
    unsigned field = 0;
    bool after = false;
    unsigned behind = 0;
    *ret_place = *ret_source = NULL;
    for (; word; word = next_part(NULL, ' ', &save), field++) {
        if (field == 0)
            *ret_id = strtoull(word, &end, 10);
        if (field == 4)
            *ret_place = word;
        if (after && ++behind == 2)
            *ret_source = word;
        after = after || (field > 5 && strcmp(word, "-") == 0);
    }
    return *ret_place && *ret_source;
}

static bool was_seen(const struct media *m, uint64_t id)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->seen[i] == id)
            return true;
    return false;
}

size_t media_look(struct media *m, char **ret, size_t max)
{
    struct sm_buf b = SM_BUF_INIT(MOUNTINFO_MAX + 1);
    uint64_t now[MOUNTS_MAX];
    size_t n = 0, got = 0;
    char *text = plat_fs_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &b) == 0 ? (char *)(uintptr_t)sm_buf_str(&b) : NULL;
    char *save = NULL;
    for (char *line = text ? next_part(text, '\n', &save) : NULL; line && n < MOUNTS_MAX; line = next_part(NULL, '\n', &save)) {
        char *place, *source;
        if (!parse(line, &now[n], &place, &source))
            continue;
        unescape(place);
        if (m->begun && got < max && !was_seen(m, now[n]) && is_removable(source) && (ret[got] = strdup(place)) != NULL)
            got++;
        n++;
    }
    if (text) {
        memcpy(m->seen, now, n * sizeof *now);
        m->n = n;
    }
    sm_buf_wipe(&b);
    return got;
}
