/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resident.h - the fast path: the pages on this host of a region that a client maps through
 * userfaultfd (handshake.h gives the client that mapping).
 *
 * The pages are in a memfd. Its chunks go through these states:
 *
 *	ABSENT ──fault──► FILLING ──answer──► RESIDENT ──zap──► ZAPPING ──done──► INACTIVE
 *	   ▲                 ▲                 │ ▲ ▲ ▲             │ fault            │  │
 *	   │                 └─ fault of a ────┘ │ │ └─────────────┘                  │  │
 *	   │                    page not here    │ └──────── fault (MINOR) ───────────┘  │
 *	   │                                     └─── fault ───┐                         │
 *	   └──── acknowledged, punched ──────────────────── EVICTING ◄─ not used, not pinned
 *
 * FILLING: pages are copied in by UFFDIO_COPY as they arrive, the faulting page first. The first
 * fault in a chunk brings a few pages around it, a fault on another page the rest, as far as such
 * pages turn out to be used (resident_spread.c). A chunk that a reader is about to reach is
 * fetched ahead, as a whole, and waits INACTIVE. Ahead of a reader that has been sequential for
 * long, most chunks are mapped as soon as they have arrived, so that it faults once in
 * RESIDENT_STREAM chunks. A RESIDENT chunk may have only some of its pages.
 * ZAPPING: the client drops its page-table entries of a group of chunks; the pages stay.
 * INACTIVE: no page is mapped. A touched page faults, is mapped again, and the chunk is RESIDENT;
 * so the chunk that was unused for longest is first in the inactive list. One that was used often
 * before is passed over once or twice (resident_evict.c).
 * EVICTING: a writer compares the pages with what was fetched and sends those that changed; when
 * the node has acknowledged them, the memory is punched out. Unless its region failed or was
 * deleted, a chunk with a page that the client has seen becomes ABSENT in no other way. A fault
 * ends the eviction: what was sent counts, but nothing is punched out.
 *
 * Why nothing is lost: all mappings of the memfd are registered, so only gvmfs makes page-table
 * entries. Between the zap and the punch there are none: a store faults, and so does a direct read
 * that begins then; a direct read that began before the zap holds a pin, and the pins are checked
 * after the zap. So what was sent is what is punched out. (A chunk whose eviction a fault ended may
 * have been sent half changed: the hashes are those of the bytes that were sent, so the next
 * eviction sees the difference.)
 *
 * A page in the memfd need not be content: shmem may put in 2 MiB of zeros, and so may another
 * process. The marks (struct resident_mark), which are in a memfd of their own, say which pages are
 * content. A page comes in three steps: it is marked as coming; it is put in by a call that fails
 * if the memfd has the page already; it is marked as filled. A page that is found without its mark
 * is punched out before the content is put in.
 *
 * After a worker was killed: a page that was filled, or that was coming and is in the memfd, has
 * the memfd's content (zeros if the memfd lacks it, since then a hole was punched); all others are
 * the node's. Marks are cleared before the pages go. Its successor takes a chunk over when the first
 * fault or request comes to it, and the rest in between, a few at a time: so no fault waits longer
 * the more is here. How many pages are here in all, which the budget needs at once, is in the journal.
 *
 * FUSE requests for the file see the same memory (resident_io.c). A read changes nothing there; a
 * write brings its chunk in.
 *
 * The budget counts pages: those that are here, and those that have been asked for.
 *
 * Only the thread that has the front's role (state/relief.h) touches any of this. A call of
 * resident_env.h may wait for the client; other threads can have the role meanwhile. The events
 * that they note are handled as if they came between two turns: by the turn that made the call,
 * once the call has returned. What a chunk holds while pages are being put into it is known only
 * afterwards (`putting`): a reader of the file waits for that.
 *
 *	resident_turn.c	   the turn, and the clock      resident_evict.c   how chunks go
 *	resident_fault.c   faults                       resident_io.c      FUSE's part
 *	resident_fetch.c   how chunks come              resident_end.c     the client's end
 *	resident_chunk.c   a chunk and its pages        resident_recover.c what a predecessor left
 *	resident_sync.c    fsync			resident_rot.c     copies on nodes that are rotten
 *	resident_event.c   events			resident_spread.c  how much of a chunk is used
 *	resident_trail.c   what a start touches		resident_replay.c  what was used before
 *	resident_give.c	   the client needs no gvmfs
 *
 * These files decide. They make only the calls of resident_env.h, and run in simulators too
 * (tests/resident). The others are gvmfs's alone:
 *
 *	resident_open.c	   a session's life             resident_client.c  the client's socket
 *	resident_env.c	   kernel, journal              resident_nodes.c   nodes
 *	apart.c		   which thread runs a turn
 */
