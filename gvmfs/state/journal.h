/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal.h - everything that must outlive a killed worker, in one memfd.
 *
 * The supervisor holds the memfd; a worker maps it and works in it; its successor maps the same
 * bytes and goes on. So it has no pointers, and each entry becomes valid by one final
 * store (journal_publish32/64), since a worker may be killed between any two instructions.
 *
 * Layout (sparse; untouched parts take no memory):
 *	super | inodes[JOURNAL_INODES] | handles[JOURNAL_HANDLES] | wbufs[JOURNAL_WBUFS]
 *	| sessions[JOURNAL_SESSIONS] | views (JOURNAL_INODES x RECORD_SLOTS words)
 *	| tails (JOURNAL_INODES x a page) | notes (JOURNAL_INODES x CORE_NOTE_MAX)
 *	| wbuf data (JOURNAL_WBUFS x 128 KiB) | spill[JOURNAL_SPILL] | spill counts by inode (JOURNAL_INODES words)
 *	| spill buckets (JOURNAL_SPILL words) | spill data (JOURNAL_SPILL x 128 KiB)
 *	| chunk index (JOURNAL_INODES x 1 GiB of address space)
 *	| seal_known of sealed pages (JOURNAL_INODES x 32 GiB, mapped one by one: journal_known_map())
 *
 * Only the worker's front thread writes to it, with these exceptions: the job thread fills the chunk index
 * of an inode that is being attached (region.c), and notes that a region is being cut (region_jobs.c); any thread adds to
 * the counters of stats.h; the
 * supervisor notes where it mounted, and which descriptors it keeps for a session (keeper.h).
 */
#ifndef GVMFS_JOURNAL_H
#define GVMFS_JOURNAL_H

#include "core.h"
#include "gvm_wire.h"
#include "latency.h"
#include "record.h"
#include "seal.h"
#include "stats.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/types.h>

#ifndef JOURNAL_INODES
#define JOURNAL_INODES	     4096u /* a multiple of 64 */
#endif
#define JOURNAL_HANDLES	     8192u
#ifndef JOURNAL_WBUFS
#define JOURNAL_WBUFS	     128u
#endif
#ifndef JOURNAL_SPILL
#define JOURNAL_SPILL	     262144u
#endif
#define JOURNAL_SESSIONS     512u /* a multiple of 64 */
#define JOURNAL_INDEX_BYTES  (1ull << 30) /* per inode: 2^27 chunks of 8 bytes, 16 TiB of region */
#define JOURNAL_CHUNKS_MAX   (JOURNAL_INDEX_BYTES / 8)
#define JOURNAL_KNOWN_BYTES  (JOURNAL_CHUNKS_MAX * sizeof(struct seal_known)) /* per inode */
#define JOURNAL_INIT_MAX     256u
#define JOURNAL_PATH_MAX     108u /* of a UNIX socket's address */

_Static_assert(JOURNAL_CHUNKS_MAX * GVM_CHUNK_BYTES == RECORD_SIZE_MAX,
	       "a record's size is trusted to fit the index");

/* A memory node that was added to the running mount (fuse/front_nodes.c), after those of the command line. */
#define JOURNAL_NODES	 128u
#define JOURNAL_RENEWED	 75 /* exit status of a worker that ends for a successor to start with one more node */
#define JOURNAL_RACK_MAX 31u
struct journal_node {
	char addr[RECORD_ADDR_MAX];
	char rack[JOURNAL_RACK_MAX + 1]; /* "": in a rack of its own */
};

