// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front_xattr.c - the extended attributes user.gvm.*: statistics, latencies and maps, the budget of the fast path, where
 * a guest has its memory, whether a region is temporary, how many copies it has, whether it is sealed, taking a region
 * from its writer, settling it, the nodes and adding one, and the path of the fast path's socket.
 */
#include "front.h"
#include "front_map.h"
#include "addr.h"
#include "base/turns.h"
#include "gvm_mount.h"
#include "node/names.h"
#include "node/names_state.h"
#include "node/pool.h"
#include "node/region.h"
#include "node/replicas.h"
#include "options.h"
#include "state/seals.h"
#include "store/store.h"
#include "uffd/resident.h"
#include "view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATS_BYTES 4096
#define TEXT_BYTES  MAP_HEAD_BYTES /* the longest */
_Static_assert(TEXT_BYTES >= CORE_NOTE_MAX, "a note is a text, too");

/* Of a region with several replicas that is attached here. */
static size_t print_copies(struct inode *inode, char *buf, size_t size)
{
	const struct record *rec = &inode->disk->rec;

	if (!inode->replicas)
		return 0;
	return (size_t)snprintf(buf, size,
				"replicas %u\nslots %u\nslots_degraded %u\nslots_unanswered %u\nslots_absent %u\nrepair_chunks %llu\n"
				"drain_chunks %llu\n",
				rec->replicas, rec->slot_count, replicas_degraded(inode), replicas_unanswered(inode),
				replicas_absent(inode),
				(unsigned long long)replicas_repair_left(inode),
				(unsigned long long)replicas_drain_left(inode));
}

static unsigned nodes_away(struct worker *w, const struct record *rec)
{
	unsigned away = 0;

	for (unsigned i = 0; i < rec->node_count; i++)
		away += record_node_is_used(rec, i) && pool_is_away(w->pool, &rec->nodes[i]);
	return away;
}

/* So far has it come to be its guest's: settling it. */
static unsigned long long settle_bytes(const struct inode *inode)
{
	const struct resident *r = inode->resident;

	if (r && r->give_asked)
		return inode->disk->rec.size_bytes;
	return r && r->give ? GVM_CHUNK_BYTES * (unsigned long long)r->give_next : 0;
}

static size_t print_state(struct worker *w, struct inode *inode, char *buf, size_t size)
{
	struct journal_inode *d = inode->disk;
	const struct resident *r = inode->resident;
	unsigned up = 0;

	for (unsigned i = 0; i < w->pool->count; i++)
		up += gvm_conn_state(w->pool->conns[i]) == GVM_CONN_UP;
	if (inode->nr == 0)
		return (size_t)snprintf(buf, size,
					"staged_chunks %u\nrestarts %u\nworker_pid %d\nnodes %u\n"
					"nodes_up %u\nnames_even %d\n",
					wbufs_used(&w->store->wbufs), w->journal->super->starts - 1,
					(int)getpid(), w->pool->count, up, w->names->even);
	return (size_t)snprintf(buf, size,
				"staged_chunks %u\nopens %u\nopens_write %u\nsize_bytes %llu\nattached_epoch %llu\n"
				"region_nodes %u\nnodes_away %u\nfailed %d\nfast %d\nlocal_bytes %llu\n"
				"resident_bytes %llu\nresident_peak_bytes %llu\nreplay_left %u\nlone_rotten %u\nscrubs %u\n"
				"waiting_chunks %u\nmemory_short %d\nsettling %d\nsettle_bytes %llu\nsettled %d\nclient_pid %d\n",
				inode->wbufs, inode->opens, inode->opens_write, (unsigned long long)d->rec.size_bytes,
				(unsigned long long)d->epoch, d->rec.node_count, nodes_away(w, &d->rec),
				d->failed && (int)d->failed != INODE_SETTLED,
				r != NULL, GVM_PAGE_BYTES * (unsigned long long)(r ? r->local : 0),
				GVM_PAGE_BYTES * (unsigned long long)(r ? resident_here(r) : 0),
				GVM_PAGE_BYTES * (unsigned long long)d->resident_peak,
				r ? r->replay_count - r->replay_next + r->replaying : 0, inode->lone_rotten, inode->scrubs,
				r ? resident_waiting(r) : 0, r && resident_is_short(r), r && (r->give || r->give_asked),
				settle_bytes(inode), inode_is_settled(d), r ? r->pid : 0);
}

