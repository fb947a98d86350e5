/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Calls of the C library that fail on demand, in a program that is linked with
 * --wrap for each of them; what it has not given back is counted.
 */
#ifndef PQK_FAULTS_H
#define PQK_FAULTS_H

#include <stddef.h>

enum fault_calls {
    FAULT_MEMORY,  /* malloc and its kin, strdup */
    FAULT_THREADS, /* pthread_create, pthread_mutex_init */
    FAULT_FILES,   /* open, fstat, mmap, read and write, fsync, close, rename,
                      realpath */
    FAULT_KINDS
};

enum fault_manner {
    FAULT_FAILS,       /* with an errno */
    FAULT_INTERRUPTED, /* what reads or writes fails with EINTR */
    FAULT_ONE_LESS,    /* it does it with one byte less */
    FAULT_HALF,        /* with half of them */
    FAULT_KILLS,       /* the process, before the call */
    FAULT_KILLS_HALFWAY
};

struct fault {
    enum fault_calls calls;
    enum fault_manner manner;
    int error;
    int persists; /* all calls that follow are met, too */
};

/* From now on the number-th call, from 1 on, is met by the fault. */
void faults_begin(const struct fault *fault, size_t number);

/* How many were met since then; none will be from now on. */
size_t faults_end(void);

/* 1 if a rename succeeded since faults_begin. */
int faults_renamed(void);

/* 1 if something was brought to the disk before the rename, and something after. */
int faults_synchronised(void);

/* What is held: blocks of memory, open files, mappings, threads not joined. */
struct faults_held {
    long blocks, files, mappings, threads;
};

struct faults_held faults_held(void);

#endif
