/* SPDX-License-Identifier: GPL-2.0-or-later */
/* busy.h - processes that only compute, beside what is measured: a host's CPUs are its guests'. */
#ifndef TOOLS_BENCH_BUSY_H
#define TOOLS_BENCH_BUSY_H

#include <sys/types.h>

#define BENCH_BUSY_MAX 256u

/* They run at normal priority, and end with us. 0 or a negative errno; then none runs. */
int bench_busy_start(pid_t pid[BENCH_BUSY_MAX], unsigned count);
void bench_busy_stop(pid_t pid[BENCH_BUSY_MAX], unsigned count);

#endif
