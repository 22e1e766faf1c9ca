/* SPDX-License-Identifier: GPL-2.0-or-later */
/* codec.h - `gvm bench codec` (argv[0] is "codec"); returns the exit status. */
#ifndef GVM_CODEC_BENCH_H
#define GVM_CODEC_BENCH_H

int cmd_bench_codec(int argc, char **argv);

#endif
