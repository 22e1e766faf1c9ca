/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cluster.h - two to four simulated nodes that have one to three copies of the region, and a worker's connections to them,
 * under the world of tests/resident.
 *
 * All that is above a connection is gvmfs's own: which nodes a chunk is fetched from (region_fetch.c, fetch.c), a writer
 * and its PUTs (writer.c, flush.c), when a write is stored (sender.c), views and repair (replicas.c, views.c, repair.c,
 * fill.c, repair_job.c), how rotten copies are found (scrub.c) and mended (rot.c), and how copies move to another node, or are made
 * anew there (drain.c, balance.c, surplus.c, replace.c, replace_job.c, strays.c, moved.c). gvm_client.h is bound to wire.c, the rest
 * of a worker to worker.c and moves.c. Left out: names. Every other episode's region is sealed: codec.c stands for seal.c.
 *
 * A node is silent, or its connections break; it comes back with what it had, or begins anew without it; what it has of a
 * page is damaged; it is full. A worker's last requests may come to a node long after its death. What happens leaves a good
 * copy of each chunk on a member of its view that answers. Where that one is left out afterwards (it was slow), the chunk may
 * be lost by right: then the region fails, and only its end is looked at.
 *
 * In some episodes anything may rot. A page of which no member has a good copy while it is not here is lost by right then, and
 * an access to it may fail, until it is written.
 *
 * What must hold (nodes_check()), beside what the world checks:
 *
 *	- one version of a chunk is the same bytes on all nodes, and sealed once;
 *	- every member of a view has what was acknowledged, but where its copy is rotten, or it began anew;
 *	- whichever nodes answer to a host that attaches the region after the loss of this one and of its journal: by what they have
 *	  recorded of the views it finds all that was acknowledged, or refuses (views.h);
 *	- no view comes to have fewer members than there are copies while all answer: a move takes no copy away before there is another;
 *	- with one copy, a reader whose record is old finds nothing where a slot has moved away from, rather than what is old; and
 *	  one whose record is new finds it;
 *	- a copy that moves, since its node is drained or too full, goes to no rack that has another;
 *	- nodes that have been rid of what they need no more have no more, and promise no more;
 *	- no read fails, but of a page that was lost by right;
 *	- what is here, and rotten on all nodes, does not leave if that was known;
 *	- where copies are looked at that nobody reads, none stays rotten that has another;
 *	- a rotten copy is mended where each page is good on some member, its own node among them.
 */
#ifndef REPLICAS_CLUSTER_H
#define REPLICAS_CLUSTER_H

#include "../resident/world.h"

#include "node/views.h"

#define NODES_MAX 4u
#define SLOTS	  4u
#define NR	  1u /* the region's inode */
#define LOST	  (~0ull - 2) /* the content of a page that a copy says is lost */
#define PAST_MAX  64u /* versions of a chunk, of which is remembered what they are */

/* Of a chunk. The hash of a page that is rotten is not its content's. */
struct copy {
	uint64_t version; /* with GVM_VERSION_ZERO; 0: never written */
	uint64_t content[GVM_CHUNK_PAGES];
	uint64_t hash[GVM_CHUNK_PAGES]; /* 0: the page is zero; sealed: of the tag the second half */
	uint64_t seal[GVM_CHUNK_PAGES];	/* sealed: of the tag the first half, by which the page is known */
	uint64_t sealed_in[GVM_CHUNK_PAGES]; /* the chunk's version when it was sealed */
	uint32_t rotten; /* pages */
	uint32_t lost;	 /* pages that are said to be */
	bool head_rotten;
};

struct node_view {
	uint64_t number;
	struct gvm_id member[GVM_REPLICAS_MAX];
};

struct node {
	struct gvm_id id; /* its incarnation */
	bool down, deaf, renewed; /* renewed: it began anew, or was rid of its part: it has no region */
	bool drains, attached; /* attached: its part of the region, to the worker */
	uint64_t promised; /* chunks */
	uint64_t order; /* of the last RESIZE or CREATE */
	uint64_t grave; /* a CREATE with a lower order is late */
	uint64_t deaf_ns; /* since when */
	struct copy copy[W_CHUNKS];
	struct node_view active[W_CHUNKS], proposed[W_CHUNKS]; /* (a record may have fewer slots than the protocol) */
};

struct cluster {
	unsigned nodes, copies;
	uint64_t began_ns;
	uint64_t room; /* of each, in chunks */
	unsigned rack[NODES_MAX]; /* pool_rack() */
	struct node node[NODES_MAX];
	struct gvm_id region;
	uint64_t words[SLOTS]; /* the journal's: views.h */
	bool rots_all;	       /* also last copies */
	struct {
		uint32_t here;	/* pages, when they were last looked at */
		uint32_t lost;	/* that are, by right */
		uint32_t ever;	/* that were at some time */
		bool told;	/* it is known that what is here is rotten on all nodes */
	} fate[W_CHUNKS];
	unsigned lives;
	uint8_t node_of[256]; /* by the number of its life */
	int8_t place[SLOTS][NODES_MAX];
	uint8_t members[SLOTS]; /* of the views, when they were last looked at */
	bool named[SLOTS][NODES_MAX]; /* to have the slot, by a record that readers may have */
	bool untold; /* one copy: a node did not answer when it was to be told what has moved away from it */
	bool ill[SLOTS]; /* a node has not answered since the view last changed, or is held not to */
	/* What the last versions of each chunk were, wherever they first came to be. */
	struct past_version {
		uint64_t version;
		uint64_t content[GVM_CHUNK_PAGES], seal[GVM_CHUNK_PAGES];
	} past[W_CHUNKS][PAST_MAX];
	unsigned past_count[W_CHUNKS];
};

