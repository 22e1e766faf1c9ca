/* SPDX-License-Identifier: GPL-2.0-or-later */
/* swap.h - gvm bench swap. */
#ifndef TOOLS_BENCH_SWAP_H
#define TOOLS_BENCH_SWAP_H

int cmd_bench_swap(int argc, char **argv);

#endif
