// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * slow_disk.c - loaded into a node (LD_PRELOAD): its disk stands still or fails while a test wants it to.
 *
 * The test's wish is the first byte of a file, GVM_SLOW_DISK, that is mapped before the node confines itself:
 * 's' pwrite() waits, 'w' pwrite() fails, 'f' fdatasync() fails; anything else: a good disk.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile const char *wish;
static ssize_t (*real_pwrite)(int fd, const void *p, size_t bytes, off_t at);
static int (*real_fdatasync)(int fd);

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("GVM_SLOW_DISK");
	int fd;

	real_pwrite = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
	real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	wish = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (wish == MAP_FAILED)
		wish = NULL;
	close(fd);
}

static char wished(void)
{
	return wish ? *wish : 0;
}

/* (With 64-bit offsets the headers call it pwrite64.) */
ssize_t pwrite(int fd, const void *p, size_t bytes, off_t at)
{
	static const struct timespec pause = {.tv_nsec = 2000000};

	while (wished() == 's')
		nanosleep(&pause, NULL);
	if (wished() == 'w') {
		errno = EIO;
		return -1;
	}
	return real_pwrite(fd, p, bytes, at);
}

int fdatasync(int fd)
{
	if (wished() == 'f') {
		errno = EIO;
		return -1;
	}
	return real_fdatasync(fd);
}
