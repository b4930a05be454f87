/* The list of what is kept and the journal of a roll-back, as a damaged disk or somebody with root's rights leaves them: payloads of any
 * bytes in sound frames, and any bytes in place of frames. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "giveback/internal.h"
#include "plat/fs.h"

static int folder = -1;
static char top[] = "/tmp/fuzz-giveback-XXXXXX";

static void end(void)
{
    (void)plat_fs_remove_tree(AT_FDCWD, top);
}

static void begin(void)
{
    if (mkdtemp(top))
        folder = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || mkdirat(folder, "b", 0700) < 0 || mkdirat(folder, "c", 0700) < 0 ||
        mkdirat(folder, "b/0000000000000001", 0700) < 0 || mkdirat(folder, "b/0000000000000001/k", 0700) < 0)
        abort();
    (void)atexit(end);
}

static void put(const char *name, const char *magic, struct sm_span in)
{
    struct sm_buf b = SM_BUF_INIT(4 << 20);
    struct sm_rd r = SM_RD(in);
    if (frame_begin(&b, magic) < 0)
        abort();
    while (r.n >= 2) {
        size_t n = sm_rd_u16(&r);
        struct sm_span p = sm_rd_bytes(&r, n < r.n ? n : r.n);
        if (p.n && frame_put(&b, b.n, p) < 0)
            break;
    }
    if (sm_buf_put(&b, in.p, in.n < 200 ? in.n : 200) < 0)
        abort();
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, b.p, b.n) != (ssize_t)b.n)
        abort();
    close(fd);
    sm_buf_wipe(&b);
}

static void read_records(void)
{
    struct records rs;
    if (records_load(folder, &rs) < 0)
        return;
    for (size_t i = 0; i < rs.n; i++) {
        struct plat_meta m;
        if (meta_get(rs.v[i].r.meta, &m) == 0)
            plat_meta_wipe(&m);
        if (i && rs.v[i - 1].r.id >= rs.v[i].r.id)
            abort();
    }
    records_free(&rs);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct giveback_limits l = {1 << 20, 0, 1 << 20, 0};
    struct giveback *g;
    struct back b;
    json_t *list;
    if (folder < 0)
        begin();
    put("list", LIST_MAGIC, SM_SPAN(p, n));
    put("b/0000000000000001/journal", JOURNAL_MAGIC, SM_SPAN(p, n));
    read_records();
    if (giveback_list(folder, 7, 0, 1000, &list) == 0)
        json_decref(list);
    if (giveback_backs(folder, &list) == 0)
        json_decref(list);
    if (back_load(folder, 1, false, &b) == 0)
        back_wipe(&b);
    if (giveback_open(folder, &l, &g) == 0)
        giveback_close(g);
    return 0;
}
