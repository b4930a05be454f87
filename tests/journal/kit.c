#include "../test.h"
#include "kit.h"

#include <stdlib.h>
#include <unistd.h>

#include "plat/fault.h"
#include "plat/fs.h"

int kit_set_up(void **state)
{
    struct kit *k = calloc(1, sizeof *k);

    if (!k)
        return -1;
    snprintf(k->dir, sizeof k->dir, "/tmp/sakimori-journal-XXXXXX");
    k->names = event_names_new();
    *state = k;
    return !mkdtemp(k->dir) || !k->names || event_init(&k->e) < 0 ? -1 : 0;
}

int kit_tear_down(void **state)
{
    struct kit *k = *state;

    plat_fault_clear();
    evidence_free(k->j);
    event_wipe(&k->e);
    event_names_free(k->names);
    evseal_wipe(&k->seal);
    int r = plat_fs_remove_tree(AT_FDCWD, k->dir);
    free(k);
    return r;
}

void kit_open(struct kit *k, struct evidence_found *found)
{
    assert_ok(evidence_open(k->dir, &k->conf, &k->j, found));
}

void kit_close(struct kit *k)
{
    evidence_free(k->j);
    k->j = NULL;
}

static void field(struct kit *k, const char *name, enum event_type type, const char *from, size_t n)
{
    assert_ok(event_add(&k->e, event_names_add(k->names, SM_SPAN_STR(name)), type, SM_SPAN(from, n)));
}

/* The part of raw that is text. */
static void part(struct kit *k, const char *name, const char *raw, const char *text)
{
    const char *p = strstr(raw, text);

    assert_non_null(p);
    field(k, name, EVENT_TEXT, p, strlen(text));
}

void kit_text(struct kit *k, int64_t time_s, const char *raw)
{
    event_clear(&k->e);
    k->e.time = (struct event_time){ time_s, 0 };
    k->e.seen = (struct event_time){ time_s + 1, 500 };
    k->e.raw = SM_SPAN_STR(raw);
    k->e.format = event_names_add(k->names, SM_SPAN_STR("syslog"));
    k->e.host = SM_SPAN_STR("srv1");
}

void kit_sample(struct kit *k, unsigned n)
{
    static char raw[512], address[32], user[32];

    snprintf(address, sizeof address, "198.51.%u.%u", n / 200 % 250, n % 200 + 1);
    snprintf(user, sizeof user, "user%u", n % 17);
    if (n % 3)
        snprintf(raw, sizeof raw, "<38>Nov 23 01:%02u:%02u srv1 sshd[%u]: Failed password for %s from %s port %u",
            n / 60 % 60,
            n % 60, 800 + n % 5, user, address, 1024 + n);
    else
        snprintf(raw, sizeof raw, "<38>Nov 23 01:%02u:%02u srv1 app[7]: 患者番号%uのカルテを%sが開いた %s", n / 60 % 60, n % 60,
            n, user, address);
    kit_text(k, 1795000000 + (int64_t)n, raw);
    k->e.source = n % 4;
    part(k, "user", raw, user);
    part(k, "src_ip", raw, address);
    field(k, "number", EVENT_NUMBER, "12345678" + n % 8, 1);
}

void kit_json(struct kit *k, unsigned n)
{
    static char raw[512], image[64];

    snprintf(raw, sizeof raw,
        "{\"EventID\":%u,\"Image\":\"C:\\\\Windows\\\\System32\\\\cmd%u.exe\",\"User\":\"CLINIC\\\\jimu\"}", 4000 + n,
        n % 3);
    snprintf(image, sizeof image, "C:\\Windows\\System32\\cmd%u.exe", n % 3);
    kit_text(k, 1795000000 + (int64_t)n, raw);
    char id[16];
    snprintf(id, sizeof id, "%u", 4000 + n);
    const char *p = strstr(raw, id);
    field(k, "EventID", EVENT_NUMBER, p, strlen(id));
    field(k, "Image", EVENT_TEXT, image, strlen(image));
    static const char user[] = "CLINIC\\jimu";
    field(k, "User", EVENT_TEXT, user, strlen(user));
}

uint64_t kit_append(struct kit *k, unsigned n)
{
    uint64_t id = 0;
    const struct evidence_extra extra = { .klass = (uint8_t)(n % 2), .rules = SM_SPAN_STR(n % 10
        ? "" : "rule-a rule-b") };

    kit_sample(k, n);
    assert_ok(evidence_append(k->j, k->names, &k->e, &extra, &id));
    return id;
}

void kit_fill(struct kit *k, unsigned from, unsigned to)
{
    for (unsigned n = from; n < to; n++)
        (void)kit_append(k, n);
    assert_ok(evidence_commit(k->j));
}

void kit_seal(struct kit *k)
{
    uint8_t statement[EVSEAL_LEN], body[EVSEAL_ROOT_LEN];
    struct evseal_root root;

    assert_int_equal(evidence_seal_root(k->j, &root), 1);
    evseal_root_pack(&root, body);
    assert_ok(evseal_sign(&k->seal, EVSEAL_BLOCKS, SM_SPAN(body, sizeof body), 1795000000, statement));
    assert_ok(evidence_seal_put(k->j, statement, SM_SPAN(body, sizeof body)));
}

void kit_advance(struct kit *k)
{
    uint8_t statement[EVSEAL_LEN], body[CRYPTO_SIGN_PUBLIC_LEN];

    assert_ok(evseal_advance(&k->seal, 1795000000, statement, body));
    assert_ok(evidence_seal_put(k->j, statement, SM_SPAN(body, sizeof body)));
}

uint64_t kit_count(const char *dir, const char *text)
{
    struct evsearch s = { 0 };
    struct evquery *q = NULL;
    struct evquery_error why;
    struct evreader *r = NULL;
    uint64_t n = 0;

    if (evquery_parse(SM_SPAN_STR(text), 0, &q, &why) < 0)
        fail_msg("%s: %zu %s", text, why.at_char, why.en);
    assert_ok(evreader_open(dir, &r));
    s.query = q;
    assert_ok(evsearch_count(r, &s, &n, NULL));
    evreader_free(r);
    evquery_free(q);
    return n;
}

void kit_link(struct kit *k)
{
    uint8_t statement[EVSEAL_LEN], body[EVSEAL_LINK_LEN];

    assert_true(evidence_link(k->j, body));
    assert_ok(evseal_sign(&k->seal, EVSEAL_LINK, SM_SPAN(body, sizeof body), 1795000000, statement));
    assert_ok(evidence_seal_put(k->j, statement, SM_SPAN(body, sizeof body)));
    kit_advance(k);
}
