/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dsm.h - the parts of gvm dsm. Each returns the program's exit status; errors have been said. */
#ifndef TOOLS_DSM_H
#define TOOLS_DSM_H

#include <stdbool.h>

/* Prints the nodes and the regions; or one region, with its most contended pages, and what the guest's Linux has there by
 * the System.map in the file `symbols` (NULL: not known). */
int dsm_status(int device, bool json);
int dsm_status_region(int device, const char *name, bool json, const char *symbols);
/* Prints the lost pages that this host, if it lends memory, knows of. */
int dsm_lost(int device, const char *name);

#endif
