/* What compile.c makes and match.c uses. */
#ifndef SM_DETECT_SIGMA_MATCHER_H
#define SM_DETECT_SIGMA_MATCHER_H

#include "detect/sigma/internal.h"
#include "detect/sigma/literal.h"

/* A rule in one of the ways its events come. */
struct instance {
    struct rule *rule;
    const struct found *found;
    size_t id_n; /* EventIDs it can match; 0: any */
    uint32_t *id;
    struct anchor *anchor;
};

/* Literals of which every match of a rule has one. */
struct need {
    uint16_t name;
    struct stretch s;
};
struct anchor {
    size_t n;
    struct need *need;
    double odds;
}; /* n 0: none known */

/* The literals that are searched in one field of the events of one bucket. */
struct search {
    uint16_t name; /* 0: all values */
    const struct literal_way *way;
    void *db;
    size_t literals;
    uint32_t *first; /* by literal: where its instances begin in who; literals + 1 of them */
    uint16_t *who;   /* places in the bucket */
};

/* Events of one place and EventID. */
struct bucket {
    uint32_t id;
    size_t n, search_n, direct_n;
    struct instance **instance; /* by number of the rule */
    struct search *search;
    uint16_t *direct; /* evaluated for every event */
};

struct site {
    const char *place;
    const struct found *found; /* the first that led here: channels, providers, words */
    size_t n, cap;
    struct instance **instance;
    size_t bucket_n;
    struct bucket *bucket; /* by id */
    struct bucket rest;    /* EventIDs no rule names */
    uint32_t *slot;        /* of bucket + 1, by id */
    size_t slots;
};

/* Text → sites. */
struct texts {
    size_t n, cap;
    struct {
        const char *text;
        size_t len;
        size_t n;
        uint32_t *site;
    } * row;
    uint32_t *slot;
    size_t slots;
};
struct words {
    uint16_t product, category, service;
    uint32_t site;
    bool alone;
};

struct sigma_matcher {
    struct sigma_set *set;
    struct sigma_options options;
    struct pool pool;
    size_t site_n, site_cap;
    struct site *site;
    struct texts channels, providers;
    size_t windows_n, words_n;
    uint32_t *windows;
    struct words *words; /* sorted */
    size_t bucket_max;
    struct sigma_size size;
    struct anchor **anchor; /* by rule */
};

uint32_t text_hash(const uint8_t *p, size_t n);
/* Which sites a folded text leads to; NULL: none. */
const uint32_t *texts_find(const struct texts *t, const uint8_t *p, size_t n, size_t *ret_n);
const struct bucket *site_bucket(const struct site *s, uint32_t id);

/* anchor.c */
sm_must_use int anchor_of(struct pool *pool, const struct sigma_set *set, const struct expr *cond, struct anchor **ret);
/* EventIDs the condition can hold for: ret_n 0 when any. */
sm_must_use int ids_of(struct pool *pool, const struct expr *cond, size_t *ret_n, uint32_t **ret);
/* match.c: for explaining.  Does the event, seen through s, come in that way (words, channel, provider, EventID)? */
struct view *scratch_view(struct sigma_scratch *s);
bool match_place(const struct sigma_matcher *m, struct sigma_scratch *s, const struct instance *in);
/* bucket.c */
sm_must_use int bucket_build(struct sigma_matcher *m, struct bucket *b);
void bucket_wipe(struct bucket *b);

#endif
