/* The box's own backup: keyd's folder leaves this process only sealed to the recovery sheet. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "plat/fs.h"
#include "sakimorid/keyd/keys.h"
#include "sakimorid/keyd/self.h"
#include "vault/seal/selfkeys.h"

struct gathering {
    int dir;
    struct selfkeys k;
    struct sm_buf content[SELFKEYS_FILES_MAX];
};

static int by_name(const void *a, const void *b)
{
    const struct selfkeys_file *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Temporary files of a replacement begin with a full stop and are left out. */
static int take(void *arg, struct sm_span name, unsigned char type)
{
    struct gathering *g = arg;
    (void)type;
    if (!selfkeys_name_ok(name))
        return 0;
    if (g->k.n == SELFKEYS_FILES_MAX)
        return -SM_ELIMIT;
    struct sm_buf *b = &g->content[g->k.n];
    struct selfkeys_file *f = &g->k.file[g->k.n];
    *b = SM_BUF_INIT(SELFKEYS_PLAIN_MAX);
    memcpy(f->name, name.p, name.n);
    f->name[name.n] = 0;
    int r = plat_fs_read_file(g->dir, f->name, SELFKEYS_PLAIN_MAX, b);
    if (r) {
        sm_buf_wipe(b);
        return r;
    }
    f->content = sm_buf_span(b);
    g->k.n++;
    return 0;
}

int keys_self_seal(int dir, const struct vault_id *vault, const uint8_t open_pub[32], const struct client_id *client,
    const uint8_t sign_pub[32], struct sm_buf *ret)
{
    struct gathering *g = calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    g->dir = dir;
    g->k.client = *client;
    memcpy(g->k.sign_pub, sign_pub, 32);
    int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a position of its own */
    int r = again < 0 ? -errno : plat_fs_list(again, take, g);
    if (again >= 0)
        close(again);
    qsort(g->k.file, g->k.n, sizeof g->k.file[0], by_name);
    if (!r)
        r = selfkeys_seal(vault, open_pub, &g->k, ret);
    for (size_t i = 0; i < SELFKEYS_FILES_MAX; i++)
        sm_buf_wipe(&g->content[i]);
    free(g);
    return r;
}
