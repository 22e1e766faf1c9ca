/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options.h - what the command line said; read-only once the daemon runs. */
#ifndef GVMFS_OPTIONS_H
#define GVMFS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_NODES_MAX 128

/* Options of mount(8) that change how the mount behaves. */
struct options_flag {
	const char *name;
	unsigned attribute;  /* MOUNT_ATTR_*; 0: of the filesystem alone */
	bool of_filesystem;
};
#define OPTIONS_FLAGS 6u
extern const struct options_flag options_flags[OPTIONS_FLAGS];

struct options {
	const char *mountpoint; /* absolute */
	const char *source;	/* as the list of mounts shows it */
	const char *nodes[OPTIONS_NODES_MAX]; /* "host:port" */
	unsigned node_count;
	uint8_t *key;
	size_t key_bytes;
	unsigned timeout_s; /* 0: wait for ever (a hard mount) */
	unsigned lease_s;   /* for which a region stays ours while no connection is open */
	unsigned unlinked_lease_s; /* the same of one without a name, which goes then */
	unsigned writers;   /* write-back threads */
	unsigned flags;	    /* bit i: options_flags[i] */
	bool foreground;
	bool allow_other;
	bool bench_no_network; /* acknowledge writes without sending them: measurements only */
};

/*
 * Fills `opts` from the command line. Returns 0, or an exit status (2: usage; 1: what it names cannot
 * be used; or 0 + *quit for --help and --version), and has said why.
 */
int options_parse(struct options *opts, int argc, char **argv, bool *quit);

/* Takes one option's name and value. Returns as options_parse() does; -1: there is no such option. */
typedef int options_set_fn(struct options *opts, const char *name, char *value);
/* The text behind mount(8)'s -o: what gvmfs has on its command line too is given to `set`. */
int options_mount_parse(struct options *opts, const char *text, options_set_fn *set);

#endif
