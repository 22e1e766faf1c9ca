/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_router.h - the connections of one node's QEMU to those of all others that share its guest.
 *
 * From vcpu_router_create() on the node listens and connects, to each node with a lower number,
 * again and again until it is there: the nodes may be started in any order. All connections are
 * made before the guest runs, so that a link that is missing is found then and not by the first
 * interrupt. A node that is not there within start_ms is lost, as is one whose connection breaks:
 * no connection is made twice.
 *
 * Of a handshake that failed the user is told (`note`), and the node tries on: the other may be
 * started anew with what was wrong put right.
 */
#ifndef VCPU_ROUTER_H
#define VCPU_ROUTER_H

#include "vcpu_map.h"
#include "vcpu_peer.h"
#include "vcpu_socket.h"

struct vcpu_router;

struct vcpu_router_conf {
	unsigned node;
	const struct vcpu_map *map; /* copied */
	const struct vcpu_addr
		*addrs;	 /* [map->nodes], copied: where each listens; the last need not */
	const void *key; /* shared by all nodes; not kept */
	size_t key_bytes;
	uint64_t digest[VCPU_DIGESTS]; /* but the map's, which the router makes */
	/* 0: a default. */
	unsigned start_ms;   /* 60,000: all have to be up by then */
	unsigned greet_ms;   /* 5,000: a handshake has ended by then */
	unsigned silence_ms; /* 5,000: what is not heard of for longer is lost; at least 4 */
	unsigned call_ms;    /* 30,000: an answer has come by then */
	size_t queue_bytes;  /* 1 MiB: what may wait for one peer; at least VCPU_FRAME_MAX */
	void *opaque;
	/* As in vcpu_peer.h. A peer that never came up is told of by another thread. */
	void (*frame)(void *opaque, const struct vcpu_frame *frame);
	void (*thread)(void *opaque, bool begins);
	void (*lost)(void *opaque, unsigned node, const char *why);
	/* A sentence for the user; nothing is lost yet. Any thread of the router's. */
	void (*note)(void *opaque, const char *text);
};

#define VCPU_ROUTER_ERROR_BYTES 256

/* 0, or a negative errno and `error`: the end of a message to the user. */
int vcpu_router_create(const struct vcpu_router_conf *conf, struct vcpu_router **out,
		       char error[VCPU_ROUTER_ERROR_BYTES]);
/* Ends all connections, and waits for the router's threads; NULL accepted. No `lost` from then on.
 */
void vcpu_router_destroy(struct vcpu_router *r);

/* 0: all are up; -ENOTCONN: one was lost; -ETIMEDOUT. */
int vcpu_router_wait_up(struct vcpu_router *r, unsigned timeout_ms);

/* See vcpu_peer.h; `node` is another one of the map. */
int vcpu_router_send(struct vcpu_router *r, unsigned node, struct vcpu_frame *frame);
int vcpu_router_answer(struct vcpu_router *r, unsigned node, struct vcpu_frame *frame);
int vcpu_router_call(struct vcpu_router *r, unsigned node, struct vcpu_frame *request,
		     struct vcpu_frame *answer, uint8_t *body);
/* To all others; the first error, after all have been tried. */
int vcpu_router_send_all(struct vcpu_router *r, struct vcpu_frame *frame);
/* Waits until what was queued for each is sent, or its end has come. */
void vcpu_router_flush(struct vcpu_router *r, unsigned timeout_ms);

uint32_t vcpu_router_era(const struct vcpu_router *r);
/*
 * Begins an era, the one after the present: frames of the old one are dropped, and its calls end.
 * Node 0 does so and then sends RESET, the others when RESET has come.
 */
void vcpu_router_era_begin(struct vcpu_router *r, uint32_t era);

/* A consistent copy; `state` too. */
void vcpu_router_stats(struct vcpu_router *r, unsigned node, struct vcpu_peer_stats *stats,
		       enum vcpu_peer_state *state);

#endif
