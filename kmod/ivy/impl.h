/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared by the core's files, and included by no other (but its tests).
 *
 * From the bottom up; a file calls those above it in this list, and never one below it:
 *
 *	wire.c		the bytes of a message
 *	heap.c		what is due next
 *	copyset.c	a set of nodes
 *	carry.c		renewals of other nodes' leases, on their way to a home
 *	pair.c		the leases between two nodes, of all regions: one for all instances
 *	send.c		a message on its way out, or round to this node itself
 *	lease.c		the leases between this node and the others, and messages under them
 *	pace.c		how long another node's answer is waited for
 *	tables.c	parameters and tables of an instance
 *	slot.c		slots of resident pages
 *	dir.c		the directory: owner and copyset
 *	relay.c		read requests on their way up
 *	op.c		a page's operations at this node: its request, and others' requests of it
 *	ahead.c		requests for pages that are likely to be next
 *	cast.c		trees of messages: copies and invalidations down, answers up
 *	agent.c		this node's own pages: revocation, retries
 *	grant.c		this node's own pages: messages about them
 *	serve.c		the home: reads
 *	txn.c		the home: writes, one at a time for each page
 *	recover.c	the home: repairs the directory when nodes are lost
 *	home.c		the home: messages to it
 *	alive.c		which nodes are alive, and the ends of leases
 *	ivy.c		every call from outside; the only one that empties the ring
 *
 * The agent never calls the home: its messages to a home on the same node go through the ring. The
 * home does call the agent. So there is no recursion between the two.
 */
#ifndef GVM_IVY_IMPL_H
#define GVM_IVY_IMPL_H

#include "heap.h"
#include "types.h"

/*
 * Deliberate faults for the tests: each has to be noticed by the model checker or the simulator.
 * In the module the macro is a constant.
 */
enum ivy_mutant {
	IVY_MUTANT_NONE,
	IVY_MUTANT_ACK_BEFORE_REVOKED,	 /* an invalidation is answered before it was done */
	IVY_MUTANT_ACKS_NOT_AWAITED,	 /* the page is handed over before all have answered */
	IVY_MUTANT_STALE_VERSION,	 /* a copy of an invalidated version is accepted */
	IVY_MUTANT_ANY_ANSWER,		 /* an answer to an earlier request is accepted */
	IVY_MUTANT_NO_INVALIDATION,	 /* an upgrade leaves the other copies */
	IVY_MUTANT_LEASE_IGNORED,	 /* a node goes on after its lease */
	IVY_MUTANT_LOST_EARLY,		 /* a home does not wait for the lease to end */
	IVY_MUTANT_GRANT_TWICE,		 /* a repeated grant is installed again */
	IVY_MUTANT_HOLDER_FORGOTTEN,	 /* a reader does not enter the copyset */
	IVY_MUTANT_FREED_EARLY,		 /* a former owner keeps nothing until it is told */
	IVY_MUTANT_DEAD_INCARNATION,	 /* a message of a dead incarnation counts */
	IVY_MUTANT_UPGRADE_WITHOUT_COPY, /* "I have a copy" is believed, whatever the version */
	IVY_MUTANT_OWNER_NOT_DOWNGRADED, /* an owner goes on writing while others read */
	IVY_MUTANT_NO_RETRY,		 /* a lost message is not sent again */
	IVY_MUTANT_PUT_WHILE_BUSY,	 /* a page put home is taken in the middle of a hand-over */
	IVY_MUTANT_DONE_NOT_AWAITED,	 /* a page counts as handed over when it was sent */
	IVY_MUTANT_TREE_FORGETS,	 /* a node of the tree answers for all below it at once */
	IVY_MUTANT_ENDING_USED,		 /* a fault uses a slot of an ended lease */
	IVY_MUTANT_BACK_EARLY,		 /* a lost node is let in while copysets still have it */
	IVY_MUTANT_SWEEP_LATE,		 /* mappings of an ended lease go at any time */
	IVY_MUTANT_DISCARD_FREED,	 /* the end of an older hand-over completes a discard */
	IVY_MUTANT_DISCARD_BACK,	 /* a discarded page is taken back with its old contents */
	IVY_MUTANT_QUIT_USED,		 /* a node ends a lease of which it has pages */
	IVY_MUTANT_QUIT_LATE,		 /* the end of a former lease ends the present one */
	IVY_MUTANT_ANEW_AT_ONCE,	 /* a home that began anew discards while old leases run */
	IVY_MUTANT_ANEW_VERSIONS,	 /* a home that began anew reuses version numbers */
	IVY_MUTANT_ANEW_UNSEEN,		 /* a node keeps its lease from a home that began anew */
	IVY_MUTANT_GIVEN_AGAIN,		 /* a repeated hand-over completes a later discard */
	IVY_MUTANT_ROLLED_BACK,		 /* a page comes back from a writer that may have written */
	IVY_MUTANT_WRITER_FORGOTTEN,	 /* who asks to write leaves the copyset at once */
	IVY_MUTANT_PUT_IS_NOT_HAVE,	 /* a page put home by the node sought is not taken */
	IVY_MUTANT_MISS_REPEATED,	 /* an answer to an earlier search counts for this one */
	IVY_MUTANT_SEEK_ONCE,		 /* a copy on its way is not waited for */
	IVY_MUTANT_PUT_TO_ITSELF,	 /* a home sends itself the only copy, and waits for ever */
	IVY_MUTANT_FRESH_SHARED,	 /* zeros are fresh though another node has a copy */
	IVY_MUTANT_FRESH_WRITTEN,	 /* zeros are fresh though they were written */
	IVY_MUTANT_BEAT_UNREAD,		 /* a home renews its leases, whatever the node has */
	IVY_MUTANT_BEAT_ANEW,		 /* leases from what a home was count for those from it */
	IVY_MUTANT_BEAT_LATER,		 /* an answer renews leases that began after its question */
	IVY_MUTANT_BEAT_CARRIED,	 /* a carrier answers, before the home has */
	IVY_MUTANT_BEAT_LOST,		 /* a carrier that is silent is asked again and again */
	IVY_MUTANT_BEAT_DOUBTED,	 /* a carrier keeps a node alive that cannot be reached */
	IVY_MUTANT_RUN_VERSIONS,	 /* what is said of a page is said of the next one */
	IVY_MUTANT_AHEAD_OWNED,		 /* a page is granted as zeros though it is owned */
	IVY_MUTANT_AHEAD_DROPPED,	 /* a request is given up though a fault waits for it */
	IVY_MUTANT_HOLD_FIXED,		 /* a page that bounces is held no longer than others */
	IVY_MUTANT_HOLD_KEPT,		 /* a page that bounced once is held long for ever */
	IVY_MUTANT_RETRY_FIXED,		 /* who is slow is asked again as often as ever */
	IVY_MUTANTS_END
};

