/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inode.h - files and folders as the kernel knows them: the tree, references, open files.
 *
 * What must outlive a worker stands in the journal (struct journal_inode, journal_handle); struct
 * inode is what a worker can rebuild or do without. Front thread only.
 */
#ifndef GVMFS_INODE_H
#define GVMFS_INODE_H

#include "gvm_client.h"
#include "journal.h"
#include "tree.h"

#include <sys/queue.h>
#include <sys/stat.h>

TAILQ_HEAD(store_writes, store_write);

/* Something that runs when its turn comes: embedded in what it is about. */
struct task {
	void (*run)(struct task *task);
	STAILQ_ENTRY(task) in;
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
	_Atomic uint64_t *index;    /* and of its chunks: journal_index() */
	struct seal_known *known;   /* of a sealed region, while it is attached: journal_known_map() */
	bool busy; /* a task has it: see inode_acquire() */
	STAILQ_HEAD(, task) waiting; /* for it, in their order */
	LIST_ENTRY(inode) attached_entry;
	uint64_t balance_ns; /* before it nothing of it moves by node/balance.h; 0: it was not looked at since it is attached */
	unsigned opens, opens_write;
	unsigned opens_cached; /* that may put pages into the page cache */
	unsigned opens_dirtying; /* and of these, those that may store to them through a mapping */
	unsigned slots; /* of the journal, that hold its unacknowledged writes */
	struct store_writes writes; /* and punches that are not answered, in the order in which they came: they have a slot,
				     * or may need one */
	struct store_writes wide_writes; /* of these, those of many chunks: fuse/write.h */
	unsigned fills; /* READs for the page cache that are not answered */
	uint32_t fills_seen; /* of these, all that ever came */
	bool emptying; /* its page cache is, at the beginning of the fast path */
	bool empty_again; /* and once more then */
	bool fill_refused; /* one was, since the fast path began: that is said once */
	unsigned entries; /* of the cache, that hold its chunks */
	uint32_t nodes_generation;
	struct gvm_conn *nodes[RECORD_NODES_MAX]; /* as pool_node() said at nodes_generation */
	struct replicas *replicas; /* of an attached region with more than one of each slot; else NULL */
	unsigned plain; /* flushes under way that `replicas` does not know of: they began without it */
	struct flush *unstored;	   /* flushes that some replica has, and that are not stored yet: store/sender.h */
	uint64_t held_bytes; /* on the nodes, as last asked */
	uint64_t held_at_ns; /* 0: not since the last writer closed it */
	uint32_t lone_rotten; /* chunks without another copy that a node said are rotten, when it was asked last (scrub.h) */
	bool held_known;      /* those that were asked all answered then, and said: */
	uint64_t held_epoch;  /* of the writer that attached last */
	uint64_t empty_epoch; /* of our last attachment, if there was no data at its end */
	bool asking; /* how many they are now: see held.h */
	STAILQ_HEAD(, op) askers;
	uint8_t writer; /* then: GVM_WRITER_*, the most that a node said */
	uint64_t seen_epoch; /* then: of the writer that attached last */
	uint64_t times_due_ns; /* when its times are to be saved; 0: they are, and it is in no list of them */
	unsigned times_delay;  /* in which list: of times_due */
	TAILQ_ENTRY(inode) times_entry;
	bool times_saving;     /* a save of them is under way */
	bool times_flushed;    /* at the end: they have been tried */
	struct watch *watch;  /* of what the page cache has of it: watch.h; NULL: nothing was needed yet */
	bool watch_listed;    /* watch.h has something to do for it: it stays */
	bool watch_paused;    /* a writer of this host is about to get it */
	uint64_t reported_ns; /* region_report() said something */
	unsigned unreported;  /* times it did not */
	int unbacked_hold;    /* ends the limit of whoever asked for too much (unbacked.h); -1: none */
	struct readahead *readahead; /* of the page cache's READs; NULL: there was none yet */
	struct resident *resident; /* the fast path serves it; NULL: the page cache does */
	bool in_handshake;	   /* it is about to: handshake.h has it */
	bool held_up; /* the fast path cannot serve it yet, and nobody else may: lookout.h */
	struct close_wait *closing; /* has the inode, and waits for a RELEASE: closes.h; NULL: nothing does */
	struct task *parked;	   /* has the inode, and waits for the end of the fast path */
	struct stats *stats;	   /* in the journal: they go on when a worker is replaced */
};

LIST_HEAD(inode_list, inode);
TAILQ_HEAD(inode_queue, inode);

/* How long times.h waits before it saves. */
enum times_delay { TIMES_NOW, TIMES_SOON, TIMES_LATER, TIMES_DELAYS };

#define INODES_GONE 64u

#define HANDLE_HEADS 4096u

/* The journal's handles: by request, and those that are free. Handle + 1; 0: none. */
struct handles {
	uint16_t first[HANDLE_HEADS], next[JOURNAL_HANDLES];
	uint16_t free;
};

