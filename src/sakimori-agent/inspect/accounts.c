/* Accounts and groups of this machine, and when passwords were changed (never what is in that file). */
#include "sakimori-agent/inspect/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const char *const folders[] = {"etc", NULL};

/* Lines of names and fields divided by colons. */
static void look_lines(
    const struct inspect_look *l, const char *path, const char *const *fields, size_t n, struct items *to)
{
    struct sm_buf b = SM_BUF_INIT(INSPECT_FILE_MAX);
    struct sm_span rest, line;
    if (inspect_read(l, path, true, INSPECT_FILE_MAX, &b, NULL))
        b.n = 0; /* none */
    for (rest = sm_buf_span(&b); inspect_line(&rest, &line);) {
        struct sm_span name = inspect_field(line, ':', 0);
        if (!name.n || name.p[0] == '#' || name.p[0] == '+' || name.p[0] == '-')
            continue;
        items_add(to, name);
        for (size_t i = 0; i < n; i++)
            if (fields[i])
                items_keep(to, fields[i], inspect_field(line, ':', (unsigned)i));
    }
    sm_buf_wipe(&b);
}

static void look_accounts(const struct inspect_look *l, struct items *to)
{
    static const char *const fields[] = {NULL, NULL, "UserId", "GroupId", NULL, "Home", "Shell"};
    look_lines(l, "etc/passwd", fields, sizeof fields / sizeof fields[0], to);
}

static void look_groups(const struct inspect_look *l, struct items *to)
{
    static const char *const fields[] = {NULL, NULL, "GroupId", "Members"};
    look_lines(l, "etc/group", fields, sizeof fields / sizeof fields[0], to);
}

static void look_passwords(const struct inspect_look *l, struct items *to)
{
    static const char *const files[] = {"etc/shadow", "etc/gshadow"};
    for (size_t i = 0; i < 2; i++) {
        struct stat st;
        char key[32], when[48];
        if (fstatat(l->root, files[i], &st, AT_SYMLINK_NOFOLLOW))
            continue;
        snprintf(key, sizeof key, "/%s", files[i]);
        snprintf(when, sizeof when, "%lld.%09ld", (long long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec);
        items_add(to, SM_SPAN_STR(key));
        items_keep(to, "Changed", SM_SPAN_STR(when));
        snprintf(when, sizeof when, "%04o", st.st_mode & 07777);
        items_keep(to, "Mode", SM_SPAN_STR(when));
    }
}

const struct inspect_sensor inspect_accounts = {.name = "accounts",
    .added = "account_added",
    .changed = "account_changed",
    .removed = "account_removed",
    .key = "TargetUser",
    .folders = folders,
    .every_s = 300,
    .look = look_accounts};
const struct inspect_sensor inspect_groups = {.name = "groups", .added = "group_changed", .changed = "group_changed",
    .removed = "group_changed", .key = "TargetGroup", .folders = folders, .every_s = 300, .look = look_groups};
const struct inspect_sensor inspect_passwords = {.name = "passwords",
    .changed = "password_changed",
    .key = "TargetFilename",
    .folders = folders,
    .every_s = 300,
    .look = look_passwords};