#ifdef IVY_MUTANTS
extern int ivy_mutant;
#define IVY_MUTANT(name) (ivy_mutant == IVY_MUTANT_##name)
#else
#define IVY_MUTANT(name) false
#endif

/*
 * An invariant of the core's own, never one that a message can break: a warning in the module, the
 * end of a test. Under a mutant it is off, for the tests have to notice the mutant's effect.
 */
#ifdef __KERNEL__
#include <linux/bug.h>
#include <linux/build_bug.h>
#define IVY_ASSERT(holds) WARN_ON_ONCE(!(holds))
#else
#include <assert.h>
#ifdef IVY_MUTANTS
#define IVY_ASSERT(holds) assert((holds) || ivy_mutant)
#else
#define IVY_ASSERT(holds) ((holds) ? (void)0 : __builtin_trap())
#endif
#endif

static_assert(sizeof(struct ivy_slot) == 16, "a slot fits into the list links of a struct page");

struct ivy;

/* ---- copyset.c ---- */

#define IVY_INLINE	 15
#define IVY_BITMAP_WORDS (IVY_NODES_MAX / 64)
#define IVY_BITMAP_BYTES (IVY_NODES_MAX / 8)

/* A set of nodes: a few inline, or a bitmap. 40 bytes. */
struct ivy_copyset {
	u64 *bits; /* NULL: inline */
	u16 n;
	u16 in[IVY_INLINE];
};

bool ivy_set_has(const struct ivy_copyset *s, u16 node);
int ivy_set_add(struct ivy *c, struct ivy_copyset *s, u16 node); /* 0 or -ENOMEM */
bool ivy_set_del(struct ivy *c, struct ivy_copyset *s, u16 node);
void ivy_set_clear(struct ivy *c, struct ivy_copyset *s);
/* The first member that is not below `from`, or IVY_NONE. */
u16 ivy_set_next(const struct ivy_copyset *s, u16 from);

/* ---- the directory ---- */

/* A page at its home, 64 bytes. */
struct ivy_home {
	u64 ver;		/* 0: the page was never requested */
	struct ivy_txn *txn;	/* the write, or the search, under way */
	struct ivy_copyset set; /* nodes that may have a copy of `ver`, without the owner */
	u16 owner;		/* has the contents for certain; IVY_NONE: zero, or lost */
	u8 lost;
	u8 orphan; /* the owner was lost, even if it is back: SEEK has yet to find another */
	u8 spare[4];
};

