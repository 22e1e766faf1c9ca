// SPDX-License-Identifier: GPL-2.0-or-later
#include "file.h"

#include "mounts.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPLATES "GVM_TEMPLATES" /* as qemu/preload.c reads it */

/* Whether there is anything in it but a hole. */
static bool file_has_data(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool has = fd < 0 || lseek(fd, 0, SEEK_DATA) >= 0 || errno != ENXIO;

	if (fd >= 0)
		close(fd);
	return has;
}

static int file_refuse(const struct run_ram *ram, const char *what, char err[RUN_FILE_ERR_TEXT])
{
	snprintf(err, RUN_FILE_ERR_TEXT,
		 "%s, the RAM '%s', %s, which a new region does not have: copy it into the mount "
		 "and "
		 "name it (cp %s DIR/NAME; gvm run --region NAME ...), or leave it out of the "
		 "command "
		 "line",
		 ram->file, ram->id, what, ram->file);
	return -EOPNOTSUPP;
}

static int replaced(struct run_args *a, const struct run_ram *ram)
{
	return run_notes_add(&a->notes, "%s=%s is left out: the region takes its place",
			     ram->at.index < 0 ? "-mem-path" : "mem-path", ram->file);
}

int run_file_decide(struct run_args *a, unsigned i, const char *region, char err[RUN_FILE_ERR_TEXT])
{
	char path[PATH_MAX], ignored[MOUNTS_ERR_TEXT];
	struct run_ram *ram = &a->ram[i];
	struct stat st;

	if (!ram->file)
		return 0;
	if (stat(ram->file, &st) || S_ISDIR(st.st_mode))
		return replaced(a, ram);
	if (!S_ISREG(st.st_mode))
		return file_refuse(ram, "is a device that may hold anything", err);
	if (mounts_find(ram->file, path, ignored)) {
		if (!st.st_size || !file_has_data(ram->file) ||
		    (region && !access(region, F_OK))) /* which is the copy of it, perhaps */
			return replaced(a, ram);
		return file_refuse(ram, "holds what the guest is to start with", err);
	}
	if (region && strcmp(region, path)) {
		snprintf(err, RUN_FILE_ERR_TEXT,
			 "%s is a region itself: leave out either --region or the command line's "
			 "mem-path",
			 path);
		return -EINVAL;
	}
	free(ram->file);
	ram->file = strdup(path);
	ram->kept = true;
	if (!ram->file)
		return -ENOMEM;
	return ram->shared
		       ? 0
		       : run_notes_add(&a->notes,
				       "%s is mapped privately: it stays as it is, and what the "
				       "guest writes stays on this host, outside of the budget",
				       path);
}

int run_file_hold(struct run_region *r, const char *path, uint64_t bytes)
{
	int rc = 0;

	memset(r, 0, sizeof(*r));
	r->bytes = bytes;
	r->keep = true;
	snprintf(r->path, sizeof(r->path), "%s", path);
	r->fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (r->fd < 0 || flock(r->fd, LOCK_SH | LOCK_NB)) {
		rc = -errno;
		if (rc == -EWOULDBLOCK)
			say("%s is in use by a gvm run that writes to it", path);
		else
			say("%s: %s", path, strerror(-rc));
		if (r->fd >= 0)
			close(r->fd);
		r->fd = -1;
	}
	return rc;
}

int run_file_announce(const struct run_region *r)
{
	const char *before = getenv(TEMPLATES);
	struct stat st;
	char *text;
	int rc;

	if (fstat(r->fd, &st))
		return -errno;
	if (asprintf(&text, "%s%llu:%llu ", before ? before : "", (unsigned long long)st.st_dev,
		     (unsigned long long)st.st_ino) < 0)
		return -ENOMEM;
	rc = setenv(TEMPLATES, text, 1) ? -errno : 0;
	free(text);
	return rc;
}
