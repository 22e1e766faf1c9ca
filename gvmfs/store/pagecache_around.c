// SPDX-License-Identifier: GPL-2.0-or-later
/* pagecache_around.c - the helper's part of pagecache_around(): the read-ahead of another process's open files. */
#include "base/bdi.h"
#include "file.h"
#include "pagecache_helper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Held while the mount's read-ahead is not PAGECACHE_AROUND_KB: for no call that can wait. */
static pthread_mutex_t setting = PTHREAD_MUTEX_INITIALIZER;

/* Whether a path below a folder, or the descriptor itself ("", AT_EMPTY_PATH), is the file. Asks no filesystem. */
static bool is_file(int folder, const char *path, int flags, const struct helper_msg *msg)
{
	struct statx st;

	return statx(folder, path, flags | AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
	       makedev(st.stx_dev_major, st.stx_dev_minor) == msg->dev && st.stx_ino == msg->ino;
}

static int around_set(int fd, const struct helper_msg *msg)
{
	int r;

	pthread_mutex_lock(&setting);
	r = msg->wide ? bdi_set(msg->dev, "read_ahead_kb", PAGECACHE_AROUND_WIDE_KB) : 0;
	if (!r)
		r = -posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL);
	if (msg->wide)
		bdi_set(msg->dev, "read_ahead_kb", PAGECACHE_AROUND_KB);
	pthread_mutex_unlock(&setting);
	return r;
}

/* A process's descriptor `n`, if that is the file. (It may have become another one by the time it is here: then its
 * end, which can wait for a stranger, keeps this call's thread alone.) */
static int around_file(int pidfd, int n, const struct helper_msg *msg)
{
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, n, 0), r;

	if (fd < 0)
		return -errno;
	r = is_file(fd, "", AT_EMPTY_PATH, msg) ? around_set(fd, msg) : -ESTALE;
	close(fd);
	return r;
}

static int around_files(DIR *dir, int pidfd, const struct helper_msg *msg)
{
	const struct dirent *entry;
	int r = -ENOENT;

	while ((entry = readdir(dir)))
		if (is_file(dirfd(dir), entry->d_name, 0, msg)) {
			r = around_file(pidfd, atoi(entry->d_name), msg);
			if (r < 0)
				break;
		}
	return r;
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
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	r = dir ? around_files(dir, pidfd, msg) : -errno;
	if (dir)
		closedir(dir);
	close(pidfd);
	return r;
}
