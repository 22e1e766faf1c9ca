// SPDX-License-Identifier: GPL-2.0-or-later
/* watch.c - see watch.h. */
#include "watch.h"

#include "base/log.h"
#include "base/mutant.h"
#include "node/owner.h"
#include "node/pool.h"
#include "node/region.h"
#include "pagecache.h"
#include "state/worker_state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define ANSWER_NS    1000000000ull
#define MANY	     64u	    /* with more watches than this, each is renewed less often */
#define EVERY_MAX_NS 200000000ull
#define ENDING_ROUNDS 2 /* one drops everything, the second what READs have brought in since */
#define AGAIN_NS     100000000ull /* after an invalidation that failed */

/* Has the watch's due time looked at again. */
static void watch_touch(struct worker *w, struct watch *watch)
{
	w->watches_due_ns = 0;
	if (watch->inode->watch_listed)
		return;
	watch->inode->watch_listed = true;
	watch->next = w->watches;
	w->watches = watch->inode;
	w->watches_count++;
}

static struct watch *watch_need(struct worker *w, struct inode *inode)
{
	if (inode->watch)
		return inode->watch;
	inode->watch = calloc(1, sizeof(*inode->watch));
	if (!inode->watch) {
		log_error(inode->disk->rec.name, "no memory to watch it; a new worker takes over");
		abort(); /* the successor finds everything in the journal */
	}
	inode->watch->w = w;
	inode->watch->inode = inode;
	return inode->watch;
}

/* Whether the page cache may have, or get, pages that a writer on another host makes stale. A file that was
 * opened past the page cache may be mapped all the same: privately, or with O_DIRECT in any way. */
static bool is_watched(struct worker *w, const struct inode *inode)
{
	const struct journal_inode *d = inode->disk;

	return inode->opens && d->rec.node_count && !d->epoch && d->use != INODE_FREE &&
	       d->rec.kind == RECORD_REGION && !inode->resident && !inode->in_handshake && !w->draining;
}

/* ---- requests to the node ---- */

/* False: without memory, nothing was sent. Writers attach to the first node before all others. */
static bool node_ask(struct worker *w, struct watch *watch, uint8_t mode, struct gvm_call *call)
{
	const struct record *rec = &watch->inode->disk->rec;
	/* A request that ends a watch, or lets a writer pass it, must not follow one that asks for a watch:
	 * another writer may have come in between, and our trust begins with that answer. */
	struct gvm_region_open_req what = { .region = rec->id,
					    .mode = mode,
					    .epoch = watch->number - (watch->asking && !mutant("pass-for-all")),
					    .view = rec->view };
	struct gvm_conn *conn = pool_node(w->pool, &rec->nodes[0]);

	if (!conn)
		return false;
	call->req.deadline_ns = gvm_now_ns() + ANSWER_NS;
	gvm_region_open(conn, call, &what);
	return true;
}

static void told(struct gvm_req *req)
{
	free(req);
}

/* If there is no memory to tell it, the node waits until the watch lapses. */
static void node_tell(struct worker *w, struct watch *watch, uint8_t mode)
{
	struct gvm_call *call = calloc(1, sizeof(*call));

	if (!call)
		return;
	call->req.done = told;
	if (!node_ask(w, watch, mode, call))
		free(call);
}

static void node_unwatch(struct worker *w, struct watch *watch)
{
	if (watch->held)
		node_tell(w, watch, GVM_OPEN_UNWATCH);
	watch->held = false;
}

static void trust_end(struct watch *watch)
{
	watch->until_ns = 0;
	watch->all = true;
}

