/* Items, and what all sensors read files with. */
#include "sakimori-agent/inspect/inspect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "plat/fs.h"

#define US '\x1f'

void items_wipe(struct items *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->row[i].key);
        free(s->row[i].kept);
        free(s->row[i].told);
    }
    free(s->row);
    *s = (struct items){0};
}

/* Bytes as UTF-8 text behind what is in at (which may be NULL); false without memory or beyond max. */
static bool append(char **at, const char *field, struct sm_span v, size_t max)
{
    size_t was = *at ? strlen(*at) : 0, name = field ? strlen(field) + 2 : 0;
    if (was + name + v.n * 4 + 1 > max)
        v.n = was + name + 1 < max ? (max - was - name - 1) / 4 : 0;
    char *p = realloc(*at, was + name + v.n * 4 + 1);
    if (!p)
        return false;
    *at = p;
    p += was;
    if (field)
        p += snprintf(p, name + 1, "%s%s=", was ? "\x1f" : "", field);
    bool text = sm_utf8_valid(v);
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        if (c == US || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F || (c >= 0x80 && !text))
            p += snprintf(p, 5, "\\x%02X", c);
        else
            *p++ = (char)c;
    }
    *p = 0;
    return true;
}

void items_add(struct items *s, struct sm_span key)
{
    if (s->err)
        return;
    if (s->n == ITEMS_MAX) {
        s->cut = true;
        return;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct item *row = realloc(s->row, cap * sizeof *row);
        if (!row) {
            s->err = -ENOMEM;
            return;
        }
        s->row = row;
        s->cap = cap;
    }
    struct item *it = &s->row[s->n];
    *it = (struct item){.kept = calloc(1, 1), .told = calloc(1, 1)};
    s->n++;
    if (!it->kept || !it->told || !append(&it->key, NULL, key, ITEM_KEY))
        s->err = -ENOMEM;
}

void items_keep(struct items *s, const char *field, struct sm_span value)
{
    if (!s->err && s->n && !s->cut && !append(&s->row[s->n - 1].kept, field, value, ITEM_TEXT))
        s->err = -ENOMEM;
}

void items_tell(struct items *s, const char *field, struct sm_span value)
{
    if (!s->err && s->n && !s->cut && !append(&s->row[s->n - 1].told, field, value, ITEM_TEXT))
        s->err = -ENOMEM;
}

static int by_key(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int d = strcmp(x->key ? x->key : "", y->key ? y->key : "");
    return d ? d
             : strcmp(x->kept ? x->kept : "", y->kept ? y->kept : ""); /* doubled names: the same one first each time */
}

void items_sort(struct items *s)
{
    size_t n = 0;
    if (s->err || !s->n)
        return;
    qsort(s->row, s->n, sizeof *s->row, by_key);
    for (size_t i = 0; i < s->n; i++) {
        if (n && strcmp(s->row[n - 1].key, s->row[i].key) == 0) {
            free(s->row[i].key);
            free(s->row[i].kept);
            free(s->row[i].told);
        } else {
            s->row[n++] = s->row[i];
        }
    }
    s->n = n;
}

/* ---- reading ---- */

