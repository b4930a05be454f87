/*
 * Fills the two tables that grow with a vault (objects, closed pages), as the store keeps them, with as many rows as a
 * vault of the size asked has, and says what memory they take: nothing is stored but the tables themselves.
 *   bench-index FOLDER TERABYTES MEAN_OBJECT_KIB          one JSON object a line: name, value, unit
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plat/clock.h"
#include "vault/index/run.h"
#include "vault/store/store_internal.h"

#define PAGES_SHARE 64 /* objects to a page */

/* Keys are hashes: SplitMix64 (Steele, Lea, Flood 2014) spreads them the same way. */
static uint64_t spread(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void key_of(uint64_t n, uint8_t key[32])
{
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t x = spread(n * 4 + i);
        memcpy(key + 8 * i, &x, 8);
    }
}

/* Of the process: memory that is its own, in MB. */
static double own_mb(void)
{
    char line[200];
    double kb = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssAnon: %lf kB", &kb) == 1)
            break;
    if (f && fclose(f))
        kb = -1;
    return kb / 1024;
}

static void tell(const char *name, double value, const char *unit)
{
    printf("{\"name\":\"%s\",\"value\":%.3f,\"unit\":\"%s\"}\n", name, value, unit);
    fflush(stdout);
}

static double seconds_since(uint64_t ms)
{
    return (double)(plat_clock_mono_ms() - ms) / 1000;
}

struct tables { struct index_table *objects, *closed; };

static int open_both(int dir, size_t memory, struct tables *t)
{
    struct index_config c = {.key_bytes = 32, .value_bytes = PLACE_BYTES, .memory_bytes = memory};
    bool unsound;
    int r = index_open(dir, "objects", &c, &t->objects, &unsound);
    c.value_bytes = SUMS_BYTES;
    return r ? r : index_open(dir, "closed", &c, &t->closed, &unsound);
}

static int fill(struct tables *t, uint64_t rows, double *ret_mb, double *ret_table_mb)
{
    uint8_t key[32], value[64] = {0};
    int r = 0;
    for (uint64_t i = 0; i < rows && !r; i++) {
        key_of(i, key);
        memcpy(value, &i, 8);
        r = index_put(t->objects, key, value);
        if (!r && i % PAGES_SHARE == 0)
            r = index_put(t->closed, key, value);
        if (i % 100000 == 0 || i + 1 == rows) {
            double mb = own_mb(), table = (double)(index_memory(t->objects) + index_memory(t->closed)) / 1e6;
            *ret_mb = mb > *ret_mb ? mb : *ret_mb;
            *ret_table_mb = table > *ret_table_mb ? table : *ret_table_mb;
        }
    }
    r = r ? r : index_flush(t->objects);
    return r ? r : index_flush(t->closed);
}

/* Microseconds a look-up; every key is there (or none is).  Negative: an answer was wrong. */
static double look(const struct index_table *t, uint64_t rows, bool there)
{
    const uint64_t tries = 200000;
    uint8_t key[32], value[64];
    uint64_t from = plat_clock_mono_ms();
    for (uint64_t i = 0; i < tries; i++) {
        uint64_t n = spread(i) % rows, said = 0;
        key_of(there ? n : rows + n, key);
        if (index_get(t, key, value) != (there ? 1 : 0))
            return -1;
        if (there)
            memcpy(&said, value, 8);
        if (there && said != n)
            return -1;
    }
    return seconds_since(from) * 1e6 / (double)tries;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    const struct store_limits limits = STORE_LIMITS_DEFAULT;
    uint64_t rows = (uint64_t)(strtod(argv[2], NULL) * 1e12 / (strtod(argv[3], NULL) * 1024));
    double mb = 0, table_mb = 0;
    struct tables t = {0};
    int dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    double before = own_mb();
    uint64_t from = plat_clock_mono_ms();
    if (dir < 0 || rows == 0 || open_both(dir, limits.index_memory_bytes, &t) || fill(&t, rows, &mb, &table_mb))
        return 1;
    tell("objects", (double)rows, "count");
    tell("tables in memory, most", table_mb, "MB");
    tell("memory of the process, most", mb - before, "MB");
    tell("filled in", seconds_since(from), "s");
    double hit = look(t.objects, rows, true), miss = look(t.objects, rows, false);
    tell("a look-up that hits", hit, "us");
    tell("a look-up that misses", miss, "us");
    index_close(t.objects);
    index_close(t.closed);
    from = plat_clock_mono_ms();
    if (open_both(dir, limits.index_memory_bytes, &t))
        return 1;
    tell("opened again, every run hashed", seconds_since(from), "s");
    tell("memory after opening", own_mb() - before, "MB");
    tell("rows after opening", (double)index_rows(t.objects), "count");
    index_close(t.objects);
    index_close(t.closed);
    return hit < 0 || miss < 0;
}
