/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net.h - many nodes in one process, with a clock, processors and links: discrete events.
 *
 * A node takes cpu_ns for each message that it sends and for each that it receives, one after the
 * other; its link takes bytes for a time at either end; between the two a message flies for half
 * a round trip. Messages that wait at a node are handed to its core one by one, and ivy_flush()
 * follows when none is left. With faults, connections break at random: the last messages are lost,
 * some before them come again, some nodes are cut off for longer than a lease, and some begin anew,
 * of which some have left before; one that is a home is then opened, after a while, as having lost
 * its pages. Single messages are lost, for which there was no room, messages of leases overtake
 * others, and a node may be slow for a while, or without memory.
 */
#ifndef GVM_TEST_NET_H
#define GVM_TEST_NET_H

#include "kmod/ivy/impl.h"
#include "kmod/ivy/ivy.h"

#define NET_PAGES 64 /* that a node can have resident at most */

struct net_config {
	u16 nodes, nhomes, ahead;
	u16 group; /* nodes that share a region, of which the first are its homes; 0: all */
	u32 pages;
	u64 rtt_ns, cpu_ns, jitter_ns, hold_ns, lease_ns, retry_ns;
	u64 bits_per_us; /* of a link */
	u8 hold_doublings;
	u16 fanout, relay_above; /* 0: as the core has them */
	bool faults;
	bool losses; /* without faults: nodes may be cut off, or begin anew, by net_lose() */
	u64 seed;
};

struct net_frame {
	struct ivy_slot slot;
	u64 value;
	u8 resident, mapped, revoke, wait;
	bool failed, woken;
	u64 discard; /* 0, or 1 + the newest value when one began that has not been told of */
};

struct net_packet;

struct net_node {
	struct ivy *core;
	struct ivy_pairs *pairs;
	u64 tick_at; /* the earliest tick that is planned */
	u16 id;
	u64 cpu;    /* busy until then */
	u64 tx, rx; /* the link's ends are */
	struct net_packet *queue, **queue_end;
	bool scheduled;
	u32 hop; /* of the message being handled */
	u64 cut_until, slow_until, short_until;
	u32 life; /* how often it has begun anew */
	u64 inv_sent;	    /* INV and ACK messages */
	u64 messages;	    /* sent and received */
	u64 started, ended; /* of the last fault */
	u32 ended_hop;
	u32 left, page;
	bool write;
	struct net_frame *frames;
};

struct net_totals {
	u64 beats; /* BEAT and BEATEN, of `messages` */
	u64 messages, bytes, dropped, repeated, resets, cuts, faults, lost, discards, restarts,
		left, spells;
	u64 memory, memory_max;
	u64 first_inv, last_ack; /* times */
	u32 inv_hop, ack_hop;
};

extern struct net_node *net_nodes;
extern struct net_totals net_totals;
extern u64 net_now;

void net_begin(const struct net_config *config);
void net_end(void);
void net_run(void); /* until nothing is left to happen */
void net_run_until(u64 time);
/* The node is cut off for some time, or begins anew. */
void net_lose(u16 node, u64 ns);
void net_restart(u16 node);
u64 net_random(u64 below);
void net_fault(u16 node, u32 page, bool write);
void net_discard(u16 node, u32 page);
void net_evict(u16 node, u32 page);
/* After every access, and when all is quiet. NULL, or what is wrong. */
const char *net_wrong(u32 page);
/* Called when a fault has been answered: begins what the node does next. */
extern void (*net_answered)(struct net_node *n, u32 page, bool lost);
/* Calls fn(node) at that time. */
void net_at(u64 when, u16 node, void (*fn)(struct net_node *n));

#endif
