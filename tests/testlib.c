/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <dirent.h>
#include <float.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"
#include "variants.h"

/* ------------------------------------------------------------------------ */
/* The case that runs                                                        */

static char current_case[512] = "no case yet";
static size_t case_length; /* without the subcase */
static struct sigaction previous_action[65];
static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};

/* Says which case it was and lets the signal come again. */
static void on_crash(int number)
{
    static const char text[] = "# crashed in: ";

    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    (void)!write(STDERR_FILENO, current_case, strlen(current_case));
    (void)!write(STDERR_FILENO, "\n", 1);
    sigaction(number, &previous_action[number], NULL);
}

static void catch_crashes(void)
{
    static int caught;
    struct sigaction action;

    if (caught)
        return;
    caught = 1;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_crash;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < TEST_COUNT(crashes); i++)
        sigaction(crashes[i], &action, &previous_action[crashes[i]]);
}

void test_case(const char *format, ...)
{
    va_list arguments;

    catch_crashes();
    va_start(arguments, format);
    vsnprintf(current_case, sizeof current_case, format, arguments);
    va_end(arguments);
    case_length = strlen(current_case);
}

void test_subcase(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(current_case + case_length, sizeof current_case - case_length,
              format, arguments);
    va_end(arguments);
}

const char *test_case_name(void)
{
    return current_case;
}

const char *test_fault(const char *format, ...)
{
    static char text[1024];
    va_list arguments;
    int used = snprintf(text, sizeof text, "%s: ", current_case);

    va_start(arguments, format);
    vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
    va_end(arguments);
    return text;
}

double test_scale(void)
{
    const char *text = getenv("PQK_TEST_SCALE");
    double scale = text ? strtod(text, NULL) : 1.0;

    return scale > 0.0 ? scale : 1.0;
}

size_t test_scaled(size_t count)
{
    double scaled = (double)count * test_scale();

    return scaled < 1.0 ? 1 : (size_t)scaled;
}

/* ------------------------------------------------------------------------ */
/* Memory between guard pages                                                */

#define CANARY       0xa5
#define CANARY_BYTES 256

void *test_alloc(size_t bytes)
{
    void *memory = calloc(1, bytes + 1);

    if (!memory) {
        fprintf(stderr, "%s\n", test_fault("out of memory for the test"));
        abort();
    }
    return memory;
}

void test_arena_free(struct test_arena *arena)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (arena->map)
        munmap(arena->map, arena->capacity + 2 * page);
    memset(arena, 0, sizeof *arena);
}

static void reserve(struct test_arena *arena, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t capacity = (bytes + CANARY_BYTES + page) / page * page;
    void *map;

    if (arena->map && arena->capacity >= capacity)
        return;
    test_arena_free(arena);
    map = mmap(NULL, capacity + 2 * page, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect((unsigned char *)map + page, capacity,
                                      PROT_READ | PROT_WRITE) != 0) {
        fprintf(stderr, "%s\n", test_fault("no guarded memory"));
        abort();
    }
    arena->map = map;
    arena->memory = arena->map + page;
    arena->capacity = capacity;
}

static size_t canary_bytes_before(const struct test_arena *arena)
{
    size_t room = (size_t)(arena->block - arena->memory);

    return room < CANARY_BYTES ? room : CANARY_BYTES;
}

static size_t canary_bytes_behind(const struct test_arena *arena)
{
    size_t room = (size_t)(arena->memory + arena->capacity - arena->block) -
                  arena->block_bytes;

    return room < CANARY_BYTES ? room : CANARY_BYTES;
}

static void *take_block(struct test_arena *arena, size_t at, size_t bytes)
{
    arena->block = arena->memory + at;
    arena->block_bytes = bytes;
    memset(arena->block, 0xff, bytes);
    memset(arena->block - canary_bytes_before(arena), CANARY,
           canary_bytes_before(arena));
    memset(arena->block + bytes, CANARY, canary_bytes_behind(arena));
    return arena->block;
}

void *test_at_end(struct test_arena *arena, size_t bytes)
{
    reserve(arena, bytes);
    return take_block(arena, arena->capacity - bytes, bytes);
}

