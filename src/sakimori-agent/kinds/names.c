/* Names of databases, from servers and for them. */
#include "sakimori-agent/kinds/names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int names_list(struct sm_buf *text, char **ret, size_t max, size_t *ret_n)
{
    size_t n = 0;
    int r = sm_buf_put_u8(text, 0);
    if (r)
        return r;
    for (size_t at = 0; at < text->n && n < max;) {
        char *name = (char *)text->p + at;
        size_t len = strlen(name);
        at += len + 1;
        if (len && name[len - 1] == '\n')
            name[--len] = 0;
        if (len && len <= NAMES_BYTES_MAX)
            ret[n++] = name;
    }
    *ret_n = n;
    return 0;
}

/* The four fields of a line, or false. */
static bool fields(char *line, const char *field[4])
{
    for (size_t k = 0; k < 4; k++) {
        char *end = strchr(line, '\t');
        field[k] = line;
        if ((k == 3) != (end == NULL))
            return false;
        if (end) {
            *end = 0;
            line = end + 1;
        }
    }
    return true;
}

int names_rows(struct sm_buf *text, struct names_row *ret, size_t max, size_t *ret_n)
{
    size_t n = 0;
    int r = sm_buf_put_u8(text, 0);
    if (r)
        return r;
    for (char *line = (char *)text->p, *next; line && n < max; line = next) {
        const char *f[4];
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        if (fields(line, f) && f[0][0] && strlen(f[0]) <= NAMES_BYTES_MAX)
            ret[n++] = (struct names_row){f[0], f[1], f[2], f[3]};
    }
    *ret_n = n;
    return 0;
}

int names_file(const char *name, const char *ending, char ret[NAMES_FILE_MAX])
{
    static const char hex[] = "0123456789ABCDEF";
    char file[NAMES_FILE_MAX];
    size_t n = 0, end = strlen(ending);
    for (const char *s = name; *s; s++) {
        unsigned char c = (unsigned char)*s;
        bool plain = c > 0x20 && c != '/' && c != '%' && c != 0x7f && !(s == name && c == '.');
        if (n + 3 + end >= sizeof file)
            return -ENAMETOOLONG;
        if (plain) {
            file[n++] = *s;
            continue;
        }
        file[n++] = '%';
        file[n++] = hex[c >> 4];
        file[n++] = hex[c & 15];
    }
    memcpy(file + n, ending, end + 1);
    memcpy(ret, file, n + end + 1);
    return 0;
}

int names_quote(const char *name, char q, bool backslash, char *ret, size_t size)
{
    size_t n = 0;
    if (size < 3)
        return -ENAMETOOLONG;
    ret[n++] = q;
    for (; *name; name++) {
        if (n + 4 > size)
            return -ENAMETOOLONG;
        if (*name == q || (backslash && *name == '\\'))
            ret[n++] = *name;
        ret[n++] = *name;
    }
    ret[n++] = q;
    ret[n] = 0;
    return 0;
}

int names_conninfo(const char *name, char *ret, size_t size)
{
    int k = snprintf(ret, size, "dbname='");
    size_t n = (size_t)k;
    if (n + 2 > size)
        return -ENAMETOOLONG;
    for (; *name; name++) {
        if (n + 4 > size)
            return -ENAMETOOLONG;
        if (*name == '\'' || *name == '\\')
            ret[n++] = '\\';
        ret[n++] = *name;
    }
    ret[n++] = '\'';
    ret[n] = 0;
    return 0;
}
