/* SPDX-License-Identifier: GPL-2.0-or-later */
/* round.h - everything that gvm bench measures, once, in an order that depends on the round. */
#ifndef TOOLS_BENCH_ROUND_H
#define TOOLS_BENCH_ROUND_H

#include "bench_file.h"
#include "memcg.h"
#include "node.h"
#include "peers.h"
#include "report.h"
#include "sizes.h"

struct bench {
	struct bench_sizes z;
	struct bench_peers *peers;
	struct bench_file file[PARTIES]; /* path NULL: the party has none */
	struct bench_file guest;	 /* of a second guest on our mount */
	char guest_path[PATH_MAX];
	struct bench_store store[PARTIES];
	struct bench_node *node[PARTIES];
	struct bench_results results;
	struct memcg cg;
	bool have_cg;
	uint64_t *latency;
	unsigned round;
	enum bench_party file_party[PARTIES], store_party[PARTIES];
	unsigned file_parties, store_parties;
};

/* 0 or a negative errno (said). */
int bench_round(struct bench *b);

#endif
