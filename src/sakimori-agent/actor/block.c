/*
 * Destinations that this machine may not reach: an address, a prefix, or a name, which is looked up now and again later.  Those of the
 * signed policy are blocked as long as it says so; those of an order until they end or are taken back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "sakimori-agent/actor/actor.h"

enum { NAME_MAX_TEXT = 253 };

/* ---- names ---- */

/* A name of the Internet: labels of letters, digits and hyphens with a point between; never something that could be a number. */
static bool name_good(const char *s)
{
    size_t n = strlen(s);
    const char *last = strrchr(s, '.');
    if (n < 3 || n > NAME_MAX_TEXT || !last || strspn(last + 1, "0123456789") == strlen(last + 1))
        return false;
    for (size_t i = 0, label = 0; i <= n; i++, label++) {
        if (s[i] && s[i] != '.') {
            if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", s[i]))
                return false;
            continue;
        }
        if (label == 0 || label > 63)
            return false;
        label = (size_t)-1;
    }
    return true;
}

/* The addresses of a name, as texts; at most HOLD_AT_MAX.  Any thread.  -SM_ENOTFOUND. */
static int look_up(const char *name, json_t *ret)
{
    const struct addrinfo hint = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char text[INET6_ADDRSTRLEN];
    if (getaddrinfo(name, NULL, &hint, &list))
        return -SM_ENOTFOUND;
    for (const struct addrinfo *i = list; i && json_array_size(ret) < HOLD_AT_MAX; i = i->ai_next) {
        const void *p = i->ai_family == AF_INET ? (const void *)&((const struct sockaddr_in *)(const void *)i->ai_addr)->sin_addr
                                                : (const void *)&((const struct sockaddr_in6 *)(const void *)i->ai_addr)->sin6_addr;
        if ((i->ai_family == AF_INET || i->ai_family == AF_INET6) && inet_ntop(i->ai_family, p, text, sizeof text))
            (void)json_array_append_new(ret, json_string(text)); /* one address less, where there is no memory */
    }
    freeaddrinfo(list);
    return json_array_size(ret) ? 0 : -SM_ENOTFOUND;
}

/* ---- the packet filter ---- */

struct gathered { struct plat_nf_to *to; size_t n; uint8_t box[PLAT_NF_BOX_MAX][16]; size_t box_n; };

/* Never the box, never ourselves: blocking these would cut the hand that could take it back. */
static bool untouchable(const struct plat_nf_to *t, const uint8_t (*box)[16], size_t n)
{
    struct plat_nf_to one = {.bits = 128};
    for (size_t i = 0; i < n; i++) {
        memcpy(one.address, box[i], 16);
        if (plat_nf_inside(t, &one))
            return true;
    }
    return plat_nf_own(t);
}

static void gather_row(struct gathered *g, const json_t *at, uint32_t left_s)
{
    const json_t *v;
    size_t i;
    json_array_foreach(at, i, v)
    {
        struct plat_nf_to t;
        const char *s = json_string_value(v);
        if (g->n == PLAT_NF_TO_MAX || !s || plat_nf_parse(s, &t) || untouchable(&t, (const uint8_t (*)[16])g->box, g->box_n))
            continue;
        t.left_s = left_s;
        g->to[g->n++] = t;
    }
}

static uint32_t left_of(int64_t until, int64_t now)
{
    int64_t left = until - now;
    return !until ? 0 : left < 1 ? 1 : left > 30 * 86400 ? 30 * 86400 : (uint32_t)left;
}

static void gather_box(const struct actor *a, struct gathered *g)
{
    const json_t *v;
    size_t i;
    json_array_foreach(hold_list(&a->hold, "box"), i, v)
    {
        struct plat_nf_to t;
        if (g->box_n < PLAT_NF_BOX_MAX && !plat_nf_parse(json_string_value(v), &t))
            memcpy(g->box[g->box_n++], t.address, 16);
    }
}

/* The agents' port, and the console's, which is the one before. */
static uint16_t port_of(const char *url)
{
    const char *colon = strrchr(url, ':');
    long n = colon ? strtol(colon + 1, NULL, 10) : 0;
    return n > 0 && n < 65536 ? (uint16_t)n : 443;
}

static void host_of(const char *url, char ret[256])
{
    const char *p = strstr(url, "//"), *end;
    p = p ? p + 2 : url;
    bool six = *p == '[';
    p += six;
    end = p + strcspn(p, six ? "]" : ":/");
    (void)snprintf(ret, 256, "%.*s", (int)(end - p), p); /* too long a name is none */
}

