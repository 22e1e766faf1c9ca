// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * heap.c - libgvm-bench-heap.so: under LD_PRELOAD, what a program's allocator maps lies in a region.
 *
 * For programs that use jemalloc, which asks for memory by mmap() alone, and keeps it (MALLOC_CONF: retain:true, nothing
 * decays). The file that GVM_BENCH_HEAP names is mapped as a whole, through libgvm-preload.so if that is loaded behind this
 * library; private anonymous mappings are pieces of it from then on, one behind the other. What is unmapped is not used
 * again. A program that forks and goes on in both processes is none for this.
 */
#undef _FILE_OFFSET_BITS
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT	   __attribute__((visibility("default")))
#define PAGE	   4096u
#define HUGE_BYTES (2u << 20)

typedef void *mmap_fn(void *, size_t, int, int, int, off_t);

/* The functions' names to the linker. */
mmap_fn heap_mmap __asm__("mmap"), heap_mmap64 __asm__("mmap64");
int heap_munmap(void *at, size_t bytes) __asm__("munmap");
int heap_madvise(void *at, size_t bytes, int advice) __asm__("madvise");

static uint8_t *heap; /* NULL: not mapped yet */
static size_t heap_bytes, used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool is_ours(const void *p)
{
	return heap && (const uint8_t *)p >= heap && (const uint8_t *)p < heap + heap_bytes;
}

/* Aligned as jemalloc wants it, or it would ask for more and give back the ends. NULL: there is none left. */
static void *piece_take(size_t bytes)
{
	size_t align = bytes >= HUGE_BYTES ? HUGE_BYTES : PAGE, at;
	void *piece = NULL;

	bytes = (bytes + PAGE - 1) / PAGE * PAGE;
	pthread_mutex_lock(&lock);
	at = (used + align - 1) / align * align;
	if (at + bytes <= heap_bytes) {
		piece = heap + at;
		used = at + bytes;
	}
	pthread_mutex_unlock(&lock);
	return piece;
}

static void *map(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *piece = NULL;

	if (heap && !at && fd < 0 && flags & MAP_ANONYMOUS && flags & MAP_PRIVATE && bytes)
		piece = piece_take(bytes);
	/* (Not the next library's: its dlsym() may want memory.) */
	return piece ? piece : (void *)syscall(SYS_mmap, at, bytes, prot, flags, fd, offset);
}

EXPORT void *heap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return map(at, bytes, prot, flags, fd, offset);
}

EXPORT void *heap_mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return map(at, bytes, prot, flags, fd, offset);
}

EXPORT int heap_munmap(void *at, size_t bytes)
{
	return is_ours(at) ? 0 : (int)syscall(SYS_munmap, at, bytes);
}

/* Pages of a region that are given back would have to be zeros afterwards: it is not offered. */
EXPORT int heap_madvise(void *at, size_t bytes, int advice)
{
	if (!is_ours(at))
		return (int)syscall(SYS_madvise, at, bytes, advice);
	errno = EINVAL;
	return -1;
}

__attribute__((noreturn)) static void give_up(const char *what)
{
	dprintf(STDERR_FILENO, "gvm-bench-heap: %s: %s\n", what, strerror(errno));
	_exit(1);
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("GVM_BENCH_HEAP");
	mmap_fn *next;
	struct stat st;
	void *p;
	int fd;

	if (!path)
		return;
	*(void **)&next = dlsym(RTLD_NEXT, "mmap");
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (!next || fd < 0 || fstat(fd, &st))
		give_up(path);
	p = next(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		give_up("mmap");
	close(fd);
	heap_bytes = (size_t)st.st_size;
	heap = p;
}