/* More than a kernel has on the stack for 256 sub-vectors. */
#define STACK_BYTES (192 * 1024)

/* 0xff is a NaN, no position, and a byte that rules every code out; 0x01 makes
 * small numbers. */
__attribute__((noinline)) void test_dirty_stack(void)
{
    static unsigned turn;
    unsigned char memory[STACK_BYTES];

    memset(memory, turn++ % 2 ? 0x01 : 0xff, sizeof memory);
    __asm__ volatile("" : : "r"(memory) : "memory");
}

void *test_at_start(struct test_arena *arena, size_t bytes)
{
    return test_at_skew(arena, bytes, 0);
}

void *test_at_skew(struct test_arena *arena, size_t bytes, size_t skew)
{
    reserve(arena, bytes + skew);
    return take_block(arena, skew, bytes);
}

void *test_aligned(struct test_arena *arena, size_t bytes, size_t alignment)
{
    reserve(arena, bytes);
    return take_block(arena, (arena->capacity - bytes) / alignment * alignment,
                      bytes);
}

void *test_place(struct test_arena *arena, size_t bytes, unsigned placement)
{
    return placement % 2 ? test_at_start(arena, bytes)
                         : test_at_end(arena, bytes);
}

void *test_place_copy(struct test_arena *arena, const void *source,
                      size_t bytes, unsigned placement)
{
    void *block = test_place(arena, bytes, placement);

    if (bytes > 0)
        memcpy(block, source, bytes);
    return block;
}

static int all_canaries(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != CANARY)
            return 0;
    return 1;
}

int test_canaries_intact(const struct test_arena *arena)
{
    return all_canaries(arena->block - canary_bytes_before(arena),
                        canary_bytes_before(arena)) &&
           all_canaries(arena->block + arena->block_bytes,
                        canary_bytes_behind(arena));
}

/* ------------------------------------------------------------------------ */
/* Files                                                                     */

static void no_file(const char *what, const char *path)
{
    fprintf(stderr, "%s\n", test_fault("%s failed for %s", what, path));
    abort();
}

