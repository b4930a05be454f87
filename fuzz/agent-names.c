/* What a database server says its databases are called: file names stay single parts, quoted names come apart as they were. */
#include <stdlib.h>
#include <string.h>

#include "plat/fs.h"
#include "sakimori-agent/kinds/names.h"

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* Take the quotes off again. */
static void same(const char *quoted, char q, char escape, const char *name)
{
    must(*quoted++ == q);
    for (; *name; name++, quoted++) {
        if (*quoted == escape || (*quoted == q && escape == q))
            quoted++;
        else
            must(*quoted != q);
        must(*quoted == *name);
    }
    must(quoted[0] == q && quoted[1] == 0);
}

static void one(const char *name)
{
    char file[NAMES_FILE_MAX], text[2 * NAMES_BYTES_MAX + 32];
    if (names_file(name, ".dump", file) == 0)
        must(plat_fs_name_ok(SM_SPAN_STR(file)) && file[0] != '.');
    must(names_quote(name, '"', false, text, sizeof text) == 0);
    same(text, '"', '"', name);
    must(names_conninfo(name, text, sizeof text) == 0);
    same(text + 7, '\'', '\\', name);
    must(names_quote(name, '\'', true, text, 4) != 0 || strlen(name) <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    char *name[8];
    struct names_row row[8];
    struct sm_buf a = SM_BUF_INIT((size_t)1 << 16), b = SM_BUF_INIT((size_t)1 << 16);
    size_t k = 0, rows = 0;
    if (sm_buf_put(&a, p, n) || sm_buf_put(&b, p, n))
        goto out;
    if (names_list(&a, name, 8, &k) == 0)
        for (size_t i = 0; i < k; i++)
            one(name[i]);
    if (names_rows(&b, row, 8, &rows) == 0)
        for (size_t i = 0; i < rows; i++) {
            one(row[i].name);
            must(strlen(row[i].charset) + strlen(row[i].collation) + strlen(row[i].loose) <= n);
        }
out:
    sm_buf_wipe(&a);
    sm_buf_wipe(&b);
    return 0;
}
