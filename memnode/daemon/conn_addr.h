/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conn_addr.h - the address of one end of a connection. */
#ifndef GVM_CONN_ADDR_H
#define GVM_CONN_ADDR_H

#include <netinet/in.h>

union conn_addr {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* "1.2.3.4:9999" or "[::1]:9999", until the next call. */
const char *conn_addr_name(const union conn_addr *addr);

#endif
