/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resident.h - the fast path: what is on this host of a region that a client maps through
 * userfaultfd (handshake.h gives it that mapping).
 *
 * The store is a memfd. Its chunks come and go by these states:
 *
 *	ABSENT ──fault──► FILLING ──answer──► RESIDENT ──zap──► ZAPPING ──done──► INACTIVE
 *	   ▲                 ▲                 │ ▲ ▲ ▲             │ fault            │  │
 *	   │                 └─ fault of a ────┘ │ │ └─────────────┘                  │  │
 *	   │                    page not here    │ └──────── fault (MINOR) ───────────┘  │
 *	   │                                     └─── fault ───┐                         │
 *	   └──── acknowledged, punched ──────────────────── EVICTING ◄─ not used, not pinned
 *
 * FILLING: pages are copied in by UFFDIO_COPY as they arrive, the page that is waited for first. A
 * chunk that is touched at a random place gets a few pages around it, at the second place the rest;
 * one that goes on as its neighbours did is fetched ahead, as a whole, and waits INACTIVE; of those before a
 * reader that surely goes on most are mapped as they come, and it faults once in RESIDENT_STREAM chunks. So
 * RESIDENT may mean some of the pages. ZAPPING: the client drops its page-table entries of a group of chunks; the pages stay.
 * INACTIVE: a page that is touched faults, is mapped again and the chunk is RESIDENT: so the
 * beginning of the inactive list is what was not used for longest. EVICTING: a writer compares it
 * with what was fetched and sends the pages that changed; when the node has acknowledged, the
 * memory is punched out. A chunk with a page that the client has seen becomes ABSENT in no other
 * way. A fault meanwhile ends the eviction: what was sent counts, but nothing is punched.
 *
 * Why nothing is lost: all mappings of the memfd are registered, so only we make page-table
 * entries. Between the zap and the punch there are none: a store faults, and so does a direct read
 * that begins; one that began before the zap is counted in the pins, which are looked at after it.
 * So what was sent is what is punched out. (What a fault overtakes may be sent half changed: the
 * hashes are those of the bytes that were sent, so the next eviction sees the difference.)
 *
 * That a page is in the memfd does not make it content: shmem puts in 2 MiB of zeros where it may, and
 * so may a stranger. What counts are marks (struct resident_mark), in a memfd of their own. A page
 * comes in three steps: it is marked as coming, put in by a call that fails if there is one already,
 * and marked as filled. One that is there without its mark is punched out before another comes.
 *
 * A killed worker: a page that was filled, or was coming and is there, is as the memfd has it, zero
 * if it has none (somebody punched a hole); all others are the node's. Marks go before the pages do.
 *
 * Files read and written through FUSE meanwhile see the same memory (resident_io.c), and do not
 * change what is resident, except that a write brings its chunk in.
 *
 * The budget counts pages: those that are here, and those that have been asked for.
 *
 * Only the thread that has the front's role (state/relief.h) touches any of this. Some of the calls of
 * resident_env.h may wait for the client, and then others have the role meanwhile: what happens is noted, as
 * between two turns, and the turn that is in the middle of that call sees it later. What a chunk holds
 * whose pages are just being put in is known only afterwards (`putting`): who reads the file waits for that.
 *
 *	resident.c	   the turn, and the clock      resident_evict.c   how chunks go
 *	resident_fault.c   faults                       resident_io.c      FUSE's part
 *	resident_fetch.c   how chunks come              resident_end.c     the client's end
 *	resident_chunk.c   a chunk and its pages        resident_recover.c what a predecessor left
 *	resident_sync.c    fsync
 *	resident_event.c   events
 *
 * These decide, over the calls of resident_env.h, and run in simulators too (tests/resident). Gvmfs's own:
 *
 *	resident_open.c	   a session's life             resident_client.c  the client's socket
 *	resident_env.c	   kernel, nodes, journal       apart.c            by which thread
 */
#ifndef GVMFS_RESIDENT_H
#define GVMFS_RESIDENT_H

#include "base/loop.h"
#include "node/fetch.h"
#include "state/journal.h"
#include "state/session_set.h"
#include "store/readahead.h"
#include "store/writer.h"
#include "window.h"

