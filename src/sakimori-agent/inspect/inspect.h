/*
 * The part `inspect`: the state of the machine, looked at when something changes (inotify, uevents) and every few
 * minutes; differences are events.  A sensor is a row of table.c and a file: it looks, and gives what it found as
 * items.  What was found last is kept in DATA/inspect/baseline, so that what changed while nobody looked is seen at the
 * next start.
 */
#ifndef AGENT_INSPECT_H
#define AGENT_INSPECT_H
#include <sys/stat.h>
#include "core/json.h"
#include "core/time.h"

enum {
    ITEMS_MAX = 20000,          /* of one sensor: more are left out, and that is said */
    ITEM_KEY = 1024, ITEM_TEXT = 4096, ITEM_TOLD = 1024, /* bytes: of a key, of all it has, of one told text */
    INSPECT_FILE_MAX = 1 << 20, /* of a file that is read: of longer ones the beginning */
    INSPECT_TELL_MAX = 64,      /* changes of one sensor told one by one at a time: of more, how many there are */
    INSPECT_DEPTH = 24, INSPECT_WALK = 500000
};
#define INSPECT_USER "_sakimori-inspect"
#define INSPECT_UID 64327u

/* What a sensor found: things with a name; of each, what is compared with the last time, and what is only told with a
 * change.  Texts are UTF-8 (other bytes as \xNN). */
struct item {
    char *key, *kept, *told; /* kept, told: "Field=text" joined by US (0x1F) */
};
struct items {
    struct item *row;
    size_t n, cap;
    bool cut; /* there were more */
    int err;  /* sticky: -ENOMEM */
};
void items_wipe(struct items *s);
/* A new item; its fields follow.  Names twice: the first counts. */
void items_add(struct items *s, struct sm_span key);
void items_keep(struct items *s, const char *field, struct sm_span value); /* of the item added last */
void items_tell(struct items *s, const char *field, struct sm_span value); /* told with a change, not compared */
void items_sort(struct items *s);

/* Where a sensor looks: "/" or a folder of a test.  Paths below are relative to it, without a slash in front. */
struct inspect_look {
    int root;
};
/* A regular file's first max bytes (at most INSPECT_FILE_MAX), never waiting for a writer.  follow: the last part may
 * be a link. -errno, -SM_EINVAL not regular. */
sm_must_use int inspect_read(
    const struct inspect_look *l, const char *path, bool follow, size_t max, struct sm_buf *ret, struct stat *ret_st);
/* A file (or link) as an item by its absolute path: hash, owner, mode are compared; with content, its telling lines are
 * told. */
void inspect_file(const struct inspect_look *l, const char *path, bool content, struct items *to);
/* The same for what lies in a folder, down to depth (0: the folder's own files); only names that ok allows (NULL: all).
 */
void inspect_folder(const struct inspect_look *l, const char *path, unsigned depth, bool content,
    bool (*ok)(const char *name), struct items *to);
/* Lines of a text, one after the other: false at the end.  ret is without its line end. */
bool inspect_line(struct sm_span *rest, struct sm_span *ret);
/* The n-th (from 0) of fields divided by sep. */
struct sm_span inspect_field(struct sm_span line, char sep, unsigned n);

struct inspect_sensor {
    const char *name;               /* in the baseline */
    const char *added, *changed, *removed; /* the event's "action"; NULL: not told */
    const char *key;                /* the event's field for the item's name */
    const char *const *folders;     /* looked at as soon as something changes there; NULL-ended, or NULL */
    unsigned every_s;               /* looked at in any case; 0: only so */
    bool uevent;                    /* looked at when the kernel tells of a device */
    bool steady;                    /* told when it was so twice: short-lived ones are none of our business */
    void (*look)(const struct inspect_look *l, struct items *to);
};
extern const struct inspect_sensor *const inspect_sensors[]; /* NULL-ended */
extern const struct inspect_sensor inspect_modules, inspect_services, inspect_cron, inspect_accounts, inspect_groups,
    inspect_passwords, inspect_sudoers, inspect_sshkeys, inspect_sshd, inspect_preload, inspect_sysctl, inspect_setuid,
    inspect_setuid_rest, inspect_ports, inspect_media;

/* What differs between two looks (both sorted), as events, each a line; during: "upgrade" or "".  while_off: nobody
 * looked meanwhile. */
struct inspect_change {
    struct sm_time at;
    const char *during;
    bool while_off;
};
sm_must_use int inspect_diff(const struct inspect_sensor *s, const struct items *was, const struct items *is,
    const struct inspect_change *how, struct sm_buf *ret_lines, size_t *ret_n);

/* The baseline: what each sensor found last. */
struct baseline;
sm_must_use int baseline_new(struct baseline **ret);
void baseline_free(struct baseline *b);
/* From DATA/inspect (a folder's descriptor).  -SM_ENOTFOUND none yet, -SM_EVERSION, -SM_EFORMAT: b is then empty. */
sm_must_use int baseline_load(struct baseline *b, int dir);
sm_must_use int baseline_parse(struct baseline *b, struct sm_span text);
sm_must_use int baseline_save(const struct baseline *b, int dir);
/* What a sensor found last; NULL: it never looked. */
const struct items *baseline_of(const struct baseline *b, const char *sensor);
/* Takes over items (sorted); what is only told is dropped.  -ENOMEM. */
sm_must_use int baseline_set(struct baseline *b, const char *sensor, struct items *items);

int inspect_main(const char *data, const char *skip);
#endif
