// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_peer.c - see vcpu_peer.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "vcpu_peer.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vcpu_socket.h"

#define READ_BYTES (16 * VCPU_FRAME_MAX)
#define SEND_BYTES (16 * VCPU_FRAME_MAX)

/* One that waits, on its own stack. */
struct vcpu_call {
	const struct vcpu_frame *request; /* with its body, until the call is over */
	struct vcpu_frame *answer;
	uint8_t *body;
	pthread_cond_t over;
	bool done;
	int result;
	struct vcpu_call *next;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

/* 0 or ETIMEDOUT. */
static int cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t ns)
{
	struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

	return pthread_cond_timedwait(cond, lock, &t);
}

int vcpu_peer_init(struct vcpu_peer *peer, struct vcpu_peer_env *env, unsigned node)
{
	memset(peer, 0, sizeof(*peer));
	peer->env = env;
	peer->node = node;
	peer->fd = -1;
	peer->queue = malloc(env->queue_bytes);
	peer->sending = malloc(env->queue_bytes);
	peer->waiting = calloc(VCPU_IRQS / 64, sizeof(*peer->waiting));
	if (!peer->queue || !peer->sending || !peer->waiting) {
		free(peer->queue);
		free(peer->sending);
		free(peer->waiting);
		return -ENOMEM;
	}
	pthread_mutex_init(&peer->lock, NULL);
	cond_init(&peer->changed);
	return 0;
}

void vcpu_peer_deinit(struct vcpu_peer *peer)
{
	assert(!peer->calls && peer->fd < 0);
	pthread_cond_destroy(&peer->changed);
	pthread_mutex_destroy(&peer->lock);
	free(peer->queue);
	free(peer->sending);
	free(peer->waiting);
}

/* ---- the end; the lock is held ---- */

static void call_over(struct vcpu_call *call, int result)
{
	call->done = true;
	call->result = result;
	pthread_cond_signal(&call->over);
}

static void end_locked(struct vcpu_peer *peer, const char *why)
{
	if (peer->state == VCPU_PEER_ENDED)
		return;
	peer->state = VCPU_PEER_ENDED;
	snprintf(peer->why, sizeof(peer->why), "%s", why);
	if (peer->fd >= 0)
		shutdown(peer->fd, SHUT_RDWR); /* reader and writer see it */
	for (struct vcpu_call *call = peer->calls; call; call = call->next)
		if (!call->done)
			call_over(call, -ENOTCONN);
	pthread_cond_broadcast(&peer->changed);
}

