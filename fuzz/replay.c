/*
 * Stands in for libFuzzer in ordinary builds: calls the target once for every file of the folders (or files) given, in
 * order of names, and prints how many there were.  An empty corpus is a failure: such a test could never fail.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 16 << 20 };

static int one_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = f ? malloc(FILE_MAX) : NULL;
    if (!data) {
        perror(path);
        if (f)
            fclose(f);
        return 1;
    }
    size_t n = fread(data, 1, FILE_MAX, f);
    fclose(f);
    uint8_t *exact = malloc(n ? n : 1); /* so that the sanitizer sees a read past its end */
    if (!exact) {
        free(data);
        return 1;
    }
    memcpy(exact, data, n);
    free(data);
    (void)LLVMFuzzerTestOneInput(exact, n); /* what it says is for libFuzzer alone */
    free(exact);
    return 0;
}

static int not_hidden(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static int folder(const char *path, unsigned *count)
{
    struct dirent **names = NULL;
    int n = scandir(path, &names, not_hidden, alphasort);
    int bad = n < 0;
    if (n < 0)
        perror(path);
    for (int i = 0; i < n; i++) {
        char file[4096];
        (void)snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        bad |= one_file(file);
        (*count)++;
        free(names[i]);
    }
    free(names);
    return bad;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    int bad = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            bad |= folder(argv[i], &count);
        } else {
            bad |= one_file(argv[i]);
            count++;
        }
    }
    printf("%u inputs\n", count);
    return bad || count == 0;
}
