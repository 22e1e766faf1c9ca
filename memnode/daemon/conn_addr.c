// SPDX-License-Identifier: GPL-2.0-or-later
/* conn_addr.c - see conn_addr.h. */
#include "conn_addr.h"

#include <arpa/inet.h>
#include <stdio.h>

const char *conn_addr_name(const union conn_addr *addr)
{
	static char name[INET6_ADDRSTRLEN + 16];
	char host[INET6_ADDRSTRLEN] = "?";

	if (addr->any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &addr->v6.sin6_addr, host, sizeof(host));
		snprintf(name, sizeof(name), "[%s]:%u", host, ntohs(addr->v6.sin6_port));
	} else {
		inet_ntop(AF_INET, &addr->v4.sin_addr, host, sizeof(host));
		snprintf(name, sizeof(name), "%s:%u", host, ntohs(addr->v4.sin_port));
	}
	return name;
}
