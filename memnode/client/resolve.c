// SPDX-License-Identifier: GPL-2.0-or-later
/* resolve.c - see resolve.h. */
#include "resolve.h"
#include "../gvm_client.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* One name. Entries are never freed: there are as many as names in lists of nodes, and the library's
 * thread uses an entry for as long as the resolver takes. */
struct lookup {
	struct lookup *next;
	char host[ADDR_TEXT_MAX + 1];
	struct addrinfo hints;
	struct gaicb cb;
	uint64_t began_ns, answer_ns; /* when this look-up began, and that of the answer; 0: none */
	int err;		      /* EAI_*, of the answer */
	struct resolved answer;	      /* ports unset */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards `lookups` and all entries; nobody waits for it */
static struct lookup *lookups;

static struct lookup *lookup_of(const char *host)
{
	struct lookup *l = lookups;

	while (l && strcmp(l->host, host) != 0)
		l = l->next;
	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	memcpy(l->host, host, strlen(host));
	l->hints.ai_socktype = SOCK_STREAM;
	l->cb.ar_name = l->host;
	l->cb.ar_request = &l->hints;
	l->next = lookups;
	lookups = l;
	return l;
}

static void lookup_begin(struct lookup *l)
{
	struct gaicb *list[] = {&l->cb};

	l->began_ns = gvm_now_ns();
	l->err = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
	if (l->err) { /* it did not begin: that is the answer */
		l->answer_ns = l->began_ns;
		l->began_ns = 0;
		l->answer.count = 0;
	}
}

static void lookup_collect(struct lookup *l)
{
	l->answer_ns = l->began_ns;
	l->began_ns = 0;
	l->err = gai_error(&l->cb);
	l->answer.count = 0;
	if (l->err)
		return;
	for (struct addrinfo *i = l->cb.ar_result; i; i = i->ai_next) {
		struct resolved *r = &l->answer;

		if (r->count == RESOLVE_ADDRS_MAX || i->ai_addrlen > sizeof(r->sa[0]) ||
		    (i->ai_family != AF_INET && i->ai_family != AF_INET6))
			continue;
		memset(&r->sa[r->count], 0, sizeof(r->sa[0]));
		memcpy(&r->sa[r->count], i->ai_addr, i->ai_addrlen);
		r->bytes[r->count++] = i->ai_addrlen;
	}
	freeaddrinfo(l->cb.ar_result);
	l->cb.ar_result = NULL;
	if (!l->answer.count)
		l->err = EAI_NONAME;
}

int resolve(const struct addr *a, uint64_t since_ns, struct resolved *r, const char **why)
{
	struct lookup *l;
	int ret = -EAGAIN;

	if (a->numeric) {
		r->count = 1;
		r->sa[0] = a->sa;
		r->bytes[0] = a->sa_bytes;
		return 0;
	}
	if (pthread_mutex_trylock(&lock))
		return -EAGAIN; /* who has it may have lost the CPU */
	l = lookup_of(a->host);
	if (l && l->began_ns && gai_error(&l->cb) != EAI_INPROGRESS)
		lookup_collect(l);
	if (l && !l->began_ns && (!l->answer_ns || l->answer_ns < since_ns))
		lookup_begin(l);
	if (!l) {
		ret = -ENOMEM;
	} else if (l->answer_ns >= since_ns && l->answer_ns) {
		ret = l->err ? -EHOSTUNREACH : 0;
		*r = l->answer;
		*why = l->err ? gai_strerror(l->err) : "";
	}
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; !ret && i < r->count; i++)
		((struct sockaddr_in *)&r->sa[i])->sin_port = a->port; /* in6's is there, too */
	return ret;
}
