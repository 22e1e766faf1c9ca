// SPDX-License-Identifier: GPL-2.0-or-later
/* inode.c - see inode.h. */
#include "inode.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EMPTY_LOOK_CHUNKS 65536u /* an index beyond that is not looked through */
#define HELD_FRESH_NS     1000000000ull
#define SHOWN_MAX	  240 /* bytes of a name with part of an id behind it */

/* The root is entry 0 and in no folder. `d`: the entry, or a copy of its head. */
static void tree_enter(struct inodes *in, unsigned nr, const struct journal_inode *d)
{
	if (d->use == INODE_FREE)
		tree_remove(&in->tree, nr);
	else if (!tree_put(&in->tree, nr, &d->rec, nr && d->use == INODE_USED))
		abort(); /* no memory; the successor rebuilds the tree from the journal */
}

static void tree_follow(struct inodes *in, unsigned nr)
{
	tree_enter(in, nr, inode_disk(in, nr));
}

/* A record is large, and the worker may be killed while it copies one. So a new record is first written to
 * `coming`, then published, then copied to its entry; a successor repeats the copy. */
static void coming_apply(struct inodes *in)
{
	struct journal_super *s = in->j->super;

	if (s->coming_inode)
		inode_disk(in, s->coming_inode)->rec = s->coming;
	journal_publish32(&s->coming_inode, 0);
}

static void coming_publish(struct inodes *in, unsigned nr)
{
	assert(nr);
	journal_publish32(&in->j->super->coming_inode, nr);
	coming_apply(in);
	tree_follow(in, nr);
}

bool inode_is_unsettled(const struct journal_inode *d)
{
	if (d->use == INODE_USED)
		return d->epoch || d->tail_from || d->times_owed || d->rec.temporary ||
		       ((int)d->failed == INODE_SETTLED && !d->rec.settled);
	return d->use == INODE_UNLINKED;
}

int inodes_init(struct inodes *in, struct journal *j)
{
	struct journal_inode head;
	int r;

	memset(in, 0, sizeof(*in));
	in->j = j;
	in->end = j->super->inodes_end;
	coming_apply(in);
	for (unsigned i = 0; i < TIMES_DELAYS; i++)
		TAILQ_INIT(&in->times_due[i]);
	TAILQ_INIT(&in->leasing);
	for (unsigned i = 0; i < in->end; i++) {
		r = journal_inode_head(j, i, &head);
		if (r < 0)
			return r;
		if (head.use == INODE_FREE)
			continue;
		tree_enter(in, i, &head);
		in->unsettled[i / 64] |= (uint64_t)inode_is_unsettled(&head) << i % 64;
		if (head.epoch && !inode_get(in, i)) /* puts it into in->attached */
			return -ENOMEM;
	}
	return 0;
}

struct inode *inode_get(struct inodes *in, unsigned nr)
{
	if (!in->rt[nr]) {
		in->rt[nr] = calloc(1, sizeof(*in->rt[nr]));
		if (in->rt[nr]) {
			in->rt[nr]->nr = nr;
			in->rt[nr]->disk = inode_disk(in, nr);
			in->rt[nr]->index = journal_index(in->j, nr);
			in->rt[nr]->stats = &in->rt[nr]->disk->stats;
			in->rt[nr]->unbacked_hold = -1;
			if (in->rt[nr]->disk->use != INODE_FREE && in->rt[nr]->disk->epoch &&
			    inode_know(in, in->rt[nr]) < 0) {
				free(in->rt[nr]);
				return in->rt[nr] = NULL;
			}
			if (in->rt[nr]->disk->use != INODE_FREE && in->rt[nr]->disk->epoch)
				LIST_INSERT_HEAD(&in->attached, in->rt[nr], attached_entry);
			STAILQ_INIT(&in->rt[nr]->waiting);
			STAILQ_INIT(&in->rt[nr]->askers);
			TAILQ_INIT(&in->rt[nr]->writes);
			TAILQ_INIT(&in->rt[nr]->wide_writes);
		}
	}
	return in->rt[nr];
}

struct inode *inode_by_ino(struct inodes *in, uint64_t ino)
{
	if (ino < 1 || ino > in->end || inode_disk(in, (unsigned)ino - 1)->use == INODE_FREE)
		return NULL;
	return inode_get(in, (unsigned)ino - 1);
}

