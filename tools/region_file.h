/* SPDX-License-Identifier: GPL-2.0-or-later */
/* region_file.h - regions are made, resized and deleted. */
#ifndef TOOLS_REGION_FILE_H
#define TOOLS_REGION_FILE_H

#include <stdbool.h>

struct region_make {
	const char *replicas; /* NULL: as the mount's option says */
	const char *seal; /* "1": sealed; "0": not; NULL: as the mount's option says */
};

/* Each returns the program's exit status, and has said what went wrong. `force`: also where that
 * loses contents, or a program uses the region. */
int region_file_create(const char *path, const char *size, const struct region_make *how);
int region_file_resize(const char *path, const char *size, bool force);
int region_file_delete(const char *path, bool force);

#endif
