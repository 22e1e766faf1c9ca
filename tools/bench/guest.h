/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest.h - a guest of QEMU that computes and goes over its memory in turn, and says after each batch that it has: how
 * fast it does either is what its memory's place costs it.
 */
#ifndef TOOLS_BENCH_GUEST_H
#define TOOLS_BENCH_GUEST_H

#include "peers.h"

struct bench_guest {
	uint64_t set_bytes;    /* what it goes over; a quarter more is its RAM */
	uint64_t budget_bytes; /* of that, on this host; of one in gvm run */
	unsigned warm_ms, ms;  /* before it counts, and while it does */
	uint64_t seed;
};

struct bench_guest_pace {
	double compute_ms, access_us; /* of a batch; of an access */
};

/* accel: "kvm" or "tcg". mode: of gvm run; NULL: plain QEMU, in this host's memory. 0 or a negative errno (said). */
int bench_guest_run(struct bench_peers *p, const struct bench_guest *g, const char *accel, const char *mode,
		    struct bench_guest_pace *pace);

#endif
