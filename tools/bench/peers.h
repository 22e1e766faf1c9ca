/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peers.h - starts and stops the programs that are measured. */
#ifndef TOOLS_BENCH_PEERS_H
#define TOOLS_BENCH_PEERS_H

#include "exchange.h"
#include "sizes.h"
#include "swap_area.h"

#include <limits.h>
#include <netinet/in.h>
#include <sys/types.h>

#define BENCH_PROGRAMS 66
#define BENCH_REPLICAS 3
#define BENCH_ADDRESS  32 /* bytes of the text of an address and a port */
/* exec takes char *, and writes to none of them */
#define BENCH_ARG(text) ((char *)(uintptr_t)(text))

struct bench_program {
	pid_t pid;
	uint16_t port;
	uint32_t address; /* in host byte order; 0: loopback */
	int ns;		  /* the network namespace that it runs in; 0: ours */
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
				redis, raw, sealed, node_tls, tls, node_persist, replicated, node_before, before,
				replica[BENCH_REPLICAS], compress_always, compress_never, raw_page;
		};
		struct bench_program program[BENCH_PROGRAMS];
	};
	struct bench_swap zram, swapfile;
	pid_t keeper;
	int keeper_fd;
};
/* In memory shared with the keeper; NULL: none to be had. */
struct bench_peers *bench_peers_alloc(void);
/* Starts what there is; a peer that is not installed is said and left out (pid 0), but ours must
 * start. 0 or a negative errno (said). bench_peers_stop() is due in every case. */
int bench_peers_start(struct bench_peers *p, const struct bench_sizes *sizes, const char *bindir,
		      const struct bench_store *raw);
/* The same of a node with room for files of so many bytes, and a mount, alone. */
int bench_peers_start_ours(struct bench_peers *p, const struct bench_sizes *sizes, const char *bindir, uint64_t bytes);
void bench_peers_stop(struct bench_peers *p);
void bench_peers_stop_programs(struct bench_peers *p); /* and nothing else */
/* One of them alone. Where `ns` is set before, `address` and `port` are, too. */
/* With room for files of so many bytes; `options`: three more, NULL where there are fewer. */
int bench_node_start(struct bench_peers *p, struct bench_program *g, const struct bench_sizes *z, const char *name,
		     uint64_t bytes, char *const options[3]);
/* On `count` nodes, one after the other, with a file named as the mount; `options`: as above. */
int bench_gvmfs_start(struct bench_peers *p, struct bench_program *g, const struct bench_sizes *z, const char *name,
		      const struct bench_program *node, unsigned count, char *const options[3]);
/* A server in p->nbdkit, and a client of it in p->nbdfuse. */
int bench_nbd_start(struct bench_peers *p, const struct bench_sizes *z);
int bench_raw_start(struct bench_peers *p, struct bench_program *g, const struct bench_store *s);
/* Its parts: the folder and the keeper; a program in program[], whose output goes to NAME.log. */
int bench_peers_begin(struct bench_peers *p, const char *bindir);
void bench_peers_end(struct bench_peers *p);
struct sockaddr_in bench_address(uint32_t address, uint16_t port); /* address 0: loopback */
/* A free port on loopback; `keep`: the descriptor of a socket that listens there. Or a negative errno. */
int bench_port_find(uint16_t *port, bool keep);
/* Where a program of ours is: in --bindir, beside gvm, where the build tree has it (`tree`), or in PATH. */
void bench_program_find(const struct bench_peers *p, const char *name, const char *tree, char path[PATH_MAX]);
int bench_mount_dir_make(const struct bench_peers *p, struct bench_program *g, const char *name, const char *file);
int bench_program_up(const struct bench_peers *p, struct bench_program *g, const char *name, char *const argv[]);
/* In a child that `parent` has just forked: the child gets `sig` when the parent ends, is a process group of
 * its own, and is known to the keeper. */
void bench_program_begin(struct bench_program *g, pid_t parent, int sig);
void bench_program_stop(struct bench_program *g);

#endif
