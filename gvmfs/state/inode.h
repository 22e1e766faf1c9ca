/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inode.h - files and folders as the kernel knows them: the tree, references, open files.
 *
 * State that must outlive a worker is in the journal (struct journal_inode, journal_handle); struct
 * inode has what a worker can rebuild or do without. Front thread only.
 */
#ifndef GVMFS_INODE_H
#define GVMFS_INODE_H

#include "gvm_client.h"
#include "journal.h"
#include "tree.h"

#include <sys/queue.h>
#include <sys/stat.h>

TAILQ_HEAD(store_writes, store_write);
TAILQ_HEAD(spill_places, spill_place);
LIST_HEAD(spill_shares, spill_share);

/* A callback that waits in a queue; embedded in the object that it works on. */
struct task {
	void (*run)(struct task *task);
	STAILQ_ENTRY(task) in;
	bool beside; /* one that holds the inode may have to wait for what it does: inode_lend() */
};

struct flush;
struct op;
struct readahead;
struct replicas;
struct resident;
struct store_write;
struct watch;

struct inode {
	unsigned nr;
	struct journal_inode *disk; /* its entry in the journal, for as long as this struct lives */
	_Atomic uint64_t *index;    /* its chunk index in the journal: journal_index() */
	struct seal_known *known;   /* of a sealed region, while it is attached: journal_known_map() */
	bool busy; /* a task holds it: see inode_acquire() */
	STAILQ_HEAD(, task) waiting; /* tasks that wait for it, first come first served */
	LIST_ENTRY(inode) attached_entry;
	bool leasing; /* in inodes->leasing: its nodes from lease_node on are yet to be told its lease (node/region_lease.h) */
	unsigned lease_node;
	TAILQ_ENTRY(inode) lease_entry;
	uint64_t balance_ns; /* node/balance.h moves nothing of it before this time; 0: no look since the attach */
	unsigned opens, opens_write;
	unsigned opens_cached; /* opens that may put pages into the page cache */
	unsigned opens_dirtying; /* of opens_cached, those that may store to these pages through a mapping */
	unsigned wbufs; /* journal wbufs that hold its unacknowledged writes, and `spilled` */
	unsigned spilled; /* places that do: store/spill.h */
	unsigned spill_left; /* of these, places that a predecessor left and that were not adopted yet */
	struct spill_places spilled_places; /* the others, oldest first; valid while there are some */
	struct spill_slot *spill_slots; /* the same places, by the record's slots; NULL: there are none */
	struct spill_shares spill_shares;
	bool spill_dropped; /* what it has spilled counts as gone, and is freed in steps */
	TAILQ_ENTRY(inode) spill_dropping; /* then: store->dropping */
	uint64_t synced; /* wbufs with order numbers up to this one are not to collect: an fsync waits for them, or did */
	struct store_writes writes; /* unanswered WRITEs and punches, in the order in which they came: each has a
				     * journal wbuf or may need one */
	struct store_writes wide_writes; /* of these, those of many chunks: fuse/write.h */
	bool cutting; /* it is about to get a smaller size, cut_bytes: store_cut_begin() */
	uint64_t cut_bytes;
	unsigned fills; /* READs into the page cache that are in flight */
	uint32_t fills_seen; /* READs into the page cache so far, with those answered */
	bool emptying; /* its page cache is being emptied, as the fast path begins */
	bool empty_again; /* empty it once more after that */
	bool fill_refused; /* a READ into the page cache was refused since the fast path began: logged once */
	unsigned entries; /* entries of the cache (store/cache.h) that hold its chunks */
	uint32_t nodes_generation;
	struct gvm_conn *nodes[RECORD_NODES_MAX]; /* what pool_node() returned at nodes_generation */
	struct replicas *replicas; /* of an attached region with several replicas a slot; else NULL */
	unsigned plain; /* flushes in flight that began without `replicas`, which does not count them */
	struct flush *unstored;	   /* flushes that a replica has but that are not stored yet: store/sender.h */
	uint64_t held_bytes; /* on the nodes, by their last answer */
	uint64_t held_at_ns; /* when they answered; 0: not since the last writer closed it */
	uint32_t lone_rotten; /* rotten chunks without another copy, by the last scrub (scrub.h) */
	uint32_t scrubs;      /* so often all of its nodes have looked at all that they have */
	bool held_known;      /* all nodes that were asked then answered; so this is valid: */
	uint64_t held_epoch;  /* epoch of the last writer then */
	uint64_t empty_epoch; /* epoch of our last attachment, if the region had no data at its end */
	bool asking; /* the nodes are being asked for held_bytes: held.h */
	STAILQ_HEAD(, op) askers; /* ops that wait for the answer */
	uint8_t writer; /* by that answer: the highest GVM_WRITER_* of any node */
	uint64_t seen_epoch; /* by that answer: the last writer's epoch */
	uint64_t times_due_ns; /* when its times are to be saved; 0: they are saved, and it is in no times_due list */
	unsigned times_delay;  /* index of its times_due list */
	TAILQ_ENTRY(inode) times_entry;
	bool times_saving;     /* a save of its times is in flight */
	bool times_flushed;    /* as the mount ends: the save was tried */
	struct watch *watch;  /* on its pages in the page cache: watch.h; NULL: none was needed yet */
	bool watch_listed;    /* in watch.h's list: must not be freed */
	bool watch_paused;    /* a writer of this host is about to attach it */
	uint64_t reported_ns; /* when region_report() logged last */
	unsigned unreported;  /* reports suppressed since */
	uint64_t lost_ns;     /* when it logged last that pages are lost; 0: never */
	unsigned lost_untold; /* reports of that suppressed since */
	int unbacked_hold;    /* a write to it ends the limit on the process's memory (unbacked.h); -1: none */
	struct readahead *readahead; /* of the page cache's READs; NULL: there was none yet */
	struct readahead *readahead_views; /* of those through its views, which say nothing of how the region is used */
	struct resident *resident; /* the fast path serves it; NULL: the page cache does */
	bool in_handshake;	   /* a client's handshake, or a session with held_up, has it: handshake.h */
	bool held_up; /* a predecessor's call may still change its memory, so nothing serves it: lookout.h */
	struct close_wait *closing; /* holds the inode and waits for a RELEASE: closes.h; NULL: none */
	struct task *parked;	   /* holds the inode and waits for the end of the fast path; NULL: none */
	uint64_t give_until_ns; /* until then it may be settled: fuse/front_give.c; 0: it was not asked for */
	struct stats *stats;	   /* in the journal, so that a successor goes on counting */
};

