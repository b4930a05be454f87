/* Settings of the kernel that keep programs apart, or that make a machine forward what is not its own. */
#include "sakimori-agent/inspect/inspect.h"

#include <stdio.h>
#include <string.h>

static const char *const names[] = {"kernel/yama/ptrace_scope", "kernel/kptr_restrict", "kernel/dmesg_restrict",
    "kernel/randomize_va_space", "kernel/modules_disabled", "kernel/kexec_load_disabled",
    "kernel/unprivileged_bpf_disabled", "kernel/core_pattern", "kernel/modprobe", "kernel/sysrq",
    "kernel/perf_event_paranoid", "fs/suid_dumpable", "fs/protected_symlinks", "fs/protected_hardlinks",
    "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/accept_redirects",
    "net/ipv4/tcp_syncookies", "vm/mmap_min_addr"};

static void look(const struct inspect_look *l, struct items *to)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        struct sm_buf b = SM_BUF_INIT(4096);
        snprintf(path, sizeof path, "proc/sys/%s", names[i]);
        if (!inspect_read(l, path, true, 1024, &b, NULL)) {
            while (b.n && (b.p[b.n - 1] == '\n' || b.p[b.n - 1] == ' '))
                b.n--;
            char dotted[64];
            snprintf(dotted, sizeof dotted, "%s", names[i]);
            for (char *p = dotted; (p = strchr(p, '/')) != NULL;)
                *p = '.';
            items_add(to, SM_SPAN_STR(dotted));
            items_keep(to, "Value", sm_buf_span(&b));
        }
        sm_buf_wipe(&b);
    }
}

const struct inspect_sensor inspect_sysctl = {
    .name = "sysctl", .changed = "sysctl_changed", .key = "Setting", .every_s = 60, .look = look};
