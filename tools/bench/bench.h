/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench.h - what the parts of gvm bench share.
 *
 * A party is one way to do the same thing (ours, or a peer); a measure is one figure. bench.c says
 * how often everything is measured, round.c who on what, peers.c starts and stops the
 * programs, touch.c measures a mapped file, budget.c one that does not fit into its
 * budget, guests.c two at once, parts.c what a fault consists of, node.c and exchange.c stores over
 * TCP; busy.c keeps CPUs busy beside; report.c prints.
 */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

#include "memcg.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum bench_party {
	PARTY_OURS, /* of a file: through FUSE, the default front */
	PARTY_UFFD, /* the same file through the fast path; in its own measures it is `ours` */
	PARTY_NBDFUSE,
	/* Both fronts of a mount; in the measures of the second it is named as the first. */
	PARTY_SEALED, /* that seals */
	PARTY_SEALED_UFFD,
	PARTY_TLS, /* whose node has TLS; of stores: such a node */
	PARTY_TLS_UFFD,
	PARTY_REPLICATED, /* that keeps chunks on several nodes */
	PARTY_REPLICATED_UFFD,
	PARTY_PERSIST, /* a node that keeps chunks */
	PARTY_NO_NETWORK, /* gvmfs that does not send what it encoded */
	PARTY_MEMCACHED,
	PARTY_REDIS,
	PARTY_RAW_TCP,
	PARTY_PARTS,	     /* of a fault, measured alone and added up */
	PARTY_UFFD_CONTINUE, /* a bare UFFDIO_CONTINUE */
	PARTY_QUIET,	     /* ours while nothing is written back */
	PARTY_LOCAL,	     /* memory that is all here */
	PARTY_ONE_GUEST,     /* ours with one guest instead of two */
	PARTIES,
};

enum bench_measure {
	/* of a mapped file, by front */
	MEASURE_FAULT_RANDOM,
	MEASURE_FAULT_RANDOM_P99,
	MEASURE_SEQ_READ,
	MEASURE_WRITE_MSYNC,
	MEASURE_RETOUCH,
	MEASURE_UFFD, /* the same, in the same order */
	MEASURE_SECOND_CHANCE = 2 * MEASURE_UFFD,
	MEASURE_TWO_GUESTS,
	MEASURE_WRITEBACK_P99,
	MEASURE_ZIPF,
	MEASURE_SEQ_HALF,
	MEASURE_NODE_GET,
	MEASURE_NODE_PUT,
	MEASURES,
};

#define BENCH_ROUNDS_MAX  16
#define BENCH_VALUE_BYTES 131072u /* what stores are asked for: a chunk */
#define BENCH_WHY	  256
#define BENCH_HIST	  28 /* buckets, each 1.41 times the one before, from 4 us on */

struct bench_sizes {
	unsigned rounds;
	uint64_t deadline_ns; /* no round begins after it; 0: none */
	uint64_t file_bytes;  /* of the mapped file */
	unsigned faults;      /* random faults a round */
	uint64_t guest_bytes; /* of each of two guests at once, and their faults: */
	unsigned guest_faults;
	uint64_t seq_bytes;
	uint64_t write_bytes;
	uint64_t retouch_bytes; /* the set; the budget is a quarter of it */
	unsigned retouch_ms;
	uint64_t half_bytes; /* the set of zipf and seq_half; the budget is half of it */
	unsigned half_ms;
	uint64_t writeback_bytes; /* the budget */
	unsigned exchange_ms;
	unsigned values; /* in a store */
	unsigned depth;	 /* requests under way */
	bool seal;	 /* a mount that seals is measured, too */
	bool tls;	 /* and one over TLS */
	bool persist;	 /* and a node that keeps chunks */
	unsigned busy;	 /* processes that compute beside it all */
	unsigned replicas; /* and a mount with so many copies on as many nodes; 0: not */
};

