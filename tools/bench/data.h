/* SPDX-License-Identifier: GPL-2.0-or-later */
/* data.h - bytes like those of a program's heap; lz4 makes about 1/2.5 of them. */
#ifndef TOOLS_BENCH_DATA_H
#define TOOLS_BENCH_DATA_H

#include <stdint.h>

void bench_data_fill(void *to, uint64_t bytes, uint64_t seed);
uint64_t bench_random(uint64_t *state);

#endif
