/* A journal from outside: a proof of ancestry, a file header, a signed head.  First byte: which. */
#include "vault/store/journal.h"
#include "vault/suspicion/suspicion.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void records(struct sm_span in)
{
    struct journal_head from = { 0 }, to = { 0 };
    (void)journal_ancestry_check(&from, &to, in); /* the answer is not of interest */
    /* Records whose hash would fit: what a parser sees when an attacker can compute hashes, as everybody can. */
    while (in.n) {
        struct journal_record r;
        size_t used = 0;
        if (journal_parse(in, &from, &r, &used) == 0) {
            from.seq = r.seq;
            memcpy(from.hash, r.hash, sizeof from.hash);
        } else {
            used = 1;
        }
        in.p += used;
        in.n -= used;
        if (in.n < JOURNAL_OVERHEAD)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal_file_header h;
    struct journal_signed_head s;
    struct suspicion_facts f;
    if (!size || size > 65536)
        return 0;
    struct sm_span in = SM_SPAN(data + 1, size - 1);
    switch (data[0] & 3) {
    case 0:
        records(in);
        break;
    case 1:
        (void)journal_parse_header(in, &h);
        break;
    case 2:
        if (journal_head_get(in, &s) == 0) {
            struct sm_buf b = SM_BUF_INIT(256);
            if (journal_head_put(&s, &b) == 0 && (b.n != in.n || memcmp(b.p, in.p, b.n) != 0))
                abort(); /* one form only */
            sm_buf_wipe(&b);
        }
        break;
    default:
        (void)suspicion_facts_parse(in, &f); /* the answer is not of interest */
    }
    return 0;
}
