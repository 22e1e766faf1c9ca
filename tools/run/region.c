// SPDX-License-Identifier: GPL-2.0-or-later
#include "region.h"

#include "fsstats.h"
#include "gvmfs/gvm_mount.h"
#include "memnode/size.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

void run_region_name(const char *guest, int pid, char name[RUN_REGION_NAME])
{
	unsigned n = 0;

	if (!guest || !*guest) {
		snprintf(name, RUN_REGION_NAME, "guest-%d", pid);
		return;
	}
	for (; guest[n] && n < RUN_REGION_NAME - 1; n++) {
		unsigned char c = (unsigned char)guest[n];

		name[n] = c <= ' ' || c == '/' || c == ',' || c == 0x7f || (c == '.' && !n)
				  ? '-'
				  : (char)c;
	}
	name[n] = 0;
}

static void say_no_space(const struct run_region *r)
{
	char want[SIZE_TEXT], have[SIZE_TEXT], all[SIZE_TEXT];
	struct statvfs v;

	size_text(r->bytes, want);
	if (fstatvfs(r->fd, &v)) {
		say("the memory nodes cannot promise %s for %s", want, r->path);
		return;
	}
	say("the memory nodes cannot promise %s for %s: %s of %s are free; lend more memory "
	    "(gvm-memnode --memory), remove a region, or give the guest less with -m",
	    want, r->path, size_text((uint64_t)v.f_bavail * v.f_frsize, have),
	    size_text((uint64_t)v.f_blocks * v.f_frsize, all));
}

/* A limit of the size of files (ulimit -f) is an error, not this program's end. QEMU starts with the
 * signal as it was. */
static int file_resize(int fd, uint64_t bytes)
{
	struct sigaction ignored = { .sa_handler = SIG_IGN }, before;
	int rc;

	sigaction(SIGXFSZ, &ignored, &before);
	rc = ftruncate(fd, (off_t)bytes) ? -errno : 0;
	sigaction(SIGXFSZ, &before, NULL);
	return rc;
}

/* Sizes a new region, or checks an old one. */
static int region_fit(struct run_region *r)
{
	char is[SIZE_TEXT], want[SIZE_TEXT];
	struct stat st;
	int rc;

	if (fstat(r->fd, &st)) {
		say("%s: %s", r->path, strerror(errno));
		return -errno;
	}
	if (!S_ISREG(st.st_mode)) {
		say("%s is not a regular file, so it cannot be a region", r->path);
		return -EINVAL;
	}
	/* an empty file is a region that was not sized yet */
	if (!r->made && st.st_size && (uint64_t)st.st_size != r->bytes) {
		say("region %s has %s (%lld bytes), the command line asks for %s (%llu bytes)",
		    r->path, size_text((uint64_t)st.st_size, is), (long long)st.st_size,
		    size_text(r->bytes, want), (unsigned long long)r->bytes);
		return -EINVAL;
	}
	if ((uint64_t)st.st_size == r->bytes)
		return 0;
	rc = file_resize(r->fd, r->bytes);
	if (!rc)
		return 0;
	if (rc == -ENOSPC) {
		say_no_space(r);
		return rc;
	}
	say("%s: the region cannot be sized: %s%s", r->path, strerror(-rc),
	    rc == -EFBIG ? " (ulimit -f limits the size of files)" : "");
	return rc;
}

static void *lock_wait(void *arg)
{
	while (flock((int)(intptr_t)arg, LOCK_EX) && errno == EINTR)
		;
	return NULL;
}

static bool region_is(int fd, const char *what)
{
	static char text[FSSTATS_TEXT];

	return !fsstats_read_fd(fd, text) && fsstats_get(text, what);
}

static int say_busy(const struct run_region *r)
{
	int fd = open(r->path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd >= 0 && region_is(fd, "fast"))
		say("%s is in use through the fast path: a guest can go over to another QEMU where both "
		    "run with --mode fuse", r->path);
	else
		say("%s is in use: another mount has it open for writing, on another host or, unmounted "
		    "while in use, on this one",
		    r->path);
	if (fd >= 0)
		close(fd);
	return -EBUSY;
}

