/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options.h - what the command line said; read-only once the daemon runs. */
#ifndef GVMFS_OPTIONS_H
#define GVMFS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_NODES_MAX   128
#define OPTIONS_WRITERS_MAX 8

/* Options of mount(8) that change how the mount behaves. */
struct options_flag {
	const char *name;
	unsigned attribute;  /* MOUNT_ATTR_*; 0: of the filesystem alone */
	bool of_filesystem;
};
#define OPTIONS_FLAGS 6u
extern const struct options_flag options_flags[OPTIONS_FLAGS];

/* Whether what leaves the host is sealed. By default it is, unless all nodes are on this host's loopback. */
enum options_seal { OPTIONS_SEAL_DEFAULT, OPTIONS_SEAL, OPTIONS_NO_SEAL };
#define OPTIONS_SEAL_KEY "/etc/gvm/seal.key"

/* Which side compresses what leaves the host: see store/compress.h. */
enum options_compress { COMPRESS_AUTO, COMPRESS_ALWAYS, COMPRESS_NEVER };

struct sealing;

struct options {
	const char *mountpoint; /* absolute */
	const char *source;	/* as the list of mounts shows it */
	const char *nodes[OPTIONS_NODES_MAX]; /* "host:port" */
	const char *racks[OPTIONS_NODES_MAX]; /* of each: what fails together has one name; NULL: it is by itself */
	unsigned node_count;
	uint8_t *key;
	size_t key_bytes;
	bool tls;
	enum options_seal seal;
	const char *seal_key_path; /* NULL: where it is by default */
	const struct sealing *sealing; /* NULL: nothing is sealed */
	unsigned timeout_s; /* 0: wait for ever (a hard mount) */
	unsigned lease_s;   /* a region stays ours for so long while no connection is open */
	unsigned unlinked_lease_s; /* the same for a region without a name, which is removed then */
	unsigned replicas;  /* of each slot of a region that is made here */
	unsigned repair_after_s; /* a node that is of no use for so long is done without */
	unsigned repair_rate; /* MB/s of copies that are made anew */
	unsigned repair_reserve; /* percent of each node that is kept for these; SHARES_KEEP: as much as it takes */
	unsigned scrub_rate; /* MB/s of copies that nodes look at; 0: none */
	unsigned writers;   /* write-back threads */
	enum options_compress compress;
	unsigned flags;	    /* bit i: options_flags[i] */
	bool no_balance;    /* nothing moves to emptier nodes */
	bool no_replay;     /* what a start touches is not recorded, and not fetched for the next one */
	bool foreground;
	bool allow_other;
	bool force;	       /* regions are attached though it is not known who has what was written last */
	int will; /* will.h: this program takes another one's place, in its process; -1: it does not */
	bool bench_turns; /* base/turns.h */
	bool bench_no_network; /* acknowledge writes without sending them: measurements only */
};

/*
 * Fills `opts` from the command line. Returns 0, or an exit status with a message: 2: wrong usage; 1:
 * something that it names cannot be used. --help and --version return 0 and set *quit.
 */
int options_parse(struct options *opts, int argc, char **argv, bool *quit);

/* One more node, at the end, unless it is there: 0, or -ENOSPC. A worker's, of its own options, before its threads begin.
 * The texts stay the caller's. */
int options_node_add(struct options *opts, const char *addr, const char *rack);

/* Takes one option's name and value; returns as options_parse() does, or -1 if there is no such
 * option. */
typedef int options_set_fn(struct options *opts, const char *name, char *value);
/* Parses the text behind mount(8)'s -o: options that gvmfs has on its command line, too, go to
 * `set`. */
int options_mount_parse(struct options *opts, const char *text, options_set_fn *set);

#endif
