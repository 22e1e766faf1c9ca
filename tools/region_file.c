// SPDX-License-Identifier: GPL-2.0-or-later
/* region_file.c - see region_file.h. A region is a file: these are its system calls, with what
 * their errors mean here. */
#include "region_file.h"

#include "fsstats.h"
#include "gvmfs/gvm_mount.h"
#include "memnode/size.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define REGION_MODE 0600

static char stats[FSSTATS_TEXT];

static const char *why(int rc)
{
	switch (rc) {
	case -ENOSPC:
		return "the nodes cannot promise so much, or are too few for its copies: gvm stat MOUNT shows what is "
		       "free";
	case -EBUSY:
		return "it is in use: here, or on another host";
	case -ETIMEDOUT:
		return "a node that it needs does not answer, and nothing was changed";
	case -EEXIST:
		return "there is one";
	case -ENOKEY:
		return "its mount has no key to seal it with: gvmfs --seal-key-file";
	case -ENODATA:
	case -EOPNOTSUPP:
		return FSSTATS_NO_REGION;
	default:
		return fsstats_error(rc);
	}
}

static int failed(const char *path, int rc)
{
	say("%s: %s", path, why(rc));
	return 1;
}

/* A file of a mount, and what it is. */
static int region_stat(const char *path, struct stat *st)
{
	if (stat(path, st))
		return -errno;
	return S_ISREG(st->st_mode) ? fsstats_read(path, stats) : -EOPNOTSUPP;
}

static int size_check(const char *text, uint64_t *bytes)
{
	if (!size_parse_option(text, bytes) && *bytes)
		return 0;
	say("%s: not a size (512M, 8G)", text);
	return EXIT_USAGE;
}

static bool replicas_check(const char *text)
{
	if (!text || (*text >= '1' && *text <= '3' && !text[1]))
		return true;
	say("--replicas %s: not 1, 2 or 3", text);
	return false;
}

int region_file_create(const char *path, const char *size, const struct region_make *how)
{
	char folder[PATH_MAX];
	const char *at;
	uint64_t bytes;
	int fd, rc = size_check(size, &bytes);

	if (rc || !replicas_check(how->replicas))
		return EXIT_USAGE;
	snprintf(folder, sizeof(folder), "%s", path);
	at = dirname(folder);
	rc = fsstats_read(at, stats);
	if (rc) {
		say("%s: %s", at, fsstats_error(rc));
		return 1;
	}
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, REGION_MODE);
	if (fd < 0)
		return failed(path, -errno);
	rc = how->replicas && fsetxattr(fd, GVM_XATTR_REPLICAS, how->replicas, 1, 0) ? -errno : 0;
	if (!rc && how->seal && fsetxattr(fd, GVM_XATTR_SEAL, how->seal, 1, 0))
		rc = -errno;
	if (!rc && ftruncate(fd, (off_t)bytes))
		rc = -errno;
	if (rc)
		unlink(path);
	if (close(fd) && !rc)
		rc = -errno;
	return rc ? failed(path, rc) : 0;
}

int region_file_resize(const char *path, const char *size, bool force)
{
	struct stat st;
	uint64_t bytes;
	int fd, rc = size_check(size, &bytes);

	if (rc)
		return rc;
	rc = region_stat(path, &st);
	if (rc)
		return failed(path, rc);
	if (fsstats_get(stats, "settled")) {
		say("%s: its guest was settled, and what the nodes have of it is of no use: gvm region delete", path);
		return 1;
	}
	if (bytes < (uint64_t)st.st_size && !force) {
		say("%s: what is behind its first %s would be lost: --force does it", path, size);
		return 1;
	}
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return failed(path, -errno);
	rc = ftruncate(fd, (off_t)bytes) ? -errno : 0;
	if (close(fd) && !rc)
		rc = -errno;
	return rc ? failed(path, rc) : 0;
}

int region_file_delete(const char *path, bool force)
{
	struct stat st;
	int rc = region_stat(path, &st);

	if (rc)
		return failed(path, rc);
	/* (A mapping is an open file, too, whether the program has closed its descriptor or not.) */
	if (!force && (fsstats_get(stats, "fast") || fsstats_get(stats, "opens"))) {
		say("%s: %s, and could not be started from it again: --force does it", path,
		    fsstats_get(stats, "fast") ? "a guest is on the fast path" :
						 "a guest, or another program, has it open or mapped (fuser -v FILE)");
		return 1;
	}
	return unlink(path) ? failed(path, -errno) : 0;
}
