/* The kinds of sources, a row each. */
#include "sakimori-agent/kinds/kind.h"

static const struct kind *const kinds[] = {&kind_postgresql, &kind_mariadb, &kind_sqlite, &kind_smb};

const struct kind *kind_at(size_t i)
{
    return i < sizeof kinds / sizeof kinds[0] ? kinds[i] : NULL;
}

const struct kind *kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}
