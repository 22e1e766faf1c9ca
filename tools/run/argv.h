/* SPDX-License-Identifier: GPL-2.0-or-later */
/* argv.h - a QEMU command line (args.h) written anew, with regions in place of its RAM. */
#ifndef TOOLS_RUN_ARGV_H
#define TOOLS_RUN_ARGV_H

#include "command.h"

/*
 * The new command line: ram[i] is mapped from path[i], and QEMU reads configs[i], where that is not
 * NULL, in place of its config file i. *argv is one block, to be freed by run_args_free_argv(). 0
 * or -ENOMEM.
 */
int run_args_build(const struct run_args *a, const char *const path[], const char *const configs[],
		   char ***argv);
/* What QEMU has to read in place of config file i, to be freed; NULL: the file itself does. 0,
 * -ENOMEM, or -EINVAL: a path that no such file can hold. */
int run_args_config(const struct run_args *a, unsigned i, const char *const path[], char **text);
void run_args_free_argv(char **argv);

#endif
