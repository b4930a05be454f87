#include "api/notify.h"
#include <errno.h>

static int put_clean(struct sm_buf *b, const char *s, size_t max)
{
    int r = 0;
    size_t start = b->n;
    for (; *s && r == 0 && b->n - start < max; s++)
        r = sm_buf_put_u8(b, (unsigned char)*s < 0x20 || *s == 0x7f ? ' ' : (uint8_t)*s);
    while (r == 0 && b->n > start && !sm_utf8_valid(SM_SPAN(b->p + start, b->n - start)))
        b->n--; /* never half a character */
    return r;
}

int notify_subject(const struct notify_alarm *a, struct sm_buf *ret)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    int r = sm_buf_printf(&b, "[Sakimori] %s: %s (%s)", a->state_word, a->title, a->institution);
    const char *s = r == 0 ? sm_buf_str(&b) : NULL;
    if (r == 0)
        r = s ? put_clean(ret, s, 200) : -ENOMEM;
    sm_buf_wipe(&b);
    return r;
}

int notify_text(const struct notify_alarm *a, struct sm_buf *ret)
{
    int r = sm_buf_printf(ret, "%s\n%s\n\n%s\n%s\n", a->institution, a->at, a->title, a->text);
    if (r == 0 && json_array_size(a->next))
        r = sm_buf_printf(ret, "\n%s\n", a->next_heading);
    for (size_t i = 0; r == 0 && i < json_array_size(a->next) && i < 10; i++) {
        const char *s = json_string_value(json_array_get(a->next, i));
        if (s)
            r = sm_buf_printf(ret, "%zu. %s\n", i + 1, s);
    }
    if (r == 0 && a->head_text)
        r = sm_buf_printf(ret, "\n%s\n%s\n", a->head_word, a->head_text);
    return r;
}

json_t *notify_hook(const struct notify_alarm *a)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:O,s:s}", "id", a->id, "kind", a->kind, "state", a->state,
        "institution", a->institution, "title", a->title, "text", a->text, "at", a->at, "next", a->next, "head",
        a->head);
}

int notify_syslog(int64_t incident, bool call, const char *at, const char *title, struct sm_buf *ret)
{
    int r = sm_buf_printf(ret, "<%d>1 %s sakimori sakimori - INCIDENT-%lld - \xef\xbb\xbf", call ? 105 : 108, at ? at : "-", (long long)incident);
    return r == 0 ? put_clean(ret, title, 400) : r;
}

bool notify_address_ok(const char *s)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~-";
    size_t local = strspn(s, plain), n = strlen(s);
    if (local == 0 || local > 64 || s[local] != '@' || n > 254 || s[0] == '-')
        return false;
    const char *domain = s + local + 1;
    size_t dn = strspn(domain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");
    return dn > 0 && domain[dn] == 0 && domain[0] != '.' && domain[0] != '-' && !strstr(domain, "..") &&
           domain[dn - 1] != '.';
}

/* http is enough only where the clinic's own wire is: an address literal that no internet router passes on. */
static bool own_network(const char *host)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    char end = 0;
    if (!strncmp(host, "[::1]", 5) || !strncmp(host, "[fd", 3) || !strncmp(host, "[fc", 3))
        return true;
    int n = sscanf(host, "%3u.%3u.%3u.%3u%c", &a, &b, &c, &d, &end);
    if (n < 4 || (n == 5 && end != ':' && end != '/') || a > 255 || b > 255 || c > 255 || d > 255)
        return false;
    return a == 10 || a == 127 || (a == 172 && b >= 16 && b < 32) || (a == 192 && b == 168);
}

bool notify_url_ok(const char *s)
{
    size_t n = strlen(s);
    if (n > 1000)
        return false;
    for (size_t i = 0; i < n; i++)
        if (s[i] <= 0x20 || s[i] >= 0x7f || s[i] == '"' || s[i] == '<' || s[i] == '>' || s[i] == '\\')
            return false;
    bool https = !strncmp(s, "https://", 8), http = !strncmp(s, "http://", 7);
    const char *host = s + (https ? 8 : 7);
    size_t hn = https || http ? strcspn(host, "/?#") : 0;
    return hn > 0 && !memchr(host, '@', hn) && (https || own_network(host));
}
