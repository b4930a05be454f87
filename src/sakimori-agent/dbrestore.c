/*
 * What a person does with a database server on the machine: `db-restore` loads a dump that an ordinary restore brought
 * back into a new database, `access test` shows that an access works.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/kinds/kind.h"

static int reach(struct prep *p, const char *access, char *why)
{
    int r = access_load(p->data, p->kind->name, access, &p->access, why);
    if (!r)
        r = prep_user(p, &p->uid, &p->gid, why);
    p->as_user = !r && geteuid() == 0 && p->kind->as;
    return r ? r : prep_tools(p, why);
}

static struct prep *person_new(const char *data, const struct kind *k)
{
    struct prep *p = calloc(1, sizeof *p);
    if (p) {
        p->kind = k;
        p->data = data;
        p->staging = -1;
    }
    return p;
}

static void person_free(struct prep *p)
{
    for (size_t i = 0; p && i < KIND_TOOLS_MAX; i++)
        free(p->tool[i]);
    if (p)
        access_wipe(&p->access);
    free(p);
}

static int load(struct prep *p, const char *file, const struct access_args *a, char *why)
{
    int r = reach(p, a->access ? a->access : ACCESS_LOCAL, why);
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

int access_test_command(const char *data, const struct access_args *a, const char *name, bool japanese)
{
    char why[160] = "";
    const struct kind *k = a->kind ? kind_find(a->kind) : NULL;
    if (!k || !k->names)
        return 2;
    struct prep *p = person_new(data, k);
    int r = p ? reach(p, name, why) : -ENOMEM;
    if (!r)
        r = k->names(p);
    if (r)
        fprintf(stderr, "%s: %s\n", japanese ? "入れませんでした" : "could not get in", why[0] ? why : sm_strerror(r));
    person_free(p);
    return r ? 1 : 0;
}

int db_restore_command(const char *data, const struct access_args *a, int argc, char **argv, bool japanese)
{
    char why[160] = "";
    const struct kind *k = a->kind ? kind_find(a->kind) : NULL;
    size_t n = a->into ? strlen(a->into) : 0;
    if (argc != 1 || !k || !k->restore || n == 0 || n > 63)
        return 2;
    struct prep *p = person_new(data, k);
    int r = p ? load(p, argv[0], a, why) : -ENOMEM;
    if (r == -SM_EEXISTS)
        fprintf(stderr, japanese ? "データベース %s はすでにあります。別の名前にしてください(PostgreSQL では --replace で入れかえられます)。\n"
                                 : "there is a database %s already: give another name (PostgreSQL: or --replace)\n", a->into);
    else if (r)
        fprintf(stderr, "%s\n", why[0] ? why : sm_strerror(r));
    else
        printf(japanese ? "データベース %s に戻しました。\n" : "restored into the database %s\n", a->into);
    person_free(p);
    return r ? 1 : 0;
}