int inode_by_id(struct inodes *in, const struct gvm_id *id)
{
	unsigned nr = tree_id_first(&in->tree, id);

	while (nr != TREE_NONE && !gvm_id_equal(&inode_disk(in, nr)->rec.id, id))
		nr = tree_id_next(&in->tree, nr);
	return nr == TREE_NONE ? -1 : (int)nr;
}

/* The higher version is newer; on a tie the greater id, so that all hosts agree. */
static bool is_newer(const struct record *a, const struct record *b)
{
	if (a->version != b->version)
		return a->version > b->version;
	return memcmp(a->id.b, b->id.b, sizeof(a->id.b)) > 0;
}

static bool is_named(struct inodes *in, unsigned nr, const struct gvm_id *parent, const char *name)
{
	const struct record *r = &inode_disk(in, nr)->rec;

	return gvm_id_equal(&r->parent, parent) && strcmp(r->name, name) == 0;
}

static int named(struct inodes *in, const struct gvm_id *parent, const char *name)
{
	unsigned nr = tree_name_first(&in->tree, parent, name);
	int best = -1;

	for (; nr != TREE_NONE; nr = tree_name_next(&in->tree, nr))
		if (is_named(in, nr, parent, name) &&
		    (best < 0 || is_newer(&inode_disk(in, nr)->rec, &inode_disk(in, (unsigned)best)->rec)))
			best = (int)nr;
	return best;
}

const char *inode_shown_name(struct inodes *in, unsigned nr, char *buf)
{
	const struct record *r = &inode_disk(in, nr)->rec;

	if (named(in, &r->parent, r->name) == (int)nr)
		return r->name;
	snprintf(buf, RECORD_NAME_MAX + 1, "%.*s~%02x%02x%02x%02x", SHOWN_MAX, r->name, r->id.b[0],
		 r->id.b[1], r->id.b[2], r->id.b[3]);
	return buf;
}

static bool is_shown(struct inodes *in, unsigned nr, const char *name)
{
	char shown[RECORD_NAME_MAX + 1];

	return strcmp(inode_shown_name(in, nr, shown), name) == 0;
}

/* Looks up `name~<first id bytes>`, which the older of two records with one name is shown as. */
static int shown(struct inodes *in, const struct gvm_id *parent, const char *name)
{
	const char *mark = strrchr(name, '~');
	char bare[RECORD_NAME_MAX + 1];
	unsigned nr;

	if (!mark || mark - name > SHOWN_MAX)
		return -1;
	snprintf(bare, sizeof(bare), "%.*s", (int)(mark - name), name);
	for (nr = tree_name_first(&in->tree, parent, bare); nr != TREE_NONE;
	     nr = tree_name_next(&in->tree, nr))
		if (is_named(in, nr, parent, bare) && is_shown(in, nr, name))
			return (int)nr;
	/* The name may be longer, and was cut to SHOWN_MAX bytes: compare with every entry of the folder. */
	if (mark - name == SHOWN_MAX)
		for (nr = tree_child(&in->tree, parent, 0); nr != TREE_NONE;
		     nr = tree_child(&in->tree, parent, nr + 1))
			if (is_shown(in, nr, name))
				return (int)nr;
	return -1;
}

int inode_lookup(struct inodes *in, const struct gvm_id *parent, const char *name)
{
	int nr = named(in, parent, name);

	return nr >= 0 ? nr : shown(in, parent, name);
}

unsigned inode_child(struct inodes *in, const struct gvm_id *folder, unsigned nr)
{
	return tree_child(&in->tree, folder, nr);
}

bool inode_has_children(struct inodes *in, const struct gvm_id *folder)
{
	return inode_child(in, folder, 0) != TREE_NONE;
}

void inode_set_use(struct inodes *in, unsigned nr, enum inode_use use)
{
	journal_publish32(&inode_disk(in, nr)->use, use);
	tree_follow(in, nr);
}

int inode_know(struct inodes *in, struct inode *inode)
{
	if (in->j->super->seal_id && !inode->known)
		inode->known = journal_known_map(in->j, inode->nr);
	return in->j->super->seal_id && !inode->known ? -ENOMEM : 0;
}

static void inode_unknow(struct inode *inode)
{
	journal_known_unmap(inode->known);
	inode->known = NULL;
}

void inode_lease_told(struct inodes *in, struct inode *inode)
{
	if (inode->leasing)
		TAILQ_REMOVE(&in->leasing, inode, lease_entry);
	inode->leasing = false;
}

