#include "sakimori-agent/guard/machine.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "plat/fs.h"

static bool text_of(const char *root, const char *path, char ret[64])
{
    char whole[PATH_MAX];
    struct sm_buf b = SM_BUF_INIT(63);
    snprintf(whole, sizeof whole, "%s%s", root, path);
    int r = plat_fs_read_file(AT_FDCWD, whole, 63, &b);
    if (!r) {
        memcpy(ret, b.p, b.n);
        ret[b.n] = 0;
    }
    sm_buf_wipe(&b);
    return !r;
}

static bool has_battery(const char *root)
{
    char path[PATH_MAX], kind[64];
    bool any = false;
    snprintf(path, sizeof path, "%s/sys/class/power_supply", root);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "/sys/class/power_supply/%.200s/type", e->d_name);
        any |= strncmp(e->d_name, "BAT", 3) == 0 && text_of(root, path, kind) && strncmp(kind, "Battery", 7) == 0;
    }
    if (d)
        closedir(d);
    return any;
}

/* Does the system go up to a screen that people sign in at? */
static bool has_screen(const char *root)
{
    char path[PATH_MAX], to[PATH_MAX];
    snprintf(path, sizeof path, "%s/etc/systemd/system/display-manager.service", root);
    return readlink(path, to, sizeof to) > 0;
}

const char *machine_kind(const char *root)
{
    static const unsigned char portable[] = {8, 9, 10, 11, 14, 30, 31, 32}, desktop[] = {3, 4, 5, 6, 7, 13, 15, 16, 24, 35, 36};
    char text[64];
    root = root ? root : "";
    long chassis = text_of(root, "/sys/class/dmi/id/chassis_type", text) ? strtol(text, NULL, 10) : 0;
    if (chassis > 0 && chassis < 256 && memchr(portable, (int)chassis, sizeof portable))
        return "portable";
    if (has_battery(root))
        return "portable";
    bool case_of_one = chassis > 0 && chassis < 256 && memchr(desktop, (int)chassis, sizeof desktop);
    return case_of_one && has_screen(root) ? "desktop" : "server";
}
