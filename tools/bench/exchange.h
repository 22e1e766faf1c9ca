/* SPDX-License-Identifier: GPL-2.0-or-later */
/* exchange.h - a store over TCP, by requests and answers of known length. */
#ifndef TOOLS_BENCH_EXCHANGE_H
#define TOOLS_BENCH_EXCHANGE_H

#include "report.h"

#include <stdbool.h>
#include <stdint.h>

#define BENCH_VALUE_BYTES 131072u /* what stores are asked for: a chunk */

struct bench_store {
	enum bench_party party;
	uint16_t port;
	uint32_t address; /* in host byte order; 0: loopback */
	unsigned values, depth;
	/* raw TCP: lengths of what travels for one GET and one PUT */
	uint32_t get_request, get_answer, put_request, put_answer;
};
int bench_store_run(const struct bench_store *s, bool put, unsigned ms, double *mb_s);
/* Serves raw exchanges on a listening socket until it is killed. */
__attribute__((noreturn)) void bench_raw_serve(int listener, const struct bench_store *s);

#endif