static_assert(sizeof(struct ivy_home) == 64, "IVY.md: sizes");

enum ivy_phase {
	IVY_PH_INV,	/* copies are being dropped */
	IVY_PH_GIVE,	/* the owner hands over */
	IVY_PH_GRANT,	/* the home hands over: there is no owner, or it is the writer */
	IVY_PH_BACK,	/* the former owner takes the page back that the writer did not take */
	IVY_PH_SEEK,	/* the owner is lost: does one of the copyset have a copy? */
};

/* A request that waits for a write to end. */
struct ivy_wait {
	u64 who;
	u64 have;
};

#define IVY_HAVE_READ (~0ull - 1) /* in `have`: it wants to read */

struct ivy_txn {
	struct ivy_txn *next, *prev; /* all of this instance's */
	struct ivy_home *home;
	u64 page;
	u64 asked; /* when its message was sent last; 0: it is to be sent now */
	u64 who; /* the writer's request; SEEK: a number of this question */
	u64 newver;
	u16 seek; /* SEEK: the node that is being asked */
	u8 phase;
	bool dead;   /* the writer is lost */
	/*
	 * BACK: it may have written: not if the page was handed over already. SEEK: the last time:
	 * a node without a copy takes none any more.
	 */
	bool doubt;
	bool nodata; /* it needs no contents */
	bool again;  /* the message of this phase was repeated */
	u32 at, nwait, cap;
	struct ivy_wait *wait; /* in order of arrival, from `at` up to `nwait` */
};

/* ---- the agent ---- */

#define IVY_SLOT_OWNER	  0x01u
#define IVY_SLOT_GIVEN	  0x02u /* handed over; kept until the home says FREE */
#define IVY_SLOT_PUT	  0x04u /* on its way home; kept until FREE */
#define IVY_SLOT_ZERO	  0x08u /* with PUT: a discard */
#define IVY_SLOT_REVOKING 0x10u /* revoke() is not done */
#define IVY_SLOT_FRESH	  0x20u /* with OWNER: zeros since they were granted, and nowhere else */
#define IVY_SLOT_DYING	  0x40u /* the lease has ended: free it when revoked */

/* Things to do with a page once its rights are low enough, in this order. */
#define IVY_TODO_SERVE 0x01u
#define IVY_TODO_INV   0x02u
#define IVY_TODO_GIVE  0x04u
#define IVY_TODO_PUT   0x08u
#define IVY_TODO_DROP  0x10u

/* An invalidation that this node has passed on, and whose acks it gathers. */
struct ivy_cast {
	u64 ver, due;
	u16 to; /* the node that gets the answer */
	u16 n, acked, hint;
	u16 ids[]; /* own one first; then a bitmap of those acked */
};

/* A request that no fault waits for. It is not repeated. */
enum ivy_ahead {
	IVY_AHEAD_NOT,
	IVY_AHEAD_READ,
	IVY_AHEAD_FRESH, /* for zeros that no node has */
};

/* A page's operations at this node; exists only while one is under way. */
struct ivy_op {
	struct ivy_op *next;
	u64 page;
	u64 floor; /* copies up to this version are refused */
	/* The request under way. */
	u64 who;
	u64 asked; /* when it was sent last; 0: it is to be sent again now */
	u8 want; /* enum ivy_right */
	u8 sent;
	u8 discard; /* make it zero, and put it home, once it is owned */
	u8 look;    /* a read that no write follows */
	u8 ahead;   /* enum ivy_ahead */
	u8 again;   /* it was repeated */
	/* Requests of other nodes. */
	u8 todo;
	u8 give_flags;
	u16 inv_to;
	u16 nserve, serve_cap;
	u8 slot_again;
	u64 serve_ver, inv_ver, give_ver;
	u64 give_who;
	u64 slot_asked; /* GIVEN, PUT: the same of PUT or ASK */
	u64 *serve;
	struct ivy_cast *cast;
};

/* Read requests gathered on their way up, or at the home, until ivy_flush(). */
struct ivy_batch {
	struct ivy_batch *next;
	u64 page;
	u32 n;
	u8 flags; /* of the request, if it is the only one */
	u64 who[IVY_LIST_MAX];
};

/* A page that was taken from here lately. */
struct ivy_bounce {
	u64 page;   /* 1 + its number; 0: none */
	u32 taken;  /* when, in microseconds, modulo 2^32 */
	u8 doubled; /* how often its hold has been, in a row */
	bool away;  /* it has not come back */
};

