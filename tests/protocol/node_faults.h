/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node_faults.h - a client that asks for one page at a time, and how many others are served between. */
#ifndef GVM_NODE_FAULTS_H
#define GVM_NODE_FAULTS_H

#include "node_chunk.h"

#define FAULTS	     100u
#define FAULT_US_MAX 50000ull
#define QUICK_ROUNDS 5u
#define FAULT_CHUNKS 64u

static uint8_t fault_noise[GVM_CHUNK_BYTES];

/* Once, before all else. */
static inline void faults_prepare(void)
{
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_fill(fault_noise + p * GVM_PAGE_BYTES, PAGE_RANDOM);
}

/* The region that the pages are of. */
static inline void faults_begin(int fd)
{
	region_make(fd, FAULT_CHUNKS);
	for (unsigned i = 0; i < FAULT_CHUNKS; i++)
		CHECK_EQ(chunk_put(fd, fault_noise, i, gvm_version(1, 1), 0, ~0u), GVM_OK);
}

static inline int fault_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static inline uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static inline uint64_t fault_median(uint64_t *values)
{
	qsort(values, FAULTS, sizeof(*values), fault_compare);
	return values[FAULTS / 2];
}

static uint64_t fault_flood_bytes; /* of each request of others, where these are no GETs and PUTs; 0: they are */

static inline uint64_t faults_answered(int fd)
{
	struct gvm_node_stat_rsp stat = link_stat(fd);

	return fault_flood_bytes ? stat.rx_bytes / fault_flood_bytes : stat.gets + stat.puts;
}

/* One page after the other; prints how long they take, and returns how many requests of others the node answers between
 * two of ours, in the median: the client itself may not run for a while. */
static inline uint64_t faults(int fd, const char *what)
{
	uint64_t took[FAULTS], passed[FAULTS], before = faults_answered(fd), now, half;

	for (unsigned i = 0; i < FAULTS; i++) {
		uint64_t began = now_us();

		chunk_get(fd, fault_noise, i % FAULT_CHUNKS, gvm_version(1, 1), 1u << i % 32, (uint8_t)(i % 32));
		took[i] = now_us() - began;
		now = faults_answered(fd);
		passed[i] = now - before - 1;
		before = now;
	}
	half = fault_median(took);
	printf("  %-32s p50 %6llu us, p99 %6llu us, passed by %llu\n", what, (unsigned long long)half,
	       (unsigned long long)took[FAULTS * 99 / 100], (unsigned long long)fault_median(passed));
	return passed[FAULTS / 2];
}

/* Where many compete for the node a fault takes no longer, nor is it passed: in five rounds, of some more if the machine
 * stands still in one. */
static inline void faults_are_quick(int fd, const char *what)
{
	for (unsigned round = 0, quick = 0; quick < QUICK_ROUNDS; round++) {
		uint64_t began;

		CHECK(round < 5 * QUICK_ROUNDS);
		usleep(100000);
		began = now_us();
		CHECK_EQ(faults(fd, what), 0);
		quick += now_us() - began < FAULTS * FAULT_US_MAX;
	}
}

#endif
