/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_peer.h - what a node has of another one: a queue and its writer, the reader, and the calls
 * that wait for an answer.
 *
 * A caller's frame goes into the queue, under the peer's lock, which nobody holds while he waits: a
 * thread that holds QEMU's big lock may send. The writer seals and sends; the reader opens, matches
 * answers with calls, and gives all else to env->frame. A queue that is full ends the peer, as does
 * everything else that goes wrong, once and with one sentence. An ended peer never comes back.
 *
 * An interrupt that is in the queue already is not queued again: a vCPU takes one that has come
 * twice before it could once only, and whoever sends without a pause fills no queue.
 */
#ifndef VCPU_PEER_H
#define VCPU_PEER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vcpu_link.h"

#define VCPU_TYPES 128			     /* more than any type's number */
#define VCPU_IRQS  (VCPU_CPUS_MAX * 256 * 2) /* by vCPU, vector, and edge or level */

/* The same for all peers of a node; outlives them. */
struct vcpu_peer_env {
	const struct vcpu_self *self;
	atomic_uint era;
	unsigned silence_ms, call_ms;
	size_t queue_bytes;
	void *opaque;
	/*
	 * The peers' reader threads call these, those of different peers at once. A reader may wait
	 * for QEMU's big lock, and for no peer. `frame` and its body are the callee's until it
	 * returns. An era may end meanwhile: vcpu_peer_env.era again under the lock that the era is
	 * changed with.
	 */
	void (*frame)(void *opaque, const struct vcpu_frame *frame);
	/* A reader thread begins, and ends; NULL: nothing is to be done. */
	void (*thread)(void *opaque, bool begins);
	/* The peer has ended, for this reason: its last call. */
	void (*lost)(void *opaque, unsigned node, const char *why);
};

struct vcpu_peer_stats {
	uint64_t sent[VCPU_TYPES], received[VCPU_TYPES]; /* frames by type */
	uint64_t bytes_sent, bytes_received;
	uint64_t dropped; /* frames of an era that has ended */
	uint64_t merged;  /* interrupts that were in the queue already */
	uint64_t queue_peak_bytes;
	uint64_t calls, call_ns, call_ns_max; /* that were answered, and how long it took */
};

enum vcpu_peer_state { VCPU_PEER_AWAITED, VCPU_PEER_UP, VCPU_PEER_ENDED };

struct vcpu_call;

struct vcpu_peer {
	struct vcpu_peer_env *env;
	unsigned node;
	pthread_mutex_t lock;	/* guards all below but the link */
	pthread_cond_t changed; /* state, queue */
	enum vcpu_peer_state state;
	bool told;	       /* env->lost has been called, or must not be */
	int fd;		       /* -1 but while it is up, and ending */
	struct vcpu_link link; /* while up: to_peer the writer's, from_peer the reader's */
	uint8_t *queue,
		*sending; /* [env->queue_bytes] each, encoded frames; `sending` the writer's */
	size_t queued;
	uint64_t *waiting;    /* [VCPU_IRQS / 64]: the interrupts in `queue` */
	uint32_t waiting_era; /* of those */
	bool writing;	      /* the writer has frames that it has not sent */
	uint32_t seq;	      /* of the last request */
	struct vcpu_call *calls;
	struct vcpu_peer_stats stats;
	char why[VCPU_WHY_BYTES];
};

/* 0 or -ENOMEM. */
int vcpu_peer_init(struct vcpu_peer *peer, struct vcpu_peer_env *env, unsigned node);
/* No thread uses it any more. */
void vcpu_peer_deinit(struct vcpu_peer *peer);

/*
 * The connection is up: the peer takes link and descriptor over. -EEXIST: the peer is up,
 * -ESHUTDOWN: it has ended; then they stay the caller's.
 */
int vcpu_peer_adopt(struct vcpu_peer *peer, const struct vcpu_link *link, int fd);
/* Reads and writes until the peer has ended, and tells why. For a thread of the peer's own. */
void vcpu_peer_run(struct vcpu_peer *peer);
/* The first reason stays. Does not wait. */
void vcpu_peer_end(struct vcpu_peer *peer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Calls env->lost of an ended peer, once. */
void vcpu_peer_tell(struct vcpu_peer *peer);

/*
 * Fills `from`, `era` and `seq`, and queues a frame that is otherwise valid and no request. Does
 * not wait. -ENOTCONN: the peer is not up; -ENOBUFS: the queue was full, and the peer has ended.
 */
int vcpu_peer_send(struct vcpu_peer *peer, struct vcpu_frame *frame);
/*
 * The same for an answer to the request with this era and seq, which it takes from `frame`. Of an
 * era that has ended it is dropped.
 */
int vcpu_peer_answer(struct vcpu_peer *peer, struct vcpu_frame *frame);
/*
 * Queues a request and waits for the answer, whose body goes to `body`, of VCPU_BODY_MAX. The
 * caller holds no lock. -ECANCELED: another era began; -ENOTCONN, -ENOBUFS: as above; -ETIMEDOUT:
 * no answer within env->call_ms, and the peer has ended.
 */
int vcpu_peer_call(struct vcpu_peer *peer, struct vcpu_frame *request, struct vcpu_frame *answer,
		   uint8_t *body);
/* Another era has begun: calls of those before end. */
void vcpu_peer_era_began(struct vcpu_peer *peer);
/* Waits until all that was queued is with the kernel; -ETIMEDOUT, -ENOTCONN. */
int vcpu_peer_flush(struct vcpu_peer *peer, unsigned timeout_ms);

#endif