#include <sys/queue.h>
#include <xxhash.h>

#ifndef RESIDENT_FETCHES /* simulators have less */
#define RESIDENT_FETCHES   72u /* GETs under way, over all regions: a node may have two thirds of them */
#define RESIDENT_EVICTIONS 48u /* chunks being sent, likewise */
#define RESIDENT_SPARE	   JOURNAL_SESSIONS /* of both, one for each region beside the first */
#define RESIDENT_LOCAL_MIN (16u * GVM_CHUNK_PAGES) /* no budget is smaller */
#endif
#ifndef RESIDENT_SPARE
#define RESIDENT_SPARE	   0u /* for one region */
#endif
#define RESIDENT_WINDOW	   4u /* pages that a first fault brings */
#ifndef RESIDENT_STREAM
#define RESIDENT_STREAM	   4u /* chunks: one of as many is left unmapped before a reader that surely goes on */
#endif
#define RESIDENT_FAULTS	   64u /* that a turn serves */

struct inode;
struct reader;
struct worker;
struct resident_env;
struct resident;
struct residents;

/* What a successor must know of a chunk, beside the memory itself. */
struct resident_mark {
	uint32_t filled; /* bit p: page p has been put into the memory */
	uint32_t coming; /* is being put there, or has been: it was not there before */
	uint64_t tried;	 /* the highest version that was sent for it, acknowledged or not */
};

enum chunk_state {
	CHUNK_ABSENT,  /* no page is filled */
	CHUNK_FILLING, /* a fetch is under way; some pages may be filled */
	CHUNK_RESIDENT,
	CHUNK_ZAPPING,
	CHUNK_INACTIVE,
	CHUNK_EVICTING,
};

enum chunk_list_id { LIST_NONE, LIST_ACTIVE, LIST_INACTIVE, LIST_BLOCKED, LISTS };

struct chunk {
	uint32_t next, prev; /* in its list: chunk + 1; 0: none */
	uint8_t state;	     /* enum chunk_state */
	uint8_t list;	     /* enum chunk_list_id */
	uint8_t want_page;   /* LIST_BLOCKED: what is waited for */
	bool sending : 1;    /* a writer has it, also if EVICTING is over */
	bool ahead : 1;	     /* fetched ahead, unmapped, and not used yet */
	bool streamed : 1;   /* fetched ahead, to be mapped when it has come; the reader has not passed it yet */
	uint32_t sync_pass;  /* the last pass of fsyncs that sent it; 0: none */
	uint32_t holes;	     /* filled pages that have been punched out since */
	uint32_t known;	     /* pages whose hash is known: */
	XXH128_hash_t *hashes; /* one for each of these, as the node has them */
	struct resident_fetch *fetch;
};

struct chunk_list {
	uint32_t head, tail; /* chunk + 1 */
	uint32_t count;
};

/* A GET under way for a chunk that is FILLING. */
struct resident_fetch {
	struct fetch fetch;
	struct resident *r; /* NULL: free */
	uint64_t chunk;
	uint32_t asked;	  /* pages */
	uint32_t decoded; /* of these, what has come */
	uint32_t waited;  /* pages that were faulted for, and have not woken those who did */
	bool ahead;	  /* nobody waits: nothing is shown before all of it is there */
	uint8_t *data;
	bool noted; /* the turn is to look at it: */
	bool over;  /* it has ended, */
	int error;  /* so */
	STAILQ_ENTRY(resident_fetch) entry;
	struct resident_fetch *next_free;
};

/* A chunk that a writer looks at and perhaps sends. */
struct eviction {
	struct flush flush; /* first */
	struct resident *r; /* NULL: free */
	uint32_t sync_pass; /* of fsyncs, which sends it; 0: none, it leaves */
	XXH128_hash_t known[GVM_CHUNK_PAGES]; /* hashes of the pages as the node has them */
	XXH128_hash_t found[GVM_CHUNK_PAGES]; /* of what the writer read */
	STAILQ_ENTRY(eviction) entry;
	struct eviction *next_free;
};

