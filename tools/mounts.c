// SPDX-License-Identifier: GPL-2.0-or-later
#include "mounts.h"

#include "memnode/mountinfo.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOUNTS_TYPE "fuse.gvmfs"

static bool lies_in(const char *path, const char *top)
{
	size_t len = strcmp(top, "/") ? strlen(top) : 0;

	return !strncmp(path, top, len) && (!path[len] || path[len] == '/');
}

int mounts_find_in(const char *list, const char *dir, char path[PATH_MAX],
		   char err[MOUNTS_ERR_TEXT])
{
	char want[PATH_MAX] = "";
	unsigned found = 0;
	struct mountinfo m;
	bool ours = false;
	size_t best = 0;
	int rc;

	if (dir && !realpath(dir, want)) {
		rc = -errno;
		snprintf(err, MOUNTS_ERR_TEXT, "%s: %s", dir, strerror(-rc));
		return rc;
	}
	rc = mountinfo_open(&m, list);
	if (rc) {
		snprintf(err, MOUNTS_ERR_TEXT, "the list of mounts cannot be read: %s",
			 strerror(-rc));
		return rc;
	}
	while (mountinfo_next(&m)) {
		bool gvmfs = !strcmp(m.type, MOUNTS_TYPE);

		/* the deepest mount above the folder is the one that it is in; of two in the same
		 * place the later one */
		if (dir && lies_in(want, m.at) && strlen(m.at) >= best) {
			best = strlen(m.at);
			ours = gvmfs;
		}
		if (!dir && gvmfs && (!found || strcmp(want, m.at))) {
			found++;
			snprintf(want, sizeof(want), "%s", m.at);
		}
	}
	mountinfo_close(&m);
	if (dir ? !ours : !found) {
		if (dir)
			snprintf(err, MOUNTS_ERR_TEXT, "%s is not in a gvmfs mount (findmnt -t fuse.gvmfs lists them)", dir);
		else
			snprintf(err, MOUNTS_ERR_TEXT,
				 "gvmfs is not mounted: gvmfs --nodes ADDR:PORT,... DIR");
		return -ENODEV;
	}
	if (!dir && found > 1) {
		snprintf(err, MOUNTS_ERR_TEXT,
			 "gvmfs is mounted in %u places: name one with --mount DIR", found);
		return -ENOTUNIQ;
	}
	strcpy(path, want);
	return 0;
}

int mounts_find(const char *dir, char path[PATH_MAX], char err[MOUNTS_ERR_TEXT])
{
	return mounts_find_in(NULL, dir, path, err);
}

static bool has(char **paths, unsigned count, const char *path)
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(paths[i], path))
			return true;
	return false;
}

static int path_add(char ***paths, unsigned *count, const char *path)
{
	char **more = reallocarray(*paths, *count + 1, sizeof(*more)), *copy = more ? strdup(path) : NULL;

	if (more)
		*paths = more;
	if (!copy)
		return -ENOMEM;
	more[(*count)++] = copy;
	return 0;
}

int mounts_all(const char *list, char ***paths, unsigned *count)
{
	struct mountinfo m;
	int rc = mountinfo_open(&m, list);

	*paths = NULL;
	*count = 0;
	while (!rc && mountinfo_next(&m))
		if (!strcmp(m.type, MOUNTS_TYPE) && !has(*paths, *count, m.at))
			rc = path_add(paths, count, m.at);
	mountinfo_close(&m);
	if (rc)
		mounts_free(*paths, *count);
	return rc;
}

void mounts_free(char **paths, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		free(paths[i]);
	free(paths);
}
