#include "sakimorid/front/web.h"
#include <errno.h>
#include <unistd.h>
#include "crypto/hash.h"
#include "plat/fs.h"

static const struct { const char *end, *type; } types[] = {
    { ".html", "text/html; charset=utf-8" }, { ".js", "text/javascript; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" }, { ".svg", "image/svg+xml" }, { ".png", "image/png" },
    { ".ico", "image/x-icon" }, { ".webmanifest", "application/manifest+json" }, { ".json", "application/json" },
    { ".txt", "text/plain; charset=utf-8" }, { ".woff2", "font/woff2" }, { ".pdf", "application/pdf" },
};

static const char *type_of(const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t k = strlen(types[i].end);
        if (n > k && !strcmp(name + n - k, types[i].end))
            return types[i].type;
    }
    return "application/octet-stream";
}

static bool name_ok(struct sm_span name)
{
    if (name.n == 0 || name.n > 128 || name.p[0] == '.')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                c == '-'))
            return false;
    }
    return true;
}

struct walk {
    struct web *w;
    int dirfd;
    const char *prefix;      /* "" or "/manual" */
    unsigned depth;
};

static int add_file(struct walk *k, const char *name)
{
    struct web *w = k->w;
    struct web_file f = { .type = type_of(name), .body = SM_BUF_INIT(WEB_BYTES_MAX) };
    uint8_t hash[32];
    char hex[65];
    int r;

    if (w->n >= WEB_FILES_MAX)
        return -SM_ELIMIT;
    r = plat_fs_read_file(k->dirfd, name, WEB_BYTES_MAX - w->bytes, &f.body);
    if (r >= 0 && asprintf(&f.path, "%s/%s", k->prefix, name) < 0) {
        f.path = NULL;
        r = -ENOMEM;
    }
    if (r < 0) {
        sm_buf_wipe(&f.body);
        return r;
    }
    crypto_sha256(sm_buf_span(&f.body), hash);
    sm_hex(hash, sizeof hash, hex);
    snprintf(f.etag, sizeof f.etag, "\"%.32s\"", hex);
    w->bytes += f.body.n;
    w->files[w->n++] = f;
    return 0;
}

static int visit(void *arg, struct sm_span name, unsigned char type);

static int add_folder(struct walk *k, const char *name)
{
    char prefix[1024];
    struct walk below = { .w = k->w, .prefix = prefix, .depth = k->depth + 1 };
    int r;

    if (below.depth >= WEB_DEPTH_MAX)
        return -SM_ELIMIT;
    snprintf(prefix, sizeof prefix, "%.800s/%.128s", k->prefix, name);
    below.dirfd = plat_fs_open_dir(k->dirfd, name);
    if (below.dirfd < 0)
        return below.dirfd;
    r = plat_fs_list(below.dirfd, visit, &below);
    close(below.dirfd);
    return r;
}

static int visit(void *arg, struct sm_span name, unsigned char type)
{
    struct walk *k = arg;
    const char *text = (const char *)name.p;
    int r;

    if (!name_ok(name))
        return 0;
    /* Told apart by trying, since not every file system tells the type. */
    r = add_folder(k, text);
    return r == -ENOTDIR || r == -ELOOP ? add_file(k, text) : r;
}

int web_load(const char *dir, struct web *ret)
{
    struct web w = { .files = calloc(WEB_FILES_MAX, sizeof(struct web_file)) };
    struct walk k = { .w = &w, .prefix = "" };
    int r;

    if (!w.files)
        return -ENOMEM;
    k.dirfd = plat_fs_open_dir(AT_FDCWD, dir);
    r = k.dirfd < 0 ? k.dirfd : plat_fs_list(k.dirfd, visit, &k);
    if (k.dirfd >= 0)
        close(k.dirfd);
    if (r >= 0 && !web_find(&w, "/"))
        r = -SM_ENOTFOUND;
    if (r < 0) {
        web_wipe(&w);
        return r;
    }
    *ret = w;
    return 0;
}

void web_wipe(struct web *w)
{
    for (size_t i = 0; i < w->n; i++) {
        free(w->files[i].path);
        sm_buf_wipe(&w->files[i].body);
    }
    free(w->files);
    *w = (struct web){ 0 };
}

static const struct web_file *exact(const struct web *w, const char *path, const char *end)
{
    size_t n = strlen(path), k = strlen(end);

    for (size_t i = 0; i < w->n; i++) {
        const char *p = w->files[i].path;
        if (strlen(p) == n + k && !memcmp(p, path, n) && !memcmp(p + n, end, k))
            return &w->files[i];
    }
    return NULL;
}

const struct web_file *web_find(const struct web *w, const char *path)
{
    const struct web_file *f = exact(w, path, "");
    const char *last = strrchr(path, '/');
    size_t n = strlen(path);

    if (f)
        return f;
    if (!strncmp(path, "/manual", 7) && (path[7] == '/' || path[7] == '\0')) {
        f = exact(w, path, ".html");
        if (!f)
            f = exact(w, path, n && path[n - 1] == '/' ? "index.html" : "/index.html");
        return f;
    }
    return last && strchr(last, '.') ? NULL : exact(w, "/index.html", "");
}