void inode_set_epoch(struct inodes *in, struct inode *inode, uint64_t epoch)
{
	struct journal_inode *d = inode->disk;

	if (epoch && !d->epoch)
		LIST_INSERT_HEAD(&in->attached, inode, attached_entry);
	else if (!epoch && d->epoch)
		LIST_REMOVE(inode, attached_entry);
	if (!epoch)
		inode_lease_told(in, inode);
	journal_publish64(&d->epoch, epoch);
	/* With wbufs left, a writer thread may still read the map for a flush of the region. */
	if (!epoch && !inode->wbufs)
		inode_unknow(inode);
}

void inode_set_gone(struct inodes *in, unsigned nr)
{
	inode_disk(in, nr)->rec.kind = RECORD_GONE;
	inode_set_use(in, nr, INODE_UNLINKED);
}

void inode_set_record(struct inodes *in, unsigned nr, const struct record *rec)
{
	in->j->super->coming = *rec;
	coming_publish(in, nr);
}

void inode_set_name(struct inodes *in, unsigned nr, const struct gvm_id *parent, const char *name, uint64_t seal)
{
	struct record *r = &in->j->super->coming;

	*r = inode_disk(in, nr)->rec;
	r->parent = *parent;
	r->seal = seal;
	snprintf(r->name, sizeof(r->name), "%s", name);
	coming_publish(in, nr);
}

int inode_alloc(struct inodes *in, const struct record *rec)
{
	unsigned nr = tree_free(&in->tree);
	struct journal_inode *d;

	if (nr == TREE_NONE || !inode_get(in, nr))
		return -1;
	if (nr >= in->end) {
		in->end = nr + 1;
		journal_publish32(&in->j->super->inodes_end, in->end);
	}
	d = inode_disk(in, nr);
	d->generation++;
	d->lookups = 0;
	d->epoch = 0;
	d->replicas = 0;
	d->failed = 0;
	d->cache_stale = 0;
	d->last_epoch = 0;
	d->local_bytes = 0;
	d->core = (struct core_facts){ .low_bytes = 0 };
	d->times_owed = 0;
	d->resident_peak = 0;
	memset(&d->stats, 0, sizeof(d->stats));
	memset(&d->latency, 0, sizeof(d->latency));
	d->tail_from = 0;
	d->tail_unique = 0;
	d->cut_version = 0;
	d->cut_to_plus_1 = 0;
	d->room_owed = 0;
	d->trims = 0;
	d->seal = 0;
	d->found = SEAL_FOUND_NOTHING;
	d->view_saved = 0;
	d->end_cached = 0;
	d->rec = *rec;
	inode_set_use(in, nr, INODE_USED);
	return (int)nr;
}

void inode_reap(struct inodes *in, unsigned nr)
{
	struct journal_inode *d = inode_disk(in, nr);
	struct inode *rt = in->rt[nr];

	if (!nr || d->use != INODE_UNLINKED || d->rec.kind != RECORD_GONE || d->lookups || !rt)
		return;
	if (rt->busy || rt->opens || rt->wbufs || rt->entries || rt->asking || rt->emptying || rt->in_handshake ||
	    rt->resident || rt->parked || rt->times_saving || rt->watch_listed || rt->replicas)
		return;
	if (rt->times_due_ns)
		TAILQ_REMOVE(&in->times_due[rt->times_delay], rt, times_entry);
	if (d->epoch)
		inode_set_epoch(in, rt, 0);
	inode_unknow(rt);
	journal_index_clear(in->j, nr, 0);
	in->rt[nr] = NULL;
	free(rt->watch);
	free(rt->readahead);
	free(rt->readahead_views);
	free(rt);
	in->gone[in->gone_count++ % INODES_GONE] = d->rec.id;
	inode_set_use(in, nr, INODE_FREE);
}

bool inode_was_reaped(const struct inodes *in, const struct gvm_id *id, uint64_t since)
{
	if (in->gone_count - since > INODES_GONE)
		return true;
	for (uint64_t i = since; i < in->gone_count; i++)
		if (gvm_id_equal(&in->gone[i % INODES_GONE], id))
			return true;
	return false;
}

void inode_acquire(struct inode *inode, struct task *task)
{
	if (inode->busy) {
		STAILQ_INSERT_TAIL(&inode->waiting, task, in);
		return;
	}
	inode->busy = true;
	task->run(task);
}

bool inode_forgo(struct inode *inode, const struct task *task)
{
	struct task *t;

	STAILQ_FOREACH(t, &inode->waiting, in)
		if (t == task) {
			STAILQ_REMOVE(&inode->waiting, t, task, in);
			return true;
		}
	return false;
}

