/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config.h - QEMU's command line with its config files, as they are to be read by it. */
#ifndef TOOLS_RUN_CONFIG_H
#define TOOLS_RUN_CONFIG_H

#include "command.h"

/* run_args_parse() with what the QEMU that is to be run says of itself. 0 or a negative errno, which has been said. */
int run_config_read(struct run_args *a, char *const argv[], bool pinning_allowed);

/*
 * As run_args_build(). Where a config file has to be another, QEMU gets it by a descriptor that it
 * inherits: nothing of it is ever in a folder. 0 or a negative errno, which has been said.
 */
int run_config_build(const struct run_args *a, const char *const path[], char ***argv);

#endif
