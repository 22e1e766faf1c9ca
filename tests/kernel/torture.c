// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random accesses of several threads on several nodes to the same pages, each checked against what
 * coherent memory allows:
 *
 *   count   word 0 of a page, incremented by all; never goes back; the sums agree in the end
 *   own     a word that one thread alone writes, by a store or through the kernel (process_vm_writev):
 *           always what it wrote last
 *   lock    three words in three pages, equal whenever the lock in a fourth is held
 *   drop    a page's mapping, which the thread takes away while others use and lose it
 *   direct  a sector of a page into which a disk is read with O_DIRECT while others write the rest
 *
 * Words 1 .. 127 of a page are the threads' own, its last sectors the nodes' direct ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "share.h"

#define THREADS_MAX 16
#define SECTOR_BYTES 512
#define LOCK_PAGE 1 /* 2, 3 and 4 are what it guards */
#define LOCK_WORD 500 /* nothing else uses it, nor these: */
#define GUARDED_WORD 400
#define TALLY_PAGE 5 /* how much each node added */
#define FIRST_PAGE 6
#define LOCK_TRIES 64

struct worker {
	pthread_t thread;
	unsigned int index; /* among this node's threads */
	uint64_t added, locked, direct, ops;
	uint64_t *seen; /* the highest count seen of each page */
	uint64_t *own; /* what this thread wrote last to its word of each page */
};

static volatile bool over;
static int disk_fd = -1;
static unsigned int nr_threads;
static pthread_mutex_t disk_lock = PTHREAD_MUTEX_INITIALIZER; /* one sector a node: one reader */

static void count_see(struct worker *w, size_t page, uint64_t value, bool grew)
{
	if (value < w->seen[page] || (grew && value == w->seen[page]))
		share_wrong("page %zu went back from %llu to %llu", page,
			    (unsigned long long)w->seen[page], (unsigned long long)value);
	w->seen[page] = value;
}

static void own_check_and_change(struct worker *w, size_t page, bool by_kernel)
{
	size_t word = 1 + share.node * nr_threads + w->index;
	uint64_t value = share_load(page, word);
	struct iovec local = { &value, 8 }, remote = { share_word(page, word), 8 };

	if (by_kernel && process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != 8)
		share_wrong("process_vm_readv: %s", strerror(errno));
	if (value != w->own[page])
		share_wrong("page %zu: this thread wrote %llu, and reads %llu", page,
			    (unsigned long long)w->own[page], (unsigned long long)value);
	value = ++w->own[page];
	if (!by_kernel)
		share_store(page, word, value);
	else if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) != 8)
		share_wrong("process_vm_writev: %s", strerror(errno));
}

