// SPDX-License-Identifier: GPL-2.0-or-later
#include "mounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOUNTS_LIST "/proc/self/mounts"
#define MOUNTS_TYPE "fuse.gvmfs"

struct mount {
	char at[PATH_MAX];
	char type[64];
};

/* The kernel writes blanks, tabs, newlines and backslashes as three octal digits. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

static bool mount_next(FILE *f, char **line, size_t *room, struct mount *m)
{
	while (getline(line, room, f) > 0) {
		if (sscanf(*line, "%*s %4095s %63s", m->at, m->type) == 2) {
			unescape(m->at);
			return true;
		}
	}
	return false;
}

static bool lies_in(const char *path, const char *top)
{
	size_t len = strcmp(top, "/") ? strlen(top) : 0;

	return !strncmp(path, top, len) && (!path[len] || path[len] == '/');
}

int mounts_find_in(const char *list, const char *dir, char path[PATH_MAX],
		   char err[MOUNTS_ERR_TEXT])
{
	char want[PATH_MAX] = "", *line = NULL;
	size_t room = 0, best = 0;
	unsigned found = 0;
	struct mount m;
	bool ours = false;
	FILE *f;

	if (dir && !realpath(dir, want)) {
		snprintf(err, MOUNTS_ERR_TEXT, "%s: %s", dir, strerror(errno));
		return -errno;
	}
	f = fopen(list, "re");
	if (!f) {
		snprintf(err, MOUNTS_ERR_TEXT, "%s: %s", list, strerror(errno));
		return -errno;
	}
	while (mount_next(f, &line, &room, &m)) {
		bool gvmfs = !strcmp(m.type, MOUNTS_TYPE);

		/* the deepest mount above the folder is the one that it is in; of two in the same
		 * place the later one */
		if (dir && lies_in(want, m.at) && strlen(m.at) >= best) {
			best = strlen(m.at);
			ours = gvmfs;
		}
		if (!dir && gvmfs && (!found || strcmp(want, m.at))) {
			found++;
			strcpy(want, m.at);
		}
	}
	free(line);
	fclose(f);
	if (dir ? !ours : !found) {
		if (dir)
			snprintf(err, MOUNTS_ERR_TEXT, "%s is not in a gvmfs mount", dir);
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
	return mounts_find_in(MOUNTS_LIST, dir, path, err);
}

bool mounts_is_root(const char *path)
{
	FILE *f = fopen(MOUNTS_LIST, "re");
	char *line = NULL;
	size_t room = 0;
	bool is = false;
	struct mount m;

	if (!f)
		return false;
	while (mount_next(f, &line, &room, &m))
		if (!strcmp(path, m.at))
			is = !strcmp(m.type, MOUNTS_TYPE);
	free(line);
	fclose(f);
	return is;
}
