// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * preload.c - libgvm-preload.so: the fast path for an unmodified QEMU.
 *
 * Under LD_PRELOAD, mmap() of a file of gvmfs goes on to dsm_ram_attach(). The other calls here
 * uphold its preconditions:
 *
 * - With direct I/O a device writes to guest pages that gvmfs may be evicting at the same time, and
 *   the write would be lost. O_DIRECT is removed wherever a descriptor gets it, so io_submit() and
 *   io_uring only ever see descriptors without it. This holds for the whole process, as QEMU may
 *   open disks before it maps guest RAM. A descriptor that another process passes later (SCM_RIGHTS)
 *   is not seen.
 * - If a device or call pins guest memory for long (VFIO, vDPA, locked memory) the region is kept
 *   resident.
 * - A vhost-user device maps the file in another process, so there the file has to stay mapped.
 *   After an attach such a mapping fails by itself: gvmfs opens the file for direct I/O only.
 * - A mapping that was replaced is unmapped as a whole, and neither moved nor partly mapped over.
 *
 * The C library's internal calls (malloc, fopen) are not intercepted, nor is posix_madvise(), none
 * of whose advices matters here. QEMU maps its RAM with MAP_FIXED over a reservation, sometimes
 * after a failed attempt with MAP_SYNC: only successful mappings of files count.
 *
 * A wrapper can run before this library's constructor. None runs inside dsm_backend.c's calls: see
 * dsm_calls.h.
 */
/* Either would give the functions below other names or bodies. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "dsm_backend.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8 && sizeof(long) == 8, "mmap and mmap64 are the same");

#define RAM_BYTES_MIN (1u << 20)
/* A call of the C library's that goes through here. All other symbols stay hidden: a QEMU linked with dsm_backend.c has them, too. */
#define WRAPPER(type, name, ...) __attribute__((visibility("default"))) type name(__VA_ARGS__)

static atomic_bool direct_told;

/* Programs built with _FORTIFY_SOURCE call these when they pass no mode. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

/* ---- the intercepted functions ---- */

/* NULL: not found; the caller makes the system call. */
static void *next(_Atomic(void *) *cache, const char *name)
{
	void *f = atomic_load_explicit(cache, memory_order_relaxed);

	if (!f) {
		f = dlsym(RTLD_NEXT, name);
		atomic_store_explicit(cache, f, memory_order_relaxed);
	}
	return f;
}

static void *real_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	static _Atomic(void *) cache;
	void *(*f)(void *, size_t, int, int, int, off_t) =
		(void *(*)(void *, size_t, int, int, int, off_t))next(&cache, "mmap");

	return f ? f(addr, bytes, prot, flags, fd, offset)
		 : (void *)syscall(SYS_mmap, addr, bytes, prot, flags, fd, offset);
}

static int real_munmap(void *addr, size_t bytes)
{
	static _Atomic(void *) cache;
	int (*f)(void *, size_t) = (int (*)(void *, size_t))next(&cache, "munmap");

	return f ? f(addr, bytes) : (int)syscall(SYS_munmap, addr, bytes);
}

static void *real_mremap(void *addr, size_t bytes, size_t new_bytes, int flags, void *new_addr)
{
	static _Atomic(void *) cache;
	void *(*f)(void *, size_t, size_t, int, ...) =
		(void *(*)(void *, size_t, size_t, int, ...))next(&cache, "mremap");

	return f ? f(addr, bytes, new_bytes, flags, new_addr)
		 : (void *)syscall(SYS_mremap, addr, bytes, new_bytes, flags, new_addr);
}

static int real_madvise(void *addr, size_t bytes, int advice)
{
	static _Atomic(void *) cache;
	int (*f)(void *, size_t, int) = (int (*)(void *, size_t, int))next(&cache, "madvise");

	return f ? f(addr, bytes, advice) : (int)syscall(SYS_madvise, addr, bytes, advice);
}

