/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "base/little_endian.h"
#include "base/memory.h"
#include "base/xxh64.h"

#define VERSION 1

#define HEADER_BYTES ((size_t)64)
#define ENTRY_BYTES  ((size_t)96)

/* Codes are scanned where they are mapped. */
#define CODES_ALIGNMENT ((uint64_t)4096)
#define ALIGNMENT       ((uint64_t)64)

/* Like PNG's: whoever takes a file for text, strips the eighth bit or changes
 * ends of lines, damages the first bytes. */
static const uint8_t magic[8] = {0x89, 'P', 'Q', 'K', '\r', '\n', 0x1a, '\n'};

/* Where things are in the header and in a table's entry. */
enum {
    AT_VERSION = 8,
    AT_KIND = 12,
    AT_NUM_BYTES = 16,
    AT_NUM_SECTIONS = 24,
    AT_NEXT_ID = 32,
    AT_NUM_VECTORS = 40,
    AT_TABLE_CHECKSUM = 48,
    AT_HEADER_CHECKSUM = 56
};
enum {
    AT_TYPE = 0,
    AT_PARTITION = 4,
    AT_OFFSET = 8,
    AT_SIZE = 16,
    AT_CHECKSUM = 24,
    AT_PARAMETERS = 32
};

/* The first place for a section of a type. */
static uint64_t place_behind(uint64_t end, uint32_t type)
{
    const uint64_t alignment =
        type == PQK_SECTION_CODES ? CODES_ALIGNMENT : ALIGNMENT;

    return (end + alignment - 1) & ~(alignment - 1);
}

/* ------------------------------------------------------------------------ */
/* Writing                                                                  */

void pqk_place_sections(const struct pqk_head *head)
{
    uint64_t end = HEADER_BYTES + head->num_sections * ENTRY_BYTES;

    for (size_t i = 0; i < head->num_sections; i++) {
        struct pqk_section *section = &head->sections[i];

        section->offset = place_behind(end, section->type);
        end = section->offset + section->num_bytes;
    }
}

pqk_status pqk_write_section(struct pqk_replacement *replacement,
                             struct pqk_section *section, const void *bytes)
{
    const size_t num_bytes = (size_t)section->num_bytes;

    section->checksum = pqk_xxh64(bytes, num_bytes);
    return pqk_replacement_put(replacement, section->offset, bytes, num_bytes);
}

static void put_entry(uint8_t *bytes, const struct pqk_section *section)
{
    pqk_put_u32(bytes + AT_TYPE, section->type);
    pqk_put_u32(bytes + AT_PARTITION, section->partition);
    pqk_put_u64(bytes + AT_OFFSET, section->offset);
    pqk_put_u64(bytes + AT_SIZE, section->num_bytes);
    pqk_put_u64(bytes + AT_CHECKSUM, section->checksum);
    for (size_t i = 0; i < PQK_PARAMETERS; i++)
        pqk_put_u64(bytes + AT_PARAMETERS + 8 * i, section->parameters[i]);
}

/* The last section ends the file. */
static void put_header(uint8_t *bytes, const struct pqk_head *head)
{
    const struct pqk_section *last = &head->sections[head->num_sections - 1];
    const size_t table_bytes = head->num_sections * ENTRY_BYTES;

    memcpy(bytes, magic, sizeof magic);
    pqk_put_u32(bytes + AT_VERSION, VERSION);
    pqk_put_u32(bytes + AT_KIND, head->kind);
    pqk_put_u64(bytes + AT_NUM_BYTES, last->offset + last->num_bytes);
    pqk_put_u64(bytes + AT_NUM_SECTIONS, head->num_sections);
    pqk_put_u64(bytes + AT_NEXT_ID, head->next_id);
    pqk_put_u64(bytes + AT_NUM_VECTORS, head->num_vectors);
    pqk_put_u64(bytes + AT_TABLE_CHECKSUM,
                pqk_xxh64(bytes + HEADER_BYTES, table_bytes));
    pqk_put_u64(bytes + AT_HEADER_CHECKSUM,
                pqk_xxh64(bytes, AT_HEADER_CHECKSUM));
}

pqk_status pqk_write_head(struct pqk_replacement *replacement,
                          const struct pqk_head *head)
{
    const size_t num_bytes = HEADER_BYTES + head->num_sections * ENTRY_BYTES;
    uint8_t *bytes = malloc(num_bytes);
    pqk_status status;

    if (!bytes)
        return PQK_OUT_OF_MEMORY;
    for (size_t i = 0; i < head->num_sections; i++)
        put_entry(bytes + HEADER_BYTES + i * ENTRY_BYTES, &head->sections[i]);
    put_header(bytes, head);
    status = pqk_replacement_put(replacement, 0, bytes, num_bytes);
    free(bytes);
    return status;
}