#ifndef GVMFS_RESIDENT_H
#define GVMFS_RESIDENT_H

#include "base/loop.h"
#include "node/fetch.h"
#include "state/journal.h"
#include "state/session_set.h"
#include "state/trail.h"
#include "store/readahead.h"
#include "store/writer.h"
#include "window.h"

#include <sys/queue.h>
#include <xxhash.h>

#ifndef RESIDENT_FETCHES /* simulators have less */
#define RESIDENT_FETCHES   72u /* GETs in flight, over all regions; at most two thirds to one node */
#define RESIDENT_EVICTIONS 48u /* chunks being sent, likewise */
#define RESIDENT_SPARE	   JOURNAL_SESSIONS /* more of both: one for each region but the first */
#define RESIDENT_LOCAL_MIN (16u * GVM_CHUNK_PAGES) /* pages: the smallest budget */
#endif
#ifndef RESIDENT_SPARE
#define RESIDENT_SPARE	   0u /* for one region */
#endif
#define RESIDENT_WINDOW	   4u /* pages that the first fault in a chunk brings, at most */
#ifndef RESIDENT_STREAM
#define RESIDENT_STREAM	   4u /* ahead of a sure reader, one chunk in so many is left unmapped */
#endif
#define RESIDENT_FAULTS	   64u /* that one turn can serve */
/* For so long after a fault that continued no stream and found as many GETs at its node as RESIDENT_BESIDE, chunks ahead of
 * a reader are asked of a node only while fewer are on their way from it. */
#define RESIDENT_ELSEWHERE_NS 10000000ull
#define RESIDENT_BESIDE	      3u

struct inode;
struct reader;
struct worker;
struct resident_env;
struct resident;
struct residents;

/* What a successor must know of a chunk, besides the memory itself. */
struct resident_mark {
	uint32_t filled; /* bit p: page p has been put into the memory */
	uint32_t coming; /* bit p: page p, which was not in the memory, is being put in, or was. Filled and not coming:
			  * it was punched out since, and is a hole */
	uint64_t tried;	 /* the highest version that was sent of the chunk, acknowledged or not */
};

enum chunk_state {
	CHUNK_ABSENT,  /* no page is filled */
	CHUNK_FILLING, /* a fetch is in flight; some pages may be filled */
	CHUNK_RESIDENT,
	CHUNK_ZAPPING,
	CHUNK_INACTIVE,
	CHUNK_EVICTING,
};

enum chunk_list_id { LIST_NONE, LIST_ACTIVE, LIST_INACTIVE, LIST_BLOCKED, LISTS };

struct chunk {
	uint32_t next, prev; /* in its list, as chunk + 1; 0: none */
	uint8_t state : 3;   /* enum chunk_state */
	uint8_t list : 2;    /* enum chunk_list_id */
	uint8_t soon : 3;    /* faults that were to bring pages soon after another one; at most SOON_MAX */
	uint8_t want_page;   /* LIST_BLOCKED: the page that is waited for, or GVM_NO_PAGE */
	uint8_t missed;	     /* resident's `misses`, its low bits, at the last fault that was to bring pages */
	uint8_t lives;	     /* how often it is passed over before it is evicted: resident_evict.c */
	bool sending : 1;    /* a writer has it, even if its eviction was ended */
	bool ahead : 1;	     /* fetched ahead, unmapped, and not used yet */
	bool streamed : 1;   /* fetched ahead, mapped on arrival; the reader has not passed it yet */
	bool rotten : 1;     /* the nodes' copies are, and it is to be sent as a whole: resident_rot.c */
	bool replayed : 1;   /* `ahead`, and that since it was used before: resident_replay.c */
	bool whole : 1;	     /* more than a fault's window was asked for at once */
	bool several : 1;    /* more than a page was */
	bool lost : 1;	     /* some of the pages that are not here are rotten on the nodes */
	uint32_t sync_pass;  /* the last fsync pass that sent it; 0: none */
	uint32_t known;	     /* pages whose hash is known */
	uint32_t trail;	     /* its step of the trail, and one; 0: it is not in it */
	uint32_t since;	     /* resident's `brought`, when it was last zapped */
	XXH128_hash_t *hashes; /* of the node's copies: one for each page in `known` */
	struct resident_fetch *fetch;
};

