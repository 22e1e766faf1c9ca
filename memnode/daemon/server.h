/* SPDX-License-Identifier: GPL-2.0-or-later */
/* server.h - the loop: accepts connections, hands out completions, ends in good order. */
#ifndef GVM_SERVER_H
#define GVM_SERVER_H

#include "conn.h"
#include "pack.h"

#include <signal.h>
#include <sys/signalfd.h>

struct server {
	struct io io;
	struct conns conns;
	struct node *node;
	int listen_fd, signal_fd;
	int disk_fd; /* the journal's progress; -1: there is none */
	uint64_t disk_count;
	union conn_addr peer; /* of the accept under way */
	socklen_t peer_len;
	bool accepting;
	bool accept_failed; /* no descriptor or memory: retried when a connection has ended, or at a tick */
	bool finishing;
	uint64_t finish_by_ns;
	struct signalfd_siginfo signal;
	struct __kernel_timespec tick;
	uint64_t ticked_ns; /* when the work of each second was done last */
	struct packer packer;
	uint64_t asked; /* counters.asked at the last tick */
	bool idle;	/* nobody asked for anything from one tick to the next: the packer works */
};

/* Blocks SIGTERM, SIGINT, SIGHUP and SIGUSR1, which the loop then reads; ignores SIGPIPE. */
void server_signals_block(sigset_t *set);
/*
 * After server_signals_block(). Takes over listen_fd. engine, refused, errnos: as with io_init().
 */
int server_init(struct server *s, struct node *node, int listen_fd, const char *engine, int *refused);
/* Serves until SIGTERM, SIGINT or SIGHUP, then answers the requests that have arrived whole; a second
 * signal ends it at once. 0 or a negative errno. */
int server_run(struct server *s);
void server_deinit(struct server *s);

#endif
