// SPDX-License-Identifier: GPL-2.0-or-later
/* client_addr.c - reads the address of a node. Numeric only: nothing here asks a resolver. */
#include "client_addr.h"
#include "gvm_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

static bool port_parse(const char *text, in_port_t *port)
{
	unsigned long n = 0;

	if (!*text || strlen(text) > 5 || strspn(text, "0123456789") != strlen(text))
		return false;
	for (; *text; text++)
		n = n * 10 + (unsigned long)(*text - '0');
	*port = htons((uint16_t)n);
	return n && n <= UINT16_MAX;
}

/* "fe80::1%eth0": the interface is part of such an address. */
static bool host6_parse(char *host, struct sockaddr_in6 *in6)
{
	char *scope = strchr(host, '%');

	if (scope) {
		*scope++ = 0;
		in6->sin6_scope_id = if_nametoindex(scope);
		if (!in6->sin6_scope_id)
			return false;
	}
	in6->sin6_family = AF_INET6;
	return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1;
}

int addr_parse(const char *text, struct sockaddr_storage *sa, socklen_t *bytes)
{
	struct sockaddr_in *in = (struct sockaddr_in *)sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 2];
	bool v6 = text[0] == '[';
	size_t n = v6 ? strcspn(text + 1, "]") : strcspn(text, ":");
	const char *rest = text + v6 + n;
	in_port_t port = htons(GVM_PORT);

	memset(sa, 0, sizeof(*sa));
	if (n >= sizeof(host) || (v6 && *rest != ']'))
		return -EINVAL;
	memcpy(host, text + v6, n);
	host[n] = 0;
	rest += v6;
	if (*rest && (*rest != ':' || !port_parse(rest + 1, &port)))
		return -EINVAL;
	if (v6) {
		in6->sin6_port = port;
		*bytes = sizeof(*in6);
		return host6_parse(host, in6) ? 0 : -EINVAL;
	}
	in->sin_family = AF_INET;
	in->sin_port = port;
	*bytes = sizeof(*in);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : -EINVAL;
}