static void watch_answered(struct watch *watch, uint64_t epoch, bool writer_alive)
{
	struct journal_inode *d = watch->inode->disk;

	watch->held = true;
	if (epoch != d->last_epoch) {
		if (d->last_epoch) /* otherwise nothing was cached before */
			trust_end(watch);
		journal_publish64(&d->last_epoch, epoch);
	}
	if (writer_alive && watch->until_ns)
		trust_end(watch); /* our watch had lapsed */
	if (writer_alive || ((watch->all || watch->clearing) && !mutant("trust-beside-drop")))
		return;
	if (!watch->until_ns && !++watch->serial)
		watch->serial++;
	assert(watch->serial && watch->held);
	watch->until_ns = (mutant("trust-from-answer") ? gvm_boottime_ns() : watch->number) + WATCH_TRUST_NS;
}

static void watch_done(struct gvm_req *req)
{
	struct watch *watch = (struct watch *)((char *)req - offsetof(struct watch, call.req));
	struct worker *w = watch->w;

	watch->asking = false;
	watch_touch(w, watch);
	if (!is_watched(w, watch->inode)) {
		watch->held |= req->result != -EINPROGRESS;
		node_unwatch(w, watch);
		return;
	}
	if (!req->result) {
		watch_answered(watch, watch->call.rsp.region_open.epoch,
			       owner_judge(&w->self, watch->call.rsp.region_open.writer,
					   &watch->call.rsp.region_open.host,
					   &watch->call.rsp.region_open.process) != GVM_WRITER_NONE);
	} else if (req->result != -EINPROGRESS) {
		watch->held = true; /* perhaps: the answer may have been lost */
	} else if (req->detail && !watch->ending) { /* a writer waits for us */
		trust_end(watch);
		watch->ending = ENDING_ROUNDS;
		if (mutant("pass-early"))
			node_tell(w, watch, GVM_OPEN_PASS);
	}
}

/* A writer can do without any one node of such a region, and a watch is not kept on all of them:
 * see watch.h. */
static bool is_replicated(const struct watch *watch)
{
	return watch->inode->disk->rec.replicas > 1;
}

static void watch_ask(struct worker *w, struct watch *watch, uint64_t now_ns)
{
	if (is_replicated(watch)) {
		watch->ask_at_ns = ~0ull;
		return;
	}
	uint64_t every_ns = WATCH_EVERY_NS * (1 + w->watches_count / MANY);

	watch->ask_at_ns = now_ns + (every_ns < EVERY_MAX_NS ? every_ns : EVERY_MAX_NS);
	watch->number = gvm_boottime_ns();
	watch->call = (struct gvm_call){ .req.done = watch_done };
	watch->asking = node_ask(w, watch, GVM_OPEN_WATCH, &watch->call);
}

/* ---- dropping from the page cache ---- */

static void clear_done(struct worker *w, struct pagecache_ask *ask, int error);

/* Begins an invalidation of the pages that have to go. */
static void clear_begin(struct worker *w, struct watch *watch, uint64_t now_ns)
{
	static const struct pagecache_range all = { 0, 0 };
	int r;

	assert(!watch->clearing && watch->ranges <= WATCH_RANGES && (watch->all || watch->ranges));
	watch->ask.done = clear_done;
	watch->clearing = true;
	r = watch->all ? pagecache_invalidate(w, watch->inode, &all, 1, &watch->ask)
		       : pagecache_invalidate(w, watch->inode, watch->range, watch->ranges, &watch->ask);
	if (r < 0) { /* the helper's queue is full, or there is no helper */
		watch->clearing = false;
		watch->all = true;
		watch->ending = 0; /* the node has to wait */
		watch->due_ns = now_ns + AGAIN_NS;
		return;
	}
	if (watch->ending && !watch->all)
		watch->ending = 1;
	watch->all = false;
	watch->ranges = 0;
}