int inspect_read(
    const struct inspect_look *l, const char *path, bool follow, size_t max, struct sm_buf *ret, struct stat *ret_st)
{
    struct stat st;
    int fd = openat(l->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
    if (fd < 0)
        return -errno;
    int r = fstat(fd, &st) ? -errno : S_ISREG(st.st_mode) ? 0 : -SM_EINVAL;
    max = max < INSPECT_FILE_MAX ? max : INSPECT_FILE_MAX;
    for (size_t got = 0; !r && got < max;) {
        size_t want = max - got < 16384 ? max - got : 16384;
        r = sm_buf_reserve(ret, want);
        ssize_t n = r ? r : plat_fs_read(fd, ret->p + ret->n, want);
        if (n <= 0) {
            r = (int)n;
            break;
        }
        ret->n += (size_t)n;
        got += (size_t)n;
    }
    close(fd);
    if (!r && ret_st)
        *ret_st = st;
    return r;
}

bool inspect_line(struct sm_span *rest, struct sm_span *ret)
{
    if (!rest->n)
        return false;
    const uint8_t *end = memchr(rest->p, '\n', rest->n);
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    *ret = SM_SPAN(rest->p, n);
    rest->p += n + (end ? 1 : 0);
    rest->n -= n + (end ? 1 : 0);
    return true;
}

struct sm_span inspect_field(struct sm_span line, char sep, unsigned n)
{
    while (line.n) {
        const uint8_t *end = memchr(line.p, sep, line.n);
        size_t k = end ? (size_t)(end - line.p) : line.n;
        if (n-- == 0)
            return SM_SPAN(line.p, k);
        if (!end)
            break;
        line.p += k + 1;
        line.n -= k + 1;
    }
    return SM_SPAN("", 0);
}

/* What a file says, without comments and empty lines, as far as ITEM_TOLD. */
static void tell_content(struct sm_span text, struct items *to)
{
    char b[ITEM_TOLD];
    size_t n = 0;
    struct sm_span line;
    while (inspect_line(&text, &line) && n + 1 < sizeof b) {
        while (line.n && (line.p[0] == ' ' || line.p[0] == '\t')) {
            line.p++;
            line.n--;
        }
        if (!line.n || line.p[0] == '#' || line.p[0] == ';')
            continue;
        if (n)
            b[n++] = '\n';
        size_t k = line.n < sizeof b - n ? line.n : sizeof b - n;
        memcpy(b + n, line.p, k);
        n += k;
    }
    items_tell(to, "Content", SM_SPAN(b, n));
}

static void keep_number(struct items *to, const char *field, const char *format, unsigned v)
{
    char text[24];
    snprintf(text, sizeof text, format[0] == 'o' ? "%04o" : "%u", v);
    items_keep(to, field, SM_SPAN_STR(text));
}

void inspect_file(const struct inspect_look *l, const char *path, bool content, struct items *to)
{
    char key[ITEM_KEY + 1], link[1024], hex[2 * CRYPTO_SHA256_LEN + 1];
    uint8_t hash[CRYPTO_SHA256_LEN];
    struct stat st;
    struct sm_buf b = SM_BUF_INIT(INSPECT_FILE_MAX);
    if (fstatat(l->root, path, &st, AT_SYMLINK_NOFOLLOW))
        return;
    snprintf(key, sizeof key, "/%s", path);
    ssize_t n = S_ISLNK(st.st_mode) ? readlinkat(l->root, path, link, sizeof link) : 0;
    int r = S_ISREG(st.st_mode) ? inspect_read(l, path, false, INSPECT_FILE_MAX, &b, &st) : 0;
    if ((S_ISREG(st.st_mode) && !r) || n > 0) {
        items_add(to, SM_SPAN_STR(key));
        if (n > 0) {
            items_keep(to, "Link", SM_SPAN(link, n));
        } else {
            crypto_sha256(sm_buf_span(&b), hash);
            sm_hex(hash, sizeof hash, hex);
            items_keep(to, "Sha256", SM_SPAN_STR(hex));
            keep_number(to, "Mode", "o", st.st_mode & 07777);
            keep_number(to, "Owner", "u", st.st_uid);
        }
        if (content && n <= 0)
            tell_content(sm_buf_span(&b), to);
    }
    sm_buf_wipe(&b);
}

void inspect_folder(const struct inspect_look *l, const char *path, unsigned depth, bool content,
    bool (*ok)(const char *name), struct items *to)
{
    int fd = openat(l->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d && fd >= 0)
        close(fd);
    size_t seen = 0;
    for (struct dirent *e = d ? readdir(d) : NULL; e && seen < ITEMS_MAX; e = readdir(d), seen++) {
        char below[ITEM_KEY];
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        int n = snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        if (n < 0 || (size_t)n >= sizeof below || fstatat(l->root, below, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        if (S_ISDIR(st.st_mode) && depth)
            inspect_folder(l, below, depth - 1, content, ok, to);
        else if (!S_ISDIR(st.st_mode) && (!ok || ok(e->d_name)))
            inspect_file(l, below, content, to);
    }
    if (d)
        closedir(d);
}
