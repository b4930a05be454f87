/* The client's tree cache: single records, and a whole file. */
#include <fcntl.h>
#include <unistd.h>
#include "plat/fs.h"
#include "vault/backup/tree.h"

static void records(struct sm_span in)
{
    struct tree_record r;
    struct sm_buf again = { 0 };
    while (in.n && tree_record_parse(in, &r) == 0) {
        struct part *p = calloc(r.stream.nparts + 1, sizeof *p);
        if (!p)
            abort();
        if (r.has_stream && r.stream.layout)
            tree_parts(&r.stream, p);
        /* what was understood is written the same way again */
        sm_buf_clear(&again);
        if (tree_record_put(&again, &r, p) < 0 || !sm_span_eq(sm_buf_span(&again), r.raw))
            abort();
        free(p);
        in.p += r.raw.n;
        in.n -= r.raw.n;
    }
    sm_buf_wipe(&again);
}

static void whole(struct sm_span in)
{
    char name[64];
    struct tree_ids ids = { 0 };
    struct tree_reader *t;
    int dir = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)snprintf(name, sizeof name, "sakimori-fuzz-tree-%ld", (long)getpid());
    if (in.n >= 56) { /* the ids that are asked for */
        memcpy(ids.vault.b, in.p + 8, 16);
        memcpy(ids.client.b, in.p + 24, 16);
        memcpy(ids.source.b, in.p + 40, 16);
    }
    int fd = plat_fs_create(dir, name, PLAT_FS_TRUNC, 0600);
    if (fd < 0 || plat_fs_write_all(fd, in) < 0)
        abort();
    close(fd);
    if (tree_open(dir, name, &ids, &t) == 0) {
        while (tree_peek(t))
            tree_take(t);
        tree_close(t);
    }
    (void)!plat_fs_unlink(dir, name);
    close(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    records(SM_SPAN(data, size));
    whole(SM_SPAN(data, size));
    return 0;
}
