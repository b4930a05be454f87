/* A house: opened, its tables made, what is there asked, blocks brought. */
#include "journal/house_int.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"

enum { BUSY_MS = 5000, BLOCKS_MOST = 8 << 20, BLOCKS_BYTES = 48 << 20 };

/* ---- the tables ---- */

static const char body[] =
    " (\n"
    "  box String, kept Date, block UInt64, events UInt32, id UInt64, class UInt8,\n"
    "  at DateTime, time Int64, ns UInt32, seen Int64, seen_ns UInt32, source UInt64, severity UInt8, notes UInt32,\n"
    "  host String, product String, category String, service String, format String, rules String,\n"
    "  user String, address String, process String, event_id String,\n"
    "  names Array(String), types Array(UInt8), vals Array(String), wide Array(String), nums Array(Float64), addrs "
    "Array(String),\n"
    "  text String, plain String, raw String\n"
    ")";

static bool is_name(const char *s)
{
    size_t n = strlen(s);

    return n && n <= HOUSE_NAME_MAX &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == n &&
           (uint8_t)(s[0] - '0') > 9;
}

int house_schema(const char *database, const char *table, const char *cluster, struct sm_buf *ret)
{
    int r;

    if (!is_name(database) || !is_name(table) || strlen(table) > HOUSE_NAME_MAX - 6 || (cluster && !is_name(cluster)))
        return -SM_EINVAL;
    r = sm_buf_printf(ret, "CREATE DATABASE IF NOT EXISTS `%s`;\n", database);
    if (r >= 0)
        r = sm_buf_printf(
            ret, "CREATE TABLE IF NOT EXISTS `%s`.`%s%s`%s\n", database, table, cluster ? "_local" : "", body);
    if (r >= 0)
        r = sm_buf_printf(ret, "ENGINE = MergeTree PARTITION BY toYYYYMM(kept) ORDER BY (box, time, ns, id) SETTINGS "
                               "index_granularity = 8192;\n");
    if (r >= 0 && cluster)
        r = sm_buf_printf(ret,
            "CREATE TABLE IF NOT EXISTS `%s`.`%s`%s\nENGINE = Distributed(`%s`, `%s`, `%s_local`, sipHash64(box, "
            "block));\n",
            database, table, body, cluster, database, table);
    return r < 0 ? r : 0;
}

/* Ask one of the servers alone, and keep what went wrong. */
static int ask_one(struct house *h, size_t url, const struct house_request *q)
{
    struct house one = *h;

    if (url)
        memcpy(one.conf.url[0], h->conf.url[url], sizeof one.conf.url[0]);
    one.conf.urls = 1;
    one.url = 0;
    int r = house_do(&one, q);
    memcpy(h->why, one.why, sizeof h->why);
    memcpy(h->reason, one.reason, sizeof h->reason);
    house_conf_wipe(&one.conf);
    return r;
}

static int make_tables(struct house *h, size_t url, const char *all, uint64_t until_ms)
{
    const char *end;
    int r = 0;

    for (const char *at = all; r >= 0 && (end = strstr(at, ";\n")); at = end + 2) {
        struct sm_buf sql = SM_BUF_INIT(64 << 10);
        r = sm_buf_put(&sql, at, (size_t)(end - at));
        const char *text = r < 0 ? NULL : sm_buf_str(&sql);
        r = text ? ask_one(h, url, &(struct house_request){.sql = text, .until_ms = until_ms}) : -ENOMEM;
        sm_buf_wipe(&sql);
    }
    return r;
}

int house_init(struct house *h, const char *cluster, uint64_t until_ms)
{
    struct sm_buf all = SM_BUF_INIT(64 << 10);
    int r = house_schema(h->conf.database, h->conf.table, cluster, &all);
    const char *text = r < 0 ? NULL : sm_buf_str(&all);

    if (r >= 0 && !text)
        r = -ENOMEM;
    if (r >= 0 && !cluster)
        r = make_tables(h, h->url, text, until_ms);
    for (size_t i = 0; r >= 0 && cluster && i < h->conf.urls; i++) /* each server has tables of its own */
        r = make_tables(h, i, text, until_ms);
    sm_buf_wipe(&all);
    return r;
}

/* ---- life ---- */

