/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uffd.h - the ioctls of a userfaultfd that another process has registered, made dependable.
 *
 * Addresses and lengths are of that process, in whole pages. A call that the kernel ends half way is
 * taken up where it stopped. 0, or a negative errno: -ESRCH (the process's memory is gone) is normal
 * at the end of its life.
 */
#ifndef GVMFS_UFFD_H
#define GVMFS_UFFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Fills pages from `from`, and with `wake` wakes who waits for them. -EEXIST: a page is there already,
 * with content that is not ours. *done: the bytes before the page that failed. */
int uffd_copy(int fd, uint64_t address, const void *from, size_t bytes, bool wake, size_t *done);
/* Fills pages with zeros, without waking; otherwise the same. */
int uffd_zero(int fd, uint64_t address, size_t bytes, size_t *done);
/*
 * Maps pages that the memory's file holds; *holes counts pages that it does not, which are filled
 * with zeros. One that is mapped already is skipped. Wakes nobody.
 */
int uffd_continue(int fd, uint64_t address, size_t bytes, unsigned *holes);
int uffd_wake(int fd, uint64_t address, size_t bytes);
/* Makes every access a memory failure (SIGBUS); for kernels that know it (6.6). */
int uffd_poison(int fd, uint64_t address, size_t bytes);
bool uffd_knows_poison(void);
/* Whether the process's memory still exists. */
bool uffd_alive(int fd);
/* Reads messages, never waiting, whatever became of the descriptor's flags: bytes, 0 for none. Only where
 * the kernel knows such a read (6.10); otherwise see reader.h. */
ssize_t uffd_read(int fd, void *messages, size_t bytes);
bool uffd_reads_at_once(void);
/* A userfaultfd that tells of faults and of nothing else, and whose features are settled. May wait for
 * whatever a stranger has made of the descriptor. */
bool uffd_is_plain(int fd);

#endif
