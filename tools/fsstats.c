// SPDX-License-Identifier: GPL-2.0-or-later
#include "fsstats.h"

#include "gvmfs/gvm_mount.h"
#include "memnode/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/xattr.h>

static int terminate(char text[FSSTATS_TEXT], ssize_t n)
{
	int rc = n < 0 ? -errno : 0;

	text[n < 0 ? 0 : n] = 0;
	return rc;
}

int fsstats_read(const char *path, char text[FSSTATS_TEXT])
{
	return terminate(text, getxattr(path, GVM_XATTR_STATS, text, FSSTATS_TEXT - 1));
}

int fsstats_read_fd(int fd, char text[FSSTATS_TEXT])
{
	return terminate(text, fgetxattr(fd, GVM_XATTR_STATS, text, FSSTATS_TEXT - 1));
}

const char *fsstats_error(int rc)
{
	switch (rc) {
	case -ENODATA:
	case -EOPNOTSUPP:
		return "neither a gvmfs mount nor a region in one (gvmfs mounts are listed by: findmnt -t "
		       "fuse.gvmfs)";
	case -ENOTCONN:
	case -ECONNABORTED: /* asked in the moment when it went */
		return "the gvmfs of this mount has ended: start it again in the same place, or take the "
		       "mount away with umount";
	case -EACCES:
		return "you may not: it is another user's, or its mount lets in nobody but the user who mounted it (gvmfs "
		       "--allow-other lets others in)";
	case -ENOENT:
		return "there is no such file: the regions are the files below gvmfs's mount point";
	default:
		return strerror(-rc);
	}
}

uint64_t fsstats_get(const char *text, const char *name)
{
	return text_number(text, name);
}

int fsstats_room(const char *path, uint64_t *lent_bytes, uint64_t *free_bytes, uint64_t *kept_bytes)
{
	struct statvfs v;

	if (statvfs(path, &v))
		return -errno;
	*lent_bytes = (uint64_t)v.f_blocks * v.f_frsize;
	*free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	if (kept_bytes)
		*kept_bytes = (uint64_t)(v.f_bfree - v.f_bavail) * v.f_frsize;
	return 0;
}

uint64_t fsstats_misses(const char *text)
{
	return fsstats_get(text, "chunks_fetched") + fsstats_get(text, "room_waits");
}
