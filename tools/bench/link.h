/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * link.h - an emulated network: one full-duplex link with a rate and a delay, between the process
 * that makes it and what runs at its far end.
 *
 * Each end is a network namespace with a TUN device; a child passes packets on. A packet leaves
 * when those before it have been sent at the link's rate, and arrives a delay later. It costs the
 * host some CPU for each packet, so what a link really gives is to be measured on it
 * (PARTY_RAW_TCP), not read off its name.
 */
#ifndef TOOLS_BENCH_LINK_H
#define TOOLS_BENCH_LINK_H

#include <stdint.h>
#include <sys/types.h>

#define LINK_NEAR 0x0a4d0001u /* 10.77.0.1: addresses, in host byte order */
#define LINK_FAR  0x0a4d0002u

struct bench_link_kind {
	unsigned gbit_s;
	unsigned delay_us; /* one way */
};
struct bench_link {
	int far_ns; /* to be entered by what runs at the far end */
	int tun[2]; /* near, far */
	pid_t passer;
};
/* Puts the calling process, and what it starts from now on, at the near end; 0 or a negative errno
 * (said). `link` is to be ended in either case. */
int bench_link_make(struct bench_link *link);
/* From now on the link is of that kind. What was under way on it is lost: TCP sends it again. */
int bench_link_be(struct bench_link *link, const struct bench_link_kind *kind);
void bench_link_end(struct bench_link *link);

#endif
