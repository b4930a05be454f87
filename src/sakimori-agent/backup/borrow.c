/* Files the rules of this process know nothing of: lend opens them. */
#include <errno.h>
#include <unistd.h>

#include "plat/clock.h"
#include "sakimori-agent/backup/backupd.h"

#define LEND_MS 60000
#define LEND_PATIENCE_MS 20000

/* One try: a descriptor, or why not.  -SM_EPEER and -SM_ETIME: of the channel, which is then gone. */
static int ask_lend(struct backupd *b, const char *path)
{
    struct sm_buf none = SM_BUF_INIT(4096);
    int fd = -1, r = -SM_EPEER;
    pthread_mutex_lock(&b->lending);
    if (b->lend)
        r = sm_ipc_call(b->lend, L_LEND, SM_SPAN_STR(path), LEND_MS, &none, &fd, NULL);
    if (r == -SM_EPEER || r == -SM_ETIME || r == -SM_EPROTO) {
        sm_ipc_free(b->lend);
        b->lend = NULL;
        r = -SM_EPEER;
    }
    pthread_mutex_unlock(&b->lending);
    sm_buf_wipe(&none);
    if (r && fd >= 0)
        close(fd);
    return r ? r : fd >= 0 ? fd : -EACCES;
}

/* What appeared beside the box's folder after this process began has no rule: lend opens it.  It restarts within
 * seconds if it must. */
int backupd_borrow(void *arg, const char *path)
{
    struct backupd *b = arg;
    uint64_t until = plat_clock_mono_ms() + LEND_PATIENCE_MS;
    for (;;) {
        int r = ask_lend(b, path);
        if (r != -SM_EPEER || atomic_load(&b->lend_lost) || atomic_load(&b->cancelled))
            return r == -SM_EPEER ? -EACCES : r;
        if (plat_clock_mono_ms() > until)
            atomic_store(&b->lend_lost, true);
        plat_clock_sleep_ms(100);
    }
}
