/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loads.h - what a program does with a set of pages that is larger than what may be here. Each is for touch_run(): in
 * answer->value it leaves microseconds an access, in answer->other how many accesses in a hundred were to pages that
 * were not here, and in answer->fetched the bytes that were fetched for each byte of the pages that were accessed (0: not
 * known).
 */
#ifndef TOOLS_BENCH_LOADS_H
#define TOOLS_BENCH_LOADS_H

#include "child.h"

enum bench_load {
	LOAD_ZIPF,   /* pages by Zipf's law, one access in four a write */
	LOAD_SEQ,    /* all in order, again and again */
	LOAD_SPARSE, /* nine in ten: to two pages of each 2 MiB, at random; the tenth anywhere. One in four a write */
	LOAD_GRAPH,  /* vertices of a random graph, breadth first: an access is a vertex with its edges */
	LOADS,
};

#define LOAD_WRITE (1u << 31)

int load_run(struct touch *t, enum bench_load load);
/* Of LOAD_ZIPF and LOAD_SPARSE: the pages that are accessed, in order, LOAD_WRITE added to those that are written; then it
 * begins anew. To be freed; NULL: no memory. */
uint32_t *load_plan(enum bench_load load, uint64_t bytes, uint64_t seed, uint32_t *count);
/* And how many bytes of pages the first `accesses` of these touch; 0: no memory. */
uint64_t load_active(enum bench_load load, uint64_t bytes, uint64_t seed, uint64_t accesses);
/* What it would miss, in percent, if the pages that it accesses most were here all the time, as many as fit into
 * `resident` bytes; -1: no memory, or it is not known. */
double load_optimum(enum bench_load load, uint64_t bytes, uint64_t resident, uint64_t seed);

#endif