struct chunk_list {
	uint32_t head, tail; /* chunk + 1 */
	uint32_t count;
};

/* A GET in flight for a chunk that is FILLING. */
struct resident_fetch {
	struct fetch fetch;
	struct resident *r; /* NULL: free */
	uint64_t chunk;
	uint32_t asked;	  /* pages */
	uint32_t decoded; /* of these, the pages that have arrived */
	uint32_t waited;  /* pages that faulted, and whose faulters were not woken yet */
	bool ahead;	  /* no fault waits: the chunk is put in, unmapped, once it is complete */
	bool replay;	  /* it is `ahead`, or was, since the chunk was used before */
	bool gives;	  /* nobody waits for it, but resident_give() */
	uint8_t *data;
	uint64_t wanted_ns; /* for gvmfs: when the page was asked for that a fault waits for; 0: none does (any more) */
	bool noted; /* it is in `news`, for the turn to look at */
	bool over;  /* it has ended, with `error` */
	int error;
	STAILQ_ENTRY(resident_fetch) entry;
	struct resident_fetch *next_free;
};

/* A chunk that a writer compares, and perhaps sends. */
struct eviction {
	struct flush flush; /* first */
	struct resident *r; /* NULL: free */
	bool mends; /* the nodes' copies are rotten */
	uint32_t sync_pass; /* the fsync pass that sends it; 0: none, it is evicted */
	XXH128_hash_t known[GVM_CHUNK_PAGES]; /* hashes of the pages as the node has them */
	XXH128_hash_t found[GVM_CHUNK_PAGES]; /* of what the writer read */
	STAILQ_ENTRY(eviction) entry;
	struct eviction *next_free;
};

/* A write, a range to be zeroed, or an fsync; embedded in the request that waits for it. */
struct resident_io {
	TAILQ_ENTRY(resident_io) entry;
	const uint8_t *data;	  /* of a write: must not change before done(); NULL: zeros */
	uint64_t begin, off, end; /* begin..end is all of it, off..end is not done yet */
	bool settles; /* nothing is to be changed: resident_settle() */
	/* Called once, at the end, with 0, a negative errno, or RESIDENT_OVER. */
	void (*done)(struct resident_io *io, int error);
};
TAILQ_HEAD(resident_ios, resident_io);

#define RESIDENT_OVER 1 /* the region is an ordinary file now: the caller does the rest, from `off` on */

