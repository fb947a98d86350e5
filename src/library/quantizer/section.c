/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A quantizer's section, written and read; its file has no other. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "handle.h"
#include "base/little_endian.h"
#include "base/memory.h"
#include "library/shape.h"
#include "section.h"

enum { AT_M, AT_NUM_CENTROIDS, AT_SUB_VECTOR_DIM, AT_METRIC, NUM_USED };

struct pqk_section pqk_quantizer_section(const pqk_quantizer *quantizer)
{
    const pqk_codebook *codebook = &quantizer->codebook;

    return (struct pqk_section){
        .type = PQK_SECTION_QUANTIZER,
        .num_bytes = 4 * (uint64_t)pqk_num_centroid_values(codebook),
        .parameters = {[AT_M] = codebook->num_sub_vectors,
                       [AT_NUM_CENTROIDS] = codebook->num_centroids,
                       [AT_SUB_VECTOR_DIM] = codebook->sub_vector_dim,
                       [AT_METRIC] = (uint64_t)quantizer->metric},
    };
}

pqk_status pqk_write_quantizer(struct pqk_replacement *replacement,
                               struct pqk_section *section,
                               const pqk_quantizer *quantizer)
{
    const size_t count = pqk_num_centroid_values(&quantizer->codebook);
    uint8_t *bytes = pqk_array_alloc(count, 4);
    pqk_status status;

    if (!bytes)
        return PQK_OUT_OF_MEMORY;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;

        memcpy(&bits, &quantizer->centroids[i], sizeof bits);
        pqk_put_u32(bytes + 4 * i, bits);
    }
    status = pqk_write_section(replacement, section, bytes);
    free(bytes);
    return status;
}

static void read_values(const uint8_t *bytes, size_t count, float *values)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = pqk_get_u32(bytes + 4 * i);

        memcpy(&values[i], &bits, sizeof bits);
    }
}

/* 0 if the parameters are no shape and metric that fit the section. */
static int read_shape(const struct pqk_section *section, pqk_codebook *shape)
{
    const uint64_t *parameters = section->parameters;

    for (size_t i = 0; i < PQK_PARAMETERS; i++)
        if (parameters[i] > (i < NUM_USED ? SIZE_MAX : 0))
            return 0;
    *shape = (pqk_codebook){
        .num_sub_vectors = (size_t)parameters[AT_M],
        .num_centroids = (size_t)parameters[AT_NUM_CENTROIDS],
        .sub_vector_dim = (size_t)parameters[AT_SUB_VECTOR_DIM],
    };
    return pqk_shape_is_possible(shape) &&
           parameters[AT_METRIC] <= PQK_COSINE &&
           section->num_bytes == 4 * (uint64_t)pqk_num_centroid_values(shape);
}

pqk_status pqk_read_quantizer(const struct pqk_reader *reader,
                              pqk_quantizer **quantizer)
{
    const struct pqk_section *section = reader->head.sections;
    pqk_codebook shape;
    pqk_quantizer *made;
    pqk_status status;

    if (reader->head.num_sections == 0 ||
        section->type != PQK_SECTION_QUANTIZER || section->partition != 0 ||
        !read_shape(section, &shape) || !pqk_section_is_intact(reader, section))
        return PQK_BAD_FILE;
    status = pqk_quantizer_new(
        &shape, (pqk_metric)section->parameters[AT_METRIC], &made);
    if (status != PQK_OK)
        return status;
    read_values(pqk_section_bytes(reader, section),
                pqk_num_centroid_values(&shape), made->centroids);
    if (!pqk_centroids_are_finite(&made->codebook)) {
        pqk_quantizer_free(made);
        return PQK_BAD_FILE;
    }
    *quantizer = made;
    return PQK_OK;
}

pqk_status pqk_quantizer_save(const pqk_quantizer *quantizer, const char *path)
{
    struct pqk_section section;
    const struct pqk_head head = {
        .kind = PQK_FILE_QUANTIZER, .num_sections = 1, .sections = &section};
    struct pqk_replacement file;
    pqk_status status;

    if (!quantizer || !path)
        return PQK_INVALID_ARGUMENT;
    section = pqk_quantizer_section(quantizer);
    pqk_place_sections(&head);
    status = pqk_replacement_begin(&file, path);
    if (status != PQK_OK)
        return status;
    status = pqk_write_quantizer(&file, &section, quantizer);
    if (status == PQK_OK)
        status = pqk_write_head(&file, &head);
    return pqk_replacement_end(&file, status);
}

pqk_status pqk_quantizer_load(const char *path, pqk_quantizer **quantizer)
{
    struct pqk_reader reader;
    pqk_status status;

    if (!path || !quantizer)
        return PQK_INVALID_ARGUMENT;
    status = pqk_reader_open(&reader, path);
    if (status != PQK_OK)
        return status;
    if (reader.head.kind == PQK_FILE_COLLECTION ||
        (reader.head.kind == PQK_FILE_QUANTIZER &&
         reader.head.num_sections == 1 && reader.head.next_id == 0 &&
         reader.head.num_vectors == 0))
        status = pqk_read_quantizer(&reader, quantizer);
    else
        status = PQK_BAD_FILE;
    pqk_reader_close(&reader);
    return status;
}