static int real_mlock(const void *addr, size_t bytes)
{
	static _Atomic(void *) cache;
	int (*f)(const void *, size_t) = (int (*)(const void *, size_t))next(&cache, "mlock");

	return f ? f(addr, bytes) : (int)syscall(SYS_mlock, addr, bytes);
}

static int real_mlock2(const void *addr, size_t bytes, unsigned flags)
{
	static _Atomic(void *) cache;
	int (*f)(const void *, size_t, unsigned) =
		(int (*)(const void *, size_t, unsigned))next(&cache, "mlock2");

	return f ? f(addr, bytes, flags) : (int)syscall(SYS_mlock2, addr, bytes, flags);
}

static int real_mlockall(int flags)
{
	static _Atomic(void *) cache;
	int (*f)(int) = (int (*)(int))next(&cache, "mlockall");

	return f ? f(flags) : (int)syscall(SYS_mlockall, flags);
}

static int real_openat(int dir, const char *path, int flags, mode_t mode)
{
	static _Atomic(void *) cache;
	int (*f)(int, const char *, int, ...) =
		(int (*)(int, const char *, int, ...))next(&cache, "openat");

	return f ? f(dir, path, flags, mode) : (int)syscall(SYS_openat, dir, path, flags, mode);
}

static int real_fcntl(int fd, int cmd, void *arg)
{
	static _Atomic(void *) cache;
	int (*f)(int, int, ...) = (int (*)(int, int, ...))next(&cache, "fcntl");

	return f ? f(fd, cmd, arg) : (int)syscall(SYS_fcntl, fd, cmd, arg);
}

/* ---- mappings ---- */

/* Whether RAM of this process may ever be replaced. */
static bool may_replace(void)
{
	enum dsm_mode mode = dsm_mode_get();

	return mode == DSM_MODE_AUTO || mode == DSM_MODE_UFFD;
}

