// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_client.c - the client of a region on the fast path: what it is asked for and tells, and
 * its end. When it has left and its mapping is gone, nobody can change the memory any more: all of
 * it is written back, and the region is a file again.
 */
#include "descriptors.h"
#include "gvm_attach.h"
#include "log.h"
#include "resident_priv.h"
#include "uffd.h"
#include "worker.h"

#include <errno.h>
#include <string.h>

#define RETRY_NS     1000000000ull
#define LOOK_NS	     20000000ull
#define GONE_SAY_NS  5000000000ull
#define MESSAGES     64u /* of a client, before others have their turn */

static int client_send(struct resident *r, struct gvm_attach_msg *msg)
{
	int error;

	msg->magic = GVM_ATTACH_MAGIC;
	msg->version = GVM_ATTACH_VERSION;
	error = descriptors_send(r->fd[SESSION_SOCKET], msg, sizeof(*msg), NULL, 0);
	if (error && error != -EPIPE && error != -ECONNRESET)
		log_error(name_of(r), "its client is not reached: %s", strerror(-error));
	return error;
}

int client_zap(struct resident *r, uint64_t seq, uint64_t off, uint64_t bytes)
{
	struct gvm_attach_msg msg = {
		.type = GVM_ATTACH_ZAP, .seq = seq, .offset = off, .bytes = bytes
	};

	return client_send(r, &msg);
}

void client_trouble(struct resident *r, int error)
{
	if (error == -ESRCH)
		client_left(r);
	else if (error == -EEXIST)
		resident_abort(r, "another program puts pages into its memory");
	else
		resident_abort(r, strerror(-error));
}

void resident_abort(struct resident *r, const char *why)
{
	struct gvm_attach_msg msg = { .type = GVM_ATTACH_ABORT };

	if (r->aborted)
		return;
	r->aborted = true;
	strncpy(msg.text, why, sizeof(msg.text) - 1);
	log_error(name_of(r), "its client, process %d, cannot go on: %s", r->pid, why);
	client_send(r, &msg);
	resident_ops_fail(r, ALL_CHUNKS, -EIO);
	resident_syncs_fail(r, -EIO);
}

static void resident_pin(struct resident *r, const struct gvm_attach_msg *msg)
{
	if (r->pinned)
		return;
	r->pinned = true;
	r->w->journal.sessions[r->session].pinned = 1;
	log_warning(name_of(r), "%.*s: all of it stays on this host, whatever the budget",
		    (int)sizeof(msg->text), msg->text);
	blocked_continue(r);
}

void client_left(struct resident *r)
{
	if (r->client_gone)
		return;
	r->client_gone = true;
	r->look_at_ns = gvm_now_ns();
	r->gone_said_ns = r->look_at_ns + GONE_SAY_NS;
	resident_unwatch(r);
}

static void zapped(struct resident *r, const struct gvm_attach_msg *msg)
{
	if (r->zapping && msg->seq == r->zap_seq) {
		zap_done(r);
		resident_balance(r);
	}
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
				zapped(r, &msg);
				continue;
			}
			if (msg.type == GVM_ATTACH_PIN_ALL) {
				resident_pin(r, &msg);
				continue;
			}
			if (msg.type == GVM_ATTACH_DETACHED) {
				client_left(r);
				r->detached = true;
				return;
			}
			error = -EPROTO;
		}
		if (error != -EPIPE)
			log_error(name_of(r), "its client, process %d, does not keep to the protocol",
				  r->pid);
		client_left(r);
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

/* Everything that is here may go as it is. */
static void drain_begin(struct resident *r)
{
	r->draining = true;
	r->zapping = false;
	fetches_cancel(r);
	for (uint64_t c = 0; c < r->chunks && r->busy; c++) {
		if (r->chunk[c].list == LIST_BLOCKED)
			chunk_unlist(r, c);
		/* What a writer has comes when it is handed back. */
		if (r->chunk[c].state != CHUNK_ABSENT && !r->chunk[c].sending) {
			chunk_set_state(r, c, CHUNK_INACTIVE);
			chunk_enlist(r, c, LIST_INACTIVE);
		}
	}
}

/* Returns when to look again, 0: it is over. */
static uint64_t gone_tick(struct resident *r, uint64_t now_ns)
{
	if (!r->draining && !r->detached && uffd_alive(r->fd[SESSION_UFFD])) {
		if (now_ns > r->gone_said_ns) {
			log_error(name_of(r), "process %d has left, but its memory is still there; "
				  "nothing of it is written back before that is gone", r->pid);
			r->gone_said_ns = now_ns + 12 * GONE_SAY_NS;
		}
		return now_ns + LOOK_NS;
	}
	if (!r->draining)
		drain_begin(r);
	resident_balance(r);
	if (r->busy || r->evictions || r->fetches)
		return r->retry_at_ns > now_ns ? r->retry_at_ns : now_ns + RETRY_NS;
	return 0;
}

/* What a region on the fast path has to do by itself, and when next. */
static uint64_t serving_tick(struct resident *r, uint64_t now_ns)
{
	uint64_t *const due[] = { &r->retry_at_ns, &r->zap_at_ns };
	uint64_t next = ~0ull;
	bool now = false;

	for (unsigned i = 0; i < sizeof(due) / sizeof(*due); i++) {
		if (*due[i] > now_ns) {
			next = *due[i] < next ? *due[i] : next;
		} else if (*due[i]) {
			*due[i] = 0;
			now = true;
		}
	}
	if (now)
		resident_balance(r);
	return next;
}

/* Ends a pass of fsyncs that takes too long, also where the client has left; returns when the one
 * under way does, ~0: never. */
static uint64_t syncs_tick(struct resident *r, uint64_t now_ns)
{
	if (r->sync_deadline_ns && r->sync_deadline_ns <= now_ns) {
		resident_syncs_fail(r, -ETIMEDOUT);
		resident_balance(r);
	}
	return r->sync_deadline_ns ? r->sync_deadline_ns : ~0ull;
}

/* Means that one region gave back are what another may wait for. */
static void balance_all(struct residents *rs)
{
	rs->freed = false;
	for (unsigned i = 0; i < JOURNAL_SESSIONS; i++)
		if (rs->list[i])
			resident_balance(rs->list[i]);
}

uint64_t residents_tick(struct worker *w, uint64_t now_ns)
{
	uint64_t next = ~0ull, due;

	if (w->residents.freed && w->residents.count > 1)
		balance_all(&w->residents);

	for (unsigned i = 0; i < JOURNAL_SESSIONS && w->residents.count; i++) {
		struct resident *r = w->residents.list[i];

		if (!r)
			continue;
		due = syncs_tick(r, now_ns);
		next = due < next ? due : next;
		if (r->client_gone) {
			if (r->draining && !r->busy && !r->evictions && !r->fetches)
				r->look_at_ns = 0;
			if (r->look_at_ns <= now_ns)
				r->look_at_ns = gone_tick(r, now_ns);
			if (!r->look_at_ns) {
				resident_close(r);
				continue;
			}
			if (r->look_at_ns < next)
				next = r->look_at_ns;
		} else {
			due = serving_tick(r, now_ns);
			next = due < next ? due : next;
		}
	}
	return next;
}
