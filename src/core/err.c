#include "core/err.h"

static const struct {
    int number;
    const char *name, *phrase;
} own[] = {
    {SM_EFORMAT, "SM_EFORMAT", "not of the expected form"},
    {SM_EVERSION, "SM_EVERSION", "a version this build does not know"},
    {SM_EAUTH, "SM_EAUTH", "wrong key or altered bytes"},
    {SM_EMISMATCH, "SM_EMISMATCH", "another one than was asked for"},
    {SM_ELIMIT, "SM_ELIMIT", "beyond a stated maximum"},
    {SM_ECORRUPT, "SM_ECORRUPT", "stored data is damaged"},
    {SM_ENOTFOUND, "SM_ENOTFOUND", "not found"},
    {SM_EEXISTS, "SM_EEXISTS", "exists already"},
    {SM_EDENIED, "SM_EDENIED", "not allowed"},
    {SM_ESTATE, "SM_ESTATE", "not possible in the present state"},
    {SM_EPROTO, "SM_EPROTO", "the peer broke the protocol"},
    {SM_ECANCEL, "SM_ECANCEL", "cancelled"},
    {SM_ETIME, "SM_ETIME", "took too long"},
    {SM_EPARTIAL, "SM_EPARTIAL", "done in part"},
    {SM_EMISSING, "SM_EMISSING", "referred objects are missing"},
    {SM_EINVAL, "SM_EINVAL", "value not allowed"},
    {SM_EAGAIN, "SM_EAGAIN", "not now, try again"},
    {SM_EUNSUPPORTED, "SM_EUNSUPPORTED", "not possible on this kernel or file system"},
    {SM_ECRYPTO, "SM_ECRYPTO", "the crypto library failed"},
    {SM_EPEER, "SM_EPEER", "the other side is gone"},
};

static const char *own_text(int err, bool want_name)
{
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (own[i].number == err)
            return want_name ? own[i].name : own[i].phrase;
    }
    return NULL;
}

const char *sm_strerror(int err)
{
    int e = err < 0 && err > -0x7fffffff ? -err : err;
    if (e == 0)
        return "success";
    const char *s = own_text(e, false);
    if (!s)
        s = strerrordesc_np(e);
    return s ? s : "unknown error";
}

const char *sm_errname(int err)
{
    int e = err < 0 && err > -0x7fffffff ? -err : err;
    const char *s = own_text(e, true);
    if (!s && e != 0)
        s = strerrorname_np(e);
    return s ? s : "E?";
}
