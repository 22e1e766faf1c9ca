/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench_file.h - a file to be mapped and measured. */
#ifndef TOOLS_BENCH_BENCH_FILE_H
#define TOOLS_BENCH_BENCH_FILE_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_WHY 256

struct bench_file {
	const char *path;
	uint64_t bytes;
	bool fast;	     /* through gvmfs's fast path */
	char why[BENCH_WHY]; /* it cannot be had (-EOPNOTSUPP was returned): why */
};

#endif