LIST_HEAD(inode_list, inode);
TAILQ_HEAD(inode_queue, inode);

/* How soon times.h saves. */
enum times_delay { TIMES_NOW, TIMES_SOON, TIMES_LATER, TIMES_DELAYS };

#define INODES_GONE 64u

#define HANDLE_HEADS 4096u

/* Who has handles. */
struct handle_user {
	uint32_t user;
	uint16_t count, next;
};

/* The journal's handles: chains by the OPEN's `unique`, and a free list; likewise of the users. Each link is an index + 1; 0: end. */
struct handles {
	uint16_t first[HANDLE_HEADS], next[JOURNAL_HANDLES];
	uint16_t free;
	unsigned left; /* so many are free */
	struct handle_user user[JOURNAL_HANDLES];
	uint16_t user_first[HANDLE_HEADS], user_free, user_of[JOURNAL_HANDLES];
};

struct inodes {
	struct journal *j;
	struct tree tree;
	struct handles handles;
	struct inode *rt[JOURNAL_INODES]; /* made when first needed */
	unsigned end;			  /* entries from here on were never used */
	struct gvm_id gone[INODES_GONE];  /* ids of the entries that were freed last: a ring */
	uint64_t gone_count;		  /* entries freed so far */
	struct inode_queue times_due[TIMES_DELAYS]; /* for times.h: each list in the order of times_due_ns */
	struct inode_list attached;	  /* with an epoch of ours: inode_set_epoch() */
	struct inode_queue leasing;	  /* of these, those whose nodes are just being told */
	uint64_t unsettled[TREE_WORDS];	  /* bits: inode_is_unsettled() when this worker started */
};

/* Sets up `in` from the journal: 0 or a negative errno. Faults wait for it after a worker's death: it maps no entry of
 * which nothing is needed. */
int inodes_init(struct inodes *in, struct journal *j);

/* Whether a worker may have begun something about the entry that is to be finished after its death. Of most it has
 * not. */
bool inode_is_unsettled(const struct journal_inode *d);

/* The struct inode of entry nr, made if need be; NULL: no memory. Owned by `in`, until inode_reap(). */
struct inode *inode_get(struct inodes *in, unsigned nr);
static inline struct journal_inode *inode_disk(struct inodes *in, unsigned nr)
{
	return &in->j->inodes[nr];
}

/* How many replicas of each slot a region has, or, as long as it has no size, is to have; `of_mount`: by the option. */
static inline unsigned inode_replicas(const struct journal_inode *d, unsigned of_mount)
{
	return d->rec.node_count ? d->rec.replicas : d->replicas ? d->replicas : of_mount;
}

/* The view of the slot table to tell the nodes: the one that the name table has. A node that was told a later view
 * would refuse every host that knows only the name table's. */
static inline uint64_t inode_view_told(const struct journal_inode *d)
{
	return d->view_saved ? d->view_saved : d->rec.view;
}