static void clear_done(struct worker *w, struct pagecache_ask *ask, int error)
{
	struct watch *watch = (struct watch *)((char *)ask - offsetof(struct watch, ask));
	struct task *waiter = watch->waiter;

	assert(watch->clearing);
	watch->clearing = false;
	watch->waiter = NULL;
	watch_touch(w, watch);
	/* -ENOENT: the kernel does not know the file, so it caches nothing of it. */
	if (error && error != -ENOENT && !mutant("drop-failed-unseen")) {
		watch->all = true;
		watch->ending = 0;
		watch->due_ns = gvm_now_ns() + AGAIN_NS;
	} else if (watch->left && watch->all) { /* the one that ended had begun before watch_leave() */
		clear_begin(w, watch, gvm_now_ns());
		if (watch->clearing)
			return;
	}
	if (watch->left) {
		void (*left)(struct worker *, struct inode *, void *) = watch->left;

		watch->left = NULL;
		left(w, watch->inode, watch->arg);
	} else if (waiter) {
		waiter->run(waiter);
	}
}

/* Begins what is due; returns when the next is. */
static uint64_t clear_tick(struct worker *w, struct watch *watch, uint64_t now_ns)
{
	if (watch->clearing || (watch->inode->watch_paused && !mutant("pause-ignored")))
		return ~0ull;
	if (watch->ending && !watch->all && (!watch->ranges || watch->ending == 1)) {
		watch->ending = 0;
		node_tell(w, watch, GVM_OPEN_PASS);
	}
	/* If a writer waits, pages are dropped before they are old enough. */
	if ((watch->all || watch->ranges) && (watch->due_ns <= now_ns || watch->ending))
		clear_begin(w, watch, now_ns);
	return !watch->clearing && (watch->all || watch->ranges) ? watch->due_ns : ~0ull;
}

/* ---- */

static uint64_t watch_tick(struct worker *w, struct watch *watch, uint64_t now_ns)
{
	uint64_t due = ~0ull, clear, boot;

	if (!is_watched(w, watch->inode))
		return ~0ull;
	if (watch->until_ns) {
		boot = gvm_boottime_ns();
		if (boot >= watch->until_ns && !mutant("lapse-unseen"))
			trust_end(watch);
		else
			due = now_ns + (watch->until_ns - boot);
	}
	clear = clear_tick(w, watch, now_ns);
	due = clear < due ? clear : due;
	if (!watch->asking && watch->ask_at_ns <= now_ns)
		watch_ask(w, watch, now_ns);
	if (!watch->asking && watch->ask_at_ns < due)
		due = watch->ask_at_ns;
	return due;
}

uint64_t watches_tick(struct worker *w, uint64_t now_ns)
{
	struct inode **link = &w->watches, *inode;

	if (w->watches_due_ns > now_ns)
		return w->watches_due_ns;
	w->watches_due_ns = ~0ull;
	while ((inode = *link)) {
		struct watch *watch = inode->watch;
		uint64_t due = watch_tick(w, watch, now_ns);

		if (due < w->watches_due_ns)
			w->watches_due_ns = due;
		if (is_watched(w, inode) || watch->asking || watch->clearing) {
			link = &watch->next;
			continue;
		}
		*link = watch->next;
		inode->watch_listed = false;
		assert(w->watches_count);
		w->watches_count--;
		inode_reap(w->inodes, inode->nr);
	}
	return w->watches_due_ns;
}

void watch_begin(struct worker *w, struct inode *inode)
{
	watch_touch(w, watch_need(w, inode));
}

void watch_end(struct worker *w, struct inode *inode)
{
	struct watch *watch = inode->watch;

	if (!watch)
		return;
	/* Pages that are not known to be current are dropped when the file is next opened. */
	if ((!watch_trusts(inode) || watch->ranges || watch->clearing) && !mutant("old-kept-at-end"))
		journal_publish32(&inode->disk->cache_stale, 1);
	node_unwatch(w, watch);
	watch->until_ns = 0;
	watch->all = false;
	watch->ending = 0;
	watch->ranges = 0;
}

bool watch_trusts(const struct inode *inode)
{
	return inode->watch && inode->watch->until_ns && !inode->watch->all &&
	       gvm_boottime_ns() < inode->watch->until_ns;
}

