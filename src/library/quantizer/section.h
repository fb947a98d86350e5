/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A quantizer's section, the first one of every file. */
#ifndef PQK_QUANTIZER_SECTION_H
#define PQK_QUANTIZER_SECTION_H

#include "library/format.h"

/* Describes the section; its offset and checksum are left to be set. */
struct pqk_section pqk_quantizer_section(const pqk_quantizer *quantizer);

pqk_status pqk_write_quantizer(struct pqk_replacement *replacement,
                               struct pqk_section *section,
                               const pqk_quantizer *quantizer);

pqk_status pqk_read_quantizer(const struct pqk_reader *reader,
                              pqk_quantizer **quantizer);

#endif
