/*
 * Error numbers of the whole house.
 * A function that can fail returns int: 0 or positive is success, negative is an error,
 * either -errno of the system or one of the SM_E numbers below (already negative when
 * returned: `return -SM_EAUTH;`).  The numbers are part of documents and messages between
 * processes: append, never renumber.
 */
#ifndef SM_CORE_ERR_H
#define SM_CORE_ERR_H

#include <stdbool.h>
#include "core/banned.h"

enum sm_err {
    SM_EFORMAT = 10001,   /* bytes are not of the form they claim to be */
    SM_EVERSION = 10002,  /* a version this build does not know */
    SM_EAUTH = 10003,     /* wrong key, wrong signature, or altered bytes; not told apart */
    SM_EMISMATCH = 10004, /* sound, but not the one that was asked for */
    SM_ELIMIT = 10005,    /* beyond a stated maximum */
    SM_ECORRUPT = 10006,  /* stored data does not match its name or checksum */
    SM_ENOTFOUND = 10007, /* no such object, row, file */
    SM_EEXISTS = 10008,   /* already there, and must not be replaced */
    SM_EDENIED = 10009,   /* the caller may not do this */
    SM_ESTATE = 10010,    /* not possible in the present state */
    SM_EPROTO = 10011,    /* the peer broke the protocol */
    SM_ECANCEL = 10012,   /* cancelled by a person or a signal */
    SM_ETIME = 10013,     /* took longer than allowed */
    SM_EPARTIAL = 10014,  /* done in part; what is missing has been named */
    SM_EMISSING = 10015,  /* objects that something refers to are not there */
    SM_EINVAL = 10016,    /* a value from outside is not allowed; the message says which */
    SM_EAGAIN = 10017,    /* not now; try the same again */
    SM_EUNSUPPORTED = 10018, /* this kernel or file system cannot do it */
    SM_ECRYPTO = 10019,   /* the crypto library failed */
    SM_EPEER = 10020,     /* the other process or machine is gone */
};

/* A short English phrase for err (negative or positive); never NULL, static storage. */
const char *sm_strerror(int err);
/* The stable name ("SM_EAUTH", "ENOSPC"), for JSON and logs; "E?" if unknown. */
const char *sm_errname(int err);

/* First word of a declaration.  The form of gcc that a cast to (void) silences, as clang's does. */
#if defined(__clang__)
#define sm_must_use __attribute__((warn_unused_result))
#else
#define sm_must_use [[nodiscard]]
#endif
#define sm_printf(a, b) __attribute__((format(printf, a, b)))
#define sm_cleanup(fn) __attribute__((cleanup(fn)))

#endif