/* A write, zeros, or an fsync; embedded in what waits for it. */
struct resident_io {
	TAILQ_ENTRY(resident_io) entry;
	const uint8_t *data;	  /* of a write; stays as it is until: */
	uint64_t begin, off, end; /* all of it, and what is not done yet */
	/* Ends it, once: 0, a negative errno, or RESIDENT_OVER. */
	void (*done)(struct resident_io *io, int error);
};
TAILQ_HEAD(resident_ios, resident_io);

#define RESIDENT_OVER 1 /* the region is a file like any other: to be done there, from `off` on */

struct resident {
	struct residents *rs;
	const struct resident_env *env;
	/* gvmfs's own, which the decisions do not look at: */
	struct worker *w;
	struct inode *inode;
	unsigned session;
	int fd[SESSION_FDS]; /* in this process */
	struct reader *reader; /* NULL: the front thread reads the faults itself */
	struct loop_source client, faults;
	int faults_fd;	     /* where it does: the userfaultfd, or the reader's pipe */
	/* A thread of its own has its turns (apart.h): */
	bool apart;
	int kick_fd;	     /* an eventfd: there is something to do */
	unsigned reliefs;    /* how often that came to be */
	bool kicked;
	uint64_t call_ns;    /* when its last call began */
	uint64_t waited_ns;  /* when a call last waited for the client */
	int pid;	     /* of the client */
	uint64_t address, bytes, chunks;
	struct chunk *chunk;
	struct resident_mark *mark;
	_Atomic uint64_t *index; /* the region's part of the journal */
	uint64_t cut_version;	 /* as the journal says */
	struct stats *stats, *mount_stats;
	uint64_t *peak; /* pages that were here, at the most */
	_Atomic uint32_t *pins;
	struct chunk_list lists[LISTS];
	uint64_t local;	    /* the budget, in pages: the hard cap */
	uint64_t here;	    /* pages that are filled, and no holes */
	uint64_t coming;    /* pages asked for */
	uint64_t busy;	    /* chunks that are not ABSENT */
	uint64_t touched, touched_end; /* chunks of which the last look found all touched: chunk_touched() */
	unsigned fetches, evictions;
	uint64_t going;	    /* pages of the chunks that are EVICTING */
	uint64_t zap_seq;   /* of the last request; 0: none yet */
	bool zapping;	    /* it is under way: */
	uint64_t zap_first, zap_count;
	unsigned pinned_row; /* chunks in a row that could not go since something pins them */
	uint64_t retry_at_ns; /* no eviction before: a node could not take one */
	bool syncing;	    /* a pass of fsyncs is under way: */
	uint32_t sync_pass; /* which, or the last; 0: there was none */
	uint64_t sync_next; /* where it goes on */
	uint64_t sync_sent; /* chunks that it has sent, and no node has acknowledged yet */
	int sync_error;
	struct resident_ios ios;	       /* wait for chunks */
	struct resident_ios syncs, syncs_next; /* of the pass under way; of the one after it */
	struct resident_io *io_now, *io_next; /* that the turn is at, and the next one it comes to */
	bool recovering;  /* what a predecessor left is yet to be taken over */
	uint64_t putting; /* chunk + 1 whose pages are just being put in; 0: none */
	/* What has happened since the last turn. */
	bool again;   /* something: resident_note() */
	bool turning; /* in a turn */
	bool later;   /* it has more to do, but others come first */
	bool ios_due, zapped, sync_late;
	bool ios_lack_room; /* some did when they were last looked at */
	STAILQ_HEAD(, resident_fetch) news;
	STAILQ_HEAD(, eviction) outcomes;
	unsigned fault_count;
	uint64_t fault[RESIDENT_FAULTS]; /* addresses */
	struct readahead readahead;
	uint64_t seed; /* of the hashes */
	XXH128_hash_t zero_hashes[GVM_CHUNK_PAGES];
	bool poison;	  /* the kernel can make pages fail */
	bool pinned;	  /* a device pins all of it: nothing is evicted */
	bool over;	  /* what is pinned does not leave room: the budget cannot hold */
	uint64_t over_said_ns;
	uint64_t zap_at_ns; /* no zap before: all that the last ones brought was pinned */
	uint64_t sync_deadline_ns; /* 0: none */
	bool client_gone; /* it has left */
	bool detached;	  /* it has said that the mapping is no more */
	bool memory_gone; /* with the client: nobody can change it any more */
	bool draining;
	bool aborted;
	uint64_t unmapped_ns; /* part of its mapping is no more: until then it has to have left; 0: all is there */
	uint64_t look_at_ns, gone_said_ns; /* whether the client's memory is gone: */
	bool looking; /* the visitor's process was asked */
};

