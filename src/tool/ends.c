/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"
#include "base/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *command_name = "";

void tool_set_name(const char *command)
{
    command_name = command;
}

__attribute__((format(printf, 1, 0))) static void complain(const char *format,
                                                           va_list arguments)
{
    pqk_progress_end();
    fflush(stdout);
    fprintf(stderr, "pqkern%s%s: ", command_name[0] == '\0' ? "" : " ",
            command_name);
    vfprintf(stderr, format, arguments);
}

void tool_die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    pqf_output_remove_unfinished();
    exit(TOOL_EXIT_ERROR);
}

void tool_usage(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    fprintf(stderr, "; see pqkern %s%s--help\n", command_name,
            command_name[0] == '\0' ? "" : " ");
    pqf_output_remove_unfinished();
    exit(TOOL_EXIT_USAGE);
}

void tool_check(int result, const struct pqf_error *err)
{
    if (result != 0)
        tool_die("%s", err->text);
}

void tool_check_status(pqk_status status, const char *what)
{
    if (status == PQK_IO_ERROR)
        tool_die("%s: %s", what, strerror(errno));
    if (status != PQK_OK)
        tool_die("%s: %s", what, pqk_status_string(status));
}

void tool_finish(void)
{
    if (fflush(stdout) != 0 || ferror(stdout) || fclose(stdout) != 0)
        tool_die("standard output: cannot be written: %s", strerror(errno));
    exit(EXIT_SUCCESS);
}

/* ------------------------------------------------------------------------ */

static const int ending_signals[] = {SIGHUP, SIGINT, SIGPIPE, SIGTERM};
#define NUM_SIGNALS (sizeof ending_signals / sizeof ending_signals[0])

/* A standard stream that is closed would give its number to the next file that is
 * opened, and text for the one would end up in the other.  What is put there
 * instead fails as the closed one would. */
void tool_keep_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* The signal's action is its default again: it ends the process. */
static void end_by_signal(int number)
{
    pqf_output_remove_unfinished();
    raise(number);
}

void tool_catch_signals(void)
{
    struct sigaction action;
    struct sigaction before;

    memset(&action, 0, sizeof action);
    action.sa_handler = end_by_signal;
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < NUM_SIGNALS; i++)
        /* What nohup has had ignored stays ignored. */
        if (sigaction(ending_signals[i], NULL, &before) == 0 &&
            before.sa_handler != SIG_IGN)
            sigaction(ending_signals[i], &action, NULL);
    /* A file that may not grow so large is an error, EFBIG. */
    signal(SIGXFSZ, SIG_IGN);
}

void tool_hold_signals(int hold)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < NUM_SIGNALS; i++)
        sigaddset(&set, ending_signals[i]);
    sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

void *tool_alloc(uint64_t count, uint64_t size)
{
    const uint64_t most = SIZE_MAX / 2;
    void *memory = NULL;

    if (size == 0 || count <= most / size)
        memory = malloc((size_t)(count * size) + 1);
    if (memory == NULL)
        tool_die("out of memory for %llu x %llu bytes",
                 (unsigned long long)count, (unsigned long long)size);
    return memory;
}
