/*
 * What a person does with a database server on the machine: `db-restore` loads a dump that an ordinary restore brought
 * back into a new database, `access test` shows that an access works.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
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

static int make_folder(struct prep *p)
{
    snprintf(p->folder, sizeof p->folder, "%s/staging/test-%ld", p->data, (long)getpid());
    int r = access_folders(p->data);
    if (!r && mkdir(p->folder, 0700))
        r = -errno;
    if (!r)
        p->staging = plat_fs_open_dir(AT_FDCWD, p->folder);
    if (!r && p->staging < 0)
        r = p->staging;
    if (!r && p->as_user && fchown(p->staging, p->uid, p->gid))
        r = -errno;
    return r;
}

/* What a kind that speaks a protocol of its own may, it may here too and no more. */
static int try_apart(struct prep *p, char *why)
{
    struct plat_confined c = {0};
    int r = make_folder(p);
    if (!r)
        r = p->kind->birth(p, why);
    if (!r)
        r = prep_confine(p, p->kind->as, &c);
    if (r)
        return r;
    r = p->kind->names(p);
    return r ? -SM_EPARTIAL : 0; /* why was said */
}

static json_t *options_of(const struct access_args *a)
{
    return json_pack("{s:s*,s:s*}", "share", a->share, "folder", a->folder);
}

int access_test_part(const char *data, const struct access_args *a, const char *name)
{
    char why[160] = "";
    const struct kind *k = a->kind ? kind_find(a->kind) : NULL;
    struct prep *p = k && k->birth && k->names ? person_new(data, k) : NULL;
    json_t *options = options_of(a);
    if (p)
        p->options = options;
    int r = p ? reach(p, name, why) : -SM_EINVAL;
    if (!r)
        r = try_apart(p, why);
    if (r && r != -SM_EPARTIAL)
        fprintf(stderr, "%s\n", why[0] ? why : sm_strerror(r));
    json_decref(options);
    person_free(p);
    return r ? 1 : 0;
}

/* In a process that holds nothing else, as in a run. */
static int names_apart(const char *data, const struct access_args *a, const char *name)
{
    const char *const argv[] = {"sakimori-agent", "--part=access-test", "--data", data, "--kind", a->kind, "--share",
        a->share ? a->share : "", "--folder", a->folder ? a->folder : "", "--", name, NULL};
    const struct plat_spawn_fd fds[] = {{0, 0}, {1, 1}, {2, 2}};
    const struct plat_spawn s = {.argv = (char *const *)(uintptr_t)argv, .fds = fds, .fds_n = 3};
    struct plat_proc proc = PLAT_PROC_NONE;
    char folder[AGENT_PATH_MAX + 64];
    int status = 0, r = plat_proc_spawn(&s, &proc);
    if (r)
        return r;
    snprintf(folder, sizeof folder, "%s/staging/test-%ld", data, (long)proc.pid);
    do
        r = plat_proc_wait(&proc, 60000, &status);
    while (r == -SM_ETIME);
    plat_proc_close(&proc);
    (void)plat_fs_remove_tree(AT_FDCWD, folder); /* the agent removes what is left */
    return r ? r : status ? -SM_EPARTIAL : 0;
}

int access_test_command(const char *data, const struct access_args *a, const char *name, bool japanese)
{
    char why[160] = "";
    const struct kind *k = a->kind ? kind_find(a->kind) : NULL;
    if (!k || !k->names || (k->birth && !access_name_ok(name)))
        return 2;
    struct prep *p = k->birth ? NULL : person_new(data, k);
    int r = k->birth ? names_apart(data, a, name) : p ? reach(p, name, why) : -ENOMEM;
    if (!r && p)
        r = k->names(p);
    if (r == -SM_EPARTIAL && k->birth)
        fprintf(stderr, "%s\n", japanese ? "入れませんでした" : "could not get in"); /* why was said */
    else if (r)
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
