// SPDX-License-Identifier: GPL-2.0-or-later
/* uffd.c - see uffd.h. */
#include "uffd.h"

#include "base/mutant.h"
#include "file.h"
#include "gvm_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define LAST_PAGE 0x7fffffffe000ull /* of a process's address space on x86-64 */

/*
 * Of a call that fails with EAGAIN. It does for a moment where the kernel takes an empty page table away; and as long as a client
 * moves registered memory and the message of that was not read (PLAIN_FEATURES). Who makes the call may be the one that
 * reads it, so that to go on trying is in vain, and it costs all regions that many calls: no more than a fault does.
 */
#define TRIES 200u

/* Newer than the kernel headers that Debian 12 has; the values are the kernel's ABI. */
#ifndef UFFDIO_POISON
struct uffdio_poison {
	struct uffdio_range range;
	__u64 mode;
	__s64 updated;
};
#define UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_poison)
#endif
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14)
#endif
#define UFFD_INITIALIZED (1u << 31) /* the kernel's own, in fdinfo */

int uffd_copy(int fd, uint64_t address, const void *from, size_t bytes, bool wake, size_t *done)
{
	unsigned again = 0;

	for (*done = 0; *done < bytes;) {
		struct uffdio_copy c = {
			.dst = address + *done,
			.src = (uint64_t)(uintptr_t)from + *done,
			.len = bytes - *done,
			.mode = wake ? 0 : UFFDIO_COPY_MODE_DONTWAKE,
		};

		if (ioctl(fd, UFFDIO_COPY, &c) == 0)
			*done = bytes;
		else if (c.copy > 0)
			*done += (size_t)c.copy;
		else if (errno != EAGAIN || ++again > TRIES)
			return -errno;
	}
	return 0;
}

int uffd_zero(int fd, uint64_t address, size_t bytes, size_t *done)
{
	unsigned again = 0;

	for (*done = 0; *done < bytes;) {
		struct uffdio_zeropage z = {
			.range = { .start = address + *done, .len = bytes - *done },
			.mode = UFFDIO_ZEROPAGE_MODE_DONTWAKE,
		};

		if (ioctl(fd, UFFDIO_ZEROPAGE, &z) == 0)
			*done = bytes;
		else if (z.zeropage > 0)
			*done += (size_t)z.zeropage;
		else if (errno != EAGAIN || ++again > TRIES)
			return -errno;
	}
	return 0;
}

int uffd_continue(int fd, uint64_t address, size_t bytes, unsigned *already)
{
	unsigned again = 0;
	size_t done = 0, zeroed;
	int r;

	while (done < bytes) {
		struct uffdio_continue c = {
			.range = { .start = address + done, .len = bytes - done },
			.mode = UFFDIO_CONTINUE_MODE_DONTWAKE,
		};

		if (ioctl(fd, UFFDIO_CONTINUE, &c) == 0)
			return 0;
		if (c.mapped > 0) {
			done += (size_t)c.mapped;
			continue;
		}
		switch (errno) {
		case EAGAIN:
			if (++again > TRIES)
				return -EAGAIN;
			continue;
		case EEXIST:
			++*already;
			break;
		case EFAULT: /* the file has no such page */
			r = uffd_zero(fd, address + done, GVM_PAGE_BYTES, &zeroed);
			if (r == -EEXIST && ++again <= TRIES)
				continue; /* by now the file has it: map that */
			if (r < 0)
				return r;
			break;
		default:
			return -errno;
		}
		done += GVM_PAGE_BYTES;
	}
	return 0;
}

int uffd_wake(int fd, uint64_t address, size_t bytes)
{
	struct uffdio_range range = { .start = address, .len = bytes };

	return ioctl(fd, UFFDIO_WAKE, &range) < 0 ? -errno : 0;
}

int uffd_poison(int fd, uint64_t address, size_t bytes)
{
	unsigned again = 0;
	size_t done = 0;

	while (done < bytes) {
		struct uffdio_poison p = {
			.range = { .start = address + done, .len = bytes - done }
		};

		if (ioctl(fd, UFFDIO_POISON, &p) == 0)
			return 0;
		if (p.updated > 0)
			done += (size_t)p.updated;
		else if (errno == EEXIST)
			done += GVM_PAGE_BYTES;
		else if (errno != EAGAIN || ++again > TRIES)
			return -errno;
	}
	return 0;
}

static bool features_have(uint64_t feature)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	bool known = fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 && api.features & feature;

	if (fd >= 0)
		close(fd);
	return known;
}

/* The kernel is asked once: closing a userfaultfd takes a look at every mapping of the process, of which each region
 * has some. */
bool uffd_knows_poison(void)
{
	static int known = -1;

	if (known < 0)
		known = features_have(UFFD_FEATURE_POISON);
	return known;
}

bool uffd_alive(int fd)
{
	/* At an address where nothing is ever mapped: the check must not map a page. */
	struct uffdio_continue c = { .range = { .start = LAST_PAGE, .len = GVM_PAGE_BYTES } };

	return ioctl(fd, UFFDIO_CONTINUE, &c) == 0 || errno != ESRCH;
}

ssize_t uffd_read(int fd, void *messages, size_t bytes)
{
	struct iovec iov = { .iov_base = messages, .iov_len = bytes };
	ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	return n > 0 ? n : 0;
}

static bool nowait_is_known(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct iovec iov = { .iov_base = &(struct uffd_msg){ 0 }, .iov_len = sizeof(struct uffd_msg) };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	bool knows = fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 &&
		     preadv2(fd, &iov, 1, -1, RWF_NOWAIT) < 0 && errno == EAGAIN;

	if (fd >= 0)
		close(fd);
	return knows && !mutant("no-nowait");
}

/* Asked once, as above. */
bool uffd_reads_at_once(void)
{
	static int knows = -1;

	if (knows < 0)
		knows = nowait_is_known();
	return knows;
}

void uffd_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* Features that change which accesses fault or how faults are reported, and add no other event; and the event of mremap(), without
 * which a mapping that is moved to its place is not registered any more (tools/attach/clerk.h). Whoever moves one later waits until
 * its message has been read, which says nothing here; until then nothing can be put into that process. */
#define PLAIN_FEATURES                                                                             \
	(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_MISSING_HUGETLBFS | UFFD_FEATURE_MISSING_SHMEM | \
	 UFFD_FEATURE_SIGBUS | UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_MINOR_HUGETLBFS |             \
	 UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_EXACT_ADDRESS | UFFD_FEATURE_POISON | UFFD_INITIALIZED)

static bool is_userfaultfd(int fd)
{
	static const char kind[] = "anon_inode:[userfaultfd]";
	char path[40], target[sizeof(kind)];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, target, sizeof(target)) == sizeof(kind) - 1 &&
	       !memcmp(target, kind, sizeof(kind) - 1);
}

bool uffd_is_plain(int fd)
{
	unsigned long long features;
	char path[40], text[1024];
	const char *api;

	/* Before UFFDIO_API a userfaultfd has no features, could get any of them later, and refuses
	 * all other ioctls. (UFFD_INITIALIZED is too new to be relied on.) */
	if (!is_userfaultfd(fd) || uffd_wake(fd, LAST_PAGE, GVM_PAGE_BYTES) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	api = file_text(path, text, sizeof(text)) ? NULL : text_field(text, "API:");
	if (!api || sscanf(api, "%*x:%llx", &features) != 1)
		return false;
	return !(features & ~(unsigned long long)PLAIN_FEATURES);
}