/* ------------------------------------------------------------------------ */
/* Reading                                                                  */

static void get_entry(const uint8_t *bytes, struct pqk_section *section)
{
    section->type = pqk_get_u32(bytes + AT_TYPE);
    section->partition = pqk_get_u32(bytes + AT_PARTITION);
    section->offset = pqk_get_u64(bytes + AT_OFFSET);
    section->num_bytes = pqk_get_u64(bytes + AT_SIZE);
    section->checksum = pqk_get_u64(bytes + AT_CHECKSUM);
    for (size_t i = 0; i < PQK_PARAMETERS; i++)
        section->parameters[i] = pqk_get_u64(bytes + AT_PARAMETERS + 8 * i);
}

/* A later version may have changed everything behind its number. */
static pqk_status check_header(const struct pqk_mapping *file)
{
    const uint8_t *bytes = file->bytes;
    uint64_t num_sections;

    if (file->num_bytes < HEADER_BYTES ||
        memcmp(bytes, magic, sizeof magic) != 0)
        return PQK_BAD_FILE;
    if (pqk_get_u32(bytes + AT_VERSION) > VERSION)
        return PQK_NEWER_FILE;
    num_sections = pqk_get_u64(bytes + AT_NUM_SECTIONS);
    if (pqk_get_u64(bytes + AT_HEADER_CHECKSUM) !=
            pqk_xxh64(bytes, AT_HEADER_CHECKSUM) ||
        pqk_get_u32(bytes + AT_VERSION) != VERSION ||
        pqk_get_u64(bytes + AT_NUM_BYTES) != file->num_bytes ||
        num_sections > (file->num_bytes - HEADER_BYTES) / ENTRY_BYTES ||
        pqk_get_u64(bytes + AT_TABLE_CHECKSUM) !=
            pqk_xxh64(bytes + HEADER_BYTES, (size_t)num_sections * ENTRY_BYTES))
        return PQK_BAD_FILE;
    return PQK_OK;
}

static int all_zero(const uint8_t *bytes, size_t num_bytes)
{
    for (size_t i = 0; i < num_bytes; i++)
        if (bytes[i] != 0)
            return 0;
    return 1;
}

/* Sections follow each other, with zeros up to the next aligned place. */
static int sections_are_in_place(const struct pqk_mapping *file,
                                 const struct pqk_head *head)
{
    uint64_t end = HEADER_BYTES + head->num_sections * ENTRY_BYTES;

    for (size_t i = 0; i < head->num_sections; i++) {
        const struct pqk_section *section = &head->sections[i];

        if (section->offset != place_behind(end, section->type) ||
            section->offset > file->num_bytes ||
            section->num_bytes > file->num_bytes - section->offset ||
            !all_zero(file->bytes + end, (size_t)(section->offset - end)))
            return 0;
        end = section->offset + section->num_bytes;
    }
    return end == file->num_bytes;
}

static pqk_status read_head(const struct pqk_mapping *file,
                            struct pqk_head *head)
{
    const uint8_t *bytes = file->bytes;
    pqk_status status = check_header(file);

    if (status != PQK_OK)
        return status;
    head->kind = pqk_get_u32(bytes + AT_KIND);
    head->next_id = pqk_get_u64(bytes + AT_NEXT_ID);
    head->num_vectors = pqk_get_u64(bytes + AT_NUM_VECTORS);
    head->num_sections = (size_t)pqk_get_u64(bytes + AT_NUM_SECTIONS);
    head->sections =
        pqk_array_alloc(head->num_sections, sizeof *head->sections);
    if (!head->sections)
        return PQK_OUT_OF_MEMORY;
    for (size_t i = 0; i < head->num_sections; i++)
        get_entry(bytes + HEADER_BYTES + i * ENTRY_BYTES, &head->sections[i]);
    return sections_are_in_place(file, head) ? PQK_OK : PQK_BAD_FILE;
}

pqk_status pqk_reader_open(struct pqk_reader *reader, const char *path)
{
    pqk_status status;

    *reader = (struct pqk_reader){.mapping = {NULL, 0}};
    status = pqk_map(path, &reader->mapping);
    if (status == PQK_OK)
        status = read_head(&reader->mapping, &reader->head);
    if (status != PQK_OK)
        pqk_reader_close(reader);
    return status;
}

void pqk_reader_close(struct pqk_reader *reader)
{
    const int saved_errno = errno;

    free(reader->head.sections);
    reader->head.sections = NULL;
    pqk_unmap(&reader->mapping);
    errno = saved_errno;
}

int pqk_section_is_intact(const struct pqk_reader *reader,
                          const struct pqk_section *section)
{
    return section->checksum == pqk_xxh64(pqk_section_bytes(reader, section),
                                          (size_t)section->num_bytes);
}
