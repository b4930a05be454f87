#include "plat/clock.h"
#include "plat/fs.h"
#include "vault/restore/restore_internal.h"

/*
 * Note: "SKRN" | u8 1 | stamp (16 bytes, text) | boot id (PLAT_BOOT_ID_TEXT) | path.  After a restart of the machine the
 * path is not believed (what was written may not have reached the disk): everything is compared again.
 */
#define NOTE_HEAD (4u + 1 + 16 + PLAT_BOOT_ID_TEXT)
#define NOTE_NAME 48

static void note_name(const struct restore *r, char ret[NOTE_NAME])
{
    char hex[33];
    sm_hex(r->c->id, sizeof r->c->id, hex);
    (void)snprintf(ret, NOTE_NAME, "restore-%s", hex);
}

static void stamp_new(struct restore *r)
{
    struct sm_civil c;
    sm_time_civil_jst(plat_clock_wall(), &c);
    (void)snprintf(r->stamp, sizeof r->stamp, "%04d%02d%02d-%02d%02d%02d", c.year % 10000, c.month, c.day, c.hour,
        c.minute, c.second);
}

static bool stamp_ok(const uint8_t *s)
{
    for (size_t i = 0; i < 15; i++)
        if (i == 8 ? s[i] != '-' : s[i] < '0' || s[i] > '9')
            return false;
    return s[15] == 0;
}

void resume_load(struct restore *r)
{
    char name[NOTE_NAME], boot[PLAT_BOOT_ID_TEXT] = "";
    struct sm_buf b = SM_BUF_INIT((size_t)64 << 10);
    note_name(r, name);
    stamp_new(r);
    /* A note that cannot be read costs comparing again, no more. */
    if (!r->compare && r->c->state_dir >= 0 && plat_fs_read_file(r->c->state_dir, name, b.max, &b) == 0 &&
        b.n >= NOTE_HEAD && memcmp(b.p, "SKRN\1", 5) == 0 && stamp_ok(b.p + 5)) {
        memcpy(r->stamp, b.p + 5, 16);
        bool same_boot = plat_clock_boot_id(boot) == 0 && memcmp(boot, b.p + 21, sizeof boot) == 0;
        r->resuming = same_boot && b.n > NOTE_HEAD &&
            sm_buf_put(&r->resume_at, b.p + NOTE_HEAD, b.n - NOTE_HEAD) == 0;
    }
    sm_buf_wipe(&b);
}

void resume_save(struct restore *r, struct sm_span path)
{
    char name[NOTE_NAME], boot[PLAT_BOOT_ID_TEXT] = "", stamp[16] = "";
    struct sm_buf b = { 0 };
    if (r->c->state_dir < 0 || plat_clock_boot_id(boot) < 0)
        return;
    note_name(r, name);
    memcpy(stamp, r->stamp, 15);
    int e = sm_buf_put(&b, "SKRN\1", 5);
    e = e < 0 ? e : sm_buf_put(&b, stamp, sizeof stamp);
    e = e < 0 ? e : sm_buf_put(&b, boot, sizeof boot);
    e = e < 0 ? e : sm_buf_put_span(&b, path);
    if (e == 0)
        e = plat_replace(r->c->state_dir, name, sm_buf_span(&b), 0600);
    (void)e; /* only saves time for the next run */
    sm_buf_wipe(&b);
}

void resume_clear(struct restore *r)
{
    char name[NOTE_NAME];
    if (r->c->state_dir < 0)
        return;
    note_name(r, name);
    (void)!plat_fs_unlink(r->c->state_dir, name); /* may not be there */
}