struct resident {
	struct residents *rs;
	const struct resident_env *env;
	/* For gvmfs; the decisions do not use these: */
	struct worker *w;
	struct inode *inode;
	unsigned session;
	int fd[SESSION_FDS]; /* as numbered in this process */
	struct reader *reader; /* NULL: the front thread reads the faults itself */
	struct loop_source client, faults;
	int faults_fd;	     /* where faults are read: the userfaultfd, or the reader's pipe */
	/* Its turns run in a thread of its own (apart.h): */
	bool apart;
	int kick_fd;	     /* an eventfd that wakes that thread */
	unsigned reliefs;    /* how often the region got such a thread; bounded */
	bool kicked;
	uint64_t call_ns;    /* when its last call into the client's memory began */
	uint64_t waited_ns;  /* when such a call last turned out to have waited for the client */
	int pid;	     /* of the client */
	uint64_t strays_ns;  /* when all its messages that told nothing are forgiven */
	uint64_t address, bytes, chunks;
	struct chunk *chunk;
	struct resident_mark *mark;
	_Atomic uint64_t *index; /* the region's index, in the journal */
	uint64_t cut_version;	 /* from the journal */
	struct stats *stats, *mount_stats;
	uint64_t *peak; /* the highest `here` so far, in the journal */
	struct session_pages *kept; /* in the journal */
	_Atomic uint32_t *pins;
	struct chunk_list lists[LISTS];
	uint64_t local;	    /* the budget, in pages: the hard cap */
	uint64_t here;	    /* pages that are filled and no holes: */
	uint64_t left;	    /* so many of them, or less, are in chunks that were not taken over yet */
	uint64_t coming;    /* pages that the GETs in flight asked for */
	uint64_t busy;	    /* chunks that are not ABSENT */
	uint64_t touched, touched_end; /* the range of chunks that chunk_touched() found last */
	unsigned fetches, evictions;
	/* resident_spread.c: in how many windows of a chunk faults follow each other, and in how many pages of a window any
	 * is, in the mean */
	unsigned spread, run;
	unsigned misses;    /* faults that were to bring pages */
	uint32_t brought;   /* pages that were put in, its low bits: a clock */
	uint32_t stay;	    /* so many of them a chunk is INACTIVE before it is evicted, in the mean */
	/* resident_trail.c; rooms of 0: it is not to be */
	struct trail_step *trail, *gone, *replay; /* what was touched; a ring of what was evicted; what is to be fetched */
	unsigned trail_last; /* for gvmfs: how many steps the record of the last start has */
	unsigned trail_count, trail_room, gone_room, replay_count, replay_next, replay_room;
	uint64_t gone_count;
	uint64_t trail_until_ns;
	unsigned replaying; /* its GETs in flight for that */
	uint64_t going;	    /* pages of the chunks that are EVICTING */
	uint32_t hurry;	    /* so many more pages of the budget are kept free, since room was waited for */
	uint64_t zap_seq;   /* of the last zap requested */
	bool zapping;	    /* it is in flight, over these chunks: */
	uint64_t zap_first, zap_count;
	unsigned pinned_row; /* chunks in a row that could not be evicted because they are pinned */
	uint64_t retry_at_ns; /* no eviction before this time: a node could not take one */
	bool syncing;	    /* an fsync pass is under way: */
	uint32_t sync_pass; /* its number, or that of the last one; 0: there was none */
	uint64_t sync_next; /* the chunk where it goes on */
	uint64_t sync_sent; /* chunks that it has sent, and whose outcome is not known yet */
	int sync_error;
	struct resident_io *give; /* the memory is to become the client's; NULL: it is not */
	uint64_t give_next; /* the chunk where the pass goes on */
	uint64_t give_at_ns; /* the client could not be told, and is not before this time; 0: it could */
	int give_error;
	bool give_lacks; /* this pass has found something that is not here yet */
	bool give_asked; /* the client was told, by this worker or by one before: the memory changes no more */
	bool give_again; /* by one before, perhaps: it is told once more */
	bool given;	 /* it has answered */
	uint64_t rot_next, rot_end; /* rotten chunks that wait to be sent are in this range */
	struct resident_ios ios;	       /* waiting for chunks or room */
	struct resident_ios syncs, syncs_next; /* fsyncs of the pass under way; of the next pass */
	struct resident_io *io_now, *io_next; /* the request that the turn is at, and the next one */
	bool recovering;  /* not all that a predecessor left was taken over yet */
	bool sweeping;	  /* nor was all that lies in the memory without a mark punched out */
	uint64_t recover_next; /* the chunk where either goes on */
	uint64_t putting; /* chunk + 1 into which pages are just being put; 0: none */
	/* What has happened since the last turn. */
	bool to_go;   /* its client is to be sent GO: resident_go() */
	bool again;   /* anything at all: resident_note() */
	bool turning; /* a turn is running */
	bool later;   /* the turn has more to do, but other regions come first */
	bool ios_due, zapped, sync_late;
	bool ios_lack_room; /* some of `ios` did when they were last looked at */
	STAILQ_HEAD(, resident_fetch) news;
	STAILQ_HEAD(, eviction) outcomes;
	unsigned fault_count;
	uint64_t fault[RESIDENT_FAULTS]; /* their addresses in the client */
	struct readahead readahead;
	uint64_t seed; /* of the hashes */
	XXH128_hash_t zero_hashes[GVM_CHUNK_PAGES];
	bool poison;	  /* the kernel has UFFDIO_POISON */
	bool pinned;	  /* a device pins all of it: nothing is evicted */
	bool over;	  /* pinned pages leave no room: the budget is exceeded */
	uint64_t over_said_ns;
	uint64_t zap_at_ns; /* no zap before this time: all was pinned, or a request could not be sent */
	uint64_t sync_deadline_ns; /* 0: none */
	bool client_gone; /* it has left */
	bool detached;	  /* it has said that its mapping is gone */
	bool memory_gone; /* the client's memory is gone too: no process can change the pages any more */
	bool draining;
	bool dropping; /* draining: what is here is dropped, not written back */
	uint64_t end_next; /* draining: the chunk where the pass over all of them goes on */
	uint64_t end_lost; /* chunks that the pass has dropped */
	bool aborted;
	uint64_t short_at_ns; /* no blocked fault goes on before this time: the client had no memory; 0: it had */
	uint64_t short_said_ns;
	bool short_told; /* that was logged, and not yet that it has some again */
	uint64_t unmapped_ns; /* part of its mapping is gone: when it must have left; 0: all is there */
	/* When to ask again whether the client's memory is gone, and when to log that it is not. */
	uint64_t look_at_ns, gone_said_ns;
	bool looking; /* the visitor's process was asked, and has not answered yet */
};

