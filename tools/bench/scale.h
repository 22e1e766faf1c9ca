/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scale.h - gvm bench scale. */
#ifndef TOOLS_BENCH_SCALE_H
#define TOOLS_BENCH_SCALE_H

int cmd_bench_scale(int argc, char **argv);

#endif