int house_box(const char *dir, char ret[HOUSE_BOX + 1])
{
    struct sm_buf text = SM_BUF_INIT(256);
    uint8_t bytes[HOUSE_BOX / 2];
    int fd = plat_fs_open_dir(AT_FDCWD, dir), r = fd < 0 ? fd : plat_fs_read_file(fd, "epoch0", 200, &text);

    if (r >= 0)
        r = text.n < HOUSE_BOX ? -SM_EFORMAT : sm_unhex((const char *)text.p, HOUSE_BOX, bytes, sizeof bytes);
    if (r >= 0)
        sm_hex(bytes, sizeof bytes, ret);
    if (fd >= 0)
        (void)close(fd);
    sm_buf_wipe(&text);
    return r < 0 ? r : 0;
}

int house_open(const struct house_conf *conf, const char *box, bool (*stop)(void *arg), void *arg, struct house **ret)
{
    struct house *h = calloc(1, sizeof *h);

    if (!h || strlen(box) != HOUSE_BOX) {
        free(h);
        return h ? -SM_EINVAL : -ENOMEM;
    }
    h->conf = *conf;
    memcpy(h->box, box, HOUSE_BOX + 1);
    h->stop = stop;
    h->arg = arg;
    h->curl = curl_easy_init();
    if (!h->curl) {
        free(h);
        return -ENOMEM;
    }
    *ret = h;
    return 0;
}

void house_free(struct house *h)
{
    if (!h)
        return;
    curl_easy_cleanup(h->curl);
    house_conf_wipe(&h->conf);
    free(h);
}

/* ---- what is there ---- */

bool house_set_has(const struct house_set *s, uint64_t block)
{
    return s && block && block <= s->most && s->bits[block >> 3] >> (block & 7) & 1;
}

int house_set_add(struct house_set *s, uint64_t block)
{
    if (!block || block > BLOCKS_MOST)
        return -SM_ELIMIT;
    if (!s->bits || block > s->most) {
        size_t had = s->bits ? (size_t)(s->most >> 3) + 1 : 0, n = (size_t)(block >> 3) + 1;
        if (n > had) {
            uint8_t *more = realloc(s->bits, n);
            if (!more)
                return -ENOMEM;
            memset(more + had, 0, n - had);
            s->bits = more;
        }
        s->most = block;
    }
    if (!house_set_has(s, block))
        s->blocks++;
    s->bits[block >> 3] |= (uint8_t)(1u << (block & 7));
    return 0;
}

void house_set_wipe(struct house_set *s)
{
    free(s->bits);
    *s = (struct house_set){0};
}

static int take_block(struct sm_rd *rd, struct house_set *s)
{
    uint64_t block = sm_rd_u64(rd), rows = sm_rd_u64(rd), events = sm_rd_u32(rd);
    int64_t first = (int64_t)sm_rd_u64(rd), last = (int64_t)sm_rd_u64(rd);
    bool any = s->blocks > 0;
    int r = rd->err ? -SM_EFORMAT : house_set_add(s, block);

    if (r < 0)
        return r == -ENOMEM ? r : -SM_EFORMAT;
    s->events += rows;
    if (rows != events && !s->odd++)
        s->odd_first = block;
    if (!any || first < s->first_s)
        s->first_s = first;
    if (!any || last > s->last_s)
        s->last_s = last;
    return 0;
}

int house_blocks(struct house *h, struct house_set *ret)
{
    struct sm_buf sql = SM_BUF_INIT(4096), in = SM_BUF_INIT(BLOCKS_BYTES);
    struct house_set s = {0};
    int r = sm_buf_printf(&sql,
        "SELECT block, count(), any(events), min(time), max(time) FROM `%s`.`%s` WHERE box = '%s' GROUP BY block "
        "FORMAT RowBinary",
        h->conf.database, h->conf.table, h->box);
    const char *text = r < 0 ? NULL : sm_buf_str(&sql);

    r = text ? house_do(h, &(struct house_request){.sql = text, .into = &in}) : -ENOMEM;
    for (struct sm_rd rd = SM_RD(sm_buf_span(&in)); r >= 0 && rd.n;)
        r = take_block(&rd, &s);
    if (r == -SM_EFORMAT)
        r = house_fail(h, r, "answer", "the list of what is there cannot be read");
    sm_buf_wipe(&sql);
    sm_buf_wipe(&in);
    if (r < 0) {
        house_set_wipe(&s);
        return r;
    }
    *ret = s;
    return 0;
}