struct bench_results {
	double sample[MEASURES][PARTIES][BENCH_ROUNDS_MAX];
	unsigned samples[MEASURES][PARTIES];
	uint64_t hist[PARTIES][BENCH_HIST]; /* of random faults */
	char no_uffd[BENCH_WHY];	    /* why there is no fast path; empty: there is */
};

/* ---- report.c */
void bench_add(struct bench_results *r, enum bench_measure m, enum bench_party p, double value);
double bench_median(const struct bench_results *r, enum bench_measure m, enum bench_party p);
void bench_hist_add(struct bench_results *r, enum bench_party p, uint64_t ns);
void bench_print_table(const struct bench_results *r);
const char *bench_party_name(enum bench_party p);
static inline bool bench_party_is_fast(enum bench_party p)
{
	return p == PARTY_UFFD || p == PARTY_SEALED_UFFD || p == PARTY_TLS_UFFD || p == PARTY_REPLICATED_UFFD;
}
/* 0 or a negative errno. */
int bench_write_json(const struct bench_results *r, const char *path);

/* ---- data.c: bytes like those of a program's heap; lz4 makes about 1/2.5 of them */
void bench_data_fill(void *to, uint64_t bytes, uint64_t seed);
uint64_t bench_random(uint64_t *state);

/* A file to be mapped. */
struct bench_file {
	const char *path;
	uint64_t bytes;
	bool fast;	     /* through gvmfs's fast path */
	char why[BENCH_WHY]; /* it cannot be had (-EOPNOTSUPP was returned): why */
};

/* ---- touch.c: each runs in a child of its own, which maps the file. 0 or a negative errno;
 * -EIO if the mapping failed (SIGBUS), -ETIMEDOUT if the child had to be killed. */
int bench_touch_fill(struct bench_file *f, uint64_t seed);
/* Cold faults at random places: *count latencies in ns (room: what was asked for). */
int bench_touch_random(struct bench_file *f, unsigned faults, uint64_t seed, uint64_t *latency_ns,
		       unsigned *count);
/* MB/s (1e6 bytes) */
int bench_touch_seq(struct bench_file *f, uint64_t bytes, double *mb_s);
int bench_touch_write(struct bench_file *f, uint64_t bytes, uint64_t seed, double *mb_s);
/* Touches a second, one in four a write, while a quarter of the set may be resident: the group
 * holds it to that, or the fast path's budget. */
int bench_touch_again(struct bench_file *f, uint64_t bytes, unsigned ms, uint64_t seed,
		      struct memcg *cg, double *per_s);
/* The latency of touching a chunk that is here, but not mapped: median, in us. */
int bench_touch_unmapped(struct bench_file *f, unsigned chunks, uint64_t seed, double *us);

/* ---- budget.c: the same way, through the fast path and under a budget */
/* Fault latency, 99th percentile in us: quiet, and while write-back runs at half its rate. */
int bench_budget_writeback(struct bench_file *f, uint64_t budget_bytes, unsigned faults,
			   uint64_t seed, double *quiet_us, double *busy_us);
/* A program's time per page, in us, with half of its set resident; f NULL: in local memory. Pages
 * by Zipf's law, one access in four a write; or all in order, again and again. */
int bench_budget_zipf(struct bench_file *f, uint64_t bytes, unsigned ms, uint64_t seed, double *us);
int bench_budget_seq(struct bench_file *f, uint64_t bytes, unsigned ms, double *us);

/* ---- guests.c: some processes at once, each with a file: their cold random faults a second, together */
#define BENCH_GUESTS 2u
int bench_guests_run(struct bench_file *const file[], unsigned guests, uint64_t bytes, unsigned faults,
		     uint64_t seed, double *per_s);

/* ---- parts.c: what a fault consists of, each measured alone; us, medians */
struct bench_parts {
	double copy_us;	    /* touch to resume, of a page that another process copies in */
	double exchange_us; /* a request and an answer that brings one encoded page */
	double decode_us;   /* of that page */
	double continue_us; /* touch to resume, of a chunk that another process maps */
};
int bench_parts_run(unsigned faults, uint64_t seed, struct bench_parts *parts);

