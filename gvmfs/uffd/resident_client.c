// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_client.c - the socket to the client of a region on the fast path: requests to it, and
 * its messages. */
#include "base/descriptors.h"
#include "base/log.h"
#include "gvm_attach.h"
#include "resident.h"
#include "resident_calls.h"
#include "sessions.h"
#include "state/lookout.h"
#include "state/post.h"
#include "state/release.h"
#include "state/worker_state.h"
#include "uffd.h"
#include "visit.h"

#include <errno.h>
#include <string.h>

#define MESSAGES 8u   /* of one client, in one call of the loop */
/* So many messages that tell nothing may come at once, and then one in this time. (A client of a killed worker answers what
 * that had asked; one of an older preload says PIN_ALL for each piece of memory that it locks, and each device that it opens.) */
#define STRAYS_MAX 4096u
#define STRAY_NS   10000000ull

/* In a region's turn another thread becomes the front if this one is held up (before Linux 6.9: state/post.h). */
static int socket_send(struct resident *r, enum session_fd to, const void *msg, size_t bytes, const int *fd)
{
	int error;

	if (!relief_may_wait(&r->w->lookout->relief))
		return post_send(r->fd[to], msg, bytes, fd, fd ? 1 : 0);
	resident_call_begin(r);
	error = descriptors_send(r->fd[to], msg, bytes, fd, fd ? 1 : 0);
	resident_call_end(r);
	return error;
}

static int client_send(struct resident *r, const struct gvm_attach_msg *msg, const int *fd)
{
	int error = socket_send(r, SESSION_SOCKET, msg, sizeof(*msg), fd);

	if (error && error != -EPIPE && error != -ECONNRESET)
		log_error(env_name(r), "cannot send to its client: %s", strerror(-error));
	return error;
}

void resident_go(struct resident *r)
{
	r->to_go = true;
	resident_note(r);
}

void resident_go_now(struct resident *r)
{
	const struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_GO);

	r->to_go = false;
	client_send(r, &msg, NULL);
}

int env_zap(struct resident *r, uint64_t seq, uint64_t off, uint64_t bytes)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_ZAP);

	msg.seq = seq;
	msg.offset = off;
	msg.bytes = bytes;
	return client_send(r, &msg, NULL);
}

int env_give(struct resident *r)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_SETTLE);
	uint32_t *settled = &r->w->journal->sessions[r->session].settled;
	int error;

	/* Before it can hear of it: a successor must not change the memory. */
	journal_publish32(settled, SESSION_TOLD);
	error = client_send(r, &msg, &r->fd[SESSION_MEMORY]);
	if (error && !r->give_again) /* (a client that was told before may have heard it) */
		journal_publish32(settled, SESSION_SERVED);
	return error;
}

void env_abort(struct resident *r, const char *why)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_ABORT);

	gvm_attach_explain(&msg, why);
	client_send(r, &msg, NULL);
}

static void client_pins(struct resident *r, const struct gvm_attach_msg *msg)
{
	if (r->pinned)
		return;
	r->w->journal->sessions[r->session].pinned = 1;
	log_warning(env_name(r), "all of it stays on this host despite its budget, because of %s", msg->text);
	resident_pin(r);
}

/* What the nodes have is older than the memory, and nobody is to take it for a guest's. (One that was not asked, by this
 * worker or by one before, has lost its own.) */
static void client_settled(struct resident *r)
{
	journal_publish32(&r->w->journal->sessions[r->session].settled, SESSION_SETTLED);
	journal_publish32(&r->inode->disk->failed, (uint32_t)INODE_SETTLED);
	log_info(env_name(r), "process %d has all of its memory on this host, and goes on without gvmfs; what the nodes have "
		 "of it is of no use, and stays there until the region is deleted", r->pid);
	resident_given(r);
}

/* Whether a message tells anything. Each costs all regions of the mount a look at it, and a client might send nothing else. */
static bool is_news(const struct resident *r, const struct gvm_attach_msg *msg)
{
	return msg->type == GVM_ATTACH_ZAPPED ? r->zapping && !r->zapped && msg->seq == r->zap_seq : !r->pinned;
}

/* Whether the client may send one more message that tells nothing. */
static bool stray_allowed(struct resident *r)
{
	uint64_t now = gvm_now_ns(), forgiven = (r->strays_ns > now ? r->strays_ns : now) + STRAY_NS;

	if (forgiven > now + STRAYS_MAX * STRAY_NS)
		return false;
	r->strays_ns = forgiven;
	return true;
}

static void client_read(struct resident *r)
{
	struct gvm_attach_msg msg;
	int error;

	for (unsigned i = 0; i < MESSAGES && !r->client_gone; i++) {
		error = descriptors_refuse(r->fd[SESSION_SOCKET], &msg, sizeof(msg));
		if (error == -EAGAIN)
			return;
		if (!error && gvm_attach_accept(&msg, 0, GVM_ATTACH_TO_GVMFS)) {
			bool counts = msg.type == GVM_ATTACH_ZAPPED || msg.type == GVM_ATTACH_PIN_ALL;

			if (counts && !is_news(r, &msg) && !stray_allowed(r)) {
				log_error(env_name(r), "its client, process %d, tells it the same again and again", r->pid);
				env_abort(r, "it sends messages that tell gvmfs nothing");
				resident_left(r);
				return;
			}
			if (msg.type == GVM_ATTACH_ZAPPED) {
				resident_zapped(r, msg.seq);
				continue;
			}
			if (msg.type == GVM_ATTACH_PIN_ALL) {
				client_pins(r, &msg);
				continue;
			}
			if (msg.type == GVM_ATTACH_DETACHED) {
				resident_left(r);
				r->detached = true;
				journal_publish32(&r->w->journal->sessions[r->session].settled, SESSION_SERVED);
				return;
			}
			if (msg.type == GVM_ATTACH_SETTLED) {
				client_settled(r);
				return;
			}
			error = -EPROTO;
		}
		if (error != -EPIPE)
			log_error(env_name(r), "its client, process %d, breaks the protocol",
				  r->pid);
		resident_left(r);
	}
}

void resident_client_ready(void *resident)
{
	client_read(resident);
}

bool resident_has_left(struct resident *r)
{
	resident_client_ready(r);
	return r->client_gone;
}

/* The visitor's process looks, since that may wait for locks of the client: until it answers, the
 * memory counts as existing. */
bool env_memory_alive(struct resident *r)
{
	struct visit_msg msg;
	int channel = r->fd[SESSION_CHANNEL];

	while (descriptors_refuse(channel, &msg, sizeof(msg)) == 0)
		if (msg.what == VISIT_LOOKED) {
			r->looking = false;
			r->memory_gone |= msg.error != 0;
		}
	if (r->memory_gone)
		return false;
	/* The visitor's process was killed: ask the userfaultfd ourselves. */
	if (!holder_lives(channel))
		return env_uffd_alive(r);
	msg = (struct visit_msg){ .what = VISIT_LOOK };
	if (!r->looking && socket_send(r, SESSION_CHANNEL, &msg, sizeof(msg), NULL) == 0)
		r->looking = true;
	return true;
}
