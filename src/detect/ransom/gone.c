/* Files that went: removed, replaced, renamed, and what was made of them. */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "detect/ransom/internal.h"

enum { PAIRS = 16, LATER = 16 };

bool body_is(const struct ransom *r, const struct file *f, struct body *ret, unsigned *ret_links)
{
    uint64_t size = 0;
    unsigned links = 1;
    if (!f->id || r->files.now(r->files.ctx, f->id, &size, &links) < 0)
        return false;
    *ret = (struct body){.files = &r->files, .tree = f->of->id, .file = f->id, .size = size};
    *ret_links = links;
    return true;
}

bool body_was(const struct ransom *r, const struct file *f, struct body *ret)
{
    uint64_t size = 0;
    unsigned links = 0;
    if (!f->id)
        return false;
    if (r->files.before(r->files.ctx, f->of->id, f->id, &size) >= 0) {
        *ret = (struct body){.files = &r->files, .tree = f->of->id, .file = f->id, .size = size, .before = true};
        return true;
    }
    /* Never opened for writing: what it is, is what it was. */
    return !(f->marks & OPENED) && body_is(r, f, ret, &links);
}

enum reason reason_of(enum found found)
{
    static const uint8_t of[] = {
        [FOUND_NOTHING] = REASON_NONE, [FOUND_CHANGED] = REASON_NONE, [FOUND_COPY] = REASON_NONE, [FOUND_EMPTY] = REASON_EMPTY,
        [FOUND_DENSER] = REASON_DENSER, [FOUND_EMPTIED] = REASON_EMPTIED, [FOUND_REPLACED] = REASON_REPLACED,
        [FOUND_KIND_LOST] = REASON_KIND_LOST, [FOUND_WIPED] = REASON_WIPED, [FOUND_SCRAMBLED] = REASON_SCRAMBLED,
        [FOUND_ISLANDS] = REASON_ISLANDS, [FOUND_SUBSTITUTED] = REASON_SUBSTITUTED, [FOUND_ENCODED] = REASON_ENCODED,
        [FOUND_LOCKED] = REASON_LOCKED, [FOUND_BROKEN] = REASON_BROKEN, [FOUND_PAGES] = REASON_PAGES,
    };
    return (enum reason)of[found];
}

static bool destroyed(enum found f)
{
    return f >= FOUND_KIND_LOST || f == FOUND_EMPTIED;
}

static struct sm_span ending_of(struct sm_span path)
{
    struct sm_span b = path_base(path);
    const uint8_t *dot = b.n ? memrchr(b.p, '.', b.n) : NULL;
    return dot ? SM_SPAN(dot + 1, b.n - (size_t)(dot + 1 - b.p)) : SM_SPAN("", 0);
}

/* ---- what was made ---- */
/* Its name is the other's with something added or another ending: a.pdf, a.pdf.x, a.x, .a.pdf.x. */
static bool named_after(const struct file *made, const struct file *f)
{
    struct sm_span a = path_base(file_path(f)), b = path_base(file_path(made));
    if (a.n && memmem(b.p, b.n, a.p, a.n))
        return true;
    if (!a.p || !b.p)
        return false;
    const uint8_t *dot = memrchr(a.p, '.', a.n);
    size_t stem = dot && dot > a.p ? (size_t)(dot - a.p) : a.n;
    return stem >= 3 && b.n > stem && !memcmp(a.p, b.p, stem) && b.p[stem] == '.';
}

/* As long as ciphertext of it is: a head and padding more, or in letters. */
static bool sized_after(uint64_t made, uint64_t size)
{
    if (size < 16)
        return false;
    if (made >= size && made - size <= 4096)
        return true;
    return (made >= size / 3 * 4 && made <= size / 100 * 142 + 4096) || (made >= size * 2 && made <= size * 2 + 4096);
}

