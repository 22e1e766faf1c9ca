// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front_nodes.c - a memory node is added to a mount that runs.
 *
 * Threads, connections and what is known of the name table begin with the list of nodes, and know no other. So the new
 * list stands in the journal, and this worker ends: its successor begins with one node more, as after any death, and
 * callers wait as long as for that. A node is never taken out: that ends with the mount.
 *
 * One at a time, and not before the name table is even on a majority of the nodes that there are: any majority of one
 * node more has one of them in it, so that no name that counts is missed. And only one that answers: those of which a
 * majority is needed are more from then on.
 */
#include "front.h"
#include "addr.h"
#include "node/ask.h"
#include "node/jobs.h"
#include "node/names.h"
#include "node/names_state.h"
#include "options.h"
#include "state/worker_state.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_NS 2000000000ull

struct adding {
	struct op op; /* first */
	struct job job;
	struct journal_node node;
};

/* It answers, takes us in, and is none that the mount has. */
static void node_try(struct job *job, struct pool *pool)
{
	const struct adding *a = (struct adding *)((char *)job - offsetof(struct adding, job));
	struct record_node place;
	struct gvm_conn *conn;
	struct ask ask;

	memset(&place.incarnation, 0xff, sizeof(place.incarnation)); /* no node's: it is found by its address */
	memcpy(place.addr, a->node.addr, sizeof(place.addr));
	conn = pool_node(pool, &place);
	job->result = conn ? 0 : -ENOMEM;
	if (!conn)
		return;
	gvm_node_stat(conn, ask_begin(&ask, gvm_now_ns() + ANSWER_NS));
	job->result = ask_wait(&ask);
	for (unsigned i = 0; !job->result && i < pool->listed; i++)
		if (gvm_id_equal(gvm_conn_incarnation(pool->conns[i]), gvm_conn_incarnation(conn)))
			job->result = -EEXIST;
}

/* The supervisor is there to start a successor, to which the kernel gives what is under way. */
static bool may_renew(const struct worker *w)
{
	return getppid() == (pid_t)w->self.pid && w->journal->super->can_resend;
}

/* What stands against it now; 0: nothing. */
static int refusal(const struct worker *w, const struct journal_node *node)
{
	struct addr addr;

	if (addr_parse(node->addr, &addr) < 0)
		return EINVAL;
	for (unsigned i = 0; i < w->opts->node_count; i++)
		if (!strcmp(w->opts->nodes[i], node->addr))
			return EEXIST;
	if (!w->opts->sealing && w->opts->seal != OPTIONS_NO_SEAL && !addr_is_local(&addr))
		return EPERM;
	if (w->opts->node_count == OPTIONS_NODES_MAX || w->journal->super->node_count == JOURNAL_NODES)
		return ENOSPC;
	if (!may_renew(w))
		return EOPNOTSUPP;
	return w->names->even && !w->draining ? 0 : EAGAIN;
}

static void tried(struct job *job)
{
	struct adding *a = (struct adding *)((char *)job - offsetof(struct adding, job));
	struct worker *w = a->op.w;
	struct journal_super *super = w->journal->super;
	int error = job->result ? -job->result : refusal(w, &a->node);

	if (error) {
		op_end(&a->op, false, error == ETIMEDOUT ? EHOSTUNREACH : error);
		return;
	}
	super->nodes[super->node_count] = a->node;
	journal_publish32(&super->node_count, super->node_count + 1);
	op_end(&a->op, false, 0);
	_exit(JOURNAL_RENEWED);
}

/* "ADDRESS" or "ADDRESS RACK". */
static bool node_read(const char *value, size_t size, struct journal_node *node)
{
	const char *blank = memchr(value, ' ', size);
	size_t addr = blank ? (size_t)(blank - value) : size, rack = blank ? size - addr - 1 : 0;

	if (addr >= sizeof(node->addr) || rack >= sizeof(node->rack) || memchr(value, 0, size) ||
	    memchr(value + size - rack, ' ', rack))
		return false;
	memcpy(node->addr, value, addr);
	memcpy(node->rack, value + size - rack, rack);
	return true;
}

void front_node_add(fuse_req_t req, struct inode *root, const char *value, size_t size)
{
	struct journal_node node = { .addr = "" };
	struct adding *a;
	int error;

	if (!root)
		return;
	error = node_read(value, size, &node) ? refusal(front_worker(req), &node) : EINVAL;
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	a = op_new_sized(front_worker(req), req, root, sizeof(*a));
	if (!a)
		return;
	a->node = node;
	a->job.work = node_try;
	a->job.done = tried;
	jobs_submit(a->op.w->jobs, &a->job);
}