/* Faults on one page after the other. */
struct ivy_stream {
	u64 next; /* the page with which it would go on */
	u64 end;  /* pages below it have been asked for */
	u32 n;	  /* faults in a row */
};

/* ---- leases ---- */

enum ivy_lease {
	IVY_LEASE_NONE,
	IVY_LEASE_JOINING,
	IVY_LEASE_LIVE,
	IVY_LEASE_ENDING, /* over, but some of its slots are still to be freed */
	IVY_LEASE_LOST,	  /* as a home sees a node */
	IVY_LEASE_GONE,	  /* as a node sees a home that has begun anew */
};

/* Another node: this node's lease from it (`my`), and its lease from this home (`its`). */
struct ivy_peer {
	struct ivy_due due; /* when my_tick() or its_tick() of it has something to do */
	u64 my_inc, my_end;
	u64 my_due;   /* JOINING: of the next LEASE; LIVE: of looking whether it was renewed */
	u64 my_left;  /* the lease before, if it ended with QUIT and left nothing; else 0 */
	u64 my_since; /* counted in the pair's sum since then; 0: it is not */
	u64 home_start; /* `start` of the home that granted the lease; another: it began anew */
	u32 my_slots;	/* resident pages whose home that node is */
	u32 my_ops;
	u8 my_state, its_state;
	bool its_leaving; /* it is lost, and the directory may still name it */
	bool its_counted; /* in the pair's sum */
	bool its_clean;	  /* it left nothing, and has written nothing that DONE does not tell */
	u8 slow;	  /* how often the wait for its answers has doubled */
	u64 its_inc, its_end;
};

/* The tables of an instance; the model checker has smaller ones. */
#ifndef IVY_PEER_CHUNK
#define IVY_PEER_CHUNK 64u
#define IVY_BUCKETS    64u
#define IVY_RING       32u
#define IVY_END_STEP   256u /* slots visited by one call of ivy_ending() */
#define IVY_LOSE_STEP  64u  /* directory leaves visited by one call of ivy_ending() */
#endif
#ifndef IVY_BOUNCES
#define IVY_BOUNCES 64u /* pages that were taken last, of which a node knows that they bounce */
#endif
#ifndef IVY_STREAMS
#define IVY_STREAMS 4u /* that a node tells apart */
#endif
#ifndef IVY_AHEAD_AFTER
#define IVY_AHEAD_AFTER 2u /* more faults in a row than these: it is a stream */
#endif
#ifndef IVY_AHEAD_RETRIES
#define IVY_AHEAD_RETRIES 8u /* times retry_ns: a request ahead is given up */
#endif
#ifndef IVY_LOSE_NOW
#define IVY_LOSE_NOW 64u /* leaves visited at once when a node is lost */
#endif
#ifndef IVY_SEEK_MAX
#define IVY_SEEK_MAX 2048u /* searches under way, up to which a pass begins more */
#endif
#define IVY_LOST_STEP 64u /* leaves visited by one call of ivy_lost() */
#define IVY_LOSE_MAX 64u /* lost nodes that one pass over the directory removes */

/* ---- pair.c ---- */

#define IVY_CARRY_GROUP 101u /* nodes with neighbouring ids, of which one carries; a prime */

/* Another node: this node's leases from it (`my`), and its leases from this one (`its`). */
struct ivy_pair {
	struct ivy_due due; /* of the next BEAT */
	u64 my_sum, my_sent;
	u64 its_sum, its_at; /* its_at: when the last BEAT arrived that renewed them */
	u32 my_n, its_n;
	u16 via;      /* the node that carries BEATs there; IVY_NONE: they go there directly */
	bool carried; /* the last one went to that node, and has no answer yet */
	bool other;
	bool doubt; /* see ivy_pair_doubt() */
};

/* BEATs that are to be carried to a home together. */
struct ivy_carried {
	struct ivy_carried *next;
	u64 at;	  /* when they are sent, if there are any */
	u64 sent; /* when the last ones were */
	u16 home, n;
	u8 list[IVY_LIST_BYTES];
};

struct ivy_pairs {
	const struct ivy_pairs_env *env;
	void *ctx;
	struct ivy_pairs_params p;
	struct ivy_pair **chunks; /* made when needed */
	u32 nchunks;		  /* made */
	struct ivy_heap heap;
	u64 told; /* the time last told to wake() */
	u32 its_nodes; /* that have leases from this one */
	struct ivy_carried *carried;
	u32 ncarried;
	u64 carry_at; /* the earliest of theirs */
	u8 *list;     /* of the answer that is being made */
};

