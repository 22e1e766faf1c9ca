/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A region as the programs of these tests use it: an array of pages of 64-bit words, each access an
 * atomic one of the width that x86-64 does in one go. Page 0 holds the meeting points of the nodes.
 */
#ifndef SHARE_H
#define SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES 4096
#define PAGE_WORDS (PAGE_BYTES / 8)

extern struct share {
	uint64_t *words;
	size_t pages;
	unsigned int node, nodes;
	unsigned int poll_us; /* how often a meeting point is looked at */
	unsigned long failures;
} share;

/* Says what is wrong, counts it; after many it is quiet. */
void share_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* All nodes meet here, any number of times; gives up, and ends the program, after a minute. */
void share_meet(unsigned int point);

/* Seconds of a clock that only goes forward. */
double share_now(void);

static inline uint64_t *share_word(size_t page, size_t word)
{
	return share.words + page * PAGE_WORDS + word;
}

static inline uint64_t share_load(size_t page, size_t word)
{
	return __atomic_load_n(share_word(page, word), __ATOMIC_SEQ_CST);
}

static inline void share_store(size_t page, size_t word, uint64_t value)
{
	__atomic_store_n(share_word(page, word), value, __ATOMIC_RELEASE);
}

static inline uint64_t share_add(size_t page, size_t word, uint64_t value)
{
	return __atomic_add_fetch(share_word(page, word), value, __ATOMIC_SEQ_CST);
}

/* The tests: a file each. */
void torture_run(unsigned int seconds, unsigned int threads, const char *disk);
void litmus_run(unsigned int rounds);
void latency_run(unsigned int rounds);
void stream_run(void);
void vcpu_run(unsigned int rounds, unsigned int vcpus);
void nested_run(void);

#endif
