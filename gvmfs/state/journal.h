/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal.h - everything that must outlive a killed worker, in one memfd.
 *
 * The supervisor holds the memfd; a worker maps it and works in it; its successor maps the same
 * bytes and goes on. So there are no pointers in it, and each entry becomes valid by one final
 * store (journal_publish32/64): a worker may be killed between any two instructions.
 *
 * Layout (sparse; untouched parts take no memory):
 *	super | inodes[JOURNAL_INODES] | handles[JOURNAL_HANDLES] | slots[JOURNAL_SLOTS]
 *	| sessions[JOURNAL_SESSIONS] | views (JOURNAL_INODES x RECORD_SLOTS words)
 *	| slot data (JOURNAL_SLOTS x 128 KiB)
 *	| chunk index (JOURNAL_INODES x 1 GiB of address space)
 *	| what is known of sealed pages (JOURNAL_INODES x 32 GiB, mapped one by one: journal_known_map())
 *
 * All of it is written by the worker's front thread only, but for the chunk index of an inode that
 * is being attached, which its job thread fills (region.c), the counters in stats.h, and what the
 * supervisor says: where it mounted, and which descriptors it keeps for a session (keeper.h).
 */
#ifndef GVMFS_JOURNAL_H
#define GVMFS_JOURNAL_H

#include "gvm_wire.h"
#include "record.h"
#include "seal.h"
#include "stats.h"

#include <stdatomic.h>
#include <sys/types.h>

#define JOURNAL_INODES	     4096u
#define JOURNAL_HANDLES	     8192u
#ifndef JOURNAL_SLOTS
#define JOURNAL_SLOTS	     128u
#endif
#define JOURNAL_SESSIONS     512u /* a multiple of 64 */
#define JOURNAL_INDEX_BYTES  (1ull << 30) /* per inode: 2^27 chunks of 8 bytes, 16 TiB of region */
#define JOURNAL_CHUNKS_MAX   (JOURNAL_INDEX_BYTES / 8)
#define JOURNAL_KNOWN_BYTES  (JOURNAL_CHUNKS_MAX * sizeof(struct seal_known)) /* per inode */
#define JOURNAL_INIT_MAX     256u
#define JOURNAL_PATH_MAX     108u /* of a UNIX socket's address */

_Static_assert(JOURNAL_CHUNKS_MAX * GVM_CHUNK_BYTES == RECORD_SIZE_MAX,
	       "a record's size is trusted to fit the index");

/* A memory node that the mount was given while it ran (fuse/front_nodes.c), behind those of its command line. */
#define JOURNAL_NODES	 128u
#define JOURNAL_RENEWED	 75 /* the exit status of a worker that ends so that its successor begins with one more */
#define JOURNAL_RACK_MAX 31u
struct journal_node {
	char addr[RECORD_ADDR_MAX];
	char rack[JOURNAL_RACK_MAX + 1]; /* "": it is by itself */
};

struct journal_super {
	uint64_t magic;
	uint64_t client; /* writer identity towards the nodes, the same for every successor */
	uint32_t starts; /* workers started so far */
	uint32_t can_resend; /* the kernel sends unanswered requests again when asked */
	uint32_t init_bytes; /* the kernel's INIT request, to set up libfuse again without one */
	int32_t sign_tid; /* of the worker's thread by whose end the supervisor knows its: lookout.h */
	int32_t front_tid; /* of the one that serves */
	uint32_t ended; /* the last worker came to its end, with this status plus 1; 0: it did not yet */
	uint32_t inodes_end; /* entries from here on were never used */
	uint8_t init[JOURNAL_INIT_MAX];
	uint64_t seal_id; /* of the key with which the mount seals; 0: it seals nothing */
	uint64_t mount_dev; /* the mount's device number; 0: not found out */
	char attach_path[JOURNAL_PATH_MAX]; /* gvm_attach.h's socket; "": there is none */
	struct stats stats;
	struct journal_node nodes[JOURNAL_NODES];
	uint32_t node_count; /* of these; published after the entry. Each worker begins with all of them */
	uint32_t coming_inode; /* whose record is about to be `coming`, which a successor finishes; published after
				* it. 0: none (the root has no record) */
	struct record coming;
};

enum inode_use {
	INODE_FREE = 0,
	INODE_USED,
	INODE_UNLINKED, /* no name any more; open or known to the kernel */
};

/* One file or folder. The entry's number + 1 is its FUSE node id; number 0 is the root. */
struct journal_inode {
	uint32_t use; /* enum inode_use; published last */
	uint32_t generation;
	uint64_t lookups; /* the kernel's references */
	uint64_t epoch;	  /* of our attachment as the writer; 0: not attached */
	uint32_t failed;  /* a negative errno: the region failed for good (fenced, lost) */
	uint32_t cache_stale; /* another host may have written what the page cache holds */
	uint64_t last_epoch;  /* of our last attachment; 0: nothing was cached yet */
	uint64_t local_bytes; /* the fast path's budget; 0: none was set */
	uint32_t times_owed; /* rec's times are newer than the name table's: times.h */
	uint32_t end_cached; /* the kernel may have the page that the end is in: tail.h */
	uint64_t resident_peak; /* pages that the fast path had here, at the most */
	struct stats stats;
	uint64_t tail_from, tail_to; /* bytes that a growth is to make zero (tail.h); from, published last,
				      * is the size before it, which still shows; 0: none */
	uint64_t cut_version; /* of the zeros that shrinking left on the nodes: chunks of which the index has
			       * nothing may have them, so what is written has a higher one; 0: none */
	uint64_t view_saved; /* what rec.view was when the name table had the slots; 0: it has those of rec */
	struct record rec;
};

