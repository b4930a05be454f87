/*
 * Pages (FORMAT 2.2): a clear, sorted list of what the body may name, and a sealed body.  page_refs needs no
 * key; it is what the box walks.
 */
#ifndef VAULT_SEAL_PAGE_H
#define VAULT_SEAL_PAGE_H
#include "vault/seal/chunk.h"

/* The clear part.  ref points into the sealed bytes: strictly ascending, n <= PAGE_REFS_MAX. */
struct page_refs { struct obj_hdr hdr; const struct cid *ref; uint32_t n; };
/*
 * Read the clear part of a directory or stream page.  client NULL: any.
 * Returns 0, -SM_EFORMAT, -SM_EVERSION, -SM_EMISMATCH (another type or client), -SM_ELIMIT (length or nrefs).
 */
sm_must_use int page_refs(struct sm_span sealed, const struct client_id *client, struct page_refs *ret);
/* The index of a name in refs, or -SM_ENOTFOUND. */
sm_must_use int64_t page_refs_find(const struct page_refs *refs, const struct cid *name);

/*
 * Seal a page of type OBJ_DIRPAGE or OBJ_STREAMPAGE; the object is appended to ret_sealed.
 * refs must be strictly ascending.  -SM_EINVAL (type, order, lengths), -ENOMEM, -SM_ELIMIT, -SM_ECRYPTO.
 */
sm_must_use int page_seal(struct seal_ctx *c, const struct seal_keys *k, uint8_t type, const struct cid *refs,
    size_t nrefs, struct sm_span body, struct seal_how how, struct chunk_info *ret, struct sm_buf *ret_sealed);
/*
 * Open a page; the body is appended to ret_body (as it was on failure).  Errors as chunk_open and page_refs.
 * The body itself is not parsed here.
 */
sm_must_use int page_open(struct seal_ctx *c, struct sm_span sealed, uint8_t type, const struct client_id *client,
    const struct chunk_key *ck, struct page_refs *ret, struct sm_buf *ret_body);

#endif