/* ---- round.c: everything once, in an order that depends on the round. 0 or a negative
 * errno (said) */
struct bench;
int bench_round(struct bench *b);

/* ---- exchange.c: a store over TCP, by requests and answers of known length */
struct bench_store {
	enum bench_party party;
	uint16_t port;
	unsigned values, depth;
	/* raw TCP: lengths of what travels for one GET and one PUT */
	uint32_t get_request, get_answer, put_request, put_answer;
};
int bench_store_run(const struct bench_store *s, bool put, unsigned ms, double *mb_s);
/* Serves raw exchanges on a listening socket until it is killed. */
__attribute__((noreturn)) void bench_raw_serve(int listener, const struct bench_store *s);

/* ---- node.c: the same from a memory node, through the client library */
struct bench_node;
/* `key_path` NULL: without TLS. */
int bench_node_open(uint16_t port, const char *key_path, unsigned values, unsigned depth, struct bench_node **n);
void bench_node_close(struct bench_node *n);
int bench_node_run(struct bench_node *n, bool put, unsigned ms, double *mb_s);
/* Bytes of the frames that bench_node_run() exchanges, for raw TCP. */
void bench_node_frames(struct bench_store *s);

/* ---- peers.c: the programs */
#define BENCH_PROGRAMS 66
#define BENCH_REPLICAS 3
/* exec takes char *, and writes to none of them */
#define BENCH_ARG(text) ((char *)(uintptr_t)(text))

struct bench_program {
	pid_t pid;
	uint16_t port;
	char mount[PATH_MAX]; /* empty: none */
	char file[PATH_MAX];  /* in the mount, to be mapped */
};
struct bench_peers {
	char dir[PATH_MAX];
	char tls_key[PATH_MAX];
	const char *bindir;
	union {
		struct {
			struct bench_program node, gvmfs, no_network, nbdkit, nbdfuse, memcached,
				redis, raw, sealed, node_tls, tls, node_persist, replicated,
				replica[BENCH_REPLICAS];
		};
		struct bench_program program[BENCH_PROGRAMS];
	};
	pid_t keeper;
	int keeper_fd;
};
/* In memory shared with the keeper; NULL: none to be had. */
struct bench_peers *bench_peers_alloc(void);
/* Starts what there is; a peer that is not installed is said and left out (pid 0), but ours must
 * start. 0 or a negative errno (said). bench_peers_stop() is due in every case. */
int bench_peers_start(struct bench_peers *p, const struct bench_sizes *sizes, const char *bindir,
		      const struct bench_store *raw);
void bench_peers_stop(struct bench_peers *p);
/* Its parts: the folder and the keeper; a program in program[], whose output goes to NAME.log. */
int bench_peers_begin(struct bench_peers *p, const char *bindir);
void bench_peers_end(struct bench_peers *p);
/* A free port on loopback; `keep`: the descriptor of a socket that listens there. Or a negative errno. */
int bench_port_find(uint16_t *port, bool keep);
/* Where a program of ours is: in --bindir, beside gvm, where the build tree has it (`tree`), or in PATH. */
void bench_program_find(const struct bench_peers *p, const char *name, const char *tree, char path[PATH_MAX]);
int bench_mount_dir_make(const struct bench_peers *p, struct bench_program *g, const char *name, const char *file);
int bench_program_up(const struct bench_peers *p, struct bench_program *g, const char *name, char *const argv[]);
void bench_program_stop(struct bench_program *g);

/* ---- the whole, for bench.c and round.c */
struct bench {
	struct bench_sizes z;
	struct bench_peers *peers;
	struct bench_file file[PARTIES]; /* path NULL: the party has none */
	struct bench_file guest;	 /* of a second guest on our mount */
	char guest_path[PATH_MAX];
	struct bench_store store[PARTIES];
	struct bench_node *node[PARTIES];
	struct bench_results results;
	struct memcg cg;
	bool have_cg;
	uint64_t *latency;
	unsigned round;
	enum bench_party file_party[10], store_party[6];
	unsigned file_parties, store_parties;
};

#endif
