/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mounts.h - where gvmfs is mounted, from the kernel's list of mounts. */
#ifndef TOOLS_MOUNTS_H
#define TOOLS_MOUNTS_H

#include <limits.h>

#define MOUNTS_ERR_TEXT (PATH_MAX + 256)

/*
 * The folder for regions: `dir` (NULL: the only gvmfs mount there is), absolute and without links.
 * -ENODEV (it is in no gvmfs mount, or there is no mount), -ENOTUNIQ (several, and none was named) or
 * what realpath() found, with a sentence in err.
 */
int mounts_find(const char *dir, char path[PATH_MAX], char err[MOUNTS_ERR_TEXT]);
/* As above, from another list of mounts: for tests. */
int mounts_find_in(const char *list, const char *dir, char path[PATH_MAX],
		   char err[MOUNTS_ERR_TEXT]);

/* Where gvmfs is mounted, each place once: of several mounts in one place only the last can be seen. `list` NULL: the
 * kernel's. The caller frees *paths and each of them by mounts_free(). 0 or a negative errno. */
int mounts_all(const char *list, char ***paths, unsigned *count);
void mounts_free(char **paths, unsigned count);

#endif