static bool opaque(struct ransom *r, struct file *made)
{
    struct body b;
    unsigned links;
    enum kind k;
    bool there = body_is(r, made, &b, &links);
    if (made->marks & (OPAQUE | CLEAR) && (!there || b.size < 2 * made->told_size)) { /* one that is being filled is looked at again */
        made->size = there ? b.size : made->size;
        return made->marks & OPAQUE;
    }
    if (!there || b.size < 16)
        return false;
    bool is = judge_opaque(&b, &k);
    made->marks &= (uint16_t)~(OPAQUE | CLEAR);
    made->is = (uint8_t)k;
    made->size = made->told_size = b.size;
    made->marks |= is ? OPAQUE : CLEAR;
    return is;
}

static void settle(struct tree *t, struct file *f, unsigned marks)
{
    if (!(f->marks & SETTLED) && t->gone)
        t->gone--;
    f->marks |= (uint16_t)(marks | SETTLED);
}

/* Was f turned into made: 1 and settled, when that can be said one way or the other. */
static bool pair(struct ransom *r, struct tree *t, struct file *f, struct file *made, bool by_name)
{
    struct body was, is;
    unsigned links;
    if (!body_is(r, made, &is, &links) || !is.size)
        return false;
    made->size = is.size;
    if (!body_was(r, f, &was)) {
        if (!opaque(r, made) || !(by_name || made->acted >= f->acted))
            return false;
        settle(t, f, 0);
        score_file(r, t, f, REASON_VANISHED, kind_by_name(file_path(f)), made->is);
        return true;
    }
    if (was.size == is.size && judge_copy(&was, &is)) {
        settle(t, f, COPIED);
        return true;
    }
    if (!by_name && !sized_after(is.size, was.size))
        return false;
    struct judged j = judge(&was, &is, true);
    if (by_name && !sized_after(is.size, was.size) && !opaque(r, made) && j.found != FOUND_COPY)
        return false; /* a word about it (where it lay, what it is), no other form of it */
    if (destroyed(j.found) && (by_name || opaque(r, made))) {
        settle(t, f, 0);
        score_file(r, t, f, REASON_VANISHED, j.was, j.is);
        return true;
    }
    if (j.found == FOUND_COPY || (by_name && !destroyed(j.found))) {
        settle(t, f, COPIED);
        return true;
    }
    return false;
}

static bool is_document(struct ransom *r, const struct file *f, uint64_t *ret_size, enum kind *ret_kind)
{
    struct body was;
    enum kind k = kind_by_name(file_path(f));
    *ret_size = f->size;
    if (body_was(r, f, &was)) {
        k = form_kind(&was);
        *ret_size = was.size;
    }
    *ret_kind = k;
    return kind_flags(k) & KIND_DOC;
}

/* Where its contents went nobody saw.  One program that does so with what lies in its inbox is a receiver; with everything everywhere, not. */
static void taken(struct tree *t, const struct file *f)
{
    struct sm_span path = file_path(f), e = ending_of(path);
    uint32_t folder = (uint32_t)path_hash(SM_SPAN(path.p, path.n - path_base(path).n)) | 1;
    t->taken++;
    t->taken_kinds |= UINT32_C(1) << (path_hash(e) % 32);
    for (unsigned i = 0; i < TAKEN_FOLDERS; i++)
        if (!t->taken_folders[i] || t->taken_folders[i] == folder) {
            t->taken_folders[i] = folder;
            break;
        }
    if (__builtin_popcount(t->taken_kinds) < TAKEN_KINDS || !t->taken_folders[TAKEN_FOLDERS - 1])
        return;
    t->points[REASON_TAKEN] = t->taken * reason_weight(REASON_TAKEN);
    t->times[REASON_TAKEN] = (uint16_t)(t->taken < UINT16_MAX ? t->taken : UINT16_MAX);
}

