/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A plugin for QEMU's user mode: how often each translated block ran between two
 * functions of the program, which scripts/costs turns into instructions.
 *
 *     qemu-aarch64 -plugin blocks.so,begin=ADDRESS,end=ADDRESS,output=FILE PROGRAM
 *
 * Each time the program enters `end`, FILE gets a line "section", and a line
 * "ADDRESS RUNS SIZES" for each block that ran since it entered `begin`.  SIZES has
 * a hexadecimal digit for each instruction, its bytes.
 *
 * Debian packages QEMU without the plugins' header, so what is used of it is
 * declared here.  None of it differs between QEMU 4.2 and 10 but the number that a
 * plugin has to give: 1 up to QEMU 8, 2 since 9.  That is why blocks are counted by
 * a function and not by the inline addition, which QEMU 9 has replaced.
 *
 * The program has to have one thread: nothing is locked.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLUGIN_API
#define PLUGIN_API 1
#endif
#define PUBLIC __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

typedef void (*translated)(plugin_id, struct qemu_plugin_tb *);
typedef void (*executed)(unsigned, void *);
typedef void (*ended)(plugin_id, void *);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, translated);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed,
                                          enum qemu_plugin_cb_flags, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *,
                                                 size_t);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);

PUBLIC extern int qemu_plugin_version;
PUBLIC int qemu_plugin_install(plugin_id, const void *, int, char **);

int qemu_plugin_version = PLUGIN_API;

struct block {
    uint64_t address;
    uint64_t runs;
    struct block *next;
    char sizes[];
};

/* The same code may be translated more than once; the reader adds that up. */
static struct block *blocks;
static uint64_t begin_address, end_address;
static FILE *output;

static void block_runs(unsigned cpu, void *data)
{
    struct block *block = data;
    (void)cpu;
    block->runs++;
}

static void begin_runs(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    for (struct block *block = blocks; block != NULL; block = block->next) {
        block->runs = 0;
    }
}

static void end_runs(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    fputs("section\n", output);
    for (struct block *block = blocks; block != NULL; block = block->next) {
        if (block->runs != 0) {
            fprintf(output, "%llx %llu %s\n",
                    (unsigned long long)block->address,
                    (unsigned long long)block->runs, block->sizes);
        }
    }
    fflush(output);
}

static void block_is_translated(plugin_id id, struct qemu_plugin_tb *tb)
{
    size_t count = qemu_plugin_tb_n_insns(tb);
    struct block *block = calloc(1, sizeof *block + count + 1);
    (void)id;
    if (block == NULL) {
        fputs("blocks: out of memory\n", stderr);
        abort();
    }
    block->address = qemu_plugin_tb_vaddr(tb);
    for (size_t i = 0; i < count; i++) {
        size_t size = qemu_plugin_insn_size(qemu_plugin_tb_get_insn(tb, i));
        block->sizes[i] = "0123456789abcdef"[size & 15];
    }
    block->next = blocks;
    blocks = block;
    if (block->address == end_address) {
        qemu_plugin_register_vcpu_tb_exec_cb(tb, end_runs,
                                             QEMU_PLUGIN_CB_NO_REGS, NULL);
    } else if (block->address == begin_address) {
        qemu_plugin_register_vcpu_tb_exec_cb(tb, begin_runs,
                                             QEMU_PLUGIN_CB_NO_REGS, NULL);
    } else {
        qemu_plugin_register_vcpu_tb_exec_cb(tb, block_runs,
                                             QEMU_PLUGIN_CB_NO_REGS, block);
    }
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    const char *path = NULL;
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "begin=", 6) == 0) {
            begin_address = strtoull(argv[i] + 6, NULL, 0);
        } else if (strncmp(argv[i], "end=", 4) == 0) {
            end_address = strtoull(argv[i] + 4, NULL, 0);
        } else if (strncmp(argv[i], "output=", 7) == 0) {
            path = argv[i] + 7;
        } else {
            fprintf(stderr, "blocks: no such argument: %s\n", argv[i]);
            return 1;
        }
    }
    if (begin_address == 0 || end_address == 0 || path == NULL) {
        fputs("blocks: wants begin=, end= and output=\n", stderr);
        return 1;
    }
    output = fopen(path, "w");
    if (output == NULL) {
        perror(path);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, block_is_translated);
    return 0;
}