/* ---- carry.c ---- */
/* Takes a node's BEAT, which goes to that home within a quarter of a lease; or drops it. */
void ivy_carry_add(struct ivy_pairs *ps, u16 home, const struct ivy_beat *beat);
/* Sends what is due. */
void ivy_carry_tick(struct ivy_pairs *ps);
void ivy_carry_free(struct ivy_pairs *ps);

struct ivy_pair *ivy_pair_get(const struct ivy_pairs *ps, u16 node);

/* ---- an instance ---- */

struct ivy {
	const struct ivy_env *env;
	void *ctx;
	struct ivy_params p;
	u16 *homes;
	u64 txn; /* the last number used */
	struct ivy_stats stats;
	struct ivy_peer **peers; /* chunks, made when needed */
	u32 nchunks;		 /* made */
	struct ivy_heap heap;	 /* of peers */
	u64 ticked; /* when ivy_tick() was last called, or there began to be something to repeat */
	bool busy;  /* there was, as ivy_due() last saw */
	u32 nops;
	struct ivy_home **dir;	 /* a leaf for each run of the share, made when needed */
	u64 nleaves;
	u32 home_index; /* of this node in homes[]; nhomes: it is no home */
	bool closed;	/* the home answers nothing yet */
	bool begun_lost; /* its pages are lost until they are discarded */
	u64 grace;	 /* until then nodes may have leases from this home's former instance */
	struct ivy_txn *txns;
	struct ivy_op *ops[IVY_BUCKETS];
	struct ivy_batch *batches;
	struct ivy_bounce bounces[IVY_BOUNCES];
	struct ivy_stream streams[IVY_STREAMS];
	u32 stream_at;	/* the one that is replaced next */
	u64 end_at;	/* the next page that ivy_ending() visits */
	bool ending;	/* slots of ended leases may be left */
	bool end_again; /* another lease has ended since the pass began: another pass is due */
	u64 lose_at;	/* the next leaf from which lost[] are to be removed */
	bool losing;	/* a pass over the directory is under way */
	bool seeks_full; /* it waits for searches to end */
	u32 nseeks;	 /* transactions that SEEK */
	u16 nlost, lost[IVY_LOSE_MAX];
	struct ivy_msg held; /* the last message: the next one may go on with it */
	u16 held_dst;
	bool holds;
	u8 held_list[8];
	struct ivy_msg ring[IVY_RING]; /* to this node itself; none has a list */
	u32 ring_at, ring_n;
	u8 *scratch;  /* the list of the message being sent */
	u64 *readers; /* requests being served; IVY_LIST_MAX */
	u16 *ids;     /* nodes that answer, or are to be invalidated; IVY_LIST_MAX */
};

/* ---- the instance ---- */

static inline u64 ivy_now(const struct ivy *c)
{
	return c->env->now(c->ctx);
}

static inline void *ivy_alloc(struct ivy *c, size_t bytes)
{
	return c->env->alloc(c->ctx, bytes);
}

static inline void ivy_free(struct ivy *c, void *p, size_t bytes)
{
	if (p)
		c->env->free(c->ctx, p, bytes);
}

static inline u16 ivy_home_of(const struct ivy *c, u64 page)
{
	return c->homes[ivy_home_turn(page, c->p.nhomes)];
}

/* The nth page of this home's share. The last run of a region may have pages beyond its end. */
static inline u64 ivy_share_page(const struct ivy *c, u64 n)
{
	return (n / IVY_RUN * c->p.nhomes + c->home_index) * IVY_RUN + n % IVY_RUN;
}

static inline size_t ivy_cast_bytes(u32 n)
{
	return sizeof(struct ivy_cast) + sizeof(u16) * n + (n + 7) / 8;
}

/* ---- send.c ---- */
/* Sends a message without a list, or puts it into the ring. `src` is filled in. */
void ivy_send(struct ivy *c, u16 dst, struct ivy_msg *m, const void *data);
/* Sends one whose list is in c->scratch; never to this node. */
void ivy_send_list(struct ivy *c, u16 dst, struct ivy_msg *m, const void *data);

/* Every call from outside ends with it. */
void ivy_send_held(struct ivy *c);