struct inodes {
	struct journal *j;
	struct tree tree;
	struct handles handles;
	struct inode *rt[JOURNAL_INODES]; /* made when first needed */
	unsigned end;			  /* entries from here on were never used */
	struct gvm_id gone[INODES_GONE];  /* whose entries were freed, the last ones */
	uint64_t gone_count;		  /* all that ever were */
	struct inode_queue times_due[TIMES_DELAYS]; /* of times.h: each in the order in which they are due */
	struct inode_list attached;	  /* with an epoch of ours: inode_set_epoch() */
};

/* Finds what the journal has: 0 or a negative errno. */
int inodes_init(struct inodes *in, struct journal *j);

/* The runtime part of entry nr (made if need be); NULL without memory. */
struct inode *inode_get(struct inodes *in, unsigned nr);
static inline struct journal_inode *inode_disk(struct inodes *in, unsigned nr)
{
	return &in->j->inodes[nr];
}

/* The view of the slot table that nodes are told, and no later one: who was told refuses whoever knows only an earlier one,
 * and all can know it when the name table has it. */
static inline uint64_t inode_view_told(const struct journal_inode *d)
{
	return d->view_saved ? d->view_saved : d->rec.view;
}

/* By the kernel's node id: NULL if that is not one of ours. */
struct inode *inode_by_ino(struct inodes *in, uint64_t ino);
static inline uint64_t inode_ino(unsigned nr)
{
	return nr + 1;
}

/* Entry number of a name in a folder or of an id; -1: none. Unlinked ones have no name. Where two
 * hosts made the same name, the newer record has it; the older shows as `name~<first id bytes>`. */
int inode_lookup(struct inodes *in, const struct gvm_id *parent, const char *name);
int inode_by_id(struct inodes *in, const struct gvm_id *id);
/* The first entry of a folder with a number of at least nr; TREE_NONE: there is none. */
unsigned inode_child(struct inodes *in, const struct gvm_id *folder, unsigned nr);
bool inode_has_children(struct inodes *in, const struct gvm_id *folder);
/* It is in no folder any more. What is open here asks the nodes on, until they say LOST: where it lies is not
 * forgotten, since no nodes would mean zeros. */
void inode_set_gone(struct inodes *in, unsigned nr);
/* The name under which an entry is listed (see inode_lookup); buf: RECORD_NAME_MAX + 1. */
const char *inode_shown_name(struct inodes *in, unsigned nr, char *buf);

/* A free entry, filled from `rec` and published; -1: the table is full. */
int inode_alloc(struct inodes *in, const struct record *rec);
/* The epoch of our attachment as its writer; 0: there is none (any more). */
void inode_set_epoch(struct inodes *in, struct inode *inode, uint64_t epoch);
/* Before that, of a mount that seals: what is known of its pages has a place. 0 or -ENOMEM. */
int inode_know(struct inodes *in, struct inode *inode);
/* Change what an entry is, its whole record (not the entry's own), or what it is called and where; name: perhaps
 * that in its record already. A successor finds the change made or not, never half of it. */
void inode_set_use(struct inodes *in, unsigned nr, enum inode_use use);
void inode_set_record(struct inodes *in, unsigned nr, const struct record *rec);
void inode_set_name(struct inodes *in, unsigned nr, const struct gvm_id *parent, const char *name);
/* Frees the entry if it is unlinked, closed, unknown to the kernel and nothing is under way. */
void inode_reap(struct inodes *in, unsigned nr);
/* Whether (for all we know) the entry of `id` was freed since gone_count was `since`. */
bool inode_was_reaped(const struct inodes *in, const struct gvm_id *id, uint64_t since);

/* Runs `task` when no other has the inode; inode_release() passes it on. */
void inode_acquire(struct inode *inode, struct task *task);
void inode_release(struct inodes *in, struct inode *inode);

/* The index, which is ours (attached), has no chunk with data. False if that takes long to tell. */
bool inode_is_empty(const struct inodes *in, unsigned nr);

/* The nodes told, or not (a negative errno), how many bytes they hold of it, and the epoch of its last writer. */
void inode_held_set(struct inode *inode, int result, uint64_t bytes, uint64_t epoch);
/* That was asked a moment ago. */
bool inode_held_is_fresh(const struct inode *inode);
void inode_stat(struct inodes *in, unsigned nr, struct stat *st);

enum handle_how {
	HANDLE_WRITE = 1,
	HANDLE_DIRECT = 2, /* past the page cache */
};

/* Finds the journal's open files, and counts them, after inodes_init(): 0 or a negative errno. */
int handles_init(struct inodes *in);
/* Opens and closes a file handle (`how`: enum handle_how). `unique` is the request's: one that comes a
 * second time (resent to a successor) gets the handle that the first made. 0 or -ENFILE. A handle has
 * parts of `unique` in it: a RELEASE that comes a second time does not close what has been opened
 * since. */
int handle_open(struct inodes *in, unsigned nr, unsigned how, uint64_t unique, uint64_t *handle);
/* How a handle was opened; 0 if there is no such handle. */
unsigned handle_how(const struct inodes *in, uint64_t handle);
/* The handle's inode number, or -1 if there is no such handle (any more). */
int handle_close(struct inodes *in, uint64_t handle, bool *write);

#endif
