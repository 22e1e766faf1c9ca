/* SPDX-License-Identifier: GPL-2.0-or-later */
/* client_addr.h - "host:port", "[v6]:port", "host" as a socket address. Numeric only. */
#ifndef GVM_CLIENT_ADDR_H
#define GVM_CLIENT_ADDR_H

#include <sys/socket.h>

/* Without a port it is GVM_PORT. Unused bytes of *sa are zero, so that equal addresses are equal
 * bytes. 0 or -EINVAL. */
int addr_parse(const char *text, struct sockaddr_storage *sa, socklen_t *bytes);

#endif
