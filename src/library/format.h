/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The file format: a header, a table of sections, and the sections, one after
 * another, each with a checksum.  pqkern(5) describes it; what a section holds
 * is for those who write and read it.
 */
#ifndef PQK_FORMAT_H
#define PQK_FORMAT_H

#include "file.h"

enum pqk_file_kind { PQK_FILE_QUANTIZER = 1, PQK_FILE_COLLECTION = 2 };

enum pqk_section_type {
    PQK_SECTION_QUANTIZER = 1,
    PQK_SECTION_LABELS = 2,
    PQK_SECTION_CODES = 3,
    PQK_SECTION_IDS = 4
};

#define PQK_PARAMETERS 8

struct pqk_section {
    uint32_t type;
    uint32_t partition; /* whose; 0 if it is of no partition */
    uint64_t offset;
    uint64_t num_bytes;
    uint64_t checksum;
    uint64_t parameters[PQK_PARAMETERS]; /* those that are not used are 0 */
};

struct pqk_head {
    uint32_t kind;
    uint64_t next_id;     /* a collection's, else 0 */
    uint64_t num_vectors; /* a collection's, else 0 */
    size_t num_sections;
    struct pqk_section *sections;
};

/* Gives the sections their offsets; call it before anything is written. */
void pqk_place_sections(const struct pqk_head *head);

/* Writes a section and sets its checksum. */
pqk_status pqk_write_section(struct pqk_replacement *replacement,
                             struct pqk_section *section, const void *bytes);

/* Writes header and table, when all sections are written. */
pqk_status pqk_write_head(struct pqk_replacement *replacement,
                          const struct pqk_head *head);

/* A file being read. */
struct pqk_reader {
    struct pqk_mapping mapping;
    struct pqk_head head;
};

/* Opens a file, and checks header, table and where the sections are: inside the
 * file, aligned, in order, with nothing between them.  Their contents are left
 * to be checked. */
pqk_status pqk_reader_open(struct pqk_reader *reader, const char *path);
void pqk_reader_close(struct pqk_reader *reader);

static inline const uint8_t *
pqk_section_bytes(const struct pqk_reader *reader,
                  const struct pqk_section *section)
{
    return reader->mapping.bytes + section->offset;
}

/* 1 if a section's bytes are those that were written. */
int pqk_section_is_intact(const struct pqk_reader *reader,
                          const struct pqk_section *section);

#endif
