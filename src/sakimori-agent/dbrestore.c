/* `sakimori-agent db-restore`: a dump that an ordinary restore brought back is loaded into a new database. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/kinds/kind.h"

static int go(struct prep *p, const char *file, const struct access_args *a, char *why)
{
    int r = access_load(p->data, p->kind->name, a->access ? a->access : ACCESS_LOCAL, &p->access, why);
    if (!r)
        r = prep_user(p, &p->uid, &p->gid, why);
    p->as_user = !r && geteuid() == 0 && p->kind->as;
    if (!r)
        r = prep_tools(p, why);
    int fd = r ? r : open(file, O_RDONLY | O_CLOEXEC);
    if (!r && fd < 0) {
        r = -errno;
        snprintf(why, 160, "%.100s: %s", file, sm_strerror(r));
    }
    if (!r)
        r = p->kind->restore(p, fd, a->into, a->replace);
    if (fd >= 0)
        close(fd);
    return r;
}

int db_restore_command(const char *data, const struct access_args *a, int argc, char **argv, bool japanese)
{
    struct prep *p = calloc(1, sizeof *p);
    char why[160] = "";
    const struct kind *k = a->kind ? kind_find(a->kind) : NULL;
    size_t n = a->into ? strlen(a->into) : 0;
    if (argc != 1 || !k || !k->restore || n == 0 || n > 63) {
        free(p);
        return 2;
    }
    int r = p ? 0 : -ENOMEM;
    if (!r) {
        p->kind = k;
        p->data = data;
        p->staging = -1;
        r = go(p, argv[0], a, why);
    }
    if (r == -SM_EEXISTS)
        fprintf(stderr, japanese ? "データベース %s はすでにあります。別の名前にしてください(PostgreSQL では --replace で入れかえられます)。\n"
                                 : "there is a database %s already: give another name (PostgreSQL: or --replace)\n", a->into);
    else if (r)
        fprintf(stderr, "%s\n", why[0] ? why : sm_strerror(r));
    else
        printf(japanese ? "データベース %s に戻しました。\n" : "restored into the database %s\n", a->into);
    if (p) {
        for (size_t i = 0; i < KIND_TOOLS_MAX; i++)
            free(p->tool[i]);
        access_wipe(&p->access);
    }
    free(p);
    return r ? 1 : 0;
}