/* Nothing was made of it alone: was it put into something large that nobody can open? */
static void packed(struct ransom *r, struct tree *t, struct file *f)
{
    uint64_t size;
    enum kind k;
    unsigned tried = 0;
    bool document = is_document(r, f, &size, &k);
    for (struct file *m = t->last; m && document && size >= 64 && f->marks & READ && tried < OUTPUTS_TRIED; m = m->prev) {
        if (!(m->marks & MADE) || m->marks & (GONE | BROUGHT))
            continue;
        tried++;
        if (opaque(r, m) && m->size * 20 >= size) {
            settle(t, f, 0);
            score_file(r, t, f, REASON_PACKED, k, m->is);
            return;
        }
    }
    if (f->marks & READ)
        score_file(r, t, f, REASON_GONE, k, KIND_IS_EMPTY);
    if (f->marks & READ && document && t->takes)
        taken(t, f);
}

static void match(struct ransom *r, struct tree *t, struct file *f)
{
    unsigned pairs = 0;
    for (struct file *m = t->last; m && pairs < PAIRS; m = m->prev) {
        if (!(m->marks & MADE) || m->marks & GONE)
            continue;
        bool name = named_after(m, f);
        if (!name && f->size && m->size && m->size != f->size && !sized_after(m->size, f->size))
            continue;
        pairs++;
        if (pair(r, t, f, m, name))
            return;
    }
    if (t->copies) {
        t->copies--;
        settle(t, f, COPIED);
        return;
    }
    packed(r, t, f);
}

static void went(struct ransom *r, struct tree *t, struct file *f)
{
    struct body was;
    file_dirty(r, f, false);
    if (body_was(r, f, &was))
        f->size = was.size;
    f->marks |= GONE;
    t->gone++;
    score_touch(t, f);
    file_show(t, f);
}

void gone_removed(struct ransom *r, struct tree *t, struct file *f)
{
    if (f->marks & GONE)
        return;
    went(r, t, f);
    if (f->marks & DECOY)
        score_add(r, t, REASON_DECOY_GONE, reason_weight(REASON_DECOY_GONE));
    if (is_backup(file_path(f)))
        score_add(r, t, REASON_BACKUPS, reason_weight(REASON_BACKUPS));
    if (f->marks & DESTROYED || !f->size)
        settle(t, f, 0);
    else
        match(r, t, f);
}

void gone_replaced(struct ransom *r, struct tree *t, struct file *was, struct file *by)
{
    struct body old, new;
    unsigned links;
    if (was->marks & (MADE | GONE))
        return;
    went(r, t, was);
    settle(t, was, 0);
    if (!(by->marks & MADE) || !body_is(r, by, &new, &links))
        return;
    enum found found = FOUND_NOTHING;
    struct judged j = {0};
    if (body_was(r, was, &old)) {
        j = judge(&old, &new, true);
        found = (enum found)j.found;
    } else {
        j.was = (uint8_t)kind_by_name(file_path(was));
        if (opaque(r, by) && j.was != KIND_IS_NONE && by->is == KIND_IS_NOISE)
            found = FOUND_SCRAMBLED;
        j.is = by->is;
    }
    if (was->marks & DECOY && found != FOUND_NOTHING)
        score_add(r, t, REASON_DECOY, reason_weight(REASON_DECOY));
    if (reason_of(found) != REASON_NONE)
        score_file(r, t, was, reason_of(found), j.was, j.is);
}

/* A copy that was counted, and is none any more: it was locked. */
static void count_lost_copy(struct ransom *r, struct tree *t, struct file *made)
{
    if (!(made->marks & BROUGHT) || !opaque(r, made) || made->was != KIND_IS_EMPTY)
        return;
    made->marks &= (uint16_t)~BROUGHT;
    t->copies -= t->copies > 0;
}

/* A plain copy of something the tree has read: what it copies it may remove. */
static void count_copy(struct ransom *r, struct tree *t, struct file *made)
{
    struct body a, b;
    unsigned links, tried = 0;
    if (made->marks & BROUGHT || !body_is(r, made, &b, &links) || !b.size)
        return;
    for (struct file *f = t->last; f && tried < 4; f = f->prev) {
        if (f->marks & MADE || !(f->marks & READ) || f->size != b.size)
            continue;
        tried++;
        if (body_was(r, f, &a) && judge_copy(&a, &b)) {
            made->marks |= BROUGHT;
            made->was = (uint8_t)(opaque(r, made) ? KIND_IS_NOISE : KIND_IS_EMPTY); /* of what nobody could read before, a copy is one */
            t->copies++;
            return;
        }
    }
}

