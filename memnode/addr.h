/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * addr.h - addresses in options and files: pure syntax, nothing is looked up.
 *
 *   10.0.0.2:9999   [fd00::2]:9999   [fe80::2%eth0]:9999   node2.example.org:9999
 *
 * The default port is GVM_PORT. An IPv6 address stands in brackets: without them fd00::2:9999 would
 * be an address without a port. A host name is as in RFC 1123 (2.1), underscores allowed; its last
 * label is not a number, so that a mistyped address is not taken for a name.
 */
#ifndef GVM_ADDR_H
#define GVM_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#define ADDR_TEXT_MAX 127 /* bytes: the room in a region's record */

/* Two texts for one address give equal bytes, as far as can be told without asking a resolver. */
struct addr {
	bool numeric;		      /* sa is the address; nothing is to be looked up */
	in_port_t port;		      /* network byte order */
	socklen_t sa_bytes;	      /* numeric */
	struct sockaddr_storage sa;   /* numeric */
	char host[ADDR_TEXT_MAX + 1]; /* otherwise: a name in lower case, or an address with a scope */
};

/* 0 or -EINVAL. */
int addr_parse(const char *text, struct addr *a);
/* The same for an address to listen at, where port 0 stands for any. */
int addr_parse_listen(const char *text, struct addr *a);

/* Whether it is this host's loopback, as far as can be told without asking a resolver. */
bool addr_is_local(const struct addr *a);

/* Asks the system's resolver, which may block for long: for tools and for the start of a program.
 * Returns the first address found. -EHOSTUNREACH, and the reason in *why. */
int addr_resolve(const struct addr *a, struct sockaddr_storage *sa, socklen_t *bytes,
		 const char **why);

#endif
