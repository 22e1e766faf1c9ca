// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_pagecache.c - calls on the page cache that wait for nodes which do not answer leave some to the files of each that
 * does, however many such nodes there are, and whatever of a file's other nodes they are. */
#include "base/bdi.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/loop.h"
#include "check.h"
#include "node/jobs.h"
#include "node/pool.h"
#include "state/post.h"
#include "state/release.h"
#include "state/worker_state.h"
#include "store/pagecache.h"
#include "store/pagecache_helper.h"

#include <errno.h>
#include <sys/socket.h>

#define NODES 64u
#define EACH  32u /* files of a node, at least as many as it may have calls of */

static struct journal_inode disks[JOURNAL_INODES];
static struct inode files[JOURNAL_INODES];
static struct journal_super super;
static struct journal journal = { .inodes = disks, .super = &super };
static struct inodes inodes = { .j = &journal };
static struct pagecache cache;
static struct pool pool = { .count = NODES };
static struct worker worker = { .inodes = &inodes, .journal = &journal, .pagecache = &cache, .pool = &pool };
static int helper; /* its end of the socket */
static bool quiet[NODES];
static unsigned made, ended;
static void (*ready)(void *arg);
static uint64_t cookies[4 * JOURNAL_INODES]; /* of what was sent, in order */
static unsigned nrs[4 * JOURNAL_INODES], sent;

int post_send(int to, const void *message, size_t bytes, const int *fds, unsigned count)
{
	const struct helper_msg *msg = message;

	(void)to;
	(void)bytes;
	(void)fds;
	(void)count;
	cookies[sent] = msg->cookie;
	nrs[sent++] = (unsigned)msg->ino - 1;
	return 0;
}

void release_aside(int fd)
{
	close(fd);
}

int loop_add(struct loop *loop, struct loop_source *source, int fd, void (*run)(void *arg), void *arg)
{
	(void)loop;
	(void)source;
	(void)fd;
	(void)arg;
	ready = run;
	return 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	(void)loop;
	(void)source;
}

/* A record's node is named by its entry. */
int pool_index(struct pool *p, const struct record_node *node)
{
	(void)p;
	return node->addr[0];
}

bool pool_entry_is_quiet(const struct pool *p, unsigned entry)
{
	(void)p;
	return quiet[entry];
}

bool pool_entry_is_away(const struct pool *p, unsigned entry)
{
	(void)p;
	(void)entry;
	return false;
}

int bdi_set(uint64_t dev, const char *name, const char *value)
{
	(void)dev;
	(void)name;
	(void)value;
	return 0;
}

void helper_run(const char *mountpoint, int fd, pid_t parent)
{
	(void)mountpoint;
	(void)fd;
	(void)parent;
}

int helper_store(int fuse_fd, uint64_t ino, uint64_t off, uint64_t size, const uint8_t *content)
{
	(void)fuse_fd;
	(void)ino;
	(void)off;
	(void)size;
	(void)content;
	return 0;
}

int inode_by_id(struct inodes *in, const struct gvm_id *id)
{
	(void)in;
	(void)id;
	return -1;
}

const char *inode_shown_name(struct inodes *in, unsigned nr, char *shown)
{
	(void)in;
	(void)nr;
	return shown;
}

void jobs_submit_blocking(struct jobs *jobs, struct job *job)
{
	(void)jobs;
	(void)job;
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *format, ...)
{
	(void)site;
	(void)level;
	(void)object;
	(void)format;
}

/* The files of node n are n * EACH + 1 and those that follow. */
static void begin(void)
{
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	memset(&cache, 0, sizeof(cache));
	TAILQ_INIT(&cache.running);
	TAILQ_INIT(&cache.waiting);
	cache.fd = pair[0];
	helper = pair[1];
	memset(quiet, 0, sizeof(quiet));
	made = ended = sent = 0;
	for (unsigned nr = 0; nr <= NODES * EACH; nr++) {
		files[nr] = (struct inode){ .nr = nr, .disk = &disks[nr] };
		disks[nr].rec.node_count = nr > 0;
		disks[nr].rec.nodes[0].addr[0] = (char)((nr - 1) / EACH);
	}
}

