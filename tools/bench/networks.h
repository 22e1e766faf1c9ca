/* SPDX-License-Identifier: GPL-2.0-or-later */
/* networks.h - gvm bench networks. */
#ifndef TOOLS_BENCH_NETWORKS_H
#define TOOLS_BENCH_NETWORKS_H

int cmd_bench_networks(int argc, char **argv);

#endif
