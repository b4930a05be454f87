#include "sakimori-agent/sensor/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "plat/fs.h"

#define PASSWD "/etc/passwd"
enum { KEPT = 64 };

struct users {
    struct sm_buf text;
    struct timespec changed;
    ino_t ino;
    struct {
        bool is;
        uint32_t uid;
        char name[USERS_NAME];
    } kept[KEPT];
};

int users_new(struct users **ret)
{
    struct users *u = calloc(1, sizeof *u);
    if (!u)
        return -ENOMEM;
    u->text = SM_BUF_INIT(USERS_TEXT);
    *ret = u;
    return 0;
}

void users_free(struct users *u)
{
    if (u)
        sm_buf_wipe(&u->text);
    free(u);
}

/* name:password:uid:… */
static bool is_line_of(const char *p, size_t n, uint32_t uid, size_t *ret_name)
{
    const char *a = memchr(p, ':', n), *b = a ? memchr(a + 1, ':', n - (size_t)(a + 1 - p)) : NULL;
    if (!b || a == p)
        return false;
    uint64_t v = 0;
    const char *s = b + 1, *end = p + n;
    while (s < end && *s >= '0' && *s <= '9' && v <= UINT32_MAX)
        v = v * 10 + (uint64_t)(*s++ - '0');
    *ret_name = (size_t)(a - p);
    return s > b + 1 && s < end && *s == ':' && v == uid;
}

int users_find(struct sm_span text, uint32_t uid, char ret[USERS_NAME])
{
    const char *p = (const char *)text.p, *end = p + text.n;
    while (p && p < end) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        size_t n = line_end ? (size_t)(line_end - p) : (size_t)(end - p), name;
        if (is_line_of(p, n, uid, &name)) {
            name = name < USERS_NAME ? name : USERS_NAME - 1;
            memcpy(ret, p, name);
            ret[name] = 0;
            return 0;
        }
        p = line_end ? line_end + 1 : NULL;
    }
    return -SM_ENOTFOUND;
}

static void refresh(struct users *u)
{
    struct stat st;
    if (stat(PASSWD, &st) ||
        (st.st_ino == u->ino && st.st_mtim.tv_sec == u->changed.tv_sec && st.st_mtim.tv_nsec == u->changed.tv_nsec))
        return;
    sm_buf_clear(&u->text);
    memset(u->kept, 0, sizeof u->kept);
    if (plat_fs_read_file(AT_FDCWD, PASSWD, USERS_TEXT, &u->text))
        sm_buf_clear(&u->text); /* numbers serve */
    u->ino = st.st_ino;
    u->changed = st.st_mtim;
}

void users_name(struct users *u, uint32_t uid, char ret[USERS_NAME])
{
    refresh(u);
    size_t at = uid % KEPT;
    if (!u->kept[at].is || u->kept[at].uid != uid) {
        u->kept[at].is = true;
        u->kept[at].uid = uid;
        if (users_find(sm_buf_span(&u->text), uid, u->kept[at].name))
            snprintf(u->kept[at].name, USERS_NAME, "%u", uid);
    }
    memcpy(ret, u->kept[at].name, USERS_NAME);
}