enum rots {
	ROTS_EVERYWHERE = NODES_MAX, /* the same on all nodes */
	ROTS_APART,		     /* another page of the chunk on each */
};

extern struct cluster cluster;
extern unsigned cluster_nodes, cluster_copies; /* that the next world has */
extern bool cluster_rots_all, cluster_drains; /* drains: a node is to be drained when it begins */
extern bool cluster_adds; /* the last node was just added: it has nothing */
extern bool cluster_scrubs; /* what nobody reads is looked at, too */
extern bool cluster_racks; /* some nodes are in one rack */
extern bool cluster_tight; /* no node has room for all that another has */

/* ---- cluster.c: the nodes. Results are as the client library gives them. */

void cluster_init(unsigned nodes, unsigned copies);
/* A new incarnation of a node, which has nothing. */
struct gvm_id life_new(unsigned node);
/* The node that has, or had, an incarnation. */
unsigned node_by_id(const struct gvm_id *id);
unsigned slot_of(uint64_t chunk);
/* Which of a slot's replicas a node has, by the journal's record; -1: none. To be found out anew (places_look()) when that
 * changes, or a node begins anew. */
void places_look(void);
int slot_replica(unsigned slot, unsigned node);
/* Of pages whose content is not what was stored. */
uint32_t copy_rotten(const struct copy *copy);
/* Or that are lost. */
uint32_t copy_bad(const struct copy *copy);

int node_put(struct node *n, const struct gvm_put_req *what, const struct chunk_head *head, const uint8_t *body,
	     uint64_t *detail);
int node_discard(struct node *n, const struct gvm_discard_req *what, uint64_t *detail);
/* Its part of the region is made; given up. */
int node_create(struct node *n, const struct gvm_region_create_req *what);
int node_delete(struct node *n, const struct gvm_region_delete_req *what);
int node_resize(struct node *n, const struct gvm_region_resize_req *what);
int node_view(struct node *n, const struct gvm_region_view_req *what);
/* Readers may have the journal's record from now on. */
void record_is_out(void);
/* No node refuses to give a reader what it has by the journal's record. */
bool readers_find_all(void);
/* The chunk for a GET: *copy is valid if the result is 0. */
int node_get(const struct node *n, const struct gvm_get_req *what, const struct copy **copy, uint64_t *detail);

/* Of the view of its slot, with what it had. */
bool node_is_member(unsigned node, uint64_t chunk);
/* Whether a member that answers, other than node `without`, has all that was acknowledged of a chunk. */
bool chunk_is_safe(uint64_t chunk, unsigned without);
/* A node may go away for a while: nothing that is rotten elsewhere depends on it. */
bool may_go(unsigned node);
/* All members have a rotten copy of some chunk. */
bool chunks_are_lost(void);

/* ---- codec.c: chunks of small pages */

uint64_t page_hash(uint64_t content, uint64_t chunk, unsigned page);
/* What is sealed is not hidden; that it is authentic tells the second half of its tag. */
uint64_t seal_hash(uint64_t content, uint64_t chunk, unsigned page, uint64_t seal, uint64_t version);

/* ---- wire.c: connections */

enum wire_owner { OF_FRONT, OF_WRITER, OF_TALKS, OWNERS };

void wires_init(void);
/* A worker begins, with connections of its own; it was killed. */
void wires_begin(void);
void wires_killed(void);
/* Ends what a dead worker's conversations wait for. */
void wires_cancel(enum wire_owner owner);
struct gvm_conn *wire_conn(enum wire_owner owner, unsigned node);
unsigned wire_node(const struct gvm_conn *conn);
bool wires_event(const struct event *e);
void wires_tick(void);
uint64_t wires_due(void);
/* Changes with whatever is sent, or ended. */
extern uint64_t wires_news;
#define WIRE_CONNS (OWNERS * NODES_MAX)
#define WIRE_BOXES 256u /* requests */
#define WIRE_LATE  8u

/* ---- unpack.c */

/* A worker begins. */
void unpack_begin(void);

/* ---- moves.c */

void moves_names_read(struct worker *w, bool majority, void (*done)(struct worker *w, int result, void *arg), void *arg);

/* ---- worker.c */

/* The journal's record. */
const struct record *worker_record(void);
/* Whether the worker holds one of the slot's replicas to be bad. */
bool worker_finds_bad(unsigned slot);
/* One copy: whether nodes were told what has moved away from them; whether writes still wait for that. */
bool worker_has_told(void);
bool worker_settles(void);
/* The pools' tables: an incarnation may have come or gone. */
void worker_nodes_changed(void);
bool worker_event(const struct event *e);

#endif
