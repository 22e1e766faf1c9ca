/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bdi.h - the kernel's settings of a mount's page cache, below /sys/class/bdi. */
#ifndef GVMFS_BDI_H
#define GVMFS_BDI_H

#include <sys/types.h>

/* Sets one of the mount whose files have st_dev `dev`. 0 or a negative errno: an older kernel, or no privilege. */
int bdi_set(dev_t dev, const char *name, const char *value);

#endif
