/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file.h - the file that a command line itself names for the guest's RAM (mem-path).
 *
 * A folder, or a file with nothing in it, only says where memory is to be had: the region takes its
 * place. What a file holds is what the guest starts with, so that one is never replaced by an empty
 * region. In a gvmfs mount it is a region itself; mapped privately, a template for any number of
 * guests.
 */
#ifndef TOOLS_RUN_FILE_H
#define TOOLS_RUN_FILE_H

#include "command.h"
#include "region.h"

#include <limits.h>

#define RUN_FILE_ERR_TEXT (2 * PATH_MAX + 512)

/*
 * Decides what becomes of ram `i`'s file, which is noted in `a` where a user should hear of it.
 * `region` is the region that was asked for by name, or NULL. A file in a mount is kept: ram->file
 * is its path then, without links, and ram->shared tells a region from a template. 0, or a negative
 * errno with a sentence in err.
 */
int run_file_decide(struct run_args *a, unsigned i, const char *region,
		    char err[RUN_FILE_ERR_TEXT]);

/* Holds a template against being written by another gvm run. Errors have been said. */
int run_file_hold(struct run_region *r, const char *path, uint64_t bytes);

/* Tells the library in QEMU which files to open for reading only, so that other hosts may do so,
 * too. */
int run_file_announce(const struct run_region *r);

#endif