/* ---- lease.c ---- */
struct ivy_peer *ivy_peer_get(struct ivy *c, u16 node);
struct ivy_peer *ivy_peer_make(struct ivy *c, u16 node);
/* The page's home as another node; NULL: it is this one (or there is no memory). */
struct ivy_peer *ivy_home_peer(struct ivy *c, u64 page);
void ivy_lease_free(struct ivy *c);
/* Notes when the peer is to be looked at next: after every change of its states or times. */
void ivy_lease_plan(struct ivy *c, struct ivy_peer *peer);
/* This node's lease from that home, which is live, goes into its sum; or out, if it is there. */
void ivy_lease_count(struct ivy *c, u16 home, struct ivy_peer *peer);
void ivy_lease_uncount(struct ivy *c, u16 home, struct ivy_peer *peer);
/* The same for another node's lease from this home. */
void ivy_lease_its_count(struct ivy *c, u16 node, struct ivy_peer *peer);
void ivy_lease_its_uncount(struct ivy *c, u16 node, struct ivy_peer *peer);
/* Its own end has come: takes it out of the sum, if no BEAT has renewed it; else notes the end. */
bool ivy_lease_its_expire(struct ivy *c, u16 node, struct ivy_peer *peer);
/* The other node has not answered in time; see ivy_pair_doubt(). IVY_NONE is accepted. */
void ivy_lease_doubt(struct ivy *c, u16 node);
/* As an answer to the pair's last BEAT says, if that is later. */
void ivy_lease_pull(struct ivy *c, u16 home, struct ivy_peer *peer);
/* Whether this node's lease from that home is live. If it is not and `ask`, requests one. */
bool ivy_lease_live(struct ivy *c, u16 home, bool ask);
/* The home has begun anew as another region: this node's pages of it are lost. */
bool ivy_lease_gone(struct ivy *c, u16 home);
/* Idle (no slots, at most `ops` operations), in its last quarter: no longer used or renewed. */
bool ivy_lease_stale(struct ivy *c, const struct ivy_peer *peer, u32 ops);
void ivy_lease_renew(struct ivy *c, u16 home, struct ivy_peer *peer);
/* No page is left under the lease: tells the home, which then need not wait for its end. */
void ivy_lease_quit(struct ivy *c, u16 home, struct ivy_peer *peer);
/* Quits all leases. */
void ivy_lease_leave(struct ivy *c);
u64 ivy_lease_inc(struct ivy *c, u16 home);
/* At a home: whether that incarnation of the node has a live lease. */
bool ivy_lease_of(struct ivy *c, u16 node, u64 inc);
bool ivy_lease_of_txn(struct ivy *c, u64 who);
u64 ivy_lease_its_inc(struct ivy *c, u16 node);
/* A message under this node's lease from the page's home, and under a node's from this home. */
void ivy_tell_home(struct ivy *c, u8 type, u64 page, u64 ver, u8 flags);
void ivy_answer_home(struct ivy *c, u8 type, u64 page, u64 ver, u64 who);
void ivy_tell_node(struct ivy *c, u16 dst, u8 type, u64 page, u64 ver, u64 who, u8 flags);

/* ---- pace.c ---- */
/* For how long that node's answer is waited for. IVY_NONE is accepted by all three. */
u64 ivy_pace_ns(struct ivy *c, u16 node);
/* It has not answered in time, and is asked again. */
void ivy_pace_late(struct ivy *c, u16 node);
/* It has answered what was sent then; `again`: more than once. */
void ivy_pace_answered(struct ivy *c, u16 node, u64 asked, bool again);

/* ---- tables.c ---- */
bool ivy_params_ok(const struct ivy_params *p);
void ivy_params_default(struct ivy_params *p);
int ivy_tables_make(struct ivy *c, const u16 *homes);
void ivy_tables_free(struct ivy *c);

/* ---- slot.c ---- */
struct ivy_slot *ivy_slot_get(struct ivy *c, u64 page);
struct ivy_slot *ivy_slot_make(struct ivy *c, u64 page);
void ivy_slot_drop(struct ivy *c, u64 page);
/* The page's slot has that version and right from now on, for the minimum hold. */
void ivy_slot_grant(struct ivy *c, u64 page, struct ivy_slot *s, u64 ver, enum ivy_right right);
/* Its rights are lowered for another node. */
void ivy_slot_taken(struct ivy *c, u64 page);
/* Whether it may be written, as far as other nodes are concerned. */
bool ivy_slot_sole(const struct ivy_slot *s);
u32 ivy_slot_hold_left(struct ivy *c, const struct ivy_slot *s);
void ivy_slot_hold_end(struct ivy *c, struct ivy_slot *s);

/* ---- dir.c ---- */
struct ivy_home *ivy_dir_entry(struct ivy *c, u64 page, bool make);
/* Whether the page's contents can meet a request; if they are lost, answers LOST. */
bool ivy_dir_usable(struct ivy *c, struct ivy_home *h, u64 page, u64 who, u64 have);
bool ivy_dir_owner_live(struct ivy *c, const struct ivy_home *h);
/* The contents of the page are lost. */
void ivy_dir_lose(struct ivy *c, struct ivy_home *h, u64 page);
u32 ivy_dir_lost(struct ivy *c, u64 *from, u64 *pages, u32 room); /* see ivy_lost() */
void ivy_dir_free(struct ivy *c);

