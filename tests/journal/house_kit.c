#include "../test.h"
#include "house_kit.h"

uint32_t chance(struct chance *c, uint32_t below)
{
    c->s ^= c->s << 13;
    c->s ^= c->s >> 7;
    c->s ^= c->s << 17;
    return (uint32_t)((c->s >> 11) % below);
}

static const char *const words[] = {"mimikatz", "Mimi_katz", "cmd.exe", "患者", "患者番号", "カルテ", "ＡＢＣ", "abc",
    "root", "failed password", "192.0.2.7", "192.0.2.77", "2001:db8::7", "::ffff:192.0.2.9", "0x1F", "31", "-5", "3.25",
    "7", "100", "C:\\Windows\\cmd.exe", "it's", "a\"b", "50%", "under_score", "x_y", "é", "𠮷野家", "\\",
    "'; DROP TABLE events; --", "a*b", "c?d", "日本語　空白", "true", "", "(x)", "[1]", "^$", "a|b", "tab\there",
    "nl\nhere", "K", "ſ", "İ"};
static const char *const names[] = {
    "Image", "image", "IMAGE", "User", "src_ip", "LogonType", "host", "項目", "a.b-c", "Data"};
#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof *(a)))

static const char *word(struct chance *c)
{
    return words[chance(c, COUNT(words))];
}

void house_event_by_chance(struct kit *k, struct chance *c, unsigned n)
{
    static char raw[4096], value[24][200], host[100];
    size_t at = 0, fields = chance(c, 8);
    unsigned how = chance(c, 4);

    event_clear(&k->e);
    k->e.time = (struct event_time){1795000000 + (int64_t)chance(c, 2000), chance(c, 3) ? 0 : chance(c, 1000000000)};
    k->e.seen = (struct event_time){1795000000 + n, n % 7};
    k->e.source = chance(c, 5);
    k->e.severity = (uint8_t)(chance(c, 3) ? chance(c, 8) : EVENT_NO_SEVERITY);
    k->e.notes = chance(c, 4) ? 0 : EVENT_DECODED;
    const char *format = chance(c, 2) ? "syslog" : "json", *name_;
    if (chance(c, 3))
        k->e.format = event_names_add(k->names, SM_SPAN_STR(format));
    if (chance(c, 2))
        k->e.product = event_names_add(k->names, SM_SPAN_STR("windows"));
    snprintf(host, sizeof host, "%s", chance(c, 3) ? "srv1" : word(c));
    k->e.host = SM_SPAN_STR(host);
    for (size_t i = 0; i < fields; i++) {
        snprintf(value[i], sizeof value[i], "%s%s%s", word(c), chance(c, 3) ? "" : " ", chance(c, 3) ? "" : word(c));
        name_ = names[chance(c, COUNT(names))];
        uint16_t name = event_names_add(k->names, SM_SPAN_STR(name_));
        assert_ok(event_add(&k->e, name, EVENT_TEXT, SM_SPAN_STR(value[i])));
        if (how) /* the value stands in raw, alone or in the middle of a word */
            at += (size_t)snprintf(
                raw + at, sizeof raw - at, "%s%s%s", how == 2 ? "x" : " ", value[i], how == 3 ? "z" : "=");
    }
    at += (size_t)snprintf(raw + at, sizeof raw - at, " %s %u", word(c), n);
    if (chance(c, 6) == 0) { /* no UTF-8 */
        raw[at++] = (char)0xe3;
        raw[at++] = (char)0x81;
        raw[at++] = 'q';
        raw[at++] = 0;
        raw[at++] = (char)0xff;
    }
    k->e.raw = SM_SPAN(raw, at);
}

static void quoted(const char *text, char *ret, size_t n)
{
    size_t at = 0;

    ret[at++] = '"';
    for (; *text && at + 4 < n; text++) {
        if (*text == '"' || *text == '\\')
            ret[at++] = '\\';
        ret[at++] = *text;
    }
    ret[at++] = '"';
    ret[at] = '\0';
}

static void term(struct chance *c, char *ret, size_t n)
{
    static const char *const own[] = {"host", "@product", "@format", "@rule", "raw", "@severity", "@id", "@source"};
    static const char *const wild[] = {"mimi*", "*katz", "c?d", "*cmd*", "患*", "*者", "?", "a?c", "ab?", "?bc", "*",
        "x*y", "*_*", "?oot", "1?", "カ?テ", "19*.7", "\\*", "a\\*b"};
    static const char *const tails[] = {">5", ">=31", "<0x20", "<=3.25", ":[1 TO 50]", ":{1 TO 31}",
        ":[192.0.2.1 TO 192.0.2.50]", ":192.0.2.0/24", ":2001:db8::/32", ":0.0.0.0/0", ":*", ">abc", "<m", ":[a TO n]",
        "=\"\"", ":\"\"", "=*katz", "=c?d", ":192.0.2.0/27", ">=192.0.2.7", ":::ffff:0:0/100"};
    const char *field = chance(c, 4) ? names[chance(c, COUNT(names))] : own[chance(c, COUNT(own))];
    char q[300];

    quoted(word(c), q, sizeof q);
    switch (chance(c, 7)) {
    case 0:
        snprintf(ret, n, "%s", q);
        break;
    case 1:
        snprintf(ret, n, "%s", wild[chance(c, COUNT(wild))]);
        break;
    case 2:
        snprintf(ret, n, "%s:%s", field, q);
        break;
    case 3:
        snprintf(ret, n, "%s=%s", field, q);
        break;
    case 4:
        snprintf(ret, n, "%s:%s", field, wild[chance(c, COUNT(wild))]);
        break;
    case 5:
        snprintf(ret, n, "%s%s", field, tails[chance(c, COUNT(tails))]);
        break;
    default:
        snprintf(ret, n, "@time:[2026-11-18T10:%02u TO 2026-11-18T10:%02u]", chance(c, 60), chance(c, 60));
    }
}

void house_query_by_chance(struct chance *c, char *ret, size_t n)
{
    struct evquery *q = NULL;
    int r;

    do {
        size_t at = 0;
        unsigned terms = 1 + chance(c, 3);
        for (unsigned i = 0; i < terms; i++) {
            char one[400];
            term(c, one, sizeof one);
            at += (size_t)snprintf(ret + at, n - at, "%s%s%s",
                !i             ? ""
                : chance(c, 2) ? " OR "
                               : " ",
                chance(c, 5) ? "" : "NOT ", one);
        }
        r = evquery_parse(SM_SPAN_STR(ret), 0, &q, NULL);
    } while (r < 0);
    evquery_free(q);
}
