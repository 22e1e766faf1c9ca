/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uffd.h - the ioctls of a userfaultfd that another process has registered.
 *
 * Addresses are of that process; addresses and lengths are in bytes, multiples of a page. A call
 * that the kernel ends half way is continued where it stopped. Functions return 0 or a negative
 * errno; -ESRCH (the process's memory is gone) is normal when the process ends.
 */
#ifndef GVMFS_UFFD_H
#define GVMFS_UFFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Fills pages from `from`; with `wake`, wakes their faulters. -EEXIST: the memory has one of the
 * pages already. *done: the bytes filled before the page that failed. */
int uffd_copy(int fd, uint64_t address, const void *from, size_t bytes, bool wake, size_t *done);
/* The same with zeros, and never wakes. */
int uffd_zero(int fd, uint64_t address, size_t bytes, size_t *done);
/*
 * Maps pages that the memory's file has. A page that the file lacks is filled with zeros; one that is mapped already is
 * skipped, and adds 1 to *already. Never wakes.
 */
int uffd_continue(int fd, uint64_t address, size_t bytes, unsigned *already);
int uffd_wake(int fd, uint64_t address, size_t bytes);
/* Makes every access to these pages fail with SIGBUS. Needs Linux 6.6: uffd_knows_poison(). */
int uffd_poison(int fd, uint64_t address, size_t bytes);
bool uffd_knows_poison(void);
/* Whether the process's memory still exists. */
bool uffd_alive(int fd);
/* Reads messages without waiting, even if the descriptor's O_NONBLOCK was cleared. Returns the
 * bytes read; 0: none, or an error. Needs Linux 6.10: uffd_reads_at_once(); otherwise see reader.h. */
ssize_t uffd_read(int fd, void *messages, size_t bytes);
bool uffd_reads_at_once(void);
/* A userfaultfd without O_NONBLOCK reports an error instead of faults when it is polled, and a client can clear that
 * flag. Sets it again. Since the client may clear it at once, the descriptor is best not polled for UFFD_ERROR_US. */
void uffd_set_nonblock(int fd);
#define UFFD_ERROR_US 5000
/* Whether fd is a userfaultfd that reports faults and no other event, and whose features cannot
 * change any more. May block: the client chose the descriptor. */
bool uffd_is_plain(int fd);

#endif
