// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_manual.c - see vcpu_manual.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "vcpu_manual.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gvm_client.h"
#include "vcpu_wire.h"

#define HOST_BYTES (sizeof(((struct gvm_cluster_node *)NULL)->addr) + 8)

__attribute__((format(printf, 3, 4))) static int refuse(char error[VCPU_MANUAL_ERROR_BYTES], int rc, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, VCPU_MANUAL_ERROR_BYTES, format, args);
	va_end(args);
	return rc;
}

static int by_id(const void *a, const void *b)
{
	const struct gvm_cluster_node *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* "cpu,mem" in either order. */
static bool roles_are(const char *text, const struct gvm_cluster_node *node)
{
	bool cpu = !strcmp(text, "cpu"), mem = !strcmp(text, "mem"),
	     both = !strcmp(text, "cpu,mem") || !strcmp(text, "mem,cpu");

	return (cpu || mem || both) && (cpu || both) == node->cpu && (mem || both) == node->mem;
}

/* "10.0.0.1:9999" or "10.0.0.1", which is the same, becomes "10.0.0.1:9998". False: there is no port below. */
static bool host_text(const char *addr, char text[HOST_BYTES])
{
	const char *bracket = strchr(addr, ']'), *colon = strchr(bracket ? bracket : addr, ':');
	int bytes = colon ? (int)(colon - addr) : (int)strlen(addr);
	unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : GVM_PORT;

	snprintf(text, HOST_BYTES, "%.*s:%lu", bytes, addr, port - 1);
	return port > 1;
}

/* Whether this node can be one of them. */
static int check(const struct vcpu_manual *m, const struct gvm_cluster_node *own, unsigned hosts, unsigned cpus,
		 char error[VCPU_MANUAL_ERROR_BYTES])
{
	if (!own)
		return refuse(error, -ENOENT, "-giantvm-id %s: %s has no such node", m->id, m->conf);
	if (m->roles && !roles_are(m->roles, own))
		return refuse(error, -EINVAL, "-giantvm-roles %s: %s gives node %u other roles", m->roles, m->conf, own->id);
	if (!own->cpu)
		return refuse(error, -EINVAL, "-giantvm-id %s: the node lends memory alone (gvm dsm up), and runs no QEMU", m->id);
	if (hosts < 2)
		return refuse(error, -EINVAL, "%s has no other node with the role cpu", m->conf);
	if (cpus < hosts || cpus > VCPU_CPUS_MAX)
		return refuse(error, -EINVAL, "-smp %u: %s has %u nodes with the role cpu, for at least as many vCPUs, and at most %d",
			      cpus, m->conf, hosts, VCPU_CPUS_MAX);
	return 0;
}

/* The nodes with the role cpu come first. */
static int object_text(const struct gvm_cluster_node *nodes, unsigned hosts, unsigned own, unsigned cpus, char **object,
		       char error[VCPU_MANUAL_ERROR_BYTES])
{
	size_t room = hosts * (HOST_BYTES + 1) + 1, map_bytes = 0, list_bytes = 0;
	char *map = malloc(room), *list = malloc(room), host[HOST_BYTES];
	int rc = map && list ? 0 : -ENOMEM;

	for (unsigned i = 0, first = 0; i < hosts && !rc; i++) {
		unsigned count = cpus / hosts + (i < cpus % hosts);
		const char *semicolon = i ? ";" : "";

		if (!host_text(nodes[i].addr, host))
			rc = refuse(error, -EINVAL, "node %u: there is no port below that of %s", nodes[i].id, nodes[i].addr);
		map_bytes += (size_t)snprintf(map + map_bytes, room - map_bytes, "%s%u-%u@%u", semicolon, first, first + count - 1, i);
		list_bytes += (size_t)snprintf(list + list_bytes, room - list_bytes, "%s%s", semicolon, host);
		first += count;
	}
	if (!rc && asprintf(object, "dsm-vcpus,id=giantvm,node=%u,cpus=%s,hosts=%s,key=" VCPU_MANUAL_KEY_ID, own, map, list) < 0)
		rc = -ENOMEM;
	if (rc == -ENOMEM)
		refuse(error, rc, "out of memory");
	free(map);
	free(list);
	return rc;
}

int vcpu_manual_object(const struct vcpu_manual *m, unsigned cpus, char **object, char error[VCPU_MANUAL_ERROR_BYTES])
{
	struct gvm_cluster_node *nodes, own = {0};
	bool found = false;
	unsigned count, hosts = 0, number = 0;
	char why[128], *end;
	unsigned long id = m->id ? strtoul(m->id, &end, 10) : 0;
	int rc;

	if (!m->id || !m->conf)
		return refuse(error, -EINVAL, "-giantvm-id N and -giantvm-conf FILE belong together");
	if (*m->id < '0' || *m->id > '9' || *end)
		return refuse(error, -EINVAL, "-giantvm-id %s: not a number", m->id);
	rc = gvm_cluster_load(m->conf, &nodes, &count, why);
	if (rc)
		return refuse(error, rc, "-giantvm-conf %s: %s", m->conf, why);
	qsort(nodes, count, sizeof(*nodes), by_id);
	for (unsigned i = 0; i < count; i++) {
		if (nodes[i].id == id) {
			own = nodes[i];
			number = hosts;
			found = true;
		}
		if (nodes[i].cpu)
			nodes[hosts++] = nodes[i];
	}
	rc = check(m, found ? &own : NULL, hosts, cpus, error);
	if (!rc)
		rc = object_text(nodes, hosts, number, cpus, object, error);
	free(nodes);
	return rc;
}
