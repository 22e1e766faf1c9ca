/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kernel.h - gvm run in the kernel mode: QEMU's RAM is a region of /dev/giantvm. */
#ifndef TOOLS_RUN_KERNEL_H
#define TOOLS_RUN_KERNEL_H

#include "command.h"

#include <stdbool.h>

/* Whether this host has joined a region of that name, in a module that this program knows. */
bool run_kernel_possible(const char *name);

/*
 * Joins the region (creating it where no node has it), and becomes QEMU. With several kinds of RAM
 * each is a region of its own, NAME.ID. Returns only where that fails, the exit status; it has been said.
 */
int run_kernel(struct run_args *args, const char *name, const char *accel);

#endif
