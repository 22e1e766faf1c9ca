/* SPDX-License-Identifier: GPL-2.0-or-later */
/* parts.h - what a fault consists of, each part measured alone; us, medians. */
#ifndef TOOLS_BENCH_PARTS_H
#define TOOLS_BENCH_PARTS_H

#include <stdint.h>

struct bench_parts {
	double copy_us;	    /* touch to resume, of a page that another process copies in */
	double exchange_us; /* a request and an answer that brings one encoded page */
	double decode_us;   /* of that page */
	double continue_us; /* touch to resume, of a chunk that another process maps */
};
int bench_parts_run(unsigned faults, uint64_t seed, struct bench_parts *parts);

#endif
