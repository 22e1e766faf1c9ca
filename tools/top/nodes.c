// SPDX-License-Identifier: GPL-2.0-or-later
/* nodes.c - see nodes.h. */
#include "nodes.h"

#include <stdlib.h>
#include <string.h>

static void answered(struct gvm_req *req)
{
	struct top_asked *a = (struct top_asked *)req;

	a->pending = false;
	a->error = req->result;
	if (req->result)
		return;
	a->before = a->stat;
	a->before_ns = a->stat_ns;
	a->stat = a->call.rsp.node_stat;
	a->stat_ns = gvm_now_ns();
	a->round_ns = a->stat_ns - a->asked_ns;
}

static void ask(struct top_asked *a)
{
	if (!a->conn || a->pending)
		return;
	a->asked_ns = gvm_now_ns();
	a->call.req = (struct gvm_req){.done = answered, .deadline_ns = a->asked_ns + NODE_DEADLINE_NS};
	a->pending = true;
	gvm_node_stat(a->conn, &a->call);
}

static void add(struct top_nodes *nodes, const char *address)
{
	struct top_asked *a = nodes->count < TOP_NODES_MAX ? calloc(1, sizeof(*a)) : NULL;
	struct gvm_conn_opts opts = *nodes->opts;

	if (!a)
		return;
	a->address = strdup(address);
	if (!a->address) {
		free(a);
		return;
	}
	opts.on_state = node_reason_note;
	opts.arg = &a->reason;
	a->error = gvm_conn_create(address, &opts, &a->conn);
	if (!a->error)
		gvm_conn_process(a->conn);
	nodes->list[nodes->count++] = a;
}

void top_nodes_ask(struct top_nodes *nodes, const struct top_sample *s)
{
	if (!nodes->opts)
		return;
	for (unsigned m = 0; m < s->count; m++)
		for (unsigned n = 0; n < s->mounts[m].node_count; n++)
			if (!top_nodes_find(nodes, s->mounts[m].nodes[n].address))
				add(nodes, s->mounts[m].nodes[n].address);
	for (unsigned i = 0; i < nodes->count; i++)
		ask(nodes->list[i]);
}

unsigned top_nodes_poll(const struct top_nodes *nodes, struct pollfd *fds, unsigned most)
{
	unsigned count = 0;

	for (unsigned i = 0; i < nodes->count && count < most; i++)
		if (nodes->list[i]->conn)
			fds[count++] = (struct pollfd){.fd = gvm_conn_fd(nodes->list[i]->conn), .events = POLLIN};
	return count;
}

void top_nodes_process(struct top_nodes *nodes)
{
	for (unsigned i = 0; i < nodes->count; i++)
		if (nodes->list[i]->conn)
			gvm_conn_process(nodes->list[i]->conn);
}

bool top_nodes_pending(const struct top_nodes *nodes)
{
	for (unsigned i = 0; i < nodes->count; i++)
		if (nodes->list[i]->pending)
			return true;
	return false;
}

void top_nodes_wait(struct top_nodes *nodes, const struct top_sample *s, uint64_t patience_ns)
{
	uint64_t until_ns = gvm_now_ns() + patience_ns;
	struct pollfd p[TOP_NODES_MAX];

	top_nodes_ask(nodes, s);
	while (top_nodes_pending(nodes) && gvm_now_ns() < until_ns) {
		poll(p, top_nodes_poll(nodes, p, TOP_NODES_MAX), 100);
		top_nodes_process(nodes);
	}
}

const struct top_asked *top_nodes_find(const struct top_nodes *nodes, const char *address)
{
	for (unsigned i = 0; i < nodes->count; i++)
		if (!strcmp(nodes->list[i]->address, address))
			return nodes->list[i];
	return NULL;
}

void top_nodes_close(struct top_nodes *nodes)
{
	for (unsigned i = 0; i < nodes->count; i++) {
		gvm_conn_destroy(nodes->list[i]->conn);
		free(nodes->list[i]->address);
		free(nodes->list[i]);
	}
	nodes->count = 0;
}
