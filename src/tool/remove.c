/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *ids_path;
static int json;

static const struct tool_option options[] = {
    {"ids", 'i', "FILE", "ids to remove, .npy or .ivecs of one column",
     TOOL_TEXT, &ids_path, 0, 0},
    {"json", '\0', NULL, "print JSON", TOOL_FLAG, &json, 0, 0},
    {NULL, '\0', NULL, NULL, TOOL_FLAG, NULL, 0, 0}};

static uint64_t parse_id(const char *text)
{
    uint64_t id;

    errno = 0;
    id = strtoull(text, NULL, 10);
    if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0' ||
        errno != 0 || id == PQK_NO_ID)
        tool_usage("'%s' is no id", text);
    return id;
}

static size_t remove_ids(pqk_collection *collection, const uint64_t *ids,
                         size_t count)
{
    size_t removed = 0;

    tool_check_status(pqk_collection_remove(collection, ids, count, &removed),
                      "removing");
    return removed;
}

static void run(int num_operands, char **operands)
{
    size_t num_named = (size_t)num_operands - 1, num_listed = 0, removed = 0;
    uint64_t *named = tool_alloc(num_named, sizeof *named);
    uint64_t *listed = NULL;
    pqk_collection *collection;

    for (size_t i = 0; i < num_named; i++)
        named[i] = parse_id(operands[i + 1]);
    if (ids_path == NULL && num_named == 0)
        tool_usage("say which ids, or --ids");
    collection = tool_change_collection(operands[0]);
    removed = remove_ids(collection, named, num_named);
    if (ids_path != NULL) {
        listed = tool_read_ids(ids_path, &num_listed);
        removed += remove_ids(collection, listed, num_listed);
    }
    if (removed > 0)
        tool_save_collection(collection, operands[0]);
    tool_report_begin(json);
    tool_report_text("collection", operands[0]);
    tool_report_count("removed", removed);
    tool_report_count("not_there", num_named + num_listed - removed);
    tool_report_count("vectors", pqk_collection_size(collection));
    tool_report_end();
    free(listed);
    free(named);
    pqk_collection_free(collection);
}

const struct tool_command tool_remove = {
    .name = "remove",
    .operands = "COLLECTION [ID]...",
    .summary = "Remove vectors from a collection.",
    .options = options,
    .min_operands = 1,
    .max_operands = 65536,
    .run = run,
};