struct residents {
	struct resident *list[JOURNAL_SESSIONS]; /* by session; NULL: free */
	unsigned count;
	struct session_set open;       /* those in the list */
	struct session_set noted;      /* of which something has happened, perhaps */
	struct session_set recovering; /* that may yet have to take over what a predecessor left */
	struct session_set wanting;    /* that were refused a fetch or an eviction since all of them were taken */
	uint64_t due_ns[JOURNAL_SESSIONS]; /* when each wants the clock; ~0: not */
	unsigned fetching; /* GETs under way */
	bool paused;	   /* a connection has more than was looked at: gvm_conn_pause() */
	struct loop faults; /* the front's regions, each by its faults_fd: one look at all of them */
	struct loop_source faults_any; /* the same, in the front's loop */
	unsigned faults_read; /* since residents_faults_read() began */
	struct resident_fetch fetches[RESIDENT_FETCHES + RESIDENT_SPARE], *fetches_free;
	struct eviction evictions[RESIDENT_EVICTIONS + RESIDENT_SPARE], *evictions_free;
	/* Whose share each of them takes; NULL: it is free. Apart from them, since all are looked through. */
	const void *fetch_node[RESIDENT_FETCHES + RESIDENT_SPARE];
	const void *eviction_node[RESIDENT_EVICTIONS + RESIDENT_SPARE];
	unsigned evicting; /* chunks being sent */
	unsigned fetchers, evicters; /* regions with some of them */
	struct window window;
	bool ended; /* a region has, since the last tick */
	bool freed; /* a fetch or an eviction: another region may want it */
	/* The node that a chunk is on: something to compare it by. NULL: each region has one of its own. */
	const void *(*node)(const struct resident *r, uint64_t c);
	/* A region is not served here any more, or (handshake.c) will not be after all. */
	void (*on_close)(struct worker *w, struct inode *inode);
};

int residents_init(struct worker *w);

/*
 * Begins to serve a session that the journal has and the supervisor keeps; of a predecessor's, takes
 * over what is in its memory. The descriptors are its own from then on. 0 or a negative errno.
 */
int resident_open(struct worker *w, unsigned session, const int fd[SESSION_FDS]);

/* Reads the faults of a region: how many there were. */
unsigned resident_faults_read(struct resident *r);
/* The front's loop has some of a region. */
void resident_faults_ready(void *resident);
/* Reads those of all regions that have no thread of their own: of as many regions as have some, however many
 * there are. */
unsigned residents_faults_read(struct worker *w);
/* Has the faults of a region looked for by the front's loop, or not. 0 or a negative errno. */
int resident_faults_watch(struct resident *r, bool watch);
/* The client has said something, or left. */
void resident_client_ready(void *resident);
/* Whether the client has left, as of now. */
bool resident_has_left(struct resident *r);

/* ---- The decisions: the functions above call these, and so do simulators. */

/* With room for RESIDENT_FETCHES + RESIDENT_SPARE chunks. */
void residents_begin(struct residents *rs, uint8_t *data);
/* The session is filled in, and its memory mapped: the first turn takes over what is there. `starts`: of
 * workers, on this journal. */
void resident_begin(struct resident *r, uint64_t starts);

/*
 * Does what there is to do after events, until nothing changes any more. Each of the events that follow
 * only notes what has happened: a turn follows, after it or after some. From within a turn (a request's
 * `done`, or what happens while a call waits for the client) it does nothing: the turn sees what is new.
 */
void resident_turn(struct resident *r);

/* Somebody touched a page at an address of the client's that is not mapped. No more than RESIDENT_FAULTS
 * between two turns. */