static void call_ended(struct worker *w, struct pagecache_ask *ask, int error)
{
	(void)w;
	CHECK_EQ(error, helper < 0 ? -EPIPE : 0);
	ended++;
	free(ask);
}

/* Whether a call for the file runs at once. */
static bool call(unsigned nr)
{
	struct pagecache_ask *ask = calloc(1, sizeof(*ask));
	unsigned before = sent;

	ask->done = call_ended;
	made++;
	CHECK_EQ(pagecache_invalidate(&worker, &files[nr], &(struct pagecache_range){ 0, 1 }, 1, ask), 0);
	return sent > before;
}

static unsigned call_all(unsigned node)
{
	unsigned runs = 0;

	for (unsigned i = 0; i < EACH; i++)
		runs += call(1 + node * EACH + i);
	return runs;
}

/* The helper answers the i-th message. */
static void answer(unsigned i)
{
	struct helper_answer said = { .cookie = cookies[i] };

	CHECK(send(helper, &said, sizeof(said), 0) == sizeof(said));
	ready(&worker);
}

/* The helper's end ends all calls. */
static void finish(void)
{
	close(helper);
	helper = -1;
	ready(&worker);
	CHECK_EQ(ended, made);
}

static void nodes_that_are_silent_leave_some_to_each_other(void)
{
	unsigned last;

	begin();
	/* Nobody knows yet that they do not answer. */
	for (unsigned node = 0; node < NODES - 1; node++)
		CHECK(call_all(node));
	last = sent;
	CHECK(last <= PAGECACHE_CALLS + PAGECACHE_RESERVE_CALLS);
	CHECK_EQ(call_all(NODES - 1), PAGECACHE_RESERVE_CALLS / NODES);
	/* What waits of the last node goes on as its calls end. */
	for (unsigned i = last; ended < EACH; i++) {
		CHECK(i < sent);
		CHECK_EQ((nrs[i] - 1) / EACH, NODES - 1);
		answer(i);
	}
	finish();
}

/* Each of their files has a part on a node that answers, too: what waits for them is no call of that one's. */
static void files_of_a_silent_node_are_not_its_others_nodes(void)
{
	begin();
	for (unsigned nr = 1; nr <= (NODES - 1) * EACH; nr++) {
		disks[nr].rec.node_count = 2;
		disks[nr].rec.nodes[1].addr[0] = (char)(NODES - 1);
	}
	for (unsigned node = 0; node < NODES - 1; node++)
		call_all(node);
	CHECK(!call(1 + (NODES - 1) * EACH));
	for (unsigned node = 0; node < NODES - 1; node++)
		quiet[node] = true;
	CHECK_EQ(call_all(NODES - 1), PAGECACHE_RESERVE_CALLS / NODES);
	finish();
}

/* And what waits to be sent is looked at as its nodes are by then. */
static void waiting_calls_are_looked_at_again(void)
{
	unsigned before;

	begin();
	for (unsigned node = 0; node < NODES - 2; node++)
		CHECK(call_all(node));
	before = sent;
	quiet[NODES - 2] = true;
	CHECK_EQ(call_all(NODES - 2), 0);
	quiet[NODES - 2] = false;
	answer(0);
	CHECK(sent > before + PAGECACHE_RESERVE_CALLS / NODES - 1);
	finish();
}

static void looks_at_threads_wait_for_no_node(void)
{
	struct pagecache_ask *ask = calloc(1, sizeof(*ask));
	unsigned before;

	begin();
	for (unsigned node = 0; node < NODES; node++)
		call_all(node);
	before = sent;
	ask->done = call_ended;
	made++;
	CHECK_EQ(pagecache_look(&worker, &(int32_t){ 1 }, 1, ask), 0);
	CHECK_EQ(sent, before + 1);
	finish();
}

static const struct check_test tests[] = {
	{ "nodes-that-are-silent-leave-some-to-each-other", nodes_that_are_silent_leave_some_to_each_other },
	{ "files-of-a-silent-node-are-not-its-others-nodes", files_of_a_silent_node_are_not_its_others_nodes },
	{ "waiting-calls-are-looked-at-again", waiting_calls_are_looked_at_again },
	{ "looks-at-threads-wait-for-no-node", looks_at_threads_wait_for_no_node },
};
CHECK_MAIN(tests)