struct journal_super {
	uint64_t magic;
	uint64_t client; /* writer identity towards the nodes, the same for every successor */
	uint32_t starts; /* workers started so far */
	uint32_t can_resend; /* the kernel resends unanswered requests when asked (Linux 6.9) */
	uint32_t init_bytes; /* length of init[] */
	int32_t sign_tid; /* the worker's thread whose end tells the supervisor of a kill: lookout.h */
	int32_t front_tid; /* the worker's front thread */
	uint32_t ended; /* exit status plus 1 of the last worker, if it ended by itself; 0: it did not (yet) */
	uint32_t inodes_end; /* entries from here on were never used */
	uint8_t init[JOURNAL_INIT_MAX]; /* the kernel's INIT request: a successor gets none, libfuse needs one */
	uint64_t seal_id; /* of the key with which the mount seals; 0: it does not seal */
	uint64_t mount_dev; /* the mount's device number; 0: unknown */
	char attach_path[JOURNAL_PATH_MAX]; /* gvm_attach.h's socket; "": there is none */
	struct stats stats;
	struct latency latency[LATENCY_STAGES];
	struct journal_node nodes[JOURNAL_NODES];
	uint32_t node_count; /* of nodes[]; published after the entry. Each worker starts with all of them */
	uint32_t coming_inode; /* the entry whose record is to become `coming`; published after `coming`, and a
				* successor finishes the copy. 0: none (the root has no record) */
	struct record coming;
};

enum inode_use {
	INODE_FREE = 0,
	INODE_USED,
	INODE_UNLINKED, /* has no name any more, but is open or known to the kernel */
};

/* Nodes may have chunks or room that they need no more, or not know of a move (node/replace.h); and, of a region with one
 * copy, the one that something has moved away from may not, for which writes wait (node/drain.h). */
enum inode_trims { TRIMS_ROOM = 1, TRIMS_SETTLE = 2 };

enum seal_wish { SEAL_AS_MOUNT, SEAL_YES, SEAL_NO };

/* Whether it is plain, as it was found when it was opened: seals.h. */
enum seal_found { SEAL_FOUND_NOTHING, SEAL_FOUND_SEALED, SEAL_FOUND_PLAIN };

/* SESSION_TOLD: the client was sent SETTLE, or is being sent it; SESSION_SETTLED: it has answered, the memory is its own. */
enum session_settled { SESSION_SERVED, SESSION_TOLD, SESSION_SETTLED };

/* The guest has all of its memory, and needs the region no more: as if it had failed. */
#define INODE_SETTLED (-ESTALE)

/* One file or folder. The entry's number + 1 is its FUSE node id; number 0 is the root. */
struct journal_inode {
	uint32_t use; /* enum inode_use; published last */
	uint32_t generation;
	uint64_t lookups; /* the kernel's references */
	uint64_t epoch;	  /* of our attachment as the writer; 0: not attached */
	uint32_t replicas; /* how many it is to have once it has a size; 0: as the mount's option says */
	uint32_t failed;  /* a negative errno: the region failed for good (fenced, lost, INODE_SETTLED); 0: it did not */
	uint32_t cache_stale; /* another host may have written since the page cache's pages were read */
	uint32_t seal; /* enum seal_wish: how it is to be made, once it has a size */
	uint32_t found; /* enum seal_found */
	uint64_t last_epoch;  /* of our last attachment; 0: nothing was cached yet */
	uint64_t local_bytes; /* the fast path's budget; 0: none was set */
	uint32_t times_owed; /* rec's times are newer than the name table's: times.h */
	uint32_t end_cached; /* the page cache may have the page that contains the file's end: tail.h */
	uint64_t resident_peak; /* most pages that the fast path had resident */
	struct stats stats;
	struct latency latency[LATENCY_STAGES];
	uint64_t tail_from, tail_to; /* the range that a growth has to zero (tail.h). tail_from, published last, is
				      * the size before the growth, which stat() shows meanwhile; 0: none */
	uint64_t tail_end;    /* where what the growth puts into that page ends: up to it, journal_tail() has it */
	uint64_t tail_unique; /* of the WRITE whose data are there from tail_to on; 0: none */
	uint64_t cut_version; /* version of the zero records that a shrink left on the nodes. The index may have no
			       * entry for such a chunk, so new writes take a higher version; 0: none */
	uint64_t cut_to_plus_1; /* the smaller size that nodes may have cut it to; a successor finishes that. 0: none.
				 * Published before a node is asked, and by the job thread, as cut_version is */
	uint32_t room_owed; /* a growth was begun, and nodes may still keep room for it: sizes.h */
	uint32_t trims; /* enum inode_trims */
	uint64_t view_saved; /* rec.view as it was when the name table last had rec's slots; 0: it has them now */
	struct core_facts core; /* set by setxattr(), as a whole or, by a worker that is killed, in part: hints */
	struct record rec;
};