void resident_fault(struct resident *r, uint64_t address);
/* A node's answer has brought pages of a fetch into f->data; and it has ended. */
void resident_piece(struct resident_fetch *f, uint32_t pages);
void resident_fetched(struct resident_fetch *f, int error);
/* A writer has handed a chunk back. */
void resident_flushed(struct flush *flush);
/* The client has dropped the page-table entries that it was asked to. */
void resident_zapped(struct resident *r, uint64_t seq);
/* A device pins all of it. */
void resident_pin(struct resident *r);
/* The client has left. When its memory is gone too, what is here is sent, and the session ends. */
void resident_left(struct resident *r);
/* The budget was changed; 0: there is none. */
void resident_budget(struct resident *r, uint64_t bytes);
/* The region failed, or the mount ended: tells the client, and serves no more. */
void resident_abort(struct resident *r, const char *why);

/* The clock: has a turn, if something is due. *next: when it wants to be called again (CLOCK_MONOTONIC), ~0:
 * not. False: the session is over, and gone. */
bool resident_tick(struct resident *r, uint64_t now_ns, uint64_t *next);
/* Whether a region gave back what another wants, and no region was told so. */
static inline bool residents_have_freed(const struct residents *rs)
{
	return rs->freed && rs->count > 1 && !session_set_is_empty(&rs->wanting);
}
/* Tells those that want it: each looks in its next turn. */
void residents_tell_freed(struct residents *rs);
/* Something has happened, so that the region is to have a turn. */
static inline void resident_note(struct resident *r)
{
	r->again = true;
	session_set_add(&r->rs->noted, r->session);
}
/* The session is over: what waits goes back to those who asked for it. */
void resident_ios_end(struct resident *r);

/* resident_io.c: what FUSE asks for while the region is served here. */

/* Whether any page of a chunk is in the memory. */
/* The first chunk from c on that may be anything but ABSENT, or may once have been; r->chunks: there is none.
 * (One that is FILLING and has no page yet may be left out.) What was never touched of a large region is
 * passed over as a whole. */
uint64_t chunk_touched(struct resident *r, uint64_t c);

static inline bool resident_has(const struct resident *r, uint64_t chunk)
{
	return r->chunk[chunk].state != CHUNK_ABSENT;
}
/* The same, if that is not known yet. */
static inline bool resident_may_have(const struct resident *r, uint64_t chunk)
{
	return resident_has(r, chunk) || r->recovering || r->putting == chunk + 1;
}
/* Whether a page is; otherwise it is zero or on the node, as the index says. */
static inline bool resident_has_page(const struct resident *r, uint64_t chunk, unsigned page)
{
	return resident_has(r, chunk) && r->mark[chunk].filled >> page & 1;
}
/* Which pages are, of a chunk. */
static inline uint32_t resident_pages(const struct resident *r, uint64_t chunk)
{
	return r->mark[chunk].filled;
}
/* Whether the two above do not tell yet, for some of these bytes. */
static inline bool resident_is_changing(const struct resident *r, uint64_t off, uint64_t bytes)
{
	return r->recovering || (r->putting > off / GVM_CHUNK_BYTES &&
				 r->putting <= (off + bytes - 1) / GVM_CHUNK_BYTES + 1);
}
/* Copies one that is. */
void resident_read(struct resident *r, uint64_t chunk, unsigned page, uint8_t *to);
/* Events like those above; io->done comes in a turn. */
void resident_write(struct resident *r, struct resident_io *io, const void *data, uint64_t off,
		    uint64_t bytes);
/* One that waits has the same data in another place from now on. */
static inline void resident_write_move(struct resident_io *io, const uint8_t *data)
{
	io->data = data;
}
void resident_zero(struct resident *r, struct resident_io *io, uint64_t off, uint64_t bytes);
/* Ends when the nodes have acknowledged all that was in the memory when it was called. */
void resident_sync(struct resident *r, struct resident_io *io);
/* Ends when what was changing is known. */
void resident_settle(struct resident *r, struct resident_io *io, uint64_t off);
/* Takes one of these back, but for an fsync, that waits: what is done already stays so. False: it is just being
 * done, and comes to its end. */
bool resident_cancel(struct resident *r, struct resident_io *io);

#endif