void gone_made(struct ransom *r, struct tree *t, struct file *made)
{
    unsigned tried = 0;
    uint64_t size = 0;
    unsigned links;
    made->marks &= (uint16_t)~(OPAQUE | CLEAR);
    if (made->id && r->files.now(r->files.ctx, made->id, &size, &links) >= 0)
        made->size = size;
    count_lost_copy(r, t, made);
    count_copy(r, t, made);
    for (struct file *f = t->last; f && t->gone && tried < LATER; f = f->prev) {
        if ((f->marks & (GONE | SETTLED)) != GONE)
            continue;
        tried++;
        bool name = f->path_hash == made->path_hash || named_after(made, f);
        if (name || made->size == f->size || sized_after(made->size, f->size))
            (void)pair(r, t, f, made, name); /* what it found it has counted */
    }
}

/* ---- names ---- */
/* Endings that programs and people give to what they put aside. */
static bool ending_usual(struct sm_span path)
{
    static const char usual[][12] = {"bak", "old", "orig", "tmp", "temp", "part", "save", "sav", "swp", "new", "done", "ok", "processed", "err",
        "error", "sent", "imported", "read", "failed", "backup", "dist", "disabled", "off", "copy", "lock", "rej", "ready", "work", "busy",
        "trashinfo", "download", "crdownload", "filepart", "zip", "exe", "dll", "so", "o", "a", "css", "ts", "yml", "yaml", "java", "pl"};
    struct sm_span e = ending_of(path);
    size_t digits = 0;
    for (size_t i = 0; i < e.n; i++)
        digits += isdigit(e.p[i]) || e.p[i] == '-' || e.p[i] == '_';
    if (!e.p || e.n > 24 || digits == e.n || (e.n && e.p[e.n - 1] == '~') || memmem(e.p, e.n, "original", 8) || memmem(e.p, e.n, "dpkg", 4))
        return true;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (strlen(usual[i]) == e.n && !strncasecmp(usual[i], (const char *)e.p, e.n))
            return true;
    return kind_by_name(path) != KIND_IS_NONE;
}

/* Points of all endings: many kinds count fully, two kinds up to three files, one kind is a habit of many programs. */
static void count_endings(struct tree *t)
{
    unsigned many = 0, few = 0, times = 0;
    for (unsigned i = 0; i < ENDINGS; i++) {
        unsigned kinds = (unsigned)__builtin_popcount(t->endings[i].kinds), n = t->endings[i].files;
        if (n < 2)
            continue;
        times += n;
        if (kinds >= 3)
            many += 25 * (n - 1);
        else if (kinds == 2)
            many += n < 4 ? 25 * (n - 1) : 75;
        else
            few += 6 * (n - 1);
    }
    t->points[REASON_RENAMED] = many;
    t->points[REASON_NEW_ENDING] = few;
    t->times[many ? REASON_RENAMED : REASON_NEW_ENDING] = (uint16_t)(times < UINT16_MAX ? times : UINT16_MAX);
}

/* Neither its ending nor anything of its name is left, nor is the new one a word of people (a bare random one). */
static bool nameless(struct sm_span from, struct sm_span to)
{
    struct sm_span a = path_base(from), b = path_base(to), e = ending_of(from);
    size_t stem = a.n - e.n - 1, digits = 0;
    for (size_t i = 0; i < b.n; i++)
        digits += isdigit(b.p[i]) != 0;
    return b.n >= 12 && digits * 8 >= b.n && !memchr(b.p, '.', b.n) && stem > 0 && stem < a.n && !memmem(b.p, b.n, a.p, stem);
}

