// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_client.c - the socket to the client of a region on the fast path: what it is asked for and
 * tells. */
#include "descriptors.h"
#include "gvm_attach.h"
#include "log.h"
#include "resident_priv.h"
#include "worker.h"

#include <errno.h>
#include <string.h>

#define MESSAGES 64u /* of a client, before others have their turn */

static int client_send(struct resident *r, struct gvm_attach_msg *msg)
{
	int error;

	msg->magic = GVM_ATTACH_MAGIC;
	msg->version = GVM_ATTACH_VERSION;
	error = descriptors_send(r->fd[SESSION_SOCKET], msg, sizeof(*msg), NULL, 0);
	if (error && error != -EPIPE && error != -ECONNRESET)
		log_error(env_name(r), "its client is not reached: %s", strerror(-error));
	return error;
}

int env_zap(struct resident *r, uint64_t seq, uint64_t off, uint64_t bytes)
{
	struct gvm_attach_msg msg = {
		.type = GVM_ATTACH_ZAP, .seq = seq, .offset = off, .bytes = bytes
	};

	return client_send(r, &msg);
}

void env_abort(struct resident *r, const char *why)
{
	struct gvm_attach_msg msg = { .type = GVM_ATTACH_ABORT };

	strncpy(msg.text, why, sizeof(msg.text) - 1);
	client_send(r, &msg);
}

static void client_pins(struct resident *r, const struct gvm_attach_msg *msg)
{
	if (r->pinned)
		return;
	r->w->journal.sessions[r->session].pinned = 1;
	log_warning(env_name(r), "%.*s: all of it stays on this host, whatever the budget",
		    (int)sizeof(msg->text), msg->text);
	resident_pin(r);
}

static void client_event(struct resident *r)
{
	struct gvm_attach_msg msg;
	int fds[DESCRIPTORS_MAX];
	unsigned count;
	int error;

	for (unsigned i = 0; i < MESSAGES && !r->client_gone; i++) {
		error = descriptors_receive(r->fd[SESSION_SOCKET], &msg, sizeof(msg), fds, &count);
		jobs_close(&r->w->jobs, fds, count);
		if (error == -EAGAIN)
			return;
		if (!error && msg.magic == GVM_ATTACH_MAGIC && msg.version == GVM_ATTACH_VERSION) {
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
				return;
			}
			error = -EPROTO;
		}
		if (error != -EPIPE)
			log_error(env_name(r), "its client, process %d, does not keep to the protocol",
				  r->pid);
		resident_left(r);
	}
}

bool resident_has_left(struct resident *r)
{
	client_event(r);
	return r->client_gone;
}

bool resident_event(struct worker *w, void *what)
{
	for (unsigned i = 0; i < JOURNAL_SESSIONS && w->residents.count; i++) {
		struct resident *r = w->residents.list[i];

		if (!r || (what != &r->fd[SESSION_UFFD] && what != &r->fd[SESSION_SOCKET]))
			continue;
		if (what == &r->fd[SESSION_SOCKET])
			client_event(r);
		return true;
	}
	return false;
}

