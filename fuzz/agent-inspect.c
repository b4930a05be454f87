/* What inspect reads of files that others write, from any bytes: the first byte chooses the file. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plat/fs.h"
#include "sakimori-agent/inspect/inspect.h"
#include "sakimori-agent/sensor/users.h"

/* The file, and the sensor that reads it. */
static const struct {
    const char *path;
    const struct inspect_sensor *sensor;
} rows[] = {
    {"etc/passwd", &inspect_accounts},
    {"etc/group", &inspect_groups},
    {"root/.ssh/authorized_keys", &inspect_sshkeys},
    {"proc/modules", &inspect_modules},
    {"proc/net/tcp", &inspect_ports},
    {"proc/net/udp6", &inspect_ports},
    {"etc/crontab", &inspect_cron},
};

static char top[] = "/tmp/sm-fuzz-inspect-XXXXXX";

static void clean(void)
{
    (void)!plat_fs_remove_tree(AT_FDCWD, top); /* of no further use */
}

static int root_of_test(void)
{
    static int root = -1;
    static const char *const folders[] = {"etc", "root", "root/.ssh", "proc", "proc/net"};
    if (root >= 0)
        return root;
    if (!mkdtemp(top) || (root = plat_fs_open_dir(AT_FDCWD, top)) < 0)
        abort();
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (mkdirat(root, folders[i], 0755))
            abort();
    (void)!atexit(clean);
    return root;
}

static void write_file(int root, const char *path, struct sm_span text)
{
    int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || plat_fs_write_all(fd, text))
        abort();
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct items s = {0}, none = {0};
    struct sm_buf lines = SM_BUF_INIT(16 << 20);
    struct baseline *b;
    size_t told;
    if (!n)
        return 0;
    if (data[0] == 0xFF) {
        if (baseline_new(&b))
            return 0;
        (void)!baseline_parse(b, SM_SPAN(data + 1, n - 1));
        baseline_free(b);
        return 0;
    }
    const struct inspect_look l = {.root = root_of_test()};
    size_t i = data[0] % (sizeof rows / sizeof rows[0]);
    write_file(l.root, "etc/passwd", SM_SPAN_STR("root:x:0:0::/root:/bin/sh\n"));
    char name[USERS_NAME];
    if (i == 0 && !users_find(SM_SPAN(data + 1, n - 1), 1000, name) && strchr(name, ':'))
        abort();
    write_file(l.root, rows[i].path, SM_SPAN(data + 1, n - 1));
    rows[i].sensor->look(&l, &s);
    items_sort(&s);
    const struct inspect_change how = {.during = ""};
    if (!s.err && inspect_diff(rows[i].sensor, &none, &s, &how, &lines, &told) == 0)
        for (size_t k = 0; k < lines.n; k++)
            if (lines.p[k] < 0x20 && lines.p[k] != '\n')
                abort();
    if (!sm_utf8_valid(sm_buf_span(&lines)))
        abort();
    write_file(l.root, rows[i].path, SM_SPAN("", 0));
    sm_buf_wipe(&lines);
    items_wipe(&s);
    return 0;
}