/* By the kernel's node id; NULL: no such inode (or no memory). */
struct inode *inode_by_ino(struct inodes *in, uint64_t ino);
static inline uint64_t inode_ino(unsigned nr)
{
	return nr + 1;
}

/* Entry number of a name in a folder or of an id; -1: none. Unlinked entries have no name. If two
 * hosts made the same name, the newer record keeps it; the older shows as `name~<first id bytes>`. */
int inode_lookup(struct inodes *in, const struct gvm_id *parent, const char *name);
int inode_by_id(struct inodes *in, const struct gvm_id *id);
/* The folder's first entry with a number >= nr; TREE_NONE: none. */
unsigned inode_child(struct inodes *in, const struct gvm_id *folder, unsigned nr);
bool inode_has_children(struct inodes *in, const struct gvm_id *folder);
/* The file was removed (by any host), so it leaves its folder. Files that are open here keep asking its nodes until
 * these answer LOST: the record keeps its nodes, since a record without nodes reads as zeros. */
void inode_set_gone(struct inodes *in, unsigned nr);
/* The name under which an entry is listed (see inode_lookup); buf: RECORD_NAME_MAX + 1. */
const char *inode_shown_name(struct inodes *in, unsigned nr, char *buf);

/* Fills a free entry from `rec`, publishes it and returns its number; -1: the table is full, or no memory. */
int inode_alloc(struct inodes *in, const struct record *rec);
/* Takes it out of `leasing`, if it is there. */
void inode_lease_told(struct inodes *in, struct inode *inode);
/* Sets the epoch of our attachment as its writer; 0: not attached. */
void inode_set_epoch(struct inodes *in, struct inode *inode, uint64_t epoch);
/* Maps inode->known, if the mount seals; to be called before an epoch is set. 0 or -ENOMEM. */
int inode_know(struct inodes *in, struct inode *inode);
/* Change an entry's use, its whole record (`rec` must not be the entry's own), or its folder, name and seal (`name` may be
 * the record's own). A successor finds the whole change or nothing of it. */
void inode_set_use(struct inodes *in, unsigned nr, enum inode_use use);
void inode_set_record(struct inodes *in, unsigned nr, const struct record *rec);
void inode_set_name(struct inodes *in, unsigned nr, const struct gvm_id *parent, const char *name, uint64_t seal);
/* Frees the entry if it is unlinked, closed, unknown to the kernel and nothing uses it. */
void inode_reap(struct inodes *in, unsigned nr);
/* Whether the entry of `id` was freed since gone_count was `since`; also true if too many were freed to tell. */
bool inode_was_reaped(const struct inodes *in, const struct gvm_id *id, uint64_t since);

/* Runs `task`, which then holds the inode, as soon as no other task does: perhaps at once. inode_release() hands the
 * inode to the next task, or may free it. */
void inode_acquire(struct inode *inode, struct task *task);
/* True: the task waited for its turn, and will not run. */
bool inode_forgo(struct inode *inode, const struct task *task);
void inode_release(struct inodes *in, struct inode *inode);
/* The caller holds the inode: if a task that may run beside it waits, that one runs first, and then `task`, which holds the
 * inode again, before all others. False: none waits. */
bool inode_lend(struct inode *inode, struct task *task);

/* Whether the index of an attached region has no chunk with data. False if the index is too long to look through. */
bool inode_is_empty(const struct inodes *in, unsigned nr);

/* Notes the nodes' answer: 0 with the bytes that they hold and the last writer's epoch, or a negative errno. */
void inode_held_set(struct inode *inode, int result, uint64_t bytes, uint64_t epoch);
/* Whether that answer is recent enough to show. */
bool inode_held_is_fresh(const struct inode *inode);
void inode_stat(struct inodes *in, unsigned nr, struct stat *st);

enum handle_how {
	HANDLE_WRITE = 1,
	HANDLE_DIRECT = 2, /* bypasses the page cache */
};

/* Counts the journal's open files; after inodes_init(). 0 or a negative errno. */
int handles_init(struct inodes *in);
/* Makes a file handle (`how`: enum handle_how). `unique` is the request's: a request that is resent to a
 * successor gets the handle that it made the first time. `unique` is part of the
 * handle, so that a resent RELEASE does not close a file that was opened since. 0; -ENFILE: there is none; -EMFILE: a user
 * (`uid`) but root and gvmfs's own may have as many as are left to others, and has. */
int handle_open(struct inodes *in, unsigned nr, unsigned how, uid_t uid, uint64_t unique, uint64_t *handle);
/* How a handle was opened; 0 if there is no such handle. */
unsigned handle_how(const struct inodes *in, uint64_t handle);
/* Frees the handle and returns its inode number; -1: no such handle (any more). *write: it was open for writing. */
int handle_close(struct inodes *in, uint64_t handle, bool *write);

#endif