/* An open file. */
struct journal_handle {
	uint32_t inode_plus_1; /* 0: free; published last */
	uint32_t how; /* enum handle_how */
	uint64_t unique; /* of the OPEN or CREATE request: a resent one gets the same handle again */
};

enum slot_state {
	SLOT_FREE = 0,
	SLOT_OPEN,   /* takes further writes */
	SLOT_SEALED, /* being sent under `version`; its data do not change any more */
};

/* Pages of one chunk that the kernel wrote and the node has not acknowledged yet. */
struct journal_slot {
	uint32_t state; /* enum slot_state; published last */
	uint32_t inode;
	uint64_t chunk;
	uint32_t pages; /* bit p: page p of the slot's data is valid; published after the data */
	uint32_t tried;	  /* it was sent under versions below this one: nodes may have them */
	uint64_t version; /* of the PUT; set before SLOT_SEALED, and before it is sent again, sealed anew */
};

/* What belongs to a region that is mapped through the fast path (resident.h). */
enum session_fd {
	SESSION_MEMORY, /* the memfd that the client maps */
	SESSION_MARKS,	/* struct resident_mark for each chunk */
	SESSION_PINS,
	SESSION_UFFD,
	SESSION_SOCKET, /* to the client */
	SESSION_CHANNEL, /* to the visitor's process (visit.h), which has the last two open as well */
	SESSION_FDS
};

struct journal_session {
	uint32_t kept; /* published by the supervisor when it has the descriptors; 0 again at the end */
	uint32_t inode;
	int32_t fd[SESSION_FDS]; /* the supervisor's numbers plus 1, which every worker inherits */
	int32_t pid;		 /* of the client */
	uint32_t pinned;	 /* a device pins all of it */
	uint32_t live;		 /* the client was told GO, or is just being told */
	uint32_t uid;		 /* of the client */
	uint32_t calls;		 /* into the client's memory, begun and ended: lookout.h */
	int32_t caller;		 /* the thread that makes it, or made the last */
	int32_t server;		 /* the thread that looks after the region (uffd/apart.h); 0: the front */
	int32_t held_by;	 /* a predecessor that has not ended, and has one under way; 0: none */
	uint32_t held_count;	 /* how often that happened */
	uint64_t address;	 /* of the client's mapping */
	uint64_t bytes;
};

struct journal {
	int fd;
	struct journal_super *super;
	struct journal_inode *inodes;
	struct journal_handle *handles;
	struct journal_slot *slots;
	struct journal_session *sessions;
	uint64_t *views;
	uint8_t *slot_data;
	uint8_t *index;
};

/* Makes a new journal (in the supervisor): 0 or a negative errno. */
int journal_create(struct journal *j);
/* Maps the journal behind fd (in a worker): 0 or a negative errno. */
int journal_open(struct journal *j, int fd);
/* Takes the mapping away, in a process that has nothing to do with it and may live on. */
void journal_close(const struct journal *j);

static inline uint8_t *journal_slot_data(const struct journal *j, unsigned slot)
{
	return j->slot_data + (size_t)slot * GVM_CHUNK_BYTES;
}

/* Of an attached inode whose slots have several replicas: node/views.h's word of each. */
static inline uint64_t *journal_views(const struct journal *j, unsigned inode)
{
	return j->views + (size_t)inode * RECORD_SLOTS;
}

/*
 * The chunk index of an inode: for each chunk its version and, in bit 63 (GVM_VERSION_ZERO),
 * whether that is all zero; 0: never written. Only acknowledged versions stand here.
 */
static inline _Atomic uint64_t *journal_index(const struct journal *j, unsigned inode)
{
	return (_Atomic uint64_t *)(j->index + (size_t)inode * JOURNAL_INDEX_BYTES);
}

/* The first chunk from `chunk` on of which the index may have something: a look at the memory of what was never
 * written would allocate it, and take a while for a large region. JOURNAL_CHUNKS_MAX: there is none. */
uint64_t journal_index_next(const struct journal *j, unsigned inode, uint64_t chunk);

/* What is known of the sealed pages of an inode's chunks, which goes with the index: JOURNAL_CHUNKS_MAX entries; NULL:
 * there is no room for it in the address space. */
struct seal_known *journal_known_map(const struct journal *j, unsigned inode);
void journal_known_unmap(struct seal_known *known);
/* Gives the memory of chunks first.. back and makes their entries 0. Quick where there is none. */
void journal_index_clear(const struct journal *j, unsigned inode, uint64_t first);
/* The same, with a pause for others after every few MiB: of a large region there are GiBs, for which the thread that serves
 * faults would be long in journal_index_clear(). Any thread, of an inode that is busy, and of chunks of which nothing counts
 * any more. */
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
