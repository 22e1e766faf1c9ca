/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options.h - what the command line said; read-only once the daemon runs. */
#ifndef GVMFS_OPTIONS_H
#define GVMFS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_NODES_MAX 128

struct options {
	const char *mountpoint;
	const char *nodes[OPTIONS_NODES_MAX]; /* "host:port" */
	unsigned node_count;
	uint8_t *key;
	size_t key_bytes;
	unsigned timeout_s; /* 0: wait for ever (a hard mount) */
	unsigned writers;   /* write-back threads */
	bool foreground;
	bool allow_other;
	bool bench_no_network; /* acknowledge writes without sending them: measurements only */
};

/* Fills `opts` from the command line. Returns 0, or an exit status (2: usage; or 0 + *quit for
 * --help and --version). */
int options_parse(struct options *opts, int argc, char **argv, bool *quit);

#endif
