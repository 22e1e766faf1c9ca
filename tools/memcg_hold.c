// SPDX-License-Identifier: GPL-2.0-or-later
#include "memcg_hold.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

bool memcg_holds(int fd, const char *path)
{
	struct stat own, there;

	return fstat(fd, &own) == 0 && stat(path, &there) == 0 && own.st_dev == there.st_dev &&
	       own.st_ino == there.st_ino;
}

int memcg_hold(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB))
		rc = -errno;
	else if (!memcg_holds(fd, path))
		rc = -ENOENT; /* its last holder removed it before we had the lock */
	if (!rc)
		return fd;
	close(fd);
	return rc;
}