const char *test_path(const char *folder, const char *name)
{
    static char paths[2][4096];
    static unsigned turn;
    char *path = paths[turn++ % 2];

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

char *test_folder(const char *name)
{
    const char *build = getenv("abs_top_builddir"), *tmp = getenv("TMPDIR");
    char *folder = test_alloc(4096);

    if (build)
        snprintf(folder, 4096, "%s/tests/%s-%ld.tmp", build, name,
                 (long)getpid());
    else
        snprintf(folder, 4096, "%s/%s-%ld.tmp", tmp ? tmp : "/tmp", name,
                 (long)getpid());
    if (mkdir(folder, 0777) != 0)
        no_file("mkdir", folder);
    return folder;
}

size_t test_count_files(const char *folder)
{
    DIR *directory = opendir(folder);
    size_t count = 0;
    struct dirent *item;

    if (!directory)
        no_file("opendir", folder);
    while ((item = readdir(directory)))
        count += item->d_name[0] != '.';
    closedir(directory);
    return count;
}

void test_remove_folder(char *folder)
{
    DIR *directory = opendir(folder);
    struct dirent *item;

    if (!directory)
        no_file("opendir", folder);
    while ((item = readdir(directory)))
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            remove(test_path(folder, item->d_name));
    closedir(directory);
    rmdir(folder);
    free(folder);
}

unsigned char *test_read_file(const char *path, size_t *num_bytes)
{
    FILE *file = fopen(path, "rb");
    unsigned char *bytes;
    long size = -1;

    if (!file)
        return NULL;
    if (fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
        no_file("reading", path);
    rewind(file);
    bytes = test_alloc((size_t)size);
    if (fread(bytes, 1, (size_t)size, file) != (size_t)size)
        no_file("reading", path);
    fclose(file);
    *num_bytes = (size_t)size;
    return bytes;
}

void test_write_file(const char *path, const void *bytes, size_t num_bytes)
{
    FILE *file = fopen(path, "wb");

    if (!file ||
        (num_bytes > 0 && fwrite(bytes, 1, num_bytes, file) != num_bytes) ||
        fclose(file) != 0)
        no_file("writing", path);
}

/* ------------------------------------------------------------------------ */
/* Random numbers                                                            */

uint64_t test_next(struct test_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

size_t test_below(struct test_random *random, size_t bound)
{
    return (size_t)(test_next(random) % bound);
}

float test_uniform(struct test_random *random)
{
    return (float)(test_next(random) >> 40) * 0x1p-24f;
}

/* Four uniforms have variance 1/3. */
float test_normal(struct test_random *random)
{
    float sum = 0.0f;

    for (int i = 0; i < 4; i++)
        sum += test_uniform(random);
    return (sum - 2.0f) * 1.7320508f;
}

float test_any_float(struct test_random *random)
{
    uint32_t bits = (uint32_t)(test_next(random) >> 32);
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

float test_power(struct test_random *random, int lowest, int highest)
{
    int exponent = lowest + (int)test_below(random, (size_t)(highest - lowest));

    return ldexpf(1.0f + test_uniform(random), exponent);
}

uint64_t test_fnv(uint64_t checksum, const void *bytes, size_t num_bytes)
{
    const unsigned char *byte = bytes;

    for (size_t i = 0; i < num_bytes; i++)
        checksum = (checksum ^ byte[i]) * UINT64_C(0x100000001b3);
    return checksum;
}

uint64_t test_fnv_floats(uint64_t checksum, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = test_bits(values[i]);
        unsigned char bytes[4] = {
            (unsigned char)bits, (unsigned char)(bits >> 8),
            (unsigned char)(bits >> 16), (unsigned char)(bits >> 24)};

        checksum = test_fnv(checksum, bytes, sizeof bytes);
    }
    return checksum;
}

/* ------------------------------------------------------------------------ */
/* Tables that attack                                                        */

static const char *const table_names[TEST_TABLE_KINDS] = {
    [TEST_TABLE_UNIFORM] = "uniform",
    [TEST_TABLE_REAL] = "real",
    [TEST_TABLE_INTEGERS] = "integers",
    [TEST_TABLE_EQUAL] = "equal",
    [TEST_TABLE_ZERO] = "zero",
    [TEST_TABLE_ULP] = "ulp",
    [TEST_TABLE_LARGE_ULP] = "large-ulp",
    [TEST_TABLE_PERMUTED] = "permuted",
    [TEST_TABLE_ABSORB] = "absorb",
    [TEST_TABLE_ONE_HUGE] = "one-huge",
    [TEST_TABLE_OUTLIERS] = "outliers",
    [TEST_TABLE_SPREAD] = "spread",
    [TEST_TABLE_TINY] = "tiny",
    [TEST_TABLE_DENORMAL] = "denormal",
    [TEST_TABLE_OVERFLOW] = "overflow",
    [TEST_TABLE_INF_SOME] = "inf-some",
    [TEST_TABLE_MOSTLY_INF] = "inf-most",
    [TEST_TABLE_INF_ALL] = "inf-all",
    [TEST_TABLE_NAN_SOME] = "nan-some",
    [TEST_TABLE_MOSTLY_NAN] = "nan-most",
    [TEST_TABLE_NAN_ALL] = "nan-all",
    [TEST_TABLE_CONSTANT_ROWS] = "constant-rows",
    [TEST_TABLE_HIGH] = "high",
    [TEST_TABLE_NEGATIVE] = "negative",
    [TEST_TABLE_NEGATIVE_ALL] = "negative-all",
    [TEST_TABLE_CANCEL] = "cancel",
    [TEST_TABLE_OFFSETS] = "offsets",
    [TEST_TABLE_VALLEY] = "valley",
    [TEST_TABLE_INF_BOTH] = "inf-both",
    [TEST_TABLE_ANY_BITS] = "any-bits",
};

const char *test_table_name(enum test_table_kind kind)
{
    return table_names[kind];
}

static float from_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* One in `chance` entries is value, the others are uniform. */
static float sometimes(struct test_random *random, size_t chance, float value)
{
    return test_below(random, chance) == 0 ? value : test_uniform(random);
}

/* The sum of eight squares of normals, like the distance of 8 dimensions. */
static float real_entry(struct test_random *random)
{
    float sum = 0.0f;

    for (int i = 0; i < 8; i++) {
        float x = 40.0f * test_normal(random);
        sum += x * x;
    }
    return sum;
}

/* Entries of either size of 2^24, where an ulp becomes 2: what is added after
 * the large one is lost, what is added before it is not, so that float32 sums
 * order codes otherwise than true sums do. */
static float absorb_entry(size_t m, size_t last, struct test_random *random)
{
    if ((m == 0 || m == last / 2 || m == last) && test_below(random, 3) == 0)
        return 16777216.0f;
    return 0.9f + 0.1f * test_uniform(random);
}

static float either_sign(struct test_random *random, float value)
{
    return test_below(random, 2) ? value : -value;
}

static float special_entry(enum test_table_kind kind,
                           struct test_random *random)
{
    switch (kind) {
    case TEST_TABLE_INF_SOME:
        return sometimes(random, 60, INFINITY);
    case TEST_TABLE_MOSTLY_INF:
        return test_below(random, 10) ? INFINITY : test_uniform(random);
    case TEST_TABLE_INF_ALL:
        return INFINITY;
    case TEST_TABLE_NAN_SOME:
        return sometimes(random, 60, either_sign(random, NAN));
    case TEST_TABLE_MOSTLY_NAN:
        return test_below(random, 10) ? NAN : test_uniform(random);
    case TEST_TABLE_NAN_ALL:
        return from_bits(0x7fc00000u | (uint32_t)test_below(random, 4096));
    case TEST_TABLE_NEGATIVE:
        return 2.0f * test_uniform(random) - 1.0f;
    case TEST_TABLE_NEGATIVE_ALL:
        return -test_power(random, -3, 3);
    case TEST_TABLE_CANCEL:
        return either_sign(random, test_power(random, -30, 30));
    case TEST_TABLE_INF_BOTH:
        return sometimes(random, 20, either_sign(random, INFINITY));
    default:
        return test_any_float(random);
    }
}

static float entry(enum test_table_kind kind, size_t m, size_t last,
                   struct test_random *random)
{
    switch (kind) {
    case TEST_TABLE_UNIFORM:
        return test_uniform(random);
    case TEST_TABLE_REAL:
        return real_entry(random);
    case TEST_TABLE_INTEGERS:
        return (float)test_below(random, 4);
    case TEST_TABLE_EQUAL:
        return 1.7f;
    case TEST_TABLE_ZERO:
        return either_sign(random, 0.0f);
    case TEST_TABLE_ULP:
        return from_bits(0x3f800000u + (uint32_t)test_below(random, 8));
    case TEST_TABLE_LARGE_ULP:
        return from_bits(0x60000000u + (uint32_t)test_below(random, 3));
    case TEST_TABLE_ABSORB:
        return absorb_entry(m, last, random);
    case TEST_TABLE_ONE_HUGE:
        return m == last / 3 ? 1e30f * (1.0f + 1e-6f * test_uniform(random))
                             : test_uniform(random);
    case TEST_TABLE_OUTLIERS:
        return test_below(random, 100) ? 0.001f * test_uniform(random) : 1e30f;
    case TEST_TABLE_SPREAD:
        return test_power(random, -126, 126);
    case TEST_TABLE_TINY:
        return test_power(random, -130, -122);
    case TEST_TABLE_DENORMAL:
        return from_bits((uint32_t)test_below(random, 0x800000u >> m % 20));
    case TEST_TABLE_OVERFLOW:
        return FLT_MAX / 8.0f * test_uniform(random);
    case TEST_TABLE_OFFSETS:
        return (m % 2 ? 1048576.0f : -1048576.0f) + test_uniform(random);
    case TEST_TABLE_VALLEY:
        return (2 * m > last ? 1048576.0f : -1048576.0f) + test_uniform(random);
    case TEST_TABLE_HIGH:
        return test_below(random, 100) ? 1.0f - 0.1f * test_uniform(random)
                                       : 0.0f;
    case TEST_TABLE_CONSTANT_ROWS:
        return m % 3 == 1 ? 100.0f : test_uniform(random);
    default:
        return special_entry(kind, random);
    }
}

/* Every row is a rotation of the first: codes that name the same values in
 * another order have the same true sum, but not the same float32 sum. */
static void fill_permuted(size_t num_sub_vectors, float *entries,
                          struct test_random *random)
{
    float first[PQK_TABLE_STRIDE];

    for (size_t c = 0; c < PQK_TABLE_STRIDE; c++)
        first[c] = test_power(random, -2, 12);
    for (size_t m = 0; m < num_sub_vectors; m++)
        for (size_t c = 0; c < PQK_TABLE_STRIDE; c++)
            entries[m * PQK_TABLE_STRIDE + c] =
                first[(c / 8 + m) % 8 + c / 64 * 8];
}

void test_fill_table(enum test_table_kind kind, size_t num_sub_vectors,
                     float *entries, struct test_random *random)
{
    if (kind == TEST_TABLE_PERMUTED) {
        fill_permuted(num_sub_vectors, entries, random);
        return;
    }
    for (size_t m = 0; m < num_sub_vectors; m++)
        for (size_t c = 0; c < PQK_TABLE_STRIDE; c++)
            *entries++ = entry(kind, m, num_sub_vectors - 1, random);
}

/* ------------------------------------------------------------------------ */
/* Codes that attack                                                         */

static const char *const codes_names[TEST_CODES_KINDS] = {
    [TEST_CODES_UNIFORM] = "uniform", [TEST_CODES_DUPLICATES] = "duplicates",
    [TEST_CODES_SAME] = "same",       [TEST_CODES_RAMP] = "ramp",
    [TEST_CODES_EDGES] = "edges",
};

const char *test_codes_name(enum test_codes_kind kind)
{
    return codes_names[kind];
}

static size_t edge_code(struct test_random *random)
{
    static const uint8_t edges[] = {0,  1,   15,  16,  17,  31,  32,  63, 64,
                                    65, 127, 128, 129, 191, 192, 254, 255};

    return edges[test_below(random, sizeof edges)];
}

/* Rows beyond the first few repeat one of them. */
static size_t distinct_rows(enum test_codes_kind kind)
{
    if (kind == TEST_CODES_SAME)
        return 1;
    return kind == TEST_CODES_DUPLICATES ? 5 : SIZE_MAX;
}

void test_fill_codes(enum test_codes_kind kind, size_t num_vectors,
                     size_t num_sub_vectors, size_t num_centroids,
                     uint8_t *codes, struct test_random *random)
{
    const size_t distinct = distinct_rows(kind);

    for (size_t i = 0; i < num_vectors; i++)
        for (size_t m = 0; m < num_sub_vectors; m++) {
            size_t code = test_below(random, num_centroids);

            if (kind == TEST_CODES_RAMP)
                code = i % num_centroids;
            else if (kind == TEST_CODES_EDGES)
                code = edge_code(random) % num_centroids;
            else if (i >= distinct)
                code = codes[(i * 7 + i / 3) % distinct * num_sub_vectors + m];
            codes[i * num_sub_vectors + m] = (uint8_t)code;
        }
}

/* ------------------------------------------------------------------------ */
/* Variants                                                                  */

size_t test_variant_count(void)
{
    size_t count = 0;

    for (size_t i = 0; i < pqk_kernel_count(); i++)
        count += pqk_kernel_available(pqk_kernel_at(i)) != 0;
    return count;
}

const pqk_kernel *test_variant(size_t position)
{
    for (size_t i = 0; i < pqk_kernel_count(); i++)
        if (pqk_kernel_available(pqk_kernel_at(i)) && position-- == 0)
            return pqk_kernel_at(i);
    return NULL;
}

static int in_build(const char *name)
{
    for (size_t i = 0; i < pqk_kernel_count(); i++)
        if (strcmp(pqk_kernel_name(pqk_kernel_at(i)), name) == 0)
            return 1;
    return 0;
}

void test_print_variants(void)
{
#define NAME(name, needs, built) #name,
    static const char *const names[] = {PQK_VARIANTS(NAME)};
#undef NAME
    const char *separator = "; not run: ";
    const pqk_kernel *kernel;

    printf("# variants:");
    for (size_t i = 0; i < test_variant_count(); i++)
        printf(" %s", pqk_kernel_name(test_variant(i)));
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        if (pqk_kernel_find(names[i], &kernel) == PQK_OK)
            continue;
        printf("%s%s (%s)", separator, names[i],
               in_build(names[i]) ? "not on this CPU" : "not in this build");
        separator = ", ";
    }
    printf("\n");
    fflush(stdout);
}

const char *test_missing_variants(void)
{
    const char *expected = getenv("PQKERN_EXPECT_ISA");
    char *names = test_alloc(expected ? strlen(expected) : 0);
    const char *fault = NULL;
    char *rest = NULL;

    test_case("PQKERN_EXPECT_ISA=\"%s\"", expected ? expected : "");
    if (expected)
        strcpy(names, expected);
    for (char *name = strtok_r(names, " ,", &rest); name && !fault;
         name = strtok_r(NULL, " ,", &rest)) {
        const pqk_kernel *kernel = NULL;
        pqk_status status = pqk_kernel_find(name, &kernel);

        if (status != PQK_OK)
            fault = test_fault("%s did not run: %s", name,
                               pqk_status_string(status));
    }
    free(names);
    return fault;
}

/* ------------------------------------------------------------------------ */
/* Results                                                                   */

uint32_t test_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

int test_same_bits(float a, float b)
{
    return test_bits(a) == test_bits(b);
}

static int compare_results(const void *left, const void *right)
{
    const pqk_row_result *a = left, *b = right;
    const int a_is_nan = isnan(a->distance), b_is_nan = isnan(b->distance);

    if (a_is_nan != b_is_nan)
        return a_is_nan - b_is_nan;
    if (!a_is_nan && a->distance != b->distance)
        return a->distance < b->distance ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

void test_sort_results(pqk_row_result *neighbors, size_t count)
{
    qsort(neighbors, count, sizeof *neighbors, compare_results);
    for (size_t i = 0; i < count; i++) {
        if (isnan(neighbors[i].distance))
            neighbors[i].distance = from_bits(0x7fc00000u);
        if (neighbors[i].distance == 0.0f)
            neighbors[i].distance = 0.0f;
    }
}

const char *test_compare(const pqk_row_result *expected, size_t expected_count,
                         uint32_t first_id, const pqk_row_result *found,
                         size_t found_count)
{
    if (expected_count != found_count)
        return test_fault("%zu results, expected %zu", found_count,
                          expected_count);
    for (size_t i = 0; i < found_count; i++)
        if (found[i].row != expected[i].row + first_id ||
            !test_same_bits(found[i].distance, expected[i].distance))
            return test_fault(
                "result %zu is id %lu at %.9g (%08lx), expected id %lu at "
                "%.9g (%08lx)",
                i, (unsigned long)found[i].row, (double)found[i].distance,
                (unsigned long)test_bits(found[i].distance),
                (unsigned long)expected[i].row + first_id,
                (double)expected[i].distance,
                (unsigned long)test_bits(expected[i].distance));
    return NULL;
}

const char *test_compare_tables(const float *expected, const float *found,
                                size_t num_entries)
{
    for (size_t i = 0; i < num_entries; i++)
        if (!test_same_bits(expected[i], found[i]) &&
            !(isnan(expected[i]) && isnan(found[i])))
            return test_fault(
                "entry [%zu][%zu] is %.9g (%08lx), expected "
                "%.9g (%08lx)",
                i / PQK_TABLE_STRIDE, i % PQK_TABLE_STRIDE, (double)found[i],
                (unsigned long)test_bits(found[i]), (double)expected[i],
                (unsigned long)test_bits(expected[i]));
    return NULL;
}