/* Of the mount. */
static size_t print_turns(const struct worker *w, char *buf, size_t size)
{
	if (!w->opts->bench_turns)
		return 0;
	return (size_t)snprintf(buf, size, "longest_turn_ns %llu\n", (unsigned long long)turns_longest_ns());
}

static size_t print_stats(struct worker *w, struct inode *inode, char *text)
{
	const struct stats *stats = inode->nr ? inode->stats : &w->journal->super->stats;
	size_t n = stats_print(stats, text, STATS_BYTES);

	n += print_state(w, inode, text + n, STATS_BYTES - n);
	if (!inode->nr)
		n += print_turns(w, text + n, STATS_BYTES - n);
	return n + print_copies(inode, text + n, STATS_BYTES - n);
}

/* Those of the command line and those that were added. The front's pool stays connected to them. */
static size_t print_nodes(const struct worker *w, char *text)
{
	size_t n = 0;

	*text = '\0';
	for (unsigned i = 0; i < w->pool->listed && i < OPTIONS_NODES_MAX; i++)
		n += (size_t)snprintf(text + n, TEXT_BYTES - n, "%s %s\n", gvm_conn_addr(w->pool->conns[i]),
				      gvm_conn_state(w->pool->conns[i]) == GVM_CONN_UP ? "connected" : "away");
	return n;
}

/* The text of an attribute, or a negative errno. */
static int xattr_text(struct worker *w, struct inode *inode, const char *name, char *text)
{
	const struct journal_inode *d = inode->disk;

	if (strcmp(name, GVM_XATTR_STATS) == 0)
		return (int)print_stats(w, inode, text);
	if (strcmp(name, GVM_XATTR_LATENCY) == 0)
		return (int)latency_print(inode->nr ? d->latency : w->journal->super->latency, text, TEXT_BYTES);
	if (!inode->nr && strcmp(name, GVM_XATTR_NODES) == 0)
		return (int)print_nodes(w, text);
	if (d->rec.kind != RECORD_REGION)
		return -ENODATA;
	if (strcmp(name, GVM_XATTR_MAP) == 0)
		return (int)map_head(inode, text, TEXT_BYTES);
	if (strncmp(name, GVM_XATTR_MAP ".", strlen(GVM_XATTR_MAP ".")) == 0)
		return map_window(w, inode, name + strlen(GVM_XATTR_MAP "."), text);
	if (strcmp(name, GVM_XATTR_ATTACH) == 0 && *w->journal->super->attach_path)
		return snprintf(text, STATS_BYTES, "%s", w->journal->super->attach_path);
	if (strcmp(name, GVM_XATTR_LOCAL) == 0 && d->local_bytes)
		return snprintf(text, STATS_BYTES, "%llu", (unsigned long long)d->local_bytes);
	if (strcmp(name, GVM_XATTR_CORE) == 0)
		return (int)core_facts_print(&d->core, d->rec.size_bytes, text);
	if (strcmp(name, GVM_XATTR_NOTE) == 0 && d->core.note_bytes) {
		memcpy(text, journal_note(w->journal, inode->nr), d->core.note_bytes);
		return (int)d->core.note_bytes;
	}
	if (strcmp(name, GVM_XATTR_SETTLE) == 0)
		return snprintf(text, STATS_BYTES, "%d", inode_is_settled(d));
	if (strcmp(name, GVM_XATTR_TEMPORARY) == 0 && d->rec.temporary)
		return snprintf(text, STATS_BYTES, "1");
	if (strcmp(name, GVM_XATTR_REPLICAS) == 0)
		return snprintf(text, STATS_BYTES, "%u", inode_replicas(d, w->opts->replicas));
	if (strcmp(name, GVM_XATTR_SEAL) == 0)
		return snprintf(text, STATS_BYTES, "%d", region_is_sealed(w, inode));
	return -ENODATA;
}