/* While it is isolated nobody answers for names: link is told where the box is. */
void net_pin(struct actor *a)
{
    struct sm_buf b = SM_BUF_INIT(900);
    struct plat_nf_to t;
    char host[256];
    const json_t *v;
    size_t i;
    int r = 0;
    host_of(a->config.url, host);
    if (!a->link || !plat_nf_parse(host, &t))
        return;
    json_array_foreach(hold_list(&a->hold, "box"), i, v)
    {
        const char *s = json_string_value(v);
        bool six = strchr(s, ':') != NULL;
        if (!r && json_is_object(json_object_get(a->hold.o, "isolated")))
            r = b.n ? sm_buf_printf(&b, ",%s%s%s", six ? "[" : "", s, six ? "]" : "")
                    : sm_buf_printf(&b, "%s:%u:%s%s%s", host, port_of(a->config.url), six ? "[" : "", s, six ? "]" : "");
    }
    (void)!sm_ipc_send(a->link, L_PINNED, sm_buf_span(&b), -1); /* told again with the next change, and to a new link */
    sm_buf_wipe(&b);
}

int net_apply(struct actor *a, char *ret_why)
{
    struct gathered g = {.to = calloc(PLAT_NF_TO_MAX, sizeof *g.to)};
    const json_t *isolated = json_object_get(a->hold.o, "isolated"), *row;
    int64_t now = actor_now_s();
    size_t i;
    ret_why[0] = 0;
    if (!g.to)
        return -ENOMEM;
    gather_box(a, &g);
    json_array_foreach(hold_list(&a->hold, "to"), i, row)
        gather_row(&g, json_object_get(row, "at"), left_of(json_integer_value(json_object_get(row, "until")), now));
    json_array_foreach(json_object_get(a->hold.o, "policy_to"), i, row) gather_row(&g, json_object_get(row, "at"), 0);
    uint16_t port = port_of(a->config.url);
    struct plat_nf_rules r = {.to = g.to, .to_n = g.n, .box = (const uint8_t (*)[16])g.box, .box_n = g.box_n,
        .port = {port, (uint16_t)(port - 1)}, .isolated = json_is_object(isolated)};
    if (r.isolated)
        r.isolated_s = left_of(json_integer_value(json_object_get(isolated, "until")), now);
    bool any = r.isolated || r.to_n;
    int e = any || json_is_true(json_object_get(a->hold.o, "table")) ? plat_netfilter_set(&r, ret_why) : 0;
    if (!e)
        (void)json_object_set_new(a->hold.o, "table", json_boolean(any)); /* else it is set once more at the next start */
    net_pin(a);
    free(g.to);
    return e;
}

/* ---- rows ---- */

static const char *to_of(const struct act *t)
{
    return act_text(t, "to");
}

static int check(struct act *t)
{
    struct actor *a = t->a;
    struct plat_nf_to at;
    struct gathered g = {0};
    const char *to = to_of(t);
    if (plat_nf_wide(to)) {
        act_say(t, "this is too much of the network: at least /8, with IPv6 /16");
        return -SM_EINVAL;
    }
    if (plat_nf_parse(to, &at) && !name_good(to)) {
        act_say(t, "this is no address, prefix or name");
        return -SM_EINVAL;
    }
    gather_box(a, &g);
    if (!plat_nf_parse(to, &at) && untouchable(&at, (const uint8_t (*)[16])g.box, g.box_n)) {
        act_say(t, "this would cut the machine off from its box or from itself");
        return -SM_EDENIED;
    }
    if (!hold_find(&a->hold, "to", "to", to) && json_array_size(hold_list(&a->hold, "to")) >= HOLD_TO_MAX) {
        act_say(t, "too many are blocked already");
        return -SM_ELIMIT;
    }
    return 0;
}

static void find(struct act *t)
{
    struct plat_nf_to at;
    json_t *list = json_array();
    int r = list ? 0 : -ENOMEM;
    if (!r && !plat_nf_parse(to_of(t), &at))
        r = json_array_append_new(list, json_string(to_of(t))) ? -ENOMEM : 0;
    else if (!r)
        r = look_up(to_of(t), list);
    if (r)
        act_fail(t, r, "%s", r == -SM_ENOTFOUND ? "the name has no address" : sm_strerror(r));
    t->mem = list;
}

static void block(struct act *t)
{
    struct actor *a = t->a;
    json_t *at = t->mem, *row;
    char why[PLAT_NF_WHY] = "";
    int64_t now = actor_now_s();
    t->mem = NULL;
    if (t->err) {
        json_decref(at);
        return;
    }
    hold_drop(&a->hold, "to", "to", to_of(t));
    row = json_pack("{s:s,s:O,s:I,s:I,s:s}", "to", to_of(t), "at", at, "since", (json_int_t)now, "until",
        (json_int_t)(t->for_s ? now + t->for_s : 0), "by", t->by_order ? t->id : "policy");
    int r = !row || json_array_append_new(hold_list(&a->hold, "to"), row) ? -ENOMEM : hold_save(&a->hold);
    if (!r)
        r = net_apply(a, why);
    if (r) {
        hold_drop(&a->hold, "to", "to", to_of(t));
        (void)!hold_save(&a->hold); /* set again at the next start, and then told */
        act_filter(t, r, why);
    } else {
        act_say(t, "the destination is blocked");
        act_fact(t, "at", json_incref(at));
        actor_event(a, "blocked_address", json_pack("{s:s}", "DestinationIp", to_of(t)));
        actor_tick_soon(a);
    }
    json_decref(at);
}

