/* SPDX-License-Identifier: Apache-2.0
 *
 * A fuzz target as an ordinary test: every file of its corpus, then each a number of times with random damage.
 * usage: fuzz-TARGET FOLDER [SEED]
 */
#include <dirent.h>
#include <string.h>
#include <time.h>

#include "tests/fuzz/fuzz.h"

#define DAMAGED_COPIES 200
#define INPUT_MAX (1 << 20)
#define PIECE_MAX 64

static uint64_t random_state;

/* splitmix64 */
static uint64_t next_random(void)
{
    uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t below(size_t n)
{
    return n ? (size_t)(next_random() % n) : 0;
}

/* One to four of: a byte changed, a bit turned, a piece taken out, a piece said twice, the end cut off. */
static size_t damage(uint8_t *data, size_t size, size_t cap)
{
    for (size_t n = 1 + below(4); n > 0 && size > 1; n--) {
        size_t at = below(size), len = 1 + below(PIECE_MAX);
        switch (below(5)) {
        case 0:
            data[at] = (uint8_t)next_random();
            break;
        case 1:
            data[at] ^= (uint8_t)(1u << below(8));
            break;
        case 2:
            len = len < size - at ? len : size - at;
            memmove(data + at, data + at + len, size - at - len);
            size -= len;
            break;
        case 3:
            len = len < size - at ? len : size - at;
            if (size + len > cap)
                break;
            memmove(data + at + len, data + at, size - at);
            size += len;
            break;
        default:
            size = at;
            break;
        }
    }
    return size;
}

/* An allocation of exactly @size, so that a sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    FUZZ_CHECK(exact);
    memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void replay(const char *path)
{
    static uint8_t original[INPUT_MAX], damaged[2 * INPUT_MAX];
    FILE *file = fopen(path, "rb");
    FUZZ_CHECK(file);
    size_t size = fread(original, 1, sizeof(original), file);
    fclose(file);
    run(original, size);
    for (int i = 0; i < DAMAGED_COPIES; i++) {
        memcpy(damaged, original, size);
        run(damaged, damage(damaged, size, sizeof(damaged)));
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER [SEED]\n", argv[0]);
        return 2;
    }
    random_state = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
    printf("# seed %llu\n", (unsigned long long)random_state);
    fflush(stdout);
    struct dirent **entries = NULL;
    int n = scandir(argv[1], &entries, NULL, alphasort), n_run = 0;
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", argv[1], entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            replay(path);
            n_run++;
        }
        free(entries[i]);
    }
    free(entries);
    printf("%d files, each with %d damaged copies\n", n_run, DAMAGED_COPIES);
    return n_run > 0 ? 0 : 1;
}
