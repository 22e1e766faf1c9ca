// SPDX-License-Identifier: GPL-2.0-or-later
/* addr.c - see addr.h. */
#include "addr.h"
#include "gvm_wire.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>

#define LABEL_MAX 63

/* 0 is no port that a node can be reached at. */
static bool port_parse(const char *text, bool any, in_port_t *port)
{
	unsigned long n = 0;

	if (!*text || strlen(text) > 5 || strspn(text, "0123456789") != strlen(text))
		return false;
	for (; *text; text++)
		n = n * 10 + (unsigned long)(*text - '0');
	*port = htons((uint16_t)n);
	return (n || any) && n <= UINT16_MAX;
}

/* Lower-cases a->host on the way. */
static bool name_check(struct addr *a)
{
	size_t n = strlen(a->host), label = 0;
	bool number = true;

	if (n && a->host[n - 1] == '.')
		n--; /* a name that is complete says so with a dot at its end */
	if (!n)
		return false;
	for (size_t i = 0; i < n; i++) {
		char *c = &a->host[i];

		*c = (char)tolower((unsigned char)*c);
		if (*c == '.') {
			if (!label || c[-1] == '-')
				return false;
			label = 0;
			number = true;
			continue;
		}
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", *c) || (!label && *c == '-') ||
		    ++label > LABEL_MAX)
			return false;
		number = number && *c >= '0' && *c <= '9';
	}
	return label && !number && a->host[n - 1] != '-';
}

static bool host4_parse(struct addr *a)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&a->sa;

	a->numeric = inet_pton(AF_INET, a->host, &in->sin_addr) == 1;
	if (!a->numeric)
		return name_check(a);
	in->sin_family = AF_INET;
	in->sin_port = a->port;
	a->sa_bytes = sizeof(*in);
	memset(a->host, 0, sizeof(a->host));
	return true;
}

/* ::ffff:10.0.0.2 is the IPv4 address that it holds (RFC 4291, 2.5.5.2), to the network too. */
static void mapped_unpack(struct addr *a, const struct in6_addr *in6)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&a->sa;

	memcpy(&in->sin_addr, &in6->s6_addr[12], sizeof(in->sin_addr));
	in->sin_family = AF_INET;
	in->sin_port = a->port;
	a->sa_bytes = sizeof(*in);
}

/* "fe80::1%eth0": the interface is part of such an address, and may come and go. */
static bool host6_parse(struct addr *a)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a->sa;
	char *scope = strchr(a->host, '%');
	struct in6_addr host;
	bool good;

	if (scope)
		*scope = 0;
	good = inet_pton(AF_INET6, a->host, &host) == 1;
	if (scope) {
		*scope = '%';
		return good && scope[1] && strlen(scope + 1) < IF_NAMESIZE;
	}
	if (!good)
		return false;
	memset(a->host, 0, sizeof(a->host));
	a->numeric = true;
	if (IN6_IS_ADDR_V4MAPPED(&host)) {
		mapped_unpack(a, &host);
		return true;
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = a->port;
	in6->sin6_addr = host;
	a->sa_bytes = sizeof(*in6);
	return true;
}

static int parse(const char *text, bool any_port, struct addr *a)
{
	bool v6 = text[0] == '[';
	size_t n = v6 ? strcspn(text + 1, "]") : strcspn(text, ":");
	const char *rest = text + v6 + n;

	memset(a, 0, sizeof(*a));
	a->port = htons(GVM_PORT);
	if (strlen(text) > ADDR_TEXT_MAX || (v6 && *rest != ']'))
		return -EINVAL;
	memcpy(a->host, text + v6, n);
	rest += v6;
	if (*rest && (*rest != ':' || !port_parse(rest + 1, any_port, &a->port)))
		return -EINVAL;
	return (v6 ? host6_parse(a) : host4_parse(a)) ? 0 : -EINVAL;
}

int addr_parse(const char *text, struct addr *a)
{
	return parse(text, false, a);
}

int addr_parse_listen(const char *text, struct addr *a)
{
	return parse(text, true, a);
}

bool addr_is_local(const struct addr *a)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&a->sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->sa;

	if (!a->numeric)
		return !strcmp(a->host, "localhost");
	if (a->sa.ss_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return a->sa.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

int addr_resolve(const struct addr *a, struct sockaddr_storage *sa, socklen_t *bytes, const char **why)
{
	static const struct addrinfo stream = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int err;

	memset(sa, 0, sizeof(*sa));
	if (a->numeric) {
		*sa = a->sa;
		*bytes = a->sa_bytes;
		return 0;
	}
	err = getaddrinfo(a->host, NULL, &stream, &found);
	if (err) {
		*why = gai_strerror(err);
		return -EHOSTUNREACH;
	}
	memcpy(sa, found->ai_addr, found->ai_addrlen);
	*bytes = found->ai_addrlen;
	freeaddrinfo(found);
	/* The port is at the same place for both families. */
	((struct sockaddr_in *)sa)->sin_port = a->port;
	return 0;
}