/* What the nodes have of it is older than what its guest had, and is not shown: to be deleted. */
static inline bool inode_is_settled(const struct journal_inode *d)
{
	return (int)d->failed == INODE_SETTLED || d->rec.settled;
}

/* An open file. */
struct journal_handle {
	uint32_t inode_plus_1; /* 0: free; published last */
	uint32_t how; /* enum handle_how; above these the user's number, without its highest bits: handle.c */
	uint64_t unique; /* of the OPEN or CREATE request: a resent one gets the same handle again */
};

enum wbuf_state {
	WBUF_FREE = 0,
	WBUF_OPEN,   /* takes further writes */
	WBUF_SEALED, /* being sent under `version`; its data are immutable */
};

/* Pages of one chunk that the kernel wrote and the nodes have not acknowledged yet. */
struct journal_wbuf {
	uint32_t state; /* enum wbuf_state; published last */
	uint32_t inode;
	uint64_t chunk;
	uint32_t pages; /* bit p: page p of the wbuf's data is valid; published after the data */
	uint32_t tried;	  /* it was sent under lower versions too: nodes may have them */
	uint64_t version; /* of the PUT; set before WBUF_SEALED; +1 before a sealing mount encrypts and sends again */
};

enum spill_state { SPILL_FREE = 0, SPILL_TAKEN };

/* Pages of one chunk that the kernel wrote, and that wait for a wbuf: store/spill.h. */
struct journal_spill {
	uint32_t state; /* enum spill_state; published last */
	uint32_t inode;
	uint64_t chunk;
	uint32_t pages; /* as in a wbuf; SPILL_FREE: not 0 if the place still takes memory */
	uint32_t used;	/* at some time: the first place that is not is followed by none */
	uint32_t next;	/* in its bucket; 0: it is in none */
};

/* The descriptors of a session: a region that a client maps through the fast path (resident.h). */
enum session_fd {
	SESSION_MEMORY, /* the memfd that the client maps */
	SESSION_MARKS,	/* struct resident_mark for each chunk */
	SESSION_PINS,
	SESSION_UFFD,
	SESSION_SOCKET, /* to the client */
	SESSION_CHANNEL, /* to the visitor's process (visit.h), which has SESSION_UFFD and SESSION_SOCKET open, too */
	SESSION_FDS
};

/* What the fast path has of a region: its successor needs to know at once what else only the marks of all chunks tell. */
struct session_pages {
	uint64_t here; /* so many pages, but for those of one chunk that were just changing */
	uint64_t putting; /* chunk + 1 into which pages were last being put; 0: none */
};

struct journal_session {
	uint32_t kept; /* published by the supervisor when it has the descriptors; 0 again when the session ends */
	uint32_t inode;
	int32_t fd[SESSION_FDS]; /* the supervisor's numbers plus 1, which every worker inherits; 0: none */
	int32_t pid;		 /* of the client */
	uint32_t pinned;	 /* a device pins the whole region */
	uint32_t live;		 /* the client was sent GO, or GO is being sent */
	uint32_t settles;	 /* the client knows SETTLE */
	uint32_t settled;	 /* enum session_settled */
	uint32_t uid;		 /* of the client */
	uint32_t calls;		 /* calls into the client's memory, counted when begun and when ended: lookout.h */
	int32_t caller;		 /* tid of the last such call */
	int32_t server;		 /* tid of the thread that serves the region (uffd/apart.h); 0: the front */
	int32_t held_by;	 /* pid of a predecessor that still has such a call in flight; 0: none */
	uint32_t held_count;	 /* how often a predecessor left one */
	uint64_t address;	 /* of the client's mapping */
	uint64_t bytes;
	struct session_pages pages;
};

