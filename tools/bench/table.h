/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table.h - gvm bench table. */
#ifndef TOOLS_BENCH_TABLE_H
#define TOOLS_BENCH_TABLE_H

int cmd_bench_table(int argc, char **argv);

#endif
