/* sakimori-sim DIR --style full,rename,note [--seed N] · sakimori-sim hostile --agent DIR --work DIR [...] */
#include <errno.h>
#include <inttypes.h>
#include "crypto/init.h"
#include "sim.h"

static const struct { const char *name; unsigned bit; } styles[] = { { "full", SIM_FULL }, { "partial", SIM_PARTIAL },
    { "rename", SIM_RENAME }, { "delete", SIM_DELETE }, { "note", SIM_NOTE } };

static int usage(void)
{
    fputs("usage: sakimori-sim DIR --style full|partial|rename|delete|note[,...] [--seed N]\n"
          "       sakimori-sim hostile --agent DIR --work DIR [--url URL] [--source HEX --run HEX] [--only ATTACK]\n"
          "Harmless: files only below a DIR that holds " SIM_MARKER "; see tests/sim/sim.h\n", stderr);
    return 2;
}

/* 0 when a word is unknown. */
static unsigned read_styles(const char *text)
{
    unsigned all = 0;
    while (*text) {
        size_t n = strcspn(text, ","), i = 0;
        while (i < 5 && (strlen(styles[i].name) != n || memcmp(styles[i].name, text, n)))
            i++;
        if (i == 5)
            return 0;
        all |= styles[i].bit;
        text += n + (text[n] == ',');
    }
    return all;
}

static void print_row(void *arg, json_t *row)
{
    unsigned *open = arg;
    *open += !json_is_true(json_object_get(row, "refused"));
    if (json_dumpf(row, stdout, JSON_COMPACT) == 0)
        putchar('\n');
    fflush(stdout);
}

static int hostile(int argc, char **argv)
{
    struct sim_hostile h = { 0 };
    const struct {
        const char *name;
        const char **to;
    } opts[] = { { "--agent", &h.agent }, { "--work", &h.work }, { "--url", &h.url }, { "--source", &h.source },
        { "--run", &h.run }, { "--only", &h.only } };
    for (int i = 2; i < argc; i += 2) {
        size_t k = 0;
        while (k < 6 && strcmp(opts[k].name, argv[i]))
            k++;
        if (k == 6 || i + 1 == argc)
            return usage();
        *opts[k].to = argv[i + 1];
    }
    unsigned open = 0;
    if (!h.agent || !h.work)
        return usage();
    int r = sim_hostile(&h, print_row, &open);
    if (r < 0)
        fprintf(stderr, "sakimori-sim: %s\n", sm_strerror(r));
    return r < 0 ? 1 : open ? 3 : 0;
}

int main(int argc, char **argv)
{
    struct sim_counts n = { 0 };
    uint64_t seed = 1;
    unsigned what = 0;
    if (crypto_init() < 0)
        return 1;
    if (argc > 1 && !strcmp(argv[1], "hostile"))
        return hostile(argc, argv);
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 == argc)
            return usage();
        if (!strcmp(argv[i], "--style"))
            what = read_styles(argv[i + 1]);
        else if (!strcmp(argv[i], "--seed"))
            seed = strtoull(argv[i + 1], NULL, 10);
        else
            return usage();
    }
    if (!what)
        return usage();
    int r = sim_files(argv[1], what, seed, &n);
    if (r < 0) {
        fprintf(stderr, "sakimori-sim: %s: %s\n", argv[1],
            r == -SM_EDENIED ? "no " SIM_MARKER " in it, nothing done" : sm_strerror(r));
        return 1;
    }
    printf("{\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"renamed\":%" PRIu64 ",\"deleted\":%" PRIu64
           ",\"notes\":%" PRIu64 ",\"failed\":%" PRIu64 "}\n",
        n.files, n.bytes, n.renamed, n.deleted, n.notes, n.failed);
    return 0;
}
