/* Answers of a bucket, read by expat with everything closed that XML can do besides elements and text. */
#include <errno.h>
#include <expat.h>
#include "vault/copy/s3_internal.h"

struct reader {
    XML_Parser p;
    s3_xml_fn fn; void *arg;
    char path[512]; size_t at[S3_XML_DEPTH]; int depth; /* where each element's name begins */
    char text[S3_XML_TEXT + 1]; size_t n;
    int err;
};

static void stop(struct reader *r, int err)
{
    if (!r->err)
        r->err = err;
    (void)XML_StopParser(r->p, XML_FALSE); /* stopped already is as good */
}

static void on_start(void *arg, const char *name, const char **attributes)
{
    struct reader *r = arg;
    (void)attributes;
    size_t used = r->depth > 1 ? strlen(r->path) : 0, n = strlen(name);
    if (r->depth >= S3_XML_DEPTH || used + n + 2 > sizeof r->path) {
        stop(r, -SM_ELIMIT);
        return;
    }
    r->n = 0;
    if (r->depth == 0) { /* the root's own name tells nothing that the request did not */
        r->at[r->depth++] = 0;
        return;
    }
    r->at[r->depth++] = used;
    if (used)
        r->path[used++] = '/';
    memcpy(r->path + used, name, n + 1);
}

static void on_text(void *arg, const char *s, int len)
{
    struct reader *r = arg;
    size_t n = (size_t)len;
    if (n > S3_XML_TEXT - r->n) {
        stop(r, -SM_ELIMIT);
        return;
    }
    memcpy(r->text + r->n, s, n);
    r->n += n;
}

static void on_end(void *arg, const char *name)
{
    struct reader *r = arg;
    (void)name;
    r->text[r->n] = '\0';
    if (r->depth > 1) {
        int e = r->err ? 0 : r->fn(r->arg, r->path, r->text);
        if (e)
            stop(r, e);
        r->path[r->at[r->depth - 1]] = '\0';
    }
    r->depth--;
    r->n = 0;
}

static void on_doctype(void *arg, const char *a, const char *b, const char *c, int d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    stop(arg, -SM_EFORMAT);
}

int s3_xml_each(struct sm_span in, s3_xml_fn fn, void *arg)
{
    struct reader r = { .fn = fn, .arg = arg };
    if (in.n > S3_XML_MAX)
        return -SM_ELIMIT;
    r.p = XML_ParserCreate("UTF-8");
    if (!r.p)
        return -ENOMEM;
    XML_SetUserData(r.p, &r);
    XML_SetElementHandler(r.p, on_start, on_end);
    XML_SetCharacterDataHandler(r.p, on_text);
    XML_SetStartDoctypeDeclHandler(r.p, on_doctype);
    enum XML_Status s = XML_Parse(r.p, (const char *)in.p, (int)in.n, 1);
    XML_ParserFree(r.p);
    return r.err ? r.err : s == XML_STATUS_OK ? 0 : -SM_EFORMAT;
}

struct want { const char *path; char *to; size_t n; };

static int take(void *arg, const char *path, const char *text)
{
    struct want *w = arg;
    if (!strcmp(path, w->path))
        (void)snprintf(w->to, w->n, "%s", text); /* longer than anything asked for: cut */
    return 0;
}

int s3_xml_text(struct sm_span in, const char *path, char *ret, size_t n)
{
    char text[S3_XML_TEXT + 1] = "";
    struct want w = { path, text, n < sizeof text ? n : sizeof text };
    int r = s3_xml_each(in, take, &w);
    if (!r)
        (void)snprintf(ret, n, "%s", text); /* cut above */
    return r;
}