void front_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct worker *w = front_worker(req);
	struct inode *inode = front_inode(req, view_region(ino));
	char text[TEXT_BYTES];
	int n;

	if (!inode)
		return;
	if (view_of(ino)) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	if (strcmp(name, GVM_XATTR_SETTLING) == 0) {
		front_give(req, inode);
		return;
	}
	n = xattr_text(w, inode, name, text);
	/* Counters grow between the call that asks for the size and the one that asks for the text,
	 * so the size has room for that. */
	if (n < 0)
		fuse_reply_err(req, -n);
	else if (!size)
		fuse_reply_xattr(req, strcmp(name, GVM_XATTR_STATS) ? TEXT_BYTES : STATS_BYTES);
	else if (size < (size_t)n)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, text, (size_t)n);
}

/* 0: no limit. If a smaller budget does not hold yet, the attribute shows the one that does. */
static void local_set(fuse_req_t req, fuse_ino_t ino, uint64_t bytes)
{
	const uint64_t least = (uint64_t)RESIDENT_LOCAL_MIN * GVM_PAGE_BYTES;
	struct inode *inode = front_inode(req, ino);

	if (!inode)
		return;
	if (bytes && bytes < least)
		bytes = least;
	journal_publish64(&inode->disk->local_bytes, bytes);
	if (inode->resident)
		resident_budget(inode->resident, inode->disk->local_bytes);
	fuse_reply_err(req, 0);
}

static void core_set(fuse_req_t req, fuse_ino_t ino, const char *value, size_t size)
{
	struct inode *inode = front_inode(req, ino);

	if (!inode)
		return;
	if (inode->disk->rec.kind != RECORD_REGION || !core_facts_parse(&inode->disk->core, value, size))
		fuse_reply_err(req, EINVAL);
	else
		fuse_reply_err(req, 0);
}

