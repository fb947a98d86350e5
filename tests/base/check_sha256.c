/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* SHA-256 against the examples of NIST and against itself in pieces. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "../checked.h"
#include "../scratch.h"

#include "formats/checksum.h"

static const struct vector {
    const char *message;
    const char *hex;
} vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
     "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
};

START_TEST(test_vectors)
{
    const struct vector *vector = &vectors[_i];
    struct pqk_sha256 sha;
    char hex[PQK_SHA256_HEX];

    pqk_sha256_begin(&sha);
    pqk_sha256_add(&sha, vector->message, strlen(vector->message));
    pqk_sha256_end(&sha, hex);
    ck_assert_str_eq(hex, vector->hex);
}
END_TEST

/* A million times "a", in pieces of every size up to two blocks. */
START_TEST(test_million)
{
    struct pqk_sha256 sha;
    char piece[130], hex[PQK_SHA256_HEX];
    size_t left = 1000000;

    memset(piece, 'a', sizeof piece);
    pqk_sha256_begin(&sha);
    for (size_t size = 0; left > 0; size = (size + 1) % sizeof piece) {
        size_t part = size < left ? size : left;

        pqk_sha256_add(&sha, piece, part);
        left -= part;
    }
    pqk_sha256_end(&sha, hex);
    ck_assert_str_eq(
        hex,
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
END_TEST

START_TEST(test_file)
{
    const char *path = scratch("file");
    char hex[PQK_SHA256_HEX], name[PATH_MAX];
    struct pqf_error err;

    scratch_write(path, "abc", 3);
    ck_assert_int_eq(pqf_checksum_of(path, hex, &err), 0);
    ck_assert_str_eq(hex, vectors[1].hex);
    ck_assert_int_eq(pqf_checksum_of(scratch("none"), hex, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "/none: "));

    snprintf(name, sizeof name, "%s.sha256", path);
    ck_assert_int_eq(pqf_checksum_verify(path, hex, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, name));
    scratch_write(name, vectors[1].hex, 63);
    ck_assert_int_eq(pqf_checksum_verify(path, hex, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, name));
    ck_assert_ptr_nonnull(strstr(err.text, "64 lower-case"));
    scratch_write(name, vectors[0].hex, 64);
    ck_assert_int_eq(pqf_checksum_verify(path, hex, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, vectors[1].hex));
    scratch_write(name, vectors[1].hex, 64);
    ck_assert_int_eq(pqf_checksum_verify(path, hex, &err), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sha256");
    TCase *tcase = tcase_create("sha256");

    tcase_add_unchecked_fixture(tcase, scratch_make, scratch_remove);
    tcase_add_loop_test(tcase, test_vectors, 0, (int)TEST_COUNT(vectors));
    tcase_add_test(tcase, test_million);
    tcase_add_test(tcase, test_file);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
