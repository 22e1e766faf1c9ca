// SPDX-License-Identifier: GPL-2.0-or-later
/* window.c - see window.h. */
#include "window.h"

#include "gvm_wire.h"
#include "uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *window_map(struct window *win, int flags, int prot, int fd, off_t off)
{
	return mmap(win->at, GVM_CHUNK_BYTES, prot, flags | MAP_NORESERVE, fd, off);
}

int window_init(struct window *win)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_MISSING_SHMEM };
	int error;

	/* No access of ours ever faults there, so a userfaultfd without privilege will do. */
	win->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (win->uffd < 0)
		return -errno;
	win->at = NULL;
	win->at = window_map(win, MAP_PRIVATE | MAP_ANONYMOUS, PROT_NONE, -1, 0);
	if (win->at != MAP_FAILED && ioctl(win->uffd, UFFDIO_API, &api) == 0)
		return 0;
	error = -errno;
	if (win->at != MAP_FAILED)
		munmap(win->at, GVM_CHUNK_BYTES);
	close(win->uffd);
	win->uffd = -1;
	return error;
}

int window_fill(struct window *win, int memory_fd, uint64_t off, const void *from, size_t bytes,
		size_t *done)
{
	uint64_t within = off % GVM_CHUNK_BYTES, address = (uint64_t)(uintptr_t)win->at + within;
	struct uffdio_register reg = {
		.range = { (uint64_t)(uintptr_t)win->at, GVM_CHUNK_BYTES },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int error = 0;

	*done = 0;
	if (window_map(win, MAP_SHARED | MAP_FIXED, PROT_READ | PROT_WRITE, memory_fd,
		       (off_t)(off - within)) == MAP_FAILED)
		return -errno;
	if (ioctl(win->uffd, UFFDIO_REGISTER, &reg) < 0)
		error = -errno;
	else if (from)
		error = uffd_copy(win->uffd, address, from, bytes, false, done);
	else
		error = uffd_zero(win->uffd, address, bytes, done);
	/* If this fails, at least no page stays mapped, and the address range stays ours. */
	if (window_map(win, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, PROT_NONE, -1, 0) == MAP_FAILED)
		madvise(win->at, GVM_CHUNK_BYTES, MADV_DONTNEED);
	return error;
}
