/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A collection's file as it is being opened. */
#ifndef PQK_STORED_H
#define PQK_STORED_H

#include "collection.h"
#include "sections.h"

struct pqk_opening {
    const struct pqk_reader *reader;
    int verified;          /* codes and ids are read */
    const uint8_t *labels; /* of the codes; NULL if each is its own label */
    uint8_t *codes_of_labels;
    pqk_collection *collection;
};

/* A partition as the file describes it, in its sections' order. */
struct pqk_stored {
    size_t num_rows;
    uint64_t first_id;
    struct pqk_code_layout layout;
    const struct pqk_section *codes;
    const struct pqk_section *ids; /* NULL if they follow first_id */
};

/* How many sections there are of labels, or -1 if they are none. */
int pqk_read_labels(struct pqk_opening *opening, const pqk_codebook *codebook);

/* Reads the section of codes at `at` and that of ids, if it follows; how many
 * these are, or 0 if they are no partition. */
size_t pqk_read_stored(const struct pqk_reader *reader, size_t at,
                       uint32_t partition, size_t num_sub_vectors,
                       struct pqk_stored *stored);

/* Whether a partition is what it was when it was saved. */
pqk_status pqk_check_stored(const struct pqk_opening *opening,
                            const struct pqk_stored *stored);

/* The code that a label stands for; -1 if it stands for none. */
static inline int pqk_code_of_label(const struct pqk_opening *opening, size_t m,
                                    uint8_t label)
{
    const size_t first = m * PQK_MAX_CENTROIDS;
    const uint8_t code = opening->codes_of_labels[first + label];

    return label == (opening->labels ? opening->labels[first + code] : code)
               ? code
               : -1;
}

#endif
