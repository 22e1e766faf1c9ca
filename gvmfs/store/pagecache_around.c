// SPDX-License-Identifier: GPL-2.0-or-later
/* pagecache_around.c - the helper's part of pagecache_around(): the read-ahead of another process's open files. */
#include "base/bdi.h"
#include "file.h"
#include "pagecache_helper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Limits of one call, since each descriptor takes time: how many of a process are looked at, and
 * changed. */
#define DESCRIPTORS_SEEN 1024u
#define FILES_CHANGED	 16u

/* Held while the mount's read-ahead is not PAGECACHE_AROUND_KB: no call under it may block. */
static pthread_mutex_t setting = PTHREAD_MUTEX_INITIALIZER;

/* Whether a descriptor's inode number is that of the file. Asks no filesystem; is_file() makes
 * sure. */
static bool may_be_file(int folder, const char *name, const struct helper_msg *msg)
{
	char text[512];
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : file_read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return false;
	text[n] = 0;
	return text_number(text, "ino:") == msg->ino;
}

static bool is_file(int fd, const struct helper_msg *msg)
{
	struct statx st;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
	       makedev(st.stx_dev_major, st.stx_dev_minor) == msg->dev && st.stx_ino == msg->ino;
}

/* Changes one open file's read-ahead: sets the mount's for a moment, and has the kernel copy it. If
 * the mount's cannot be set, changes nothing. (It is set in either case: a helper that was killed
 * may have left it wide.) */
static int around_set(int fd, const struct helper_msg *msg)
{
	int r;

	pthread_mutex_lock(&setting);
	r = bdi_set(msg->dev, "read_ahead_kb", msg->wide ? PAGECACHE_AROUND_WIDE_KB : PAGECACHE_AROUND_KB);
	if (!r)
		r = -posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL);
	if (msg->wide)
		bdi_set(msg->dev, "read_ahead_kb", PAGECACHE_AROUND_KB);
	pthread_mutex_unlock(&setting);
	return r;
}

/* Changes a process's descriptor `n`, if it is the file. (It may have become another file since it
 * was looked at. Closing that may block, but only this call's thread.) */
static int around_file(int pidfd, int n, const struct helper_msg *msg)
{
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, n, 0), r;

	if (fd < 0)
		return -errno;
	r = is_file(fd, msg) ? around_set(fd, msg) : -ESTALE;
	close(fd);
	return r;
}

/* `dir` is the process's /proc/PID/fdinfo. 0: at least one open file was changed; or a negative
 * errno. */
static int around_files(DIR *dir, int pidfd, const struct helper_msg *msg)
{
	unsigned seen = 0, changed = 0;
	const struct dirent *entry;
	int error = -ENOENT;

	while (changed < FILES_CHANGED && seen++ < DESCRIPTORS_SEEN && (entry = readdir(dir))) {
		int r = may_be_file(dirfd(dir), entry->d_name, msg) ? around_file(pidfd, atoi(entry->d_name), msg) : 1;

		changed += !r;
		error = r < 0 ? r : error;
	}
	return changed ? 0 : error;
}

int helper_around(const struct helper_msg *msg)
{
	char path[64], text[1024];
	int pidfd, pid, r;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/status", msg->tid);
	r = file_text(path, text, sizeof(text));
	if (r < 0)
		return r;
	pid = (int)text_number(text, "Tgid:");
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	dir = opendir(path);
	r = dir ? around_files(dir, pidfd, msg) : -errno;
	if (dir)
		closedir(dir);
	close(pidfd);
	return r;
}