void vcpu_peer_end(struct vcpu_peer *peer, const char *format, ...)
{
	char why[VCPU_WHY_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	pthread_mutex_lock(&peer->lock);
	end_locked(peer, why);
	pthread_mutex_unlock(&peer->lock);
}

void vcpu_peer_tell(struct vcpu_peer *peer)
{
	bool tell;

	pthread_mutex_lock(&peer->lock);
	tell = peer->state == VCPU_PEER_ENDED && !peer->told;
	peer->told = true;
	pthread_mutex_unlock(&peer->lock);
	if (tell)
		peer->env->lost(peer->env->opaque, peer->node, peer->why);
}

/* ---- sending ---- */

static void forget_waiting(struct vcpu_peer *peer)
{
	memset(peer->waiting, 0, VCPU_IRQS / 64 * sizeof(*peer->waiting));
}

/*
 * Whether the frame is an interrupt that the queue has. INIT takes away what came before it, an era
 * what is of the last one; then the same interrupt is another one.
 */
static bool waits(struct vcpu_peer *peer, const struct vcpu_frame *frame)
{
	uint64_t *word, bit;
	unsigned n;

	if (frame->type == VCPU_INIT || frame->era != peer->waiting_era) {
		forget_waiting(peer);
		peer->waiting_era = frame->era;
	}
	if (frame->type != VCPU_IRQ)
		return false;
	n = (frame->cpu * 256u + (unsigned)frame->value) * 2 + (frame->flags & VCPU_IRQ_LEVEL);
	word = &peer->waiting[n / 64];
	bit = 1ull << n % 64;
	if (*word & bit)
		return true;
	*word |= bit;
	return false;
}

/* The lock is held. */
static int queue_frame(struct vcpu_peer *peer, const struct vcpu_frame *frame)
{
	size_t bytes = VCPU_HEAD_BYTES + (size_t)frame->body_bytes;
	char why[VCPU_WHY_BYTES];

	assert(vcpu_frame_valid(frame, peer->node) &&
	       vcpu_map_frame_fits(peer->env->self->map, frame, peer->node));
	if (peer->state != VCPU_PEER_UP)
		return -ENOTCONN;
	if (waits(peer, frame)) {
		peer->stats.merged++;
		return 0;
	}
	if (bytes > peer->env->queue_bytes - peer->queued) {
		snprintf(why, sizeof(why), "node %u reads too slowly: %zu bytes wait for it",
			 peer->node, peer->queued);
		end_locked(peer, why);
		return -ENOBUFS;
	}
	peer->queued += vcpu_frame_encode(frame, peer->queue + peer->queued);
	peer->stats.sent[frame->type]++;
	if (peer->queued > peer->stats.queue_peak_bytes)
		peer->stats.queue_peak_bytes = peer->queued;
	pthread_cond_broadcast(&peer->changed);
	return 0;
}

static void frame_own(const struct vcpu_peer *peer, struct vcpu_frame *frame)
{
	frame->from = peer->env->self->node;
	frame->era = atomic_load(&peer->env->era);
	frame->seq = 0;
}

int vcpu_peer_send(struct vcpu_peer *peer, struct vcpu_frame *frame)
{
	int err;

	pthread_mutex_lock(&peer->lock);
	frame_own(peer, frame);
	err = queue_frame(peer, frame);
	pthread_mutex_unlock(&peer->lock);
	return err;
}

int vcpu_peer_answer(struct vcpu_peer *peer, struct vcpu_frame *frame)
{
	int err = 0;

	pthread_mutex_lock(&peer->lock);
	frame->from = peer->env->self->node;
	if (frame->era == atomic_load(&peer->env->era))
		err = queue_frame(peer, frame);
	pthread_mutex_unlock(&peer->lock);
	return err;
}

static void call_drop(struct vcpu_peer *peer, struct vcpu_call *call)
{
	struct vcpu_call **at = &peer->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
}

/* The lock is held, and given up while it waits. */
static int call_wait(struct vcpu_peer *peer, struct vcpu_call *call)
{
	uint64_t began = now_ns(), slice = peer->env->call_ms * 1000000ull / VCPU_SLICES, took;
	unsigned slices = 0;
	char why[VCPU_WHY_BYTES];

	/* As this process waits: it may have stood still for longer, and the answer be there. */
	while (!call->done)
		if (cond_wait_until(&call->over, &peer->lock, now_ns() + slice) == ETIMEDOUT &&
		    !call->done && ++slices == VCPU_SLICES) {
			snprintf(why, sizeof(why), "node %u did not answer %s within %u ms",
				 peer->node, vcpu_type_name(call->request->type),
				 peer->env->call_ms);
			call_over(call, -ETIMEDOUT);
			end_locked(peer, why);
		}
	took = now_ns() - began;
	if (!call->result) {
		peer->stats.calls++;
		peer->stats.call_ns += took;
		if (took > peer->stats.call_ns_max)
			peer->stats.call_ns_max = took;
	}
	return call->result;
}

int vcpu_peer_call(struct vcpu_peer *peer, struct vcpu_frame *request, struct vcpu_frame *answer,
		   uint8_t *body)
{
	struct vcpu_call call = {.request = request, .answer = answer, .body = body};
	int err;

	cond_init(&call.over);
	pthread_mutex_lock(&peer->lock);
	frame_own(peer, request);
	if (!++peer->seq)
		peer->seq = 1;
	request->seq = peer->seq;
	call.next = peer->calls;
	peer->calls = &call;
	err = queue_frame(peer, request);
	if (!err)
		err = call_wait(peer, &call);
	call_drop(peer, &call);
	pthread_mutex_unlock(&peer->lock);
	pthread_cond_destroy(&call.over);
	return err;
}

void vcpu_peer_era_began(struct vcpu_peer *peer)
{
	pthread_mutex_lock(&peer->lock);
	for (struct vcpu_call *call = peer->calls; call; call = call->next)
		if (!call->done && call->request->era != atomic_load(&peer->env->era))
			call_over(call, -ECANCELED);
	pthread_mutex_unlock(&peer->lock);
}

int vcpu_peer_flush(struct vcpu_peer *peer, unsigned timeout_ms)
{
	uint64_t until = now_ns() + timeout_ms * 1000000ull;
	int err = 0;

	pthread_mutex_lock(&peer->lock);
	while (!err && peer->state == VCPU_PEER_UP && (peer->queued || peer->writing))
		err = -cond_wait_until(&peer->changed, &peer->lock, until);
	if (!err && peer->state != VCPU_PEER_UP)
		err = -ENOTCONN;
	pthread_mutex_unlock(&peer->lock);
	return err;
}

/* Seals and sends what was queued. */
static int send_all(struct vcpu_peer *peer, uint8_t *out, size_t bytes)
{
	size_t filled = 0;
	int err = 0;

	for (size_t at = 0; at < bytes && !err;) {
		int frame = vcpu_frame_bytes(peer->sending + at), sealed;

		assert(frame > 0);
		if (filled > SEND_BYTES - VCPU_FRAME_MAX) {
			err = vcpu_socket_write(peer->fd, out, filled, peer->env->silence_ms);
			filled = 0;
		}
		sealed = vcpu_link_close(&peer->link, peer->sending + at, (size_t)frame,
					 out + filled);
		if (sealed < 0)
			return sealed;
		filled += (size_t)sealed;
		at += (size_t)frame;
	}
	return err ? err : vcpu_socket_write(peer->fd, out, filled, peer->env->silence_ms);
}

/* The lock is held. Returns how many bytes the writer has to send; 0: the peer has ended. */
static size_t take_queue(struct vcpu_peer *peer)
{
	unsigned pause_ms = peer->env->silence_ms / VCPU_SLICES;
	uint64_t until = now_ns() + pause_ms * 1000000ull;
	uint8_t *taken;
	size_t bytes;

	while (!peer->queued && peer->state == VCPU_PEER_UP)
		if (cond_wait_until(&peer->changed, &peer->lock, until) == ETIMEDOUT &&
		    !peer->queued && peer->state == VCPU_PEER_UP) {
			struct vcpu_frame alive = {.type = VCPU_ALIVE};

			frame_own(peer, &alive);
			queue_frame(peer, &alive);
		}
	if (peer->state != VCPU_PEER_UP)
		return 0;
	bytes = peer->queued;
	taken = peer->queue;
	peer->queue = peer->sending;
	peer->sending = taken;
	peer->queued = 0;
	forget_waiting(peer);
	peer->writing = true;
	return bytes;
}

/* Reader or writer sees it first, and says the same. */
static void end_broken(struct vcpu_peer *peer, int err)
{
	if (err == -ECONNRESET || err == -EPIPE)
		vcpu_peer_end(peer, "node %u closed the connection", peer->node);
	else
		vcpu_peer_end(peer, "the connection to node %u broke: %s", peer->node,
			      strerror(-err));
}

static void *writer(void *arg)
{
	struct vcpu_peer *peer = arg;
	uint8_t *out = malloc(SEND_BYTES);
	size_t bytes;

	if (!out)
		vcpu_peer_end(peer, "no memory for what is sent to node %u", peer->node);
	pthread_mutex_lock(&peer->lock);
	while ((bytes = take_queue(peer))) {
		int err;

		pthread_mutex_unlock(&peer->lock);
		err = send_all(peer, out, bytes);
		if (err == -ETIMEDOUT)
			vcpu_peer_end(peer, "node %u has read nothing for %u ms", peer->node,
				      peer->env->silence_ms);
		else if (err)
			end_broken(peer, err);
		pthread_mutex_lock(&peer->lock);
		peer->writing = false;
		peer->stats.bytes_sent += bytes;
		pthread_cond_broadcast(&peer->changed);
	}
	pthread_mutex_unlock(&peer->lock);
	free(out);
	return NULL;
}

/* ---- receiving ---- */

/* -EBADMSG: nobody asked for this, or not for so much. */
static int answer_came(struct vcpu_peer *peer, const struct vcpu_frame *frame)
{
	int err = -EBADMSG;

	pthread_mutex_lock(&peer->lock);
	for (struct vcpu_call *call = peer->calls; call; call = call->next) {
		if (call->request->seq != frame->seq || call->request->era != frame->era)
			continue;
		if (call->done || !vcpu_answer_fits(call->request, frame))
			break;
		*call->answer = *frame;
		call->answer->body = call->body;
		if (frame->body_bytes)
			memcpy(call->body, frame->body, frame->body_bytes);
		call_over(call, 0);
		err = 0;
		break;
	}
	/* An era that ends at this moment has taken the call away. */
	if (err && frame->era != atomic_load(&peer->env->era))
		err = 0;
	pthread_mutex_unlock(&peer->lock);
	return err;
}

/* Of an era that this node is in; a RESET begins the next one. */
static int frame_came(struct vcpu_peer *peer, const struct vcpu_frame *frame)
{
	uint32_t era = atomic_load(&peer->env->era);
	bool old;

	pthread_mutex_lock(&peer->lock);
	old = frame->era < era;
	peer->stats.received[frame->type]++;
	peer->stats.dropped += old;
	pthread_mutex_unlock(&peer->lock);
	if (frame->type == VCPU_ALIVE || old)
		return 0;
	if (frame->type == VCPU_RESET ? frame->era != era + 1 : frame->era != era)
		return -EBADMSG;
	if (vcpu_type_is_answer(frame->type))
		return answer_came(peer, frame);
	peer->env->frame(peer->env->opaque, frame);
	return 0;
}

static void end_for(struct vcpu_peer *peer, int err, const struct vcpu_frame *frame)
{
	const char *name = vcpu_type_name(frame->type);

	if (err == -EBADMSG && name)
		vcpu_peer_end(peer, "node %u sent %s, which it may not send so", peer->node, name);
	else if (err == -EBADMSG)
		vcpu_peer_end(peer, "node %u sent a frame that is not well formed", peer->node);
	else if (err == -EILSEQ)
		vcpu_peer_end(peer,
			      "a frame from node %u was changed on its way, repeated or left out",
			      peer->node);
	else
		end_broken(peer, err);
}

/* Handles the whole frames among these bytes; *count: those that are left, at the front. */
static int frames_came(struct vcpu_peer *peer, uint8_t *bytes, size_t *count,
		       struct vcpu_frame *frame, bool *any)
{
	size_t at = 0;
	int err = 0;

	while (!err && *count - at >= VCPU_CLEAR_BYTES) {
		int whole = vcpu_link_bytes(&peer->link, bytes + at);

		frame->type = 0; /* what went before is no reason any more */
		if (whole < 0)
			return whole;
		if (*count - at < (size_t)whole)
			break;
		err = vcpu_link_open(&peer->link, bytes + at, (size_t)whole, frame);
		if (!err)
			err = frame_came(peer, frame);
		at += (size_t)whole;
		*any = true;
	}
	*count -= at;
	memmove(bytes, bytes + at, *count);
	return err;
}

static void end_silent(struct vcpu_peer *peer)
{
	vcpu_peer_end(peer, "node %u was silent for %u ms", peer->node, peer->env->silence_ms);
}

/* Until the peer has ended. A frame, not a byte, is a sign of life. */
static void read_all(struct vcpu_peer *peer, uint8_t *bytes)
{
	unsigned silence_ms = peer->env->silence_ms, slices = 0;
	uint64_t looked_ns = now_ns(), unheard_ns = 0,
		 slice_ns = silence_ms * 1000000ull / VCPU_SLICES;
	struct vcpu_frame frame = {0};
	size_t count = 0;

	for (;;) {
		int n = vcpu_socket_read(peer->fd, bytes + count, READ_BYTES - count, silence_ms);
		uint64_t now = now_ns();
		bool any = false;

		/* No longer than a read waits: what this process stood still is no silence of the
		 * peer's. */
		unheard_ns += now - looked_ns < slice_ns ? now - looked_ns : slice_ns;
		looked_ns = now;
		if (n == -ETIMEDOUT) {
			/* One slice more than the peer's pauses have. */
			if (++slices <= VCPU_SLICES)
				continue;
			end_silent(peer);
			return;
		}
		if (n > 0) {
			count += (size_t)n;
			pthread_mutex_lock(&peer->lock);
			peer->stats.bytes_received += (size_t)n;
			pthread_mutex_unlock(&peer->lock);
			n = frames_came(peer, bytes, &count, &frame, &any);
		}
		if (n < 0) {
			end_for(peer, n, &frame);
			return;
		}
		if (any) {
			slices = 0;
			unheard_ns = 0;
		} else if (unheard_ns > 2 * silence_ms * 1000000ull) {
			end_silent(peer); /* a byte now and then is no frame */
			return;
		}
	}
}

int vcpu_peer_adopt(struct vcpu_peer *peer, const struct vcpu_link *link, int fd)
{
	int err = 0;

	pthread_mutex_lock(&peer->lock);
	if (peer->state == VCPU_PEER_AWAITED) {
		peer->link = *link;
		peer->fd = fd;
		peer->state = VCPU_PEER_UP;
		pthread_cond_broadcast(&peer->changed);
	} else {
		err = peer->state == VCPU_PEER_UP ? -EEXIST : -ESHUTDOWN;
	}
	pthread_mutex_unlock(&peer->lock);
	return err;
}

void vcpu_peer_run(struct vcpu_peer *peer)
{
	uint8_t *bytes = malloc(READ_BYTES);
	pthread_t thread;
	bool started = bytes && !pthread_create(&thread, NULL, writer, peer);

	if (peer->env->thread)
		peer->env->thread(peer->env->opaque, true);
	if (started)
		read_all(peer, bytes);
	else
		vcpu_peer_end(peer, "no memory, or no thread, for node %u", peer->node);
	if (started)
		pthread_join(thread, NULL);
	free(bytes);
	pthread_mutex_lock(&peer->lock);
	close(peer->fd);
	peer->fd = -1;
	vcpu_link_deinit(&peer->link);
	pthread_mutex_unlock(&peer->lock);
	vcpu_peer_tell(peer);
	if (peer->env->thread)
		peer->env->thread(peer->env->opaque, false);
}
