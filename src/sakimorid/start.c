/* The program: arguments, settings, ground, and what to do when a box cannot begin. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/log.h"
#include "plat/fs.h"
#include "sakimorid/diskwork.h"
#include "sakimorid/parent.h"

/* What a person can do about a box that does not start. */
static void start_advice(int r, const char *why)
{
    static const struct advice { int err; const char *ja, *en; } table[] = {
        { -EADDRINUSE, "このポートは、ほかのプログラムが使っています。port を変えるか、そのプログラムを止めてください(ss -ltnp で分かります)。箱はこの番号と次の番号を使います。",
            "Another program uses this port. Set another port, or stop that program (ss -ltnp shows it). A box needs this number and the next one." },
        { -EADDRNOTAVAIL, "listen のアドレスは、この機器のものではありません。ip addr で出るアドレスを書いてください。",
            "The address in listen is not one of this machine. Take one that ip addr shows." },
        { -EACCES, "書く権利がありません。フォルダの持ち主と権利を見るか、--data でほかのフォルダをえらんでください。1024 より下の port は root だけが使えます。",
            "There is no right to write there. Look at the folder's owner and rights, or choose another with --data. Ports below 1024 are for root only." },
        { -EROFS, "書けないディスクです。--data でほかのフォルダをえらんでください。", "The disk is read-only. Choose another folder with --data." },
        { -ENOSPC, "ディスクに空きがありません。空きを作ってください。", "The disk is full. Make room." },
        { -ENOTDIR, "この場所に、フォルダではない物があります。--data でほかのフォルダをえらんでください。",
            "Something that is no folder is in the way. Choose another with --data." },
        { -SM_EAGAIN, "このデータで、もう箱が動いています。一つだけ動かしてください。", "A box runs on this data already. Run only one." },
    };
    const char *ja = NULL, *en = NULL;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].err == (r == -EPERM ? -EACCES : r)) {
            ja = table[i].ja;
            en = table[i].en;
        }
    }
    if (!strncmp(why, "listen = ", 9)) {
        ja = "listen に書けるのは、この機器の IPv4 か IPv6 のアドレスです。例: 127.0.0.1(この機器だけ)、192.168.1.10、0.0.0.0(すべて)、::1。名前は書けません。";
        en = "listen takes an IPv4 or IPv6 address of this machine, as 127.0.0.1 (this machine only), 192.168.1.10, 0.0.0.0 (all), ::1. Names are not allowed.";
    }
    fprintf(stderr, "sakimorid: 箱を始められません: %s\n", why);
    if (ja)
        fprintf(stderr, "  %s\n", ja);
    fprintf(stderr, "sakimorid: the box cannot start: %s\n", why);
    if (en)
        fprintf(stderr, "  %s\n", en);
}

static int run_box(const struct arguments *a, const struct child_row *rows, size_t n)
{
    struct settings s = { 0 };
    struct ground g;
    char why[240], file[4200];
    char *standard = a->data ? NULL : ground_standard_data();
    const char *data = a->data ? a->data : standard;
    int r = -ENOMEM, code = 2;

    snprintf(why, sizeof why, "out of memory");
    if (data) {
        snprintf(file, sizeof file, "%.4000s/sakimori.conf", data);
        /* The folder must be there for the settings file of a first start. */
        r = a->config ? 0 : plat_fs_mkdir_p(data, geteuid() == 0 ? 0711 : 0700);
        snprintf(why, sizeof why, "%.160s: %s", data, sm_strerror(r));
    }
    if (r >= 0)
        r = options_load(a->config ? a->config : file, !a->config, a, &s, why);
    if (r >= 0) {
        code = 1;
        r = ground_open(&g, data, &s, rows, n, why);
    }
    char beside[4200];
    char *agent = a->local_agent ? realpath(a->local_agent, NULL) : NULL;
    if (r >= 0) {
        snprintf(beside, sizeof beside, "%.4000s-agent", g.data);
        g.local_agent = agent ? agent : a->local_agent; /* one that is not there is said when it is started */
        g.agent_data = a->agent_data ? a->agent_data : beside;
        code = parent_run(&g, &s, rows, n, a->headless);
        ground_close(&g);
    } else {
        start_advice(r, why);
    }
    options_wipe(&s);
    free(agent);
    free(standard);
    return code;
}

int sakimorid_main(int argc, char **argv, const struct child_row *rows, size_t n)
{
    struct arguments a;
    char why[240];

    sm_log_init("sakimorid", SM_INFO);
    if (argc > 1 && !strncmp(argv[1], DISK_WORK, sizeof DISK_WORK - 1))
        return disk_work_main(argc, argv);
    if (options_arguments(argc, argv, &a, why) < 0) {
        fprintf(stderr, "sakimorid: %s\n", why);
        return 2;
    }
    for (size_t i = 0; a.child && i < n; i++)
        if (!strcmp(rows[i].name, a.child))
            return child_start(&rows[i], (pid_t)a.parent);
    if (a.child) {
        fprintf(stderr, "sakimorid: no such part\n");
        return 2;
    }
    if (a.help || a.version) {
        if (a.help)
            options_help(stdout);
        else
            printf("sakimorid %s\n", SM_VERSION);
        return 0;
    }
    return run_box(&a, rows, n);
}