const struct action act_block_address = {
    .name = "block_address", .allow = ALLOW_NOBODY, .again = true, .check = check, .run = find, .ended = block};

static void unblock(struct act *t)
{
    struct actor *a = t->a;
    char why[PLAT_NF_WHY] = "";
    bool was = hold_find(&a->hold, "to", "to", to_of(t)) != NULL;
    if (!was) {
        act_fail(t, -SM_ENOTFOUND, "it is not blocked by an order");
        return;
    }
    hold_drop(&a->hold, "to", "to", to_of(t));
    int r = hold_save(&a->hold);
    if (!r)
        r = net_apply(a, why);
    if (r)
        act_filter(t, r, why);
    else
        act_say(t, "the destination is not blocked any more");
}

const struct action act_unblock_address = {.name = "unblock_address", .allow = ALLOW_NOBODY, .ended = unblock};

/* ---- names looked up again, the box's too ---- */

struct resolved { char url[512]; json_t *names; json_t *found; json_t *box; };

static void resolve(struct act *t)
{
    struct resolved *r = t->mem;
    const char *name;
    json_t *v;
    char host[256];
    (void)v;
    host_of(r->url, host);
    (void)!look_up(host, r->box); /* without an answer what is known stays */
    json_object_foreach(r->names, name, v)
    {
        struct plat_nf_to at;
        json_t *list = json_array();
        int e = !plat_nf_parse(name, &at) ? json_array_append_new(list, json_string(name)) : look_up(name, list);
        if (!e)
            (void)json_object_set(r->found, name, list); /* else it stays as it was */
        json_decref(list);
    }
}

static void take_found(struct actor *a, const struct resolved *r)
{
    json_t *row, *policy = json_array(), *old = json_object_get(a->hold.o, "policy_to");
    size_t i, k;
    if (json_array_size(r->box))
        (void)json_object_set(a->hold.o, "box", r->box);
    json_array_foreach(hold_list(&a->hold, "to"), i, row)
    {
        json_t *at = json_object_get(r->found, json_string_value(json_object_get(row, "to")));
        if (at)
            (void)json_object_set(row, "at", at);
    }
    for (i = 0; i < a->policy.block_to.n; i++) {
        const char *to = a->policy.block_to.at[i];
        json_t *at = json_object_get(r->found, to);
        json_array_foreach(old, k, row) if (!at && !strcmp(json_string_value(json_object_get(row, "to")), to)) at =
            json_object_get(row, "at");
        if (at)
            (void)json_array_append_new(policy, json_pack("{s:s,s:O}", "to", to, "at", at)); /* told by what is missing */
    }
    (void)json_object_set_new(a->hold.o, "policy_to", policy);
}

static void resolved(struct act *t)
{
    struct actor *a = t->a;
    struct resolved *r = t->mem;
    char why[PLAT_NF_WHY] = "";
    json_t *before = json_deep_copy(a->hold.o);
    a->resolving = false;
    take_found(a, r);
    if (before && !json_equal(before, a->hold.o)) {
        int e = hold_save(&a->hold);
        if (!e)
            e = net_apply(a, why);
        if (e)
            sm_error("the packet filter could not be set: %s", why[0] ? why : sm_strerror(e));
    }
    json_decref(before);
    json_decref(r->names);
    json_decref(r->found);
    json_decref(r->box);
    free(r);
    t->mem = NULL;
}

/* Nobody asks for this one; it is no row of the table. */
static const struct action act_resolve = {.name = "resolve", .run = resolve, .ended = resolved};

void net_resolve(struct actor *a)
{
    struct resolved *r = a->resolving ? NULL : calloc(1, sizeof *r);
    struct act *t = r ? act_new(a, &act_resolve, "own", NULL) : NULL;
    json_t *row;
    size_t i;
    a->resolved_ms = plat_clock_mono_ms();
    if (!t) {
        free(r);
        return;
    }
    (void)snprintf(r->url, sizeof r->url, "%s", a->config.url);
    r->names = json_object();
    r->found = json_object();
    r->box = json_array();
    json_array_foreach(hold_list(&a->hold, "to"), i, row)
        (void)json_object_set_new(r->names, json_string_value(json_object_get(row, "to")), json_null());
    for (i = 0; i < a->policy.block_to.n; i++)
        (void)json_object_set_new(r->names, a->policy.block_to.at[i], json_null());
    t->mem = r;
    t->silent = true;
    a->resolving = true;
    actor_begin(t);
}