struct residents {
	struct resident *list[JOURNAL_SESSIONS]; /* by session; NULL: free */
	unsigned count;
	struct session_set open;       /* those in the list */
	struct session_set noted;      /* those that may have something to do */
	struct session_set recovering; /* those that may have to take over what a predecessor left, or to sweep */
	unsigned recover_next; /* the one that is next */
	struct session_set wanting;    /* those that were refused a fetch or an eviction */
	uint64_t due_ns[JOURNAL_SESSIONS]; /* when each wants its next tick; ~0: never */
	unsigned fetching; /* GETs in flight */
	uint64_t elsewhere_ns; /* when the last fault came that continued no stream, and was not alone at its node */
	unsigned replaying; /* of these, those for replays */
	bool paused;	   /* a connection was paused, with input not looked at: gvm_conn_pause() */
	uint64_t paused_ns; /* when the front found nothing else to do since; 0: not yet */
	struct loop faults; /* the faults_fd of each of the front's regions: one call asks all */
	struct loop_source faults_any; /* that loop, in the front's loop */
	unsigned faults_read; /* since residents_faults_read() began */
	bool faults_woken; /* faults_any has ended a sleep since then */
	uint64_t watch_ns; /* when to watch again those whose faults_fd reports an error; ~0: there are none */
	/* Those that were used, and are free, are in lists; from `..._used` on none was. They are large: a worker touches
	 * none before it is needed. */
	struct resident_fetch fetches[RESIDENT_FETCHES + RESIDENT_SPARE], *fetches_free;
	struct eviction evictions[RESIDENT_EVICTIONS + RESIDENT_SPARE], *evictions_free;
	unsigned fetches_used, evictions_used;
	uint8_t *data; /* of the fetches: a chunk for each */
	/* The node against whose share each of them counts; NULL: it is free. Separate arrays,
	 * since they are scanned. */
	const void *fetch_node[RESIDENT_FETCHES + RESIDENT_SPARE];
	const void *eviction_node[RESIDENT_EVICTIONS + RESIDENT_SPARE];
	unsigned evicting; /* chunks being sent */
	unsigned fetchers, evicters; /* regions that have fetches; that have evictions */
	struct window window;
	bool ended; /* a region has ended since the last tick */
	bool freed; /* a fetch or an eviction was given back: another region may want it */
	/* The node that a chunk is on: a pointer to compare. NULL: each region counts as a node of
	 * its own. */
	const void *(*node)(const struct resident *r, uint64_t c);
	/* A region is no longer served here, or (handshake.c) will not be after all. */
	void (*on_close)(struct worker *w, struct inode *inode);
};

/* Once, before any region. 0 or a negative errno. */
int residents_init(struct worker *w);

/*
 * Begins to serve a session that is in the journal and kept by the supervisor, with what a predecessor
 * left in its memory. On success the descriptors belong to the region; on
 * failure they stay the caller's. 0 or a negative errno.
 */
int resident_open(struct worker *w, unsigned session, const int fd[SESSION_FDS]);