/* ---- relay.c ---- */
/* Where a read request for that home goes from here. */
u16 ivy_relay_up(const struct ivy *c, u16 home);
void ivy_relay_ask(struct ivy *c, u16 dst, u64 page, u64 who, u8 flags);
/* Adds the message's requests to the page's batch; a full one is passed on. */
void ivy_relay_gather(struct ivy *c, const struct ivy_msg *m,
		      void (*pass)(struct ivy *c, const struct ivy_batch *b));
void ivy_relay_send(struct ivy *c, const struct ivy_batch *b); /* up */
/* The next batch, for the caller to pass on and to free; NULL: there is none. */
struct ivy_batch *ivy_relay_take(struct ivy *c);

/* ---- op.c ---- */
struct ivy_op *ivy_op_get(struct ivy *c, u64 page);
struct ivy_op *ivy_op_make(struct ivy *c, u64 page);
void ivy_op_trim(struct ivy *c, struct ivy_op *op); /* frees it if nothing is under way */
void ivy_op_want(struct ivy *c, struct ivy_op *op, enum ivy_right right);
void ivy_op_send(struct ivy *c, struct ivy_op *op, bool retry);
/* Sends it again, if its answer is late, or gives it up, if it was asked for ahead. */
void ivy_op_tick(struct ivy *c, struct ivy_op *op);
void ivy_op_finish(struct ivy *c, struct ivy_op *op, int err);
/* A fault waits for what was asked for ahead. */
void ivy_op_join(struct ivy *c, struct ivy_op *op);
/* Gives up what was asked for ahead; the caller trims the op. */
void ivy_op_forgo(struct ivy_op *op);
bool ivy_op_serve(struct ivy *c, struct ivy_op *op, const u64 *who, u32 n);
/* Calls each() for every op of a home (IVY_NONE: of any); each() may free the op it is given. */
void ivy_op_each(struct ivy *c, u16 home, void (*each)(struct ivy *c, struct ivy_op *op));
void ivy_op_free(struct ivy *c);

/* ---- ahead.c ---- */
/* After a fault on the page: asks for the next ones, if it is one of a row. */
void ivy_ahead_fault(struct ivy *c, u64 page, enum ivy_access access);
/* The page was asked for ahead, and is not granted. */
void ivy_ahead_refused(struct ivy *c, struct ivy_op *op);

/* ---- cast.c ---- */
/* Sends a copy of the page (zeros: IVY_F_ZERO) to its readers, through a tree of them. */
void ivy_cast_data(struct ivy *c, u64 page, u64 ver, u8 flags, const u64 *who, u32 n,
		   const void *data);
void ivy_cast_serve(struct ivy *c, u16 owner, u64 page, u64 ver, const u64 *who, u32 n);
/* Sends INV to ids; answers go to `to`. */
void ivy_cast_inv(struct ivy *c, u64 page, u64 ver, u16 to, const u16 *ids, u32 n);
/* The same to all of a set except one, and except this node, which gets the answers. */
void ivy_cast_inv_set(struct ivy *c, u64 page, u64 ver, const struct ivy_copyset *set, u16 but);
/* A received INV lists more nodes than this one: passes it on to them, and gathers answers. */
void ivy_cast_pass_inv(struct ivy *c, const struct ivy_msg *m);
void ivy_cast_rx_ack(struct ivy *c, const struct ivy_msg *m);
void ivy_cast_ack(struct ivy *c, u64 page, u64 ver, u16 to, const u16 *ids, u32 n);
/* This node has dropped its own copy. */
void ivy_cast_acked(struct ivy *c, struct ivy_op *op);
/* Sends the answers gathered so far, and ends the cast. */
void ivy_cast_flush(struct ivy *c, struct ivy_op *op);
void ivy_cast_free(struct ivy *c, struct ivy_op *op);

/* ---- agent.c ---- */
/* Does a page's pending work (`todo`), as far as its rights and holds allow. */
void ivy_agent_settle(struct ivy *c, u64 page);
/* Sends copies of a page that is owned here, and not written. */
void ivy_agent_copy(struct ivy *c, u64 page, struct ivy_slot *s, const u64 *who, u32 n);
/* Whether this node may write the page without asking; if so, it has the right from now on. */
bool ivy_agent_write(struct ivy *c, u64 page, struct ivy_slot *s);
/* Sends an owned page home: when revoked, as it is, or as zeros after a discard. */
void ivy_agent_put(struct ivy *c, struct ivy_op *op);
void ivy_agent_tick(struct ivy *c);
/* The lease from that home has ended: ends the operations on its pages. */
void ivy_agent_end(struct ivy *c, u16 home);
/* Ends one resident page of an ended lease. */
void ivy_agent_end_page(struct ivy *c, u64 page, u64 deadline);
/* Sends all requests to that home again, or fails them if err. */
void ivy_agent_resend(struct ivy *c, u16 home, int err);