static void lock_and_check(struct worker *w)
{
	uint64_t free, values[3];
	int tries, i;

	for (tries = 0; tries < LOCK_TRIES; tries++) {
		free = 0;
		if (__atomic_compare_exchange_n(share_word(LOCK_PAGE, LOCK_WORD), &free,
						share.node + 1, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			break;
		usleep(500);
	}
	if (tries == LOCK_TRIES)
		return;
	for (i = 0; i < 3; i++)
		values[i] = *share_word(LOCK_PAGE + 1 + i, GUARDED_WORD + 8 * i);
	if (values[0] != values[1] || values[1] != values[2])
		share_wrong("under the lock: %llu %llu %llu", (unsigned long long)values[0],
			    (unsigned long long)values[1], (unsigned long long)values[2]);
	for (i = 0; i < 3; i++)
		*(volatile uint64_t *)share_word(LOCK_PAGE + 1 + i, GUARDED_WORD + 8 * i) = values[0] + 1;
	share_store(LOCK_PAGE, LOCK_WORD, 0);
	w->locked++;
}

/* The disk's sector N begins with N + 1: see disk_prepare(). */
static void direct_read(struct worker *w, size_t page, uint64_t sector)
{
	size_t word = PAGE_WORDS - (share.node + 1) * SECTOR_BYTES / 8;
	uint64_t value;

	pthread_mutex_lock(&disk_lock);
	if (pread(disk_fd, share_word(page, word), SECTOR_BYTES, sector * SECTOR_BYTES) !=
	    SECTOR_BYTES)
		share_wrong("O_DIRECT: %s", strerror(errno));
	value = share_load(page, word);
	if (value != sector + 1)
		share_wrong("page %zu: sector %llu was read into it, and it has %llu", page,
			    (unsigned long long)sector, (unsigned long long)value);
	w->direct++;
	pthread_mutex_unlock(&disk_lock);
}

static void mapping_drop(size_t page)
{
	if (madvise(share_word(page, 0), PAGE_BYTES, MADV_DONTNEED))
		share_wrong("MADV_DONTNEED: %s", strerror(errno));
}

static void *worker_run(void *argument)
{
	struct worker *w = argument;
	unsigned int seed = share.node * 977 + w->index * 131 + 7;

	while (!over) {
		size_t page = FIRST_PAGE + rand_r(&seed) % (share.pages - FIRST_PAGE);
		int choice = rand_r(&seed) / 64 % 100;

		w->ops++;
		if (choice < 3) {
			mapping_drop(page);
		} else if (choice < 50) {
			count_see(w, page, share_load(page, 0), false);
		} else if (choice < 75) {
			count_see(w, page, share_add(page, 0, 1), true);
			w->added++;
		} else if (choice < 90) {
			own_check_and_change(w, page, choice >= 85);
		} else if (choice < 95 || disk_fd < 0) {
			lock_and_check(w);
		} else {
			direct_read(w, page, rand_r(&seed) % 64);
		}
	}
	return NULL;
}

static void disk_prepare(const char *path)
{
	static uint64_t sectors[64][SECTOR_BYTES / 8] __attribute__((aligned(PAGE_BYTES)));
	int i;

	for (i = 0; i < 64; i++)
		sectors[i][0] = i + 1;
	disk_fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (disk_fd < 0 || pwrite(disk_fd, sectors, sizeof(sectors), 0) != sizeof(sectors)) {
		fprintf(stderr, "share: %s: %s\n", path, strerror(errno));
		exit(1);
	}
}

static uint64_t counts_sum(void)
{
	uint64_t sum = 0;
	size_t page;

	for (page = FIRST_PAGE; page < share.pages; page++)
		sum += share_load(page, 0);
	return sum;
}

void torture_run(unsigned int seconds, unsigned int threads, const char *disk)
{
	static struct worker workers[THREADS_MAX];
	uint64_t before, tally = 0, added = 0, locked = 0, direct = 0, ops = 0;
	size_t page;
	unsigned int i;

	nr_threads = threads < THREADS_MAX ? threads : THREADS_MAX;
	if (disk)
		disk_prepare(disk);
	share_meet(8);
	before = counts_sum();
	for (i = 0; i < nr_threads; i++) {
		workers[i].index = i;
		workers[i].seen = calloc(share.pages, 8);
		workers[i].own = calloc(share.pages, 8);
		for (page = FIRST_PAGE; page < share.pages; page++)
			workers[i].own[page] =
				share_load(page, 1 + share.node * nr_threads + i);
	}
	share_meet(9);
	for (i = 0; i < nr_threads; i++)
		pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]);
	sleep(seconds);
	over = true;
	for (i = 0; i < nr_threads; i++) {
		pthread_join(workers[i].thread, NULL);
		added += workers[i].added;
		locked += workers[i].locked;
		direct += workers[i].direct;
		ops += workers[i].ops;
	}
	share_store(TALLY_PAGE, share.node, added);
	share_meet(10);
	for (i = 0; i < share.nodes; i++)
		tally += share_load(TALLY_PAGE, i);
	if (counts_sum() - before != tally)
		share_wrong("the pages grew by %llu, the nodes added %llu",
			    (unsigned long long)(counts_sum() - before), (unsigned long long)tally);
	share_meet(11);
	printf("share: %llu accesses, %llu added, %llu locked, %llu direct\n",
	       (unsigned long long)ops, (unsigned long long)added, (unsigned long long)locked,
	       (unsigned long long)direct);
}