int house_count(struct house *h, uint64_t block, uint64_t *ret)
{
    struct sm_buf in = SM_BUF_INIT(64);
    char sql[400];

    (void)snprintf(sql, sizeof sql,
        "SELECT count() FROM `%s`.`%s` WHERE box = '%s' AND block = %" PRIu64 " FORMAT RowBinary", h->conf.database,
        h->conf.table, h->box, block); /* fits */
    int r = house_do(h, &(struct house_request){.sql = sql, .into = &in});
    struct sm_rd rd = SM_RD(sm_buf_span(&in));
    uint64_t n = r < 0 ? 0 : sm_rd_u64(&rd);
    if (r >= 0 && sm_rd_done(&rd) < 0)
        r = house_fail(h, -SM_EFORMAT, "answer", "a number was expected");
    sm_buf_wipe(&in);
    if (r >= 0)
        *ret = n;
    return r;
}

int house_ping(struct house *h)
{
    struct sm_buf in = SM_BUF_INIT(4096);
    char sql[400];

    (void)snprintf(sql, sizeof sql, "SELECT block, id FROM `%s`.`%s` WHERE box = '%s' LIMIT 1 FORMAT RowBinary",
        h->conf.database, h->conf.table, h->box); /* fits */
    int r = house_do(h, &(struct house_request){.sql = sql, .into = &in});
    sm_buf_wipe(&in);
    return r;
}

/* Whoever took the insert, and whoever it was handed to: each server is asked.  One that is not there runs nothing. */
int house_busy(struct house *h, bool *ret)
{
    struct sm_buf in = SM_BUF_INIT(64);
    bool busy = false;
    char sql[200];
    int r = 0;

    (void)snprintf(sql, sizeof sql,
        "SELECT count() FROM system.processes WHERE initial_query_id LIKE 'sakimori-%s-%%' FORMAT RowBinary",
        h->box); /* fits */
    for (size_t i = 0; r >= 0 && i < h->conf.urls; i++) {
        sm_buf_clear(&in);
        r = ask_one(h, i, &(struct house_request){.sql = sql, .into = &in, .until_ms = plat_clock_mono_ms() + BUSY_MS});
        struct sm_rd rd = SM_RD(sm_buf_span(&in));
        if (r >= 0)
            busy |= sm_rd_u64(&rd) > 0;
        else if (r == -SM_EPEER || r == -SM_ECANCEL || !strcmp(h->reason, "rights"))
            r = 0; /* the count of rows alone has to do */
    }
    sm_buf_wipe(&in);
    if (r >= 0)
        *ret = busy;
    return r;
}

/* ---- bringing ---- */

int house_next(const struct evreader *r, const struct house_set *there, uint64_t after, struct house_block *ret,
    uint64_t *ret_waiting)
{
    const struct ev_entry *best = NULL;
    uint64_t waiting = 0;

    for (size_t i = 0; i < r->segs; i++)
        for (size_t k = 0; k < r->seg[i].n; k++) {
            const struct ev_entry *e = &r->seg[i].entry[k];
            if (house_set_has(there, e->number))
                continue;
            waiting += e->events;
            if (e->number > after && (!best || e->number < best->number))
                best = e;
        }
    *ret_waiting = waiting;
    if (!best)
        return 0;
    *ret = (struct house_block){.number = best->number,
        .events = best->events,
        .first_s = best->first.s,
        .last_s = best->last.s,
        .seen_s = best->seen_last};
    return 1;
}

int house_put(struct house *h, struct evreader *r, const struct house_block *b)
{
    struct house_rower *rows = NULL;
    char id[120];
    struct sm_buf sql = SM_BUF_INIT(4096);
    int e = house_rower_new(r, h->box, b, &rows);

    if (e < 0)
        return house_fail(h, e, "block", "the block cannot be read");
    h->why[0] = h->reason[0] = '\0';
    if (e >= 0)
        e = sm_buf_printf(
            &sql, "INSERT INTO `%s`.`%s` (%s) FORMAT RowBinary", h->conf.database, h->conf.table, house_columns);
    const char *text = e < 0 ? NULL : sm_buf_str(&sql);
    if (e >= 0 && !text)
        e = -ENOMEM;
    (void)snprintf(id, sizeof id, "sakimori-%s-%" PRIu64 "-%" PRIu64 "-%u", h->box, b->number, plat_clock_mono_ns(),
        ++h->tries); /* fits */
    if (e >= 0)
        e = house_do(h, &(struct house_request){.sql = text, .rows = rows, .id = id});
    house_rower_free(rows);
    sm_buf_wipe(&sql);
    return e;
}
