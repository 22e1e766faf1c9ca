/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stop.h - SIGINT, SIGTERM and SIGHUP end a benchmark in order: everything that waits looks here. */
#ifndef TOOLS_BENCH_STOP_H
#define TOOLS_BENCH_STOP_H

#include <stdbool.h>

/* From now on the three signals only set what bench_stopped() says. */
void bench_stop_watch(void);
/* The signals do what they did before; one that has come meanwhile does it now. */
void bench_stop_unwatch(void);
/* One of them has come: wind up. */
bool bench_stopped(void);

#endif