/* Reads a region's faults without waiting; returns how many messages there were. */
unsigned resident_faults_read(struct resident *r);
/* Loop handler: a region has faults to be read by the front. */
void resident_faults_ready(void *resident);
/* Reads the faults of all regions that have no thread of their own; returns how many there were.
 * With many regions, only those that have faults cost a call. */
unsigned residents_faults_read(struct worker *w);
/* Adds a region's faults to the front's loop, or removes them. 0 or a negative errno. */
int resident_faults_watch(struct resident *r, bool watch);
/* At watch_ns. */
void residents_faults_watch(struct residents *rs);
/* Loop handler: the client has sent a message, or left. */
void resident_client_ready(void *resident);
/* Reads the client's messages, and returns whether it has left by now. */
bool resident_has_left(struct resident *r);

/* ---- The decisions: the functions above call these, and so do simulators. */

/* The caller has filled in the session and mapped its memory; what is there is taken over by and by.
 * `starts`: how many workers have started on this journal. */
void resident_begin(struct resident *r, uint64_t starts);

/*
 * Handles what events have noted, until nothing changes any more. Each of the events below only
 * notes what has happened; a turn has to follow one or several of them. Does nothing within a turn
 * (from a request's `done`, or while a call waits for the client): the running turn handles the
 * event.
 */
void resident_turn(struct resident *r);

/* An earlier start touched this: it is fetched where there is room for it. */
void resident_replay(struct resident *r, const struct trail_step *steps, unsigned count);
/* Whether the record of what this start touches is complete. */
bool trail_is_over(const struct resident *r);

/* A page at this address in the client has faulted. At most RESIDENT_FAULTS between two turns. */
void resident_fault(struct resident *r, uint64_t address);
/* A node's answer has brought these pages of a fetch into f->data. */
void resident_piece(struct resident_fetch *f, uint32_t pages);
/* A fetch has ended with 0 or a negative errno. */
void resident_fetched(struct resident_fetch *f, int error);
/* A writer has handed a chunk back. */
void resident_flushed(struct flush *flush);
/* The client has dropped the page-table entries that zap request `seq` asked for. */
void resident_zapped(struct resident *r, uint64_t seq);
/* No node has a copy of the chunk that is not rotten. It is sent anew once all of it is here: what is lacking is fetched
 * first, if the nodes have that. True: all of it is here; *news: that it is rotten was not known. */
bool resident_rotten(struct resident *r, uint64_t c, bool *news);
/* A device pins all of the region: nothing is evicted any more. */
void resident_pin(struct resident *r);
/* The client has left. When its memory is gone too, what is here is sent, and the session ends. */
void resident_left(struct resident *r);
/* The budget was changed; 0: there is none. */
void resident_budget(struct resident *r, uint64_t bytes);
/*
 * Fetches all that is not here, whatever the budget says, and has the client unregister its memory. io->done() comes at the
 * end, with 0: the region is no longer served here. 0; -EBUSY: that is under way; -ESRCH: the client is leaving.
 */
int resident_give(struct resident *r, struct resident_io *io);
/* Takes it back: done() is not called. False: the client was told already, or it is over. */
bool resident_give_cancel(struct resident *r);
/* The client was told, and nobody waits for its answer any more: done() is not called. False: it was not told. */
bool resident_give_leave(struct resident *r);
/* A predecessor may have told the client so. To be called after resident_begin(), before anything else. */
void resident_give_again(struct resident *r);
/* The client has unregistered its memory. */
void resident_given(struct resident *r);
/* The region failed, or the mount ended: tells the client, and serves no more. */
void resident_abort(struct resident *r, const char *why);
/* Sends GO to the client (gvm_attach.h), before all else of the region's next turn; */
void resident_go(struct resident *r);
/* in that turn. */
void resident_go_now(struct resident *r);

/* The clock: handles timers that are due, in a turn. *next: when it wants to be called again
 * (CLOCK_MONOTONIC), ~0: never. False: the session is over, and `r` is freed. */
