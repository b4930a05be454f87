/* Part of watch_sigma.c: the speed of parse, normalise and match on lines of JSON, and its peer. */

struct lines {
    struct sm_span all;
    size_t n, cap;
    struct sm_span *line;
};

static void add_lines(struct lines *l, struct sm_span text)
{
    for (size_t i = 0; i < text.n;) {
        const uint8_t *end = memchr(text.p + i, '\n', text.n - i);
        size_t n = end ? (size_t)(end - text.p) - i : text.n - i;
        if (l->n == l->cap) {
            l->cap = l->cap ? 2 * l->cap : 1024;
            l->line = realloc(l->line, l->cap * sizeof *l->line);
            if (!l->line)
                die("lines", -ENOMEM);
        }
        if (n)
            l->line[l->n++] = SM_SPAN(text.p + i, n);
        i += n + 1;
    }
}

static void count_hit(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    ++*(size_t *)ctx;
}

/* Parse alone (match false), or parse and match. */
static double run(const struct lines *l, struct sigma_scratch *s, bool match, size_t *hits)
{
    struct windows *w = NULL;
    struct event e;

    if (windows_new(names, &w) < 0 || event_init(&e) < 0)
        die("normalise", -ENOMEM);
    double begin = cpu_s();
    for (size_t i = 0; i < l->n; i++) {
        event_clear(&e);
        if (windows_json(w, l->line[i], NORMALISE_ZONE_JST, &e) == -ENOMEM)
            die("normalise", -ENOMEM);
        e.raw = l->line[i];
        if (match && sigma_match(matcher, s, &e, count_hit, hits) < 0)
            die("match", -ENOMEM);
    }
    double took = cpu_s() - begin;
    event_wipe(&e);
    windows_free(w);
    return took;
}

/* The peer: every literal of every rule in one database, run over the whole line. */
struct pile {
    size_t n, cap;
    const char **text;
    size_t *len;
};

static void pile_expr(struct pile *p, struct pool *pool, const struct expr *x, unsigned depth)
{
    for (uint32_t i = 0; i < x->n && depth < 64; i++)
        pile_expr(p, pool, x->kid[i], depth + 1);
    if (x->op != OP_ATOM || x->atom->test != TEST_TEXT)
        return;
    for (uint32_t i = 0; i < x->atom->n; i++) {
        struct stretch s;
        if (pattern_stretch(pool, &x->atom->pattern[i], &s) < 0 || s.n < 3)
            continue;
        if (p->n == p->cap) {
            p->cap = p->cap ? 2 * p->cap : 1024;
            p->text = realloc(p->text, p->cap * sizeof *p->text);
            p->len = realloc(p->len, p->cap * sizeof *p->len);
            if (!p->text || !p->len)
                die("peer", -ENOMEM);
        }
        p->text[p->n] = (const char *)s.p;
        p->len[p->n++] = s.n;
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static hs_database_t *peer(size_t *ret_n)
{
    struct pile p = { 0 };
    struct pool pool = { 0 };
    hs_database_t *db = NULL;
    hs_compile_error_t *why = NULL;

    for (size_t i = 0; i < set->n; i++)
        if (set->rule[i]->cond)
            pile_expr(&p, &pool, set->rule[i]->cond, 0);
    qsort(p.text, p.n, sizeof *p.text, by_text);
    size_t n = 0;
    for (size_t i = 0; i < p.n; i++)
        if (!n || strcmp(p.text[i], p.text[n - 1]))
            p.text[n++] = p.text[i];
    unsigned *flags = malloc(n * sizeof *flags), *ids = malloc(n * sizeof *ids);
    for (size_t i = 0; flags && ids && i < n; i++) {
        flags[i] = HS_FLAG_CASELESS | HS_FLAG_SINGLEMATCH;
        ids[i] = (unsigned)i;
        p.len[i] = strlen(p.text[i]);
    }
    if (hs_compile_lit_multi(p.text, flags, ids, p.len, (unsigned)n, HS_MODE_BLOCK, NULL, &db, &why) != HS_SUCCESS)
        die("the peer does not compile", -SM_ELIMIT);
    *ret_n = n;
    free(p.text);
    free(p.len);
    free(flags);
    free(ids);
    pool_wipe(&pool);
    return db;
}

static int on_peer(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
    ++*(size_t *)ctx;
    return 0;
}

static double run_peer(const struct lines *l, size_t *ret_literals)
{
    hs_database_t *db = peer(ret_literals);
    hs_scratch_t *scratch = NULL;
    size_t found = 0;

    if (hs_alloc_scratch(db, &scratch) != HS_SUCCESS)
        die("peer", -ENOMEM);
    double begin = cpu_s();
    for (size_t i = 0; i < l->n; i++)
        (void)hs_scan(db, (const char *)l->line[i].p, (unsigned)l->line[i].n, 0, scratch, on_peer, &found);
    double took = cpu_s() - begin;
    hs_free_scratch(scratch);
    hs_free_database(db);
    return took;
}

static void all_speed(char **file, int n)
{
    struct lines l = { 0 };
    size_t hits = 0, literals = 0, bytes = 0;
    long before = peak_kib();

    for (int i = 0; i < n; i++) {
        struct sm_span text = slurp(file[i]);
        add_lines(&l, text);
        bytes += text.n;
    }
    struct sigma_scratch *s = sigma_scratch_new(matcher);
    if (!s || !l.n)
        die("no lines", -ENOMEM);
    run(&l, s, true, &hits); /* once to warm up */
    hits = 0;
    struct sigma_counts c0, c;
    sigma_scratch_counts(s, &c0);
    double parse = run(&l, s, false, &hits), both = run(&l, s, true, &hits), whole = run_peer(&l, &literals);
    sigma_scratch_counts(s, &c);
    printf("{\"events\":%zu,\"bytes\":%zu,\"hits\":%zu,\"candidates\":%.2f,\"parse_per_s\":%.0f,\"all_per_s\":%.0f,"
           "\"match_per_s\":%.0f,"
           "\"peer_literals\":%zu,\"peer_per_s\":%.0f,\"ratio\":%.2f,\"rules_peak_kib\":%ld}\n",
        l.n, bytes, hits, (double)(c.candidates - c0.candidates) / (double)l.n, (double)l.n / parse, (double)l.n / both,
        (double)l.n / (both > parse ? both - parse : 1e-9), literals, (double)l.n / whole, whole / both, before);
    sigma_scratch_free(s);
    free(l.line);
}
