// SPDX-License-Identifier: GPL-2.0-or-later
/* nodes.c - see nodes.h. */
#include "nodes.h"

#include "memnode/addr.h"
#include "tools/bench/node.h"
#include "tools/bench/stop.h"
#include "tools/node_figures.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS	    31u
#define CHUNKS	    32u /* 4 MiB */
#define DEPTH	    16u
#define MEASURE_MS  300u

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The first question sets up the connection, and is not counted. */
static int rounds_measure(struct gvm_conn *conn, struct doctor_node *node)
{
	struct gvm_node_stat_rsp stat;
	uint64_t ns[ROUNDS];
	int rc = node_stat_ask(conn, &stat);

	for (unsigned i = 0; i < ROUNDS && !rc; i++) {
		uint64_t from = gvm_now_ns();

		rc = node_stat_ask(conn, &stat);
		ns[i] = gvm_now_ns() - from;
	}
	if (rc)
		return rc;
	qsort(ns, ROUNDS, sizeof(*ns), by_size);
	node->round_ns = ns[ROUNDS / 2];
	node->capacity_bytes = stat.capacity_bytes;
	node->free_bytes = stat.promisable_bytes - (stat.reserved_bytes < stat.promisable_bytes
							    ? stat.reserved_bytes
							    : stat.promisable_bytes);
	return 0;
}

/* A signal ends the measurement at once, and the program when the region is away again, for which the node has a second. */
static void rates_measure(const struct gvm_conn_opts *opts, struct doctor_node *node)
{
	struct bench_node *n;
	double put = 0, get = 0;

	bench_stop_watch();
	if (bench_node_at(node->address, opts, CHUNKS, DEPTH, &n) == 0) {
		if (!bench_node_run(n, true, MEASURE_MS, &put) &&
		    !bench_node_run(n, false, MEASURE_MS, &get)) {
			node->put_mb_s = (uint64_t)put;
			node->get_mb_s = (uint64_t)get;
		}
		bench_node_remove(n);
		bench_node_close(n);
	}
	bench_stop_unwatch();
}

static bool same_host(const struct sockaddr *a, const struct sockaddr_storage *b)
{
	if (!a || a->sa_family != b->ss_family)
		return false;
	if (a->sa_family == AF_INET)
		return !memcmp(&((const struct sockaddr_in *)a)->sin_addr,
			       &((const struct sockaddr_in *)b)->sin_addr, sizeof(struct in_addr));
	return a->sa_family == AF_INET6 &&
	       !memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
		       &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr));
}

/* The interface that the way to the node begins with: a socket that sends nothing is told by which
 * address it would. */
static void interface_find(struct doctor_node *node)
{
	struct sockaddr_storage to, from;
	struct ifaddrs *all = NULL;
	struct ifreq ask = {0};
	socklen_t bytes, from_bytes = sizeof(from);
	const char *why;
	struct addr addr;
	int fd;

	if (addr_parse(node->address, &addr) || addr_resolve(&addr, &to, &bytes, &why))
		return;
	fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (!connect(fd, (struct sockaddr *)&to, bytes) &&
	    !getsockname(fd, (struct sockaddr *)&from, &from_bytes) && !getifaddrs(&all)) {
		for (struct ifaddrs *i = all; i && !node->mtu; i = i->ifa_next) {
			if (!same_host(i->ifa_addr, &from))
				continue;
			snprintf(node->interface, sizeof(node->interface), "%s", i->ifa_name);
			snprintf(ask.ifr_name, sizeof(ask.ifr_name), "%s", i->ifa_name);
			if (ioctl(fd, SIOCGIFMTU, &ask) == 0)
				node->mtu = (unsigned)ask.ifr_mtu;
		}
		freeifaddrs(all);
	}
	close(fd);
}

void doctor_node_probe(const char *address, const struct gvm_conn_opts *opts,
		       struct doctor_node *node)
{
	struct gvm_conn_opts own = *opts;
	struct gvm_conn *conn;

	memset(node, 0, sizeof(*node));
	node->address = address;
	own.on_state = node_reason_note;
	own.arg = &node->reason;
	node->error = gvm_conn_create(address, &own, &conn);
	if (node->error)
		return;
	node->error = rounds_measure(conn, node);
	gvm_conn_destroy(conn);
	if (node->error)
		return;
	rates_measure(opts, node);
	interface_find(node);
}