struct journal {
	int fd;
	struct journal_super *super;
	struct journal_inode *inodes;
	struct journal_handle *handles;
	struct journal_wbuf *wbufs;
	struct journal_session *sessions;
	uint64_t *views;
	uint8_t *tails;
	uint8_t *notes;
	uint8_t *wbuf_data;
	struct journal_spill *spill;
	uint32_t *spill_counts, *spill_buckets;
	uint8_t *spill_data;
	uint8_t *index;
};

/* Supervisor: makes and maps a new journal. 0 or a negative errno. */
int journal_create(struct journal *j);
/* Worker: maps the journal behind fd. 0 or a negative errno (-EINVAL: another layout). */
int journal_attach(struct journal *j, int fd);
/* Unmaps it (j->fd stays open): for a child process that does not use it and may outlive its parent. */
void journal_detach(const struct journal *j);

static inline uint8_t *journal_wbuf_data(const struct journal *j, unsigned wbuf)
{
	assert(wbuf < JOURNAL_WBUFS);
	return j->wbuf_data + (size_t)wbuf * GVM_CHUNK_BYTES;
}

/* Of an attached inode whose slots have several replicas: one word of node/views.h for each slot. */
static inline uint64_t *journal_views(const struct journal *j, unsigned inode)
{
	assert(inode < JOURNAL_INODES);
	return j->views + (size_t)inode * RECORD_SLOTS;
}

/* What a growth puts into the page of the old end, at its place in the page: fuse/tail.h. */
static inline uint8_t *journal_tail(const struct journal *j, unsigned inode)
{
	return j->tails + (size_t)inode * GVM_PAGE_BYTES;
}

/* The note of a guest's kernel, `core.note_bytes` of it. */
static inline uint8_t *journal_note(const struct journal *j, unsigned inode)
{
	assert(inode < JOURNAL_INODES);
	return j->notes + (size_t)inode * CORE_NOTE_MAX;
}

/*
 * The chunk index of an inode: for each chunk its version and, in bit 63 (GVM_VERSION_ZERO),
 * whether the chunk is all zero; 0: never written. It has acknowledged versions only.
 */
static inline _Atomic uint64_t *journal_index(const struct journal *j, unsigned inode)
{
	assert(inode < JOURNAL_INODES);
	return (_Atomic uint64_t *)(j->index + (size_t)inode * JOURNAL_INDEX_BYTES);
}

/* Reads an inode's entry as far as its record's nodes, without mapping it: a start looks at thousands of entries, and for
 * each of them the kernel would map the pages around it, too. 0 or a negative errno. */
int journal_inode_head(const struct journal *j, unsigned nr, struct journal_inode *head);

/* Frees the memory of one place's data: they read as zeros. */
void journal_spill_release(uint8_t *data);

/* The first chunk >= `chunk` that may have an index entry; JOURNAL_CHUNKS_MAX: none. It skips holes of the memfd: to
 * read the entries there would allocate memory, and take long for a large region. */
uint64_t journal_index_next(const struct journal *j, unsigned inode, uint64_t chunk);

/* Maps the seal_known entries of an inode's chunks (JOURNAL_CHUNKS_MAX of them), which go with the index; NULL: no
 * address space left. */
struct seal_known *journal_known_map(const struct journal *j, unsigned inode);
void journal_known_unmap(struct seal_known *known);
/* Zeroes the index and seal_known entries of chunks >= `first`, and frees their memory. Quick if there is none. */
void journal_index_clear(const struct journal *j, unsigned inode, uint64_t first);
/* The same, a few MiB at a time, so that others can punch the memfd in between. A large region has GiBs of entries:
 * after this, journal_index_clear() on the front thread is quick. Any thread; the inode must be busy, and the entries
 * not be needed any more. */
void journal_index_give_back(const struct journal *j, unsigned inode, uint64_t first);

static inline void journal_publish32(uint32_t *where, uint32_t value)
{
	atomic_store_explicit((_Atomic uint32_t *)where, value, memory_order_release);
}

static inline void journal_publish64(uint64_t *where, uint64_t value)
{
	atomic_store_explicit((_Atomic uint64_t *)where, value, memory_order_release);
}

#endif