bool resident_tick(struct resident *r, uint64_t now_ns, uint64_t *next);
/* Whether a fetch or an eviction was given back that another region wants, and was not told of yet. */
static inline bool residents_have_freed(const struct residents *rs)
{
	return rs->freed && rs->count > 1 && !session_set_is_empty(&rs->wanting);
}
/* Tells the regions that want one: each looks again in its next turn. */
void residents_tell_freed(struct residents *rs);
/* Something has happened: the region needs a turn. */
static inline void resident_note(struct resident *r)
{
	r->again = true;
	session_set_add(&r->rs->noted, r->session);
}
/* The session is over: ends each waiting request with RESIDENT_OVER. */
void resident_ios_end(struct resident *r);

/* resident_io.c: requests of FUSE while the region is served here. */

/* The first chunk from c on that is not ABSENT, or was not at some time; r->chunks: there is none.
 * (A chunk that is FILLING and has no page yet may be left out.) Skips the never touched parts of a
 * large region without looking at their chunks. */
uint64_t chunk_touched(struct resident *r, uint64_t c);

/* For people: how many chunks have faults or requests that wait for room, for a GET, or for memory of the
 * client's group; */
static inline unsigned resident_waiting(const struct resident *r)
{
	return r->lists[LIST_BLOCKED].count;
}
/* and whether it is memory that they wait for. */
static inline bool resident_is_short(const struct resident *r)
{
	return r->short_at_ns;
}
/* Whether a chunk is not ABSENT: some of its pages may be here. */
static inline bool resident_has(const struct resident *r, uint64_t chunk)
{
	return r->chunk[chunk].state != CHUNK_ABSENT;
}
/* How many pages are here, for people: of what a predecessor left `here` counts a chunk more than it knows of. */
static inline uint64_t resident_here(const struct resident *r)
{
	return r->here - (r->left < GVM_CHUNK_PAGES ? r->left : GVM_CHUNK_PAGES);
}
/* Whether a predecessor has left something of a chunk that was not taken over yet. (While the first pages of a chunk
 * are being put in, it looks so, too.) */
static inline bool resident_is_left(const struct resident *r, uint64_t chunk)
{
	return r->recovering && !resident_has(r, chunk) && (r->mark[chunk].filled || r->mark[chunk].coming);
}
/* Whether a chunk is not ABSENT, or may turn out not to be. */
static inline bool resident_may_have(const struct resident *r, uint64_t chunk)
{
	return resident_has(r, chunk) || resident_is_left(r, chunk) || r->putting == chunk + 1;
}
/* Whether a page is here; otherwise it is zero or on the node, as the index says. */
static inline bool resident_has_page(const struct resident *r, uint64_t chunk, unsigned page)
{
	return resident_has(r, chunk) && r->mark[chunk].filled >> page & 1;
}
/* Which pages of a chunk are here. */
static inline uint32_t resident_pages(const struct resident *r, uint64_t chunk)
{
	return r->mark[chunk].filled;
}
/* Whether, for some of these bytes, it is not known yet which pages are here. (A direct read may be of more than the
 * region has.) */
static inline bool resident_is_changing(const struct resident *r, uint64_t off, uint64_t bytes)
{
	uint64_t last = (off + bytes - 1) / GVM_CHUNK_BYTES;

	for (uint64_t c = off / GVM_CHUNK_BYTES; c <= last && c < r->chunks; c++)
		if (r->putting == c + 1 || resident_is_left(r, c))
			return true;
	return false;
}
/* Copies a page that is here. */
void resident_read(struct resident *r, uint64_t chunk, unsigned page, uint8_t *to);
/* Events, like those above. Each ends with io->done(), from a turn; `data` must stay as it is until
 * then. */
void resident_write(struct resident *r, struct resident_io *io, const void *data, uint64_t off,
		    uint64_t bytes);
/* The data of a write that waits has been moved to this place. */
static inline void resident_write_move(struct resident_io *io, const uint8_t *data)
{
	io->data = data;
}
void resident_zero(struct resident *r, struct resident_io *io, uint64_t off, uint64_t bytes);
/* Ends when the nodes have acknowledged all that was in the memory when it was called. */
void resident_sync(struct resident *r, struct resident_io *io);
/* Ends when resident_is_changing() is false for these bytes. */
void resident_settle(struct resident *r, struct resident_io *io, uint64_t off, uint64_t bytes);
/* Takes back a request that waits, other than an fsync: done() is not called, and what was done
 * stays done. False: the turn is just at it, and done() will be called. */
bool resident_cancel(struct resident *r, struct resident_io *io);

#endif