/* ---- grant.c ---- */
void ivy_grant_rx(struct ivy *c, const struct ivy_msg *m, const void *data);
void ivy_grant_data(struct ivy *c, u64 page, u64 ver, u64 who, u8 flags, const void *data);
void ivy_grant_serve(struct ivy *c, u64 page, u64 ver, const u64 *who, u32 n);
void ivy_grant_inv(struct ivy *c, u64 page, u64 ver, u16 to);
/* Installs a page that was PUT here, its home; false: not now, the owner retries. */
bool ivy_grant_keep(struct ivy *c, u64 page, u64 ver, const void *data);
/* Completes this node's request if the page's right now meets it. */
void ivy_grant_satisfy(struct ivy *c, u64 page);

/* ---- serve.c ---- */
/* Serves the first n of c->readers. */
void ivy_serve(struct ivy *c, struct ivy_home *h, u64 page, u32 n);

/* ---- txn.c ---- */
struct ivy_txn *ivy_txn_make(struct ivy *c, struct ivy_home *h, u64 page);
void ivy_txn_write(struct ivy *c, struct ivy_txn *t, u64 who, u64 have);
void ivy_txn_wait(struct ivy *c, struct ivy_txn *t, u64 who, u64 have, bool retry);
void ivy_txn_acked(struct ivy *c, struct ivy_txn *t); /* the copyset may have shrunk */
void ivy_txn_send(struct ivy *c, struct ivy_txn *t);  /* sends the message of its phase */
void ivy_txn_done(struct ivy *c, struct ivy_txn *t);
/* The writer has not taken the page, and will not: the owner has it again. */
void ivy_txn_cancel(struct ivy *c, struct ivy_txn *t);
/* The writer is lost; if the page was sent to it, it may have written. */
void ivy_txn_writer_lost(struct ivy *c, struct ivy_txn *t, bool clean);
/* The owner is lost, or has no such page. */
void ivy_txn_owner_lost(struct ivy *c, struct ivy_txn *t);
void ivy_txn_next(struct ivy *c, struct ivy_txn *t); /* ends it, and serves the waiting requests */
void ivy_txn_tick(struct ivy *c);
/* Messages that wait for that node's answer are sent again at the next tick. */
void ivy_txn_node_joined(struct ivy *c, u16 node);
void ivy_txn_unlink(struct ivy *c, struct ivy_txn *t);

/* ---- recover.c ---- */
/* A node is lost: begins to remove it from the directory. */
void ivy_recover_node_lost(struct ivy *c);
/* Goes on with the removal, for so many leaves. */
void ivy_recover_step(struct ivy *c, u32 leaves);
/* The owner is lost: makes a holder of a copy the owner, or the page lost. */
void ivy_recover_seek(struct ivy *c, struct ivy_home *h, u64 page);
/* HAVE, or PUT by a node that may be the one sought: whether it is. */
bool ivy_recover_found(struct ivy *c, struct ivy_home *h, const struct ivy_msg *m);
void ivy_recover_missed(struct ivy *c, struct ivy_home *h, const struct ivy_msg *m);
/* Searches do not wait for nodes that are lost, too. */
void ivy_recover_tick(struct ivy *c);

/* ---- home.c ---- */
void ivy_home_rx(struct ivy *c, const struct ivy_msg *m, const void *data);
/* Read requests that were gathered here. */
void ivy_home_batch(struct ivy *c, const struct ivy_batch *b);
void ivy_home_free(struct ivy *c);

/* ---- alive.c ---- */
/* Whether the lease from that home is live. If it has run out since the last tick, it ends now. */
bool ivy_alive_use(struct ivy *c, u16 home);
void ivy_alive_rx(struct ivy *c, const struct ivy_msg *m);
void ivy_alive_tick(struct ivy *c);
/* A connection to the node stands: renews the lease from it now, if it is in use. */
void ivy_alive_joined(struct ivy *c, u16 node);
/* A slot was freed: completes the end of the lease if it was the last. */
void ivy_alive_settle(struct ivy *c, u16 home);
/* Frees slots of ended leases; visits so many slots. */
void ivy_alive_step(struct ivy *c, u32 slots);

#endif
