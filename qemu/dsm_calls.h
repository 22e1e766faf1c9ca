/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsm_calls.h - system calls that bypass the C library's functions.
 *
 * preload.c replaces those functions in the whole process, its own library included: if dsm_*.c
 * called them, the calls would come back into dsm_*.c.
 */
#ifndef DSM_CALLS_H
#define DSM_CALLS_H

#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8 && sizeof(long) == 8, "an offset is one argument");

static inline void *dsm_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, addr, bytes, prot, flags, fd, offset);
}

static inline int dsm_munmap(void *addr, size_t bytes)
{
	return (int)syscall(SYS_munmap, addr, bytes);
}

static inline int dsm_madvise(void *addr, size_t bytes, int advice)
{
	return (int)syscall(SYS_madvise, addr, bytes, advice);
}

/* Opens an existing file: there is no mode argument. */
static inline int dsm_open(const char *path, int flags)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0);
}

static inline int dsm_fcntl(int fd, int cmd, long arg)
{
	return (int)syscall(SYS_fcntl, fd, cmd, arg);
}

#endif
