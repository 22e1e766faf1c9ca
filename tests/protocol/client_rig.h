/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client_rig.h - a real memory node, and ways to it that can be cut, held up and damaged.
 *
 * A way is a port on loopback whose connections are passed on to a node by one thread. A fault is
 * laid on one of them by its number (0: the first one made) and a byte's place in one direction.
 * Whatever the rig started ends with the test, at the latest with its process.
 */
#ifndef GVM_CLIENT_RIG_H
#define GVM_CLIENT_RIG_H

#include "../unit/check.h"
#include "gvm_client.h"

#include <sys/types.h>

struct rig_node {
	pid_t pid;
	int err_fd;
	char addr[64];
};

/* Starts the program that GVM_MEMNODE names (the test is skipped where it names none). `key_path`
 * may be NULL. */
void rig_node_start(struct rig_node *node, const char *key_path);
/* Whether this run is over TLS (GVM_TEST_TLS): nodes of rig_node_start() demand it, with a key of the rig's where
 * the test gives none. */
bool rig_tls(void);
/* Makes options fit for those nodes. */
void rig_opts(struct gvm_conn_opts *opts);
/* By `sig`, then waits for its end. */
void rig_node_end(struct rig_node *node, int sig);
/* A key file with `text`; the path is static. */
const char *rig_key_file(const char *text);

enum way_direction { TO_NODE, TO_CLIENT };

enum way_fault_kind {
	FAULT_NONE,
	FAULT_CUT,	  /* close in order after `at` bytes */
	FAULT_RESET,	  /* close with a reset after `at` bytes */
	FAULT_FLIP,	  /* change byte `at` */
	FAULT_FREEZE,	  /* pass on `at` bytes and then, in both directions, nothing more */
	FAULT_REPEAT,	  /* pass the frame that holds byte `at` on twice (TO_CLIENT) */
};

struct way_fault {
	enum way_fault_kind kind;
	unsigned link; /* which connection; ~0u: every one */
	enum way_direction direction;
	uint64_t at;
};

struct way;
struct way *way_open(const char *node_addr);
const char *way_addr(const struct way *way);
void way_lead_to(struct way *way, const char *node_addr);
void way_fault(struct way *way, struct way_fault fault);
/* Answers are gathered for some milliseconds and passed on frame by frame in random order. */
void way_shuffle(struct way *way, bool on);
/* Reads from nobody for a while: buffers fill up. */
void way_hold(struct way *way, bool on);
/* Refuses connections: those there are are cut before it returns, later ones at once. */
void way_block(struct way *way, bool on);
/* Bytes passed on, of all connections. */
uint64_t way_bytes(struct way *way, enum way_direction direction);
unsigned way_links(struct way *way);
void way_close(struct way *way);

/* Processes all `count` connections until *left is 0; fails after `seconds`. */
void rig_run(struct gvm_conn **conns, unsigned count, const unsigned *left, unsigned seconds);
void rig_run_one(struct gvm_conn *conn, const unsigned *left, unsigned seconds);
/* For so long, whatever happens. Nothing may depend on what has happened by its end. */
void rig_run_ms(struct gvm_conn *conn, unsigned ms);
/* Until the connection is in that state; fails if it is not after a minute. */
void rig_run_to(struct gvm_conn *conn, enum gvm_conn_state state);

/* Submits a PING, the cheapest request: its answer repeats the cookie. (The client itself sends them only to find out
 * whether its peer lives.) */
void rig_ping(struct gvm_conn *conn, struct gvm_call *call, uint64_t cookie);

/* A peer on loopback that answers every connection with the same bytes, whatever is said: a
 * listening socket, and its address. */
int rig_liar_open(char *addr, size_t bytes);
/* Answers the next connection of `conn` with `say`: its socket, or -1 if the state is FAILED. */
int rig_liar_answer(int fd, struct gvm_conn *conn, const void *say, size_t bytes);
/* Answers `count` connections, or fewer if the state is FAILED. Each stays open until the client lets
 * go of it. */
void rig_liar_serve(int fd, struct gvm_conn *conn, const void *say, size_t bytes, unsigned count);

/* Region number n's id; no two are the same. */
struct gvm_id rig_region(unsigned n);

#endif