static void direct_tell(void)
{
	static const char line[] = "gvm: direct I/O (O_DIRECT, cache=none) goes through the page "
				   "cache in this process: a device must not write to memory that "
				   "may be on its way to a node\n";

	if (!atomic_exchange(&direct_told, true) &&
	    write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
		return; /* standard error is gone */
}

/* Undoes the mapping if the guest must not start with it. */
static void *attach(void *host, size_t bytes, int fd, off_t offset, bool shared)
{
	int saved = errno, result;

	result = dsm_ram_attach(fd, host, bytes, offset, shared);
	if (result < 0)
		real_munmap(host, bytes);
	if (result > 0)
		direct_tell();
	errno = result < 0 ? -result : saved;
	return result < 0 ? MAP_FAILED : host;
}

/* Detaches before another mapping is placed there: 0, or a negative errno. */
static int detach(void *host, size_t bytes)
{
	int saved = errno, err;

	if (!dsm_ram_covers(host, bytes))
		return 0;
	err = dsm_ram_detach(host, bytes);
	errno = saved;
	return err;
}

static void *map(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	int type = flags & MAP_TYPE, err = flags & MAP_FIXED ? detach(addr, bytes) : 0;
	void *host;

	if (err) {
		errno = -err;
		return MAP_FAILED;
	}
	host = real_mmap(addr, bytes, prot, flags, fd, offset);
	if (host == MAP_FAILED || fd < 0 || (flags & MAP_ANONYMOUS) || bytes < RAM_BYTES_MIN ||
	    (prot & (PROT_WRITE | PROT_EXEC)) != PROT_WRITE)
		return host;
	return attach(host, bytes, fd, offset, type != MAP_PRIVATE);
}

WRAPPER(void *, mmap, void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return map(addr, bytes, prot, flags, fd, offset);
}

WRAPPER(void *, mmap64, void *addr, size_t bytes, int prot, int flags, int fd, off64_t offset)
{
	return map(addr, bytes, prot, flags, fd, offset);
}

WRAPPER(int, munmap, void *addr, size_t bytes)
{
	int err = detach(addr, bytes);

	if (err) {
		errno = -err;
		return -1;
	}
	return real_munmap(addr, bytes);
}

WRAPPER(void *, mremap, void *addr, size_t bytes, size_t new_bytes, int flags, ...)
{
	void *new_addr = NULL;
	va_list args;

	if (flags & MREMAP_FIXED) {
		va_start(args, flags);
		new_addr = va_arg(args, void *);
		va_end(args);
	}
	/* gvmfs knows the mapping by its address, and QEMU never moves its RAM */
	if (dsm_ram_covers(addr, bytes ? bytes : 1) ||
	    ((flags & MREMAP_FIXED) && dsm_ram_covers(new_addr, new_bytes))) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	return real_mremap(addr, bytes, new_bytes, flags, new_addr);
}

WRAPPER(int, madvise, void *addr, size_t bytes, int advice)
{
	int result;

	if (!dsm_ram_madvise(addr, bytes, advice, &result))
		return real_madvise(addr, bytes, advice);
	if (result) {
		errno = -result;
		return -1;
	}
	return 0;
}

/* ---- pins ---- */

static void pin_all(const char *why)
{
	int saved = errno;

	dsm_pin_all(why);
	errno = saved;
}

WRAPPER(int, mlock, const void *addr, size_t bytes)
{
	if (dsm_ram_covers(addr, bytes))
		pin_all("mlock");
	return real_mlock(addr, bytes);
}

WRAPPER(int, mlock2, const void *addr, size_t bytes, unsigned flags)
{
	if (dsm_ram_covers(addr, bytes))
		pin_all("mlock2");
	return real_mlock2(addr, bytes, flags);
}

WRAPPER(int, mlockall, int flags)
{
	pin_all("mlockall");
	return real_mlockall(flags);
}

/* Devices whose drivers keep guest pages for a device to write to. */
static void pin_for(const char *path)
{
	static const struct {
		const char *prefix, *why;
	} devices[] = {
		{"/dev/vfio/", "VFIO"},
		{"/dev/iommu", "VFIO"},
		{"/dev/vhost-vdpa", "vhost-vdpa"},
		{"/dev/vhost-scsi", "vhost-scsi"},
		{"/dev/infiniband/", "RDMA"},
		{"/dev/sev", "SEV"},
	};

	for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++) {
		if (!strncmp(path, devices[i].prefix, strlen(devices[i].prefix)))
			pin_all(devices[i].why);
	}
}

/* ---- descriptors ---- */

#define TEMPLATES "GVM_TEMPLATES" /* DEVICE:INODE and a space for each; tools/run/file.c sets it */

/*
 * QEMU opens a file for writing even if it maps it privately, and a host that has a region open for
 * writing excludes all other hosts. So a template, from which guests on many hosts start, is opened
 * read-only.
 */
static bool is_template(int dir, const char *path)
{
	const char *list = getenv(TEMPLATES);
	unsigned long long dev, ino;
	struct stat st;
	int n;

	if (!list || fstatat(dir, path, &st, 0))
		return false;
	for (; sscanf(list, "%llu:%llu %n", &dev, &ino, &n) == 2; list += n)
		if (st.st_dev == dev && st.st_ino == ino)
			return true;
	return false;
}

static int open_file(int dir, const char *path, int flags, mode_t mode)
{
	if ((flags & O_ACCMODE) == O_RDWR && is_template(dir, path))
		flags &= ~O_ACCMODE; /* O_RDONLY */
	if (!strncmp(path, "/dev/", 5))
		pin_for(path);
	if ((flags & O_DIRECT) && may_replace())
		flags &= ~O_DIRECT;
	return real_openat(dir, path, flags, mode);
}

/* The mode argument of open(), if the flags call for one. */
#define MODE_ARG(mode, flags)                                                                      \
	mode_t mode = 0;                                                                           \
	if ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {                                    \
		va_list args;                                                                      \
		va_start(args, flags);                                                             \
		mode = va_arg(args, mode_t);                                                       \
		va_end(args);                                                                      \
	}

