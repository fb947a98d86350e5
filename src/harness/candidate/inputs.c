/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "inputs.h"
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int pqh_inputs_make(int *read_only, struct pqh_outcome *outcome)
{
    int file = pqh_anonymous_file("pqkern-inputs");
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    *read_only = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || *read_only < 0) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error",
                       "cannot make a file for the inputs: %s",
                       strerror(errno));
    }
    return file;
}

int pqh_inputs_write(int file, const struct pqh_fixture *fixture,
                     struct pqh_outcome *outcome)
{
    const pqk_codebook *codebook = &fixture->codebook;
    size_t centroid_bytes = codebook->num_sub_vectors *
                            codebook->num_centroids * codebook->sub_vector_dim *
                            sizeof(float);

    if (pqh_write_all(file, codebook->centroids, centroid_bytes) != 0 ||
        pqh_write_all(file, fixture->codes,
                      fixture->num_base * codebook->num_sub_vectors) != 0) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error",
                       "cannot write the inputs for the children: %s",
                       strerror(errno));
    }
#ifdef F_ADD_SEALS
    (void)fcntl(file, F_ADD_SEALS,
                F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
#endif
    return 0;
}