static void note_set(fuse_req_t req, fuse_ino_t ino, const char *value, size_t size)
{
	struct inode *inode = front_inode(req, ino);

	if (!inode)
		return;
	if (inode->disk->rec.kind != RECORD_REGION || !core_is_note((const uint8_t *)value, size)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	journal_publish64(&inode->disk->core.note_bytes, 0);
	memcpy(journal_note(front_worker(req)->journal, inode->nr), value, size);
	journal_publish64(&inode->disk->core.note_bytes, size);
	fuse_reply_err(req, 0);
}

/* Where the guest has its memory is what is guessed again, and nothing is known of its kernel. */
static void core_forget(fuse_req_t req, fuse_ino_t ino)
{
	struct inode *inode = front_inode(req, ino);

	if (!inode)
		return;
	inode->disk->core = (struct core_facts){ .low_bytes = 0 };
	fuse_reply_err(req, 0);
}

/* Sets whether a region is removed when nobody has it open: see RECORDS.md. */

struct marking {
	struct op op; /* first */
	bool temporary;
};

static void temporary_saved(struct worker *w, int result, void *arg)
{
	struct marking *m = arg;
	struct op *op = &m->op;
	struct record *rec = &op->inode->disk->rec;

	(void)w;
	if (result < 0)
		rec->temporary = !m->temporary;
	op_end(op, true, result);
}

static void temporary_run(struct task *task)
{
	struct marking *m = (struct marking *)task;
	struct op *op = &m->op;
	struct journal_inode *d = op->inode->disk;

	if (d->use != INODE_USED || d->rec.kind != RECORD_REGION || !op->inode->opens) {
		op_end(op, true, d->use != INODE_USED ? ENOENT : EINVAL);
		return;
	}
	if (d->rec.temporary == m->temporary) {
		op_end(op, true, m->temporary ? 0 : ENODATA);
		return;
	}
	d->rec.temporary = m->temporary;
	d->rec.owner = m->temporary ? op->w->self : (struct record_owner){ .pid = 0 };
	names_save(op->w, op->inode, temporary_saved, m);
}

static void temporary_set(fuse_req_t req, fuse_ino_t ino, bool temporary)
{
	struct inode *inode = front_inode(req, ino);
	struct marking *m = inode ? op_new_sized(front_worker(req), req, inode, sizeof(*m)) : NULL;

	if (!m)
		return;
	m->temporary = temporary;
	m->op.task.run = temporary_run;
	inode_acquire(inode, &m->op.task);
}

struct copying {
	struct op op; /* first */
	unsigned replicas; /* 0: as the mount's option says */
};

static void copies_run(struct task *task)
{
	struct copying *c = (struct copying *)task;
	struct op *op = &c->op;
	struct journal_inode *d = op->inode->disk;

	if (d->use == INODE_FREE || d->rec.kind != RECORD_REGION) {
		op_end(op, true, d->use == INODE_FREE ? ENOENT : EINVAL);
	} else if (d->rec.node_count) {
		op_end(op, true, d->rec.replicas == c->replicas ? 0 : c->replicas ? EBUSY : ENODATA);
	} else {
		journal_publish32(&d->replicas, c->replicas);
		op_end(op, true, 0);
	}
}

/* Before the region has a size: then its chunks have their places. */
static void copies_set(fuse_req_t req, fuse_ino_t ino, unsigned replicas)
{
	struct inode *inode = front_inode(req, ino);
	struct copying *c = inode ? op_new_sized(front_worker(req), req, inode, sizeof(*c)) : NULL;

	if (!c)
		return;
	c->replicas = replicas;
	c->op.task.run = copies_run;
	inode_acquire(inode, &c->op.task);
}

struct choosing {
	struct op op; /* first */
	enum seal_wish wish;
};

static void seal_run(struct task *task)
{
	struct choosing *c = (struct choosing *)task;
	struct op *op = &c->op;
	struct journal_inode *d = op->inode->disk;

	if (d->use == INODE_FREE || d->rec.kind != RECORD_REGION) {
		op_end(op, true, d->use == INODE_FREE ? ENOENT : EINVAL);
	} else if (d->rec.node_count) {
		bool same = c->wish && (c->wish == SEAL_YES) == region_is_sealed(op->w, op->inode);

		op_end(op, true, same ? 0 : c->wish ? EBUSY : ENODATA);
	} else if (c->wish == SEAL_YES && !op->w->sealer) {
		op_end(op, true, ENOKEY);
	} else {
		journal_publish32(&d->seal, c->wish);
		op_end(op, true, 0);
	}
}

/* Before the region has a size, as its copies. */
static void seal_set(fuse_req_t req, fuse_ino_t ino, enum seal_wish wish)
{
	struct inode *inode = front_inode(req, ino);
	struct choosing *c = inode ? op_new_sized(front_worker(req), req, inode, sizeof(*c)) : NULL;

	if (!c)
		return;
	c->wish = wish;
	c->op.task.run = seal_run;
	inode_acquire(inode, &c->op.task);
}

static void taken(struct worker *w, struct inode *inode, int result, void *arg)
{
	(void)w;
	(void)inode;
	op_end(arg, true, result);
}

struct taking {
	struct op op; /* first */
	bool force;
};

static void take_run(struct task *task)
{
	struct taking *t = (struct taking *)task;
	struct op *op = &t->op;
	struct journal_inode *d = op->inode->disk;

	if (d->use != INODE_USED || d->rec.kind != RECORD_REGION)
		op_end(op, true, d->use != INODE_USED ? ENOENT : EINVAL);
	else if (d->epoch || !d->rec.node_count) /* written here, or by nobody */
		op_end(op, true, d->epoch ? EBUSY : 0);
	else
		region_take(op->w, op->inode, t->force, taken, op);
}

static void take(fuse_req_t req, fuse_ino_t ino, bool force)
{
	struct inode *inode = front_inode(req, ino);
	struct taking *t = inode ? op_new_sized(front_worker(req), req, inode, sizeof(*t)) : NULL;

	if (!t)
		return;
	t->force = force;
	t->op.task.run = take_run;
	inode_acquire(inode, &t->op.task);
}

static void settle_allow(fuse_req_t req, fuse_ino_t ino)
{
	struct inode *inode = front_inode(req, ino);

	if (inode)
		front_give_allow(req, inode);
}

/* What can be set: the budget of the fast path (bytes, in decimal digits), where the guest has its memory, that a region
 * is temporary (1), how many copies one that has no size yet is to have (1 to 3), and whether it is to be sealed (0, 1),
 * that it is taken from its writer (1; 2: by force), that its guest may be made to do without gvmfs (1), and of the root
 * one more node. */
void front_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		    size_t size, int flags)
{
	char text[24], *end;
	unsigned long long bytes;

	(void)flags;
	if (view_of(ino)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (strcmp(name, GVM_XATTR_CORE) == 0) {
		core_set(req, ino, value, size);
		return;
	}
	if (strcmp(name, GVM_XATTR_NOTE) == 0) {
		note_set(req, ino, value, size);
		return;
	}
	if (strcmp(name, GVM_XATTR_TEMPORARY) == 0) {
		if (size == 1 && *value == '1')
			temporary_set(req, ino, true);
		else
			fuse_reply_err(req, EINVAL);
		return;
	}
	if (strcmp(name, GVM_XATTR_REPLICAS) == 0) {
		if (size == 1 && *value >= '1' && *value < '1' + RECORD_REPLICAS)
			copies_set(req, ino, (unsigned)(*value - '0'));
		else
			fuse_reply_err(req, EINVAL);
		return;
	}
	if (strcmp(name, GVM_XATTR_SEAL) == 0) {
		if (size == 1 && (*value == '0' || *value == '1'))
			seal_set(req, ino, *value == '1' ? SEAL_YES : SEAL_NO);
		else
			fuse_reply_err(req, EINVAL);
		return;
	}
	if (strcmp(name, GVM_XATTR_TAKE) == 0) {
		if (size == 1 && (*value == '1' || *value == '2'))
			take(req, ino, *value == '2');
		else
			fuse_reply_err(req, EINVAL);
		return;
	}
	if (strcmp(name, GVM_XATTR_SETTLE) == 0) {
		if (size == 1 && *value == '1')
			settle_allow(req, ino);
		else
			fuse_reply_err(req, EINVAL);
		return;
	}
	if (strcmp(name, GVM_XATTR_NODE) == 0 && ino == FUSE_ROOT_ID) {
		front_node_add(req, front_inode(req, ino), value, size);
		return;
	}
	if (strcmp(name, GVM_XATTR_LOCAL) != 0) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	if (!size || size >= sizeof(text)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	memcpy(text, value, size);
	text[size] = 0;
	errno = 0;
	bytes = strtoull(text, &end, 10);
	if (*end || *text < '0' || *text > '9' || errno || !bytes)
		fuse_reply_err(req, EINVAL);
	else
		local_set(req, ino, bytes);
}

void front_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	if (view_of(ino))
		fuse_reply_err(req, EPERM);
	else if (strcmp(name, GVM_XATTR_CORE) == 0)
		core_forget(req, ino);
	else if (strcmp(name, GVM_XATTR_TEMPORARY) == 0)
		temporary_set(req, ino, false);
	else if (strcmp(name, GVM_XATTR_REPLICAS) == 0)
		copies_set(req, ino, 0);
	else if (strcmp(name, GVM_XATTR_SEAL) == 0)
		seal_set(req, ino, SEAL_AS_MOUNT);
	else if (strcmp(name, GVM_XATTR_LOCAL) != 0)
		fuse_reply_err(req, ENODATA);
	else
		local_set(req, ino, 0);
}

/* The statistics are not listed, since a copy of the file must not carry them along. */
void front_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	if (!front_inode(req, view_region(ino)))
		return;
	if (size)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_xattr(req, 0);
}