void gone_renamed(struct ransom *r, struct tree *t, struct sm_span from, struct sm_span to)
{
    (void)r;
    enum kind k = kind_by_name(from);
    struct sm_span a = ending_of(from), b = ending_of(to);
    if (k == KIND_IS_NONE || sm_span_eq(a, b) || (ending_usual(to) && !nameless(from, to)))
        return;
    uint32_t h = (uint32_t)path_hash(b) | 1;
    struct ending *e = NULL;
    for (unsigned i = 0; i < ENDINGS && !e; i++)
        if (!t->endings[i].hash || t->endings[i].hash == h)
            e = &t->endings[i];
    if (!e)
        return;
    e->hash = h;
    /* Documents of one program have several endings: they are told apart by theirs, not by kind. */
    e->kinds |= UINT32_C(1) << (path_hash(a) % 32);
    e->files = (uint16_t)(e->files + (e->files < UINT16_MAX));
    count_endings(t);
}

static bool has(struct sm_span s, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= s.n; i++)
        if (!strncasecmp((const char *)s.p + i, word, n))
            return true;
    return false;
}

bool is_note(struct sm_span path)
{
    static const char *const words[] = {"readme", "read_me", "read-me", "how_to", "how-to", "howto", "decrypt", "recover", "restore",
        "ransom", "unlock", "your_files", "復元", "復号"};
    struct sm_span b = path_base(path), e = ending_of(path);
    bool page = e.n == 3 || e.n == 4 ? has(e, "txt") || has(e, "htm") || has(e, "hta") : e.n == 0;
    for (size_t i = 0; page && i < sizeof words / sizeof words[0]; i++)
        if (has(b, words[i]))
            return true;
    return false;
}

bool is_writing(struct sm_span path)
{
    static const char *const endings_[] = {"txt", "csv", "tsv", "md", "rtf", "eml", "htm", "html", "xml", "hl7", "uke"};
    struct sm_span e = ending_of(path);
    for (size_t i = 0; i < sizeof endings_ / sizeof endings_[0]; i++)
        if (e.n == strlen(endings_[i]) && has(e, endings_[i]))
            return true;
    return false;
}

bool is_backup(struct sm_span path)
{
    static const char *const endings_[] = {"bak", "dump", "backup", "vbk", "bkf", "tib", "snapshot"};
    struct sm_span e = ending_of(path);
    for (size_t i = 0; i < sizeof endings_ / sizeof endings_[0]; i++)
        if (e.n == strlen(endings_[i]) && has(e, endings_[i]))
            return true;
    return has(path, "/backup/") || has(path, "/backups/");
}

/* An argument of the line that begins with word. */
static bool argument(struct sm_span line, const char *word, bool whole)
{
    size_t n = strlen(word);
    for (size_t i = 1; i + n <= line.n; i++)
        if (line.p[i - 1] == ' ' && !memcmp(line.p + i, word, n) && (!whole || i + n == line.n || line.p[i + n] == ' '))
            return true;
    return false;
}

/* Short options of zip, alone or joined: -m -e, -rme, -mP. */
static bool zip_option(struct sm_span line, const char *letters)
{
    for (size_t i = 1; i + 1 < line.n; i++) {
        if (line.p[i - 1] != ' ' || line.p[i] != '-' || line.p[i + 1] == '-')
            continue;
        for (size_t k = i + 1; k < line.n && line.p[k] != ' '; k++)
            if (strchr(letters, line.p[k]))
                return true;
    }
    return false;
}

bool says_pack(struct sm_span program, struct sm_span line)
{
    struct sm_span b = path_base(program);
    if (b.n >= 2 && b.n <= 4 && b.p[0] == '7' && b.p[1] == 'z')
        return argument(line, "-sdel", true) && argument(line, "-p", false);
    if (b.n == 3 && !memcmp(b.p, "zip", 3))
        return (zip_option(line, "m") || argument(line, "--move", true)) && (zip_option(line, "eP") || argument(line, "--encrypt", true) ||
            argument(line, "--password", false));
    if (b.n == 3 && !memcmp(b.p, "rar", 3))
        return argument(line, "-df", true) && (argument(line, "-p", false) || argument(line, "-hp", false));
    return false;
}
