/* Any bytes from a peer end in frames that the table allows, or in -SM_EPROTO. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/ipc.h"

static const struct sm_ipc_rule rules[] = {{1, 64, false, "note"}, {2, 4096, true, "file"}};

static void frame(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < m->body.n; i++)
        sum ^= m->body.p[i];
    *(uint8_t *)arg ^= sum;
    if ((m->type == 1 && m->body.n > 64) || m->type > 2 || m->type == 0 || m->flags & ~SM_IPC_FD)
        abort();
    if (m->id && sm_ipc_reply(ipc, m, 0, m->body, -1) < 0 && m->body.n > 4096)
        abort();
}

static void gone(void *arg, struct sm_ipc *ipc, int err)
{
    (void)arg;
    (void)ipc;
    if (err != 0 && err != -SM_EPROTO)
        abort();
}

static void answer(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    if (err < 0 && !sm_utf8_valid(SM_SPAN_STR(text)))
        abort();
    if (err >= 0 && !m)
        abort();
    *(uint8_t *)arg ^= 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd[2];
    uint8_t sum = 0;
    struct sm_loop *loop;
    struct sm_ipc *ipc;
    struct sm_ipc_config config = {rules, 2, 4096, 1 << 16, frame, gone, NULL, &sum};
    if (size > 32768 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) < 0)
        return 0;
    if (sm_loop_new(&loop) < 0 || sm_ipc_new(loop, fd[0], &config, &ipc) < 0)
        abort();
    /* Ids 1 to 3 wait for an answer. */
    for (int i = 0; i < 3; i++) {
        if (sm_ipc_ask(ipc, 7, SM_SPAN("ask", 3), -1, answer, &sum) < 0)
            abort();
    }
    if (size && write(fd[1], data, size) != (ssize_t)size)
        abort();
    shutdown(fd[1], SHUT_WR);
    for (int i = 0; i < 20; i++) {
        if (sm_loop_once(loop, 0) < 0)
            abort();
    }
    sm_ipc_free(ipc);
    sm_loop_free(loop);
    close(fd[1]);
    return 0;
}
