/* For bench/endpoint: give back what a tree changed, as the actor does.  endpoint-giveback FOLDER TREE; prints what was done as JSON. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "crypto/init.h"
#include "giveback/giveback.h"

static void say(void *ctx, struct sm_span path, const char *what, int err)
{
    (void)ctx;
    fprintf(stderr, "%.*s: %s %d\n", (int)path.n, (const char *)path.p, what, err);
}

int main(int argc, char **argv)
{
    struct giveback_done d = {0};
    uint64_t number = 0;
    if (argc != 3 || crypto_init() < 0)
        return 2;
    int folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = folder < 0 ? -1 : giveback_roll_back(folder, (uint64_t)strtoull(argv[2], NULL, 10), NULL, 0, say, NULL, &number, &d);
    printf("{\"err\":%d,\"files\":%u,\"unchanged\":%u,\"failed\":%u,\"aside\":%u}\n", r, d.files, d.unchanged, d.failed, d.aside);
    return r < 0 || d.failed ? 1 : 0;
}