/* The other gvm run has the lock, and lets go of it when its guest has come to us. */
static int lock_later(int fd)
{
	sigset_t every, before;
	pthread_t thread;
	int rc;

	sigfillset(&every);
	pthread_sigmask(SIG_SETMASK, &every, &before);
	rc = -pthread_create(&thread, NULL, lock_wait, (void *)(intptr_t)fd);
	if (!rc)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static int region_lock(struct run_region *r, int fd, enum run_region_use use)
{
	int rc;

	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	rc = -errno;
	if (rc != -EWOULDBLOCK)
		say("%s: cannot be locked: %s", r->path, strerror(-rc));
	else if (use == RUN_REGION_TAKE_OVER)
		rc = region_is(fd, "fast") ? say_busy(r) : lock_later(fd);
	else
		say("%s is in use by another gvm run (the QEMU that its guest is to go over to says "
		    "--take-over)", r->path);
	return rc;
}

/* Sizes the region and locks it. It is held by a descriptor that reads past the page cache: the fast
 * path is only for a client whose host caches no pages of the file. */
static int region_hold(struct run_region *r, enum run_region_use use)
{
	int fd = open(r->path, O_RDONLY | O_DIRECT | O_CLOEXEC), before = r->fd, rc;

	if (fd < 0) {
		rc = -errno;
		say("%s: %s", r->path, strerror(errno));
		return rc;
	}
	rc = region_lock(r, fd, use);
	if (!rc)
		rc = region_fit(r);
	close(before);
	r->fd = fd;
	return rc;
}


/* Should this process be killed, the mount removes the region when no process has it open. (A mount that
 * does not know how leaves it where it is.) */
static void region_is_temporary(struct run_region *r, bool temporary)
{
	if (temporary)
		fsetxattr(r->fd, GVM_XATTR_TEMPORARY, "1", 1, 0);
	else
		fremovexattr(r->fd, GVM_XATTR_TEMPORARY);
	r->temporary = temporary;
}

static const char *advice(int rc)
{
	switch (rc) {
	case -EIO:
		return "; gvmfs's log says why: a region that a node has lost a part of can only be removed";
	case -EACCES:
		return "; in a folder of the mount that belongs to this user it may be made: name that with "
		       "--mount";
	case -EROFS:
		return "; where there is a region NAME, NAME.core, NAME.low and NAME.high are views of it: take "
		       "another name";
	case -ENOTCONN:
	case -ECONNABORTED: /* asked in the moment when it went */
		return "; the gvmfs of this mount was killed: start it again in the same place";
	default:
		return "";
	}
}

int run_region_open(struct run_region *r, const char *path, uint64_t bytes, enum run_region_use use)
{
	int rc;

	memset(r, 0, sizeof(*r));
	r->bytes = bytes;
	if (snprintf(r->path, sizeof(r->path), "%s", path) >= (int)sizeof(r->path))
		return -ENAMETOOLONG;
	r->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r->made = r->fd >= 0;
	r->keep = !r->made;
	if (!r->made && errno == EEXIST && use >= RUN_REGION_REUSE)
		r->fd = open(path, O_RDWR | O_CLOEXEC);
	if (r->fd < 0) {
		rc = -errno;
		if (rc == -EBUSY)
			say_busy(r);
		else if (rc != -EEXIST)
			say("%s: %s%s", path, strerror(-rc), advice(rc));
		return rc;
	}
	region_is_temporary(r, use == RUN_REGION_TEMPORARY);
	rc = region_hold(r, use);
	if (!rc)
		return 0;
	if (r->made)
		unlink(path);
	close(r->fd);
	r->fd = -1;
	return rc;
}

/* What becomes of a region that could not be removed. */
static const char *remains(const struct run_region *r, int error)
{
	if (!r->temporary)
		return "";
	if (error == ENOTCONN || error == ECONNABORTED)
		return "; it stays on the nodes until gvmfs is started again on this host, which removes "
		       "it";
	return "; it stays on the nodes until they answer: gvmfs removes it then";
}

static int region_write_back(const struct run_region *r)
{
	int rc = fsync(r->fd) ? -errno : 0;

	/* (Its guest may have needed it no more at the very end.) */
	if (rc && !region_is(r->fd, "settled")) {
		say("%s: not all of the guest's memory was written back: %s%s", r->path,
		    strerror(-rc), advice(rc));
		return rc;
	}
	/* no process maps it now: the pages on this host are only copies */
	posix_fadvise(r->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

int run_region_close(struct run_region *r)
{
	int rc = 0;

	if (r->fd < 0)
		return 0;
	if (!r->settled) { /* else a temporary one went with its last descriptor */
		if (r->keep && r->temporary)
			region_is_temporary(r, false);
		if (r->keep)
			rc = region_write_back(r);
		else if (unlink(r->path) && errno != ENOENT)
			say("%s could not be removed: %s%s", r->path, strerror(errno),
			    remains(r, errno));
	}
	close(r->fd);
	r->fd = -1;
	return rc;
}