bool inode_lend(struct inode *inode, struct task *task)
{
	struct task *t;

	assert(inode->busy);
	STAILQ_FOREACH(t, &inode->waiting, in)
		if (t->beside)
			break;
	if (!t)
		return false;
	STAILQ_REMOVE(&inode->waiting, t, task, in);
	STAILQ_INSERT_HEAD(&inode->waiting, task, in);
	t->run(t);
	return true;
}

void inode_release(struct inodes *in, struct inode *inode)
{
	struct task *next = STAILQ_FIRST(&inode->waiting);

	assert(inode->busy && in->rt[inode->nr] == inode);
	if (next) {
		STAILQ_REMOVE_HEAD(&inode->waiting, in);
		next->run(next);
		return;
	}
	inode->busy = false;
	inode_reap(in, inode->nr);
}

/* Times before 1970 are negative, in two's complement. */
static struct timespec ns_to_timespec(uint64_t ns)
{
	int64_t s = (int64_t)ns / 1000000000, rest = (int64_t)ns % 1000000000;

	if (rest < 0) {
		s--;
		rest += 1000000000;
	}
	return (struct timespec){ .tv_sec = (time_t)s, .tv_nsec = (long)rest };
}

bool inode_is_empty(const struct inodes *in, unsigned nr)
{
	const _Atomic uint64_t *index = journal_index(in->j, nr);
	uint64_t chunks = record_chunks(in->j->inodes[nr].rec.size_bytes);

	if (chunks > EMPTY_LOOK_CHUNKS)
		return false;
	for (uint64_t c = 0; c < chunks; c++)
		if (index[c] && !(index[c] & GVM_VERSION_ZERO))
			return false;
	return true;
}

/* Our last attachment ended without data, and by the nodes' answer since then no other host has attached it (its
 * epoch would be higher). */
static bool was_left_empty(const struct inode *rt)
{
	return rt->empty_epoch && rt->held_known && rt->held_epoch == rt->empty_epoch;
}

/*
 * The bytes that the nodes hold, as far as is known. 0 is returned only if the region certainly has no data:
 * some programs do not read a file without blocks (tar --sparse).
 */
static uint64_t inode_held_bytes(const struct inodes *in, unsigned nr)
{
	const struct inode *rt = in->rt[nr];
	uint64_t held = rt && rt->held_bytes ? rt->held_bytes : GVM_PAGE_BYTES;

	if (!in->j->inodes[nr].rec.size_bytes)
		return 0;
	if (!rt || rt->wbufs || rt->opens_dirtying || rt->resident)
		return held;
	return (in->j->inodes[nr].epoch ? inode_is_empty(in, nr) : was_left_empty(rt)) ? 0 : held;
}

void inode_held_set(struct inode *inode, int result, uint64_t bytes, uint64_t epoch)
{
	if (!result)
		inode->held_bytes = bytes;
	inode->held_known = !result;
	inode->held_epoch = epoch;
	inode->held_at_ns = gvm_now_ns();
}

bool inode_held_is_fresh(const struct inode *inode)
{
	/* A region that we left empty is asked about each time: any host may write to it at any moment. */
	return inode->held_at_ns && (!inode->empty_epoch || inode->opens_write) &&
	       gvm_now_ns() - inode->held_at_ns < HELD_FRESH_NS;
}

void inode_stat(struct inodes *in, unsigned nr, struct stat *st)
{
	const struct journal_inode *d = inode_disk(in, nr);
	const struct record *r = &d->rec;
	bool folder = r->kind == RECORD_FOLDER || nr == 0;

	memset(st, 0, sizeof(*st));
	st->st_ino = inode_ino(nr);
	st->st_mode = (folder ? S_IFDIR : S_IFREG) | r->mode;
	st->st_nlink = d->use == INODE_UNLINKED ? 0 : folder ? 2 : 1;
	st->st_uid = r->uid;
	st->st_gid = r->gid;
	st->st_size = (off_t)(d->tail_from ? d->tail_from : r->size_bytes);
	st->st_blksize = GVM_CHUNK_BYTES;
	st->st_blocks = (blkcnt_t)((inode_held_bytes(in, nr) + 511) / 512);
	st->st_mtim = ns_to_timespec(r->mtime_ns);
	st->st_ctim = ns_to_timespec(r->ctime_ns);
	st->st_atim = st->st_mtim;
}
