/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resolve.h - look-ups of nodes' host names that never block.
 *
 * One table for the process: connections of all threads that look up the same name share a look-up,
 * and its answer for as long as it is fresh enough for them. The resolver (getaddrinfo_a(3)) runs
 * in threads of the C library; callers poll for the answer every few milliseconds.
 */
#ifndef GVM_CLIENT_RESOLVE_H
#define GVM_CLIENT_RESOLVE_H

#include "../addr.h"

#include <stdint.h>

#define RESOLVE_ADDRS_MAX 8

struct resolved {
	unsigned count; /* in the resolver's order of preference (RFC 6724) */
	struct sockaddr_storage sa[RESOLVE_ADDRS_MAX];
	socklen_t bytes[RESOLVE_ADDRS_MAX];
};

/*
 * The addresses of `a`, by a look-up that began at `since_ns` (CLOCK_MONOTONIC) or later; one is
 * begun where there is none. 0; -EAGAIN while it is under way; -EHOSTUNREACH with the resolver's
 * words in *why (static text); -ENOMEM. Any thread may call it; never blocks on the resolver.
 */
int resolve(const struct addr *a, uint64_t since_ns, struct resolved *r, const char **why);

#endif
