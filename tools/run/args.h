/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * args.h - a QEMU command line whose RAM moves into regions.
 *
 * run_args_parse() reads a command line, with the files of -readconfig, and says what RAM it asks
 * for and whether that RAM can be remote at all; run_args_build() (argv.h) writes the command line anew once
 * the regions have their names. Between the two the caller makes the regions. Where it cannot be
 * known which RAM the guest is to have the command line is refused.
 */
#ifndef TOOLS_RUN_ARGS_H
#define TOOLS_RUN_ARGS_H

#include "command.h"
#include "qemu_facts.h"

/*
 * argv[0] is the program. `user_config` is the file that QEMU reads by itself, or NULL. What would
 * pin all RAM on this host is an error, or, with `pinning_allowed`, a note. 0; -EINVAL (it cannot
 * be understood), -EOPNOTSUPP (its RAM cannot be remote), or why a file of -readconfig cannot be
 * read, with a sentence in err; -ENOMEM. run_args_deinit() is due in every case.
 */
int run_args_parse(struct run_args *a, char *const argv[], struct qemu_facts *facts,
		   const char *user_config, bool pinning_allowed, char err[RUN_ERR_TEXT]);
void run_args_deinit(struct run_args *a);

/* Whether ram i's region bears its backend's id behind the guest's name: where the machine has several
 * of them, and for what devices plug in. */
bool run_args_ram_has_suffix(const struct run_args *a, unsigned i);

#endif