static uint32_t trust_serial(const struct inode *inode)
{
	return watch_trusts(inode) ? inode->watch->serial : 0;
}

uint32_t watch_read_begin(struct worker *w, struct inode *inode)
{
	struct watch *watch;

	if (is_watched(w, inode)) {
		watch = watch_need(w, inode);
		watch_touch(w, watch);
		if (!watch->held && !watch->asking)
			watch_ask(w, watch, gvm_now_ns());
	}
	return trust_serial(inode);
}

static void range_note(struct watch *watch, uint64_t begin, uint64_t end)
{
	struct pagecache_range *r = watch->range;
	unsigned i = 0;

	/* The range that this one touches; if there are too many, the last one grows. */
	while (i < watch->ranges && (begin > r[i].off + r[i].size || end < r[i].off))
		i++;
	if (i == watch->ranges && i < WATCH_RANGES) {
		r[i].off = begin;
		r[i].size = end - begin;
		watch->ranges++;
		return;
	}
	if (i == WATCH_RANGES)
		i--;
	end = end > r[i].off + r[i].size ? end : r[i].off + r[i].size;
	r[i].off = begin < r[i].off ? begin : r[i].off;
	r[i].size = end - r[i].off;
}

bool watch_read(struct worker *w, struct inode *inode, uint64_t off, uint64_t size, uint32_t serial)
{
	struct watch *watch = inode->watch;

	if (!inode->disk->rec.node_count ||
	    (region_is_attached(inode) && !(watch && watch->leaving)))
		return false;
	if (mutant("trusted-late") ? trust_serial(inode) : serial && serial == trust_serial(inode))
		return false;
	watch = watch_need(w, inode);
	if (!watch->ranges)
		watch->due_ns = gvm_now_ns() + WATCH_AGE_NS;
	if (!mutant("untrusted-stays"))
		range_note(watch, off, off + size);
	watch_touch(w, watch);
	return true;
}

bool watch_pause(struct inode *inode, struct task *task)
{
	inode->watch_paused = true;
	if (!inode->watch || !inode->watch->clearing)
		return false;
	inode->watch->waiter = task;
	return true;
}

void watch_go_on(struct worker *w, struct inode *inode)
{
	inode->watch_paused = false;
	if (inode->watch)
		watch_touch(w, inode->watch);
}

void watch_leave(struct worker *w, struct inode *inode,
		 void (*left)(struct worker *w, struct inode *inode, void *arg), void *arg)
{
	struct watch *watch;

	if (!inode->opens || w->draining) {
		left(w, inode, arg);
		return;
	}
	watch = watch_need(w, inode);
	watch->leaving = true;
	watch->all = !mutant("left-as-it-is");
	watch->left = left;
	watch->arg = arg;
	watch_touch(w, watch);
	if (!watch->clearing)
		clear_begin(w, watch, gvm_now_ns());
	if (!watch->clearing) { /* no helper: nothing better can be done */
		watch->left = NULL;
		left(w, inode, arg);
	}
}

void watch_left(struct worker *w, struct inode *inode)
{
	if (inode->watch && inode->watch->leaving) {
		inode->watch->leaving = false;
		watch_touch(w, inode->watch);
	} else {
		watch_distrust(w, inode);
	}
}

void watch_distrust(struct worker *w, struct inode *inode)
{
	if (!inode->opens)
		return;
	trust_end(watch_need(w, inode));
	watch_touch(w, inode->watch);
}

void watches_recover(struct worker *w)
{
	for (unsigned nr = 1; nr < w->inodes->end; nr++) {
		struct inode *inode = w->inodes->rt[nr];

		if (!inode || !is_watched(w, inode))
			continue;
		watch_need(w, inode)->all = !mutant("predecessor-trusted");
		inode->watch->held = true; /* by the predecessor, under the same client id */
		watch_touch(w, inode->watch);
	}
}