WRAPPER(int, open, const char *path, int flags, ...)
{
	MODE_ARG(mode, flags)
	return open_file(AT_FDCWD, path, flags, mode);
}

WRAPPER(int, open64, const char *path, int flags, ...)
{
	MODE_ARG(mode, flags)
	return open_file(AT_FDCWD, path, flags, mode);
}

WRAPPER(int, openat, int dir, const char *path, int flags, ...)
{
	MODE_ARG(mode, flags)
	return open_file(dir, path, flags, mode);
}

WRAPPER(int, openat64, int dir, const char *path, int flags, ...)
{
	MODE_ARG(mode, flags)
	return open_file(dir, path, flags, mode);
}

WRAPPER(int, __open_2, const char *path, int flags)
{
	return open_file(AT_FDCWD, path, flags, 0);
}

WRAPPER(int, __open64_2, const char *path, int flags)
{
	return open_file(AT_FDCWD, path, flags, 0);
}

WRAPPER(int, __openat_2, int dir, const char *path, int flags)
{
	return open_file(dir, path, flags, 0);
}

WRAPPER(int, __openat64_2, int dir, const char *path, int flags)
{
	return open_file(dir, path, flags, 0);
}

static int control(int fd, int cmd, void *arg)
{
	long flags = (long)arg;

	if (cmd == F_SETFL && (flags & O_DIRECT) && may_replace())
		arg = (void *)(flags & ~(long)O_DIRECT);
	return real_fcntl(fd, cmd, arg);
}

WRAPPER(int, fcntl, int fd, int cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *); /* if none was passed, the callee uses none either */
	va_end(args);
	return control(fd, cmd, arg);
}

WRAPPER(int, fcntl64, int fd, int cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	return control(fd, cmd, arg);
}

/* ---- at the start ---- */

/* Files that a parent opened for direct I/O and let this process inherit (libvirt does). */
static void inherited_direct_strip(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name), flags = fcntl(fd, F_GETFL);
		struct stat st;

		/* the flag means something else on a pipe */
		if (entry->d_name[0] == '.' || flags < 0 || !(flags & O_DIRECT) || fstat(fd, &st) ||
		    !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
			continue;
		fcntl(fd, F_SETFL, flags & ~O_DIRECT);
	}
	if (dir)
		closedir(dir);
}

/* Devices whose files may be passed as descriptors, so that no open() is seen. */
static void pin_for_word(const char *word)
{
	static const char *const devices[] = {
		"vfio-pci", "vhost-vdpa", "vhost-scsi",
		"scsi-block", /* SG_IO goes straight into the guest's memory */
	};

	for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++) {
		if (strstr(word, devices[i]))
			dsm_pin_all(devices[i]);
	}
}

static void word_look(const char *word, const char *before)
{
	bool accel = !strcmp(before, "-accel") || !strcmp(before, "--accel");

	pin_for_word(word);
	if (strstr(word, "vhost-user"))
		dsm_uffd_veto("a vhost-user device maps the file in another process");
	if (strstr(word, "accel=kvm") || !strcmp(word, "-enable-kvm") ||
	    (accel && !strncmp(word, "kvm", 3)))
		dsm_universal_init("KVM");
	if (strstr(word, "accel=tcg") || (accel && !strncmp(word, "tcg", 3)))
		dsm_universal_init("TCG");
}

static void command_line_look(void)
{
	FILE *f = fopen("/proc/self/cmdline", "re");
	char *word = NULL, *before = NULL;
	size_t word_room = 0, before_room = 0;

	while (f && getdelim(&word, &word_room, 0, f) > 0) {
		char *swap = before;
		size_t room = before_room;

		word_look(word, before ? before : "");
		before = word;
		before_room = word_room;
		word = swap;
		word_room = room;
	}
	if (f)
		fclose(f);
	free(word);
	free(before);
}

__attribute__((constructor)) static void preload_start(void)
{
	dsm_universal_init(NULL); /* a wrong GVM_MODE is reported when RAM is mapped */
	command_line_look();
	if (may_replace())
		inherited_direct_strip();
}
