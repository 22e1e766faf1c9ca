// SPDX-License-Identifier: GPL-2.0-or-later
/* sender.c - see sender.h. */
#include "sender.h"

#include "node/region.h"
#include "node/region_node.h"
#include "node/replicas.h"
#include "node/replicas_state.h"
#include "state/worker_state.h"
#include "writers.h"

#include <errno.h>

/* Whether a node that is not among these may come back with a copy of what was not written since it went. One that is
 * away for as long as others are to be done without is not waited for. */
static bool copy_is_away(const struct worker *w, const struct inode *inode, const struct record_slot *slot,
			 uint8_t replicas)
{
	uint64_t long_ns = w->opts->repair_after_s * 1000000000ull;

	for (unsigned i = 0; i < record_places(&inode->disk->rec); i++) {
		const struct replica_node *n;

		if (replicas >> i & 1 || slot->node[i] == RECORD_NONE)
			continue;
		n = &inode->replicas->node[slot->node[i]];
		if (n->bad && !n->gone && gvm_now_ns() - n->bad_ns < long_ns)
			return true;
	}
	return false;
}

static void flush_to(struct worker *w, struct inode *inode, struct flush *f, uint8_t replicas)
{
	const struct record *rec = &inode->disk->rec;
	const struct record_slot *slot = &rec->slots[record_slot_of(rec, f->chunk)];

	f->nodes = 0;
	f->all = !f->replicated || (replicas == view_word_members(replicas_slot(inode, f->chunk)->word) &&
				    !copy_is_away(w, inode, slot, replicas));
	for (unsigned i = 0; i < record_places(rec); i++)
		if (replicas >> i & 1) {
			f->replica[f->nodes] = (uint8_t)i;
			region_node_place(w, inode, slot->node[i], &f->node[f->nodes++]);
		}
	writers_send(w->writers, f);
}

/* Hands the flush back with its result. Nodes that do not answer are no error: the caller sends it
 * again. */
static void flush_stored(struct worker *w, struct flush *f, int result)
{
	f->result = result == -ETIMEDOUT ? -EAGAIN : result;
	if (!f->held)
		replicas_write_end(f->inode, f->epoch, f->chunk);
	f->stored(w, f);
}

/* Errors after which the store, or the fast path, sends the flush again after a while. */
static bool is_retried(int error)
{
	return error == -ENOSPC || error == -ENOMEM || error == -EBADMSG;
}

/*
 * Notes the nodes' answers for the region: a node that failed is no longer waited for. If no node
 * answers, or all refuse the flush, that says nothing about a single node. *again: an error to
 * retry after, which says nothing about its node either; 0: there was none. False: all nodes have
 * answered, and none has taken the flush.
 */
static bool answers_note(struct inode *inode, struct flush *f, int *again)
{
	bool silent = false;

	for (unsigned i = 0; i < f->nodes; i++) {
		silent |= f->sent_to[i] == -ETIMEDOUT;
		if (!f->sent_to[i])
			f->acked |= (uint8_t)(1u << f->replica[i]);
	}
	*again = 0;
	for (unsigned i = 0; i < f->nodes; i++) {
		int e = f->sent_to[i];
		bool judged = f->acked || e == -ENOMEDIUM;

		if ((!judged || !replicas_heard(inode, &f->node[i].incarnation, e)) && is_retried(e))
			*again = e;
	}
	return f->acked || silent;
}

/* Decides about a flush whose nodes have answered, or that was held. False: it has to wait on. */
static bool flush_look(struct worker *w, struct flush *f)
{
	struct view_slot *v = replicas_slot(f->inode, f->chunk);
	uint8_t missing;

	if (!v || f->inode->disk->failed) {
		flush_stored(w, f, f->result && f->result != -ETIMEDOUT ? f->result : -EIO);
		return true;
	}
	if (f->held) {
		f->held = !replicas_write_begin(f->inode, f->chunk);
		if (!f->held)
			flush_to(w, f->inode, f, view_targets(v));
		return !f->held;
	}
	if (view_holds(v, f->acked)) {
		flush_stored(w, f, 0);
		return true;
	}
	missing = view_targets(v) & (uint8_t)~f->acked;
	if (!missing)
		replicas_need(f->inode, f->chunk);
	if (view_is_changing(v) || !missing)
		return false;
	/* The pages may have changed, or would be sealed anew: they need another version
	 * (memnode/SEAL.md). */
	if (f->resident || f->sealed) {
		flush_stored(w, f, -EAGAIN);
		return true;
	}
	flush_to(w, f->inode, f, missing);
	return true;
}

static void flush_wait(struct flush *f)
{
	f->next = f->inode->unstored;
	f->inode->unstored = f;
}

static void flushed(struct worker *w, struct flush *f)
{
	struct view_slot *v = replicas_slot(f->inode, f->chunk);
	int again = 0;

	if (v && (!f->sent || f->result == -EKEYREVOKED)) { /* not sent, or the region is another host's */
		flush_stored(w, f, f->result);
		return;
	}
	/* (Without `v` the region has failed, or was detached meanwhile.) */
	if (v && (!answers_note(f->inode, f, &again) || again) && !view_holds(v, f->acked)) {
		flush_stored(w, f, again ? again : f->result);
		return;
	}
	if (!flush_look(w, f))
		flush_wait(f);
}

static void plain_sent(struct worker *w, struct flush *f)
{
	f->inode->plain--;
	f->stored(w, f);
}

/* A write-back may end behind the file's end, if that was cut off meanwhile. */
static uint32_t pages_beyond(const struct record *rec, uint64_t chunk)
{
	uint64_t pages = (rec->size_bytes + GVM_PAGE_BYTES - 1) / GVM_PAGE_BYTES, first = chunk * GVM_CHUNK_PAGES;

	if (pages >= first + GVM_CHUNK_PAGES)
		return 0;
	return pages > first ? ~0u << (pages - first) : ~0u;
}

void sender_send(struct worker *w, struct inode *inode, struct flush *f)
{
	struct view_slot *v = replicas_slot(inode, f->chunk);

	f->region = inode->disk->rec.id;
	f->beyond = pages_beyond(&inode->disk->rec, f->chunk);
	f->inode = inode;
	f->acked = 0;
	f->replicated = v;
	f->held = v && !replicas_write_begin(inode, f->chunk);
	f->stored = f->done;
	f->done = v ? flushed : plain_sent;
	inode->plain += !v;
	if (v)
		f->result = 0;
	if (f->held)
		flush_wait(f);
	else
		flush_to(w, inode, f, v ? view_targets(v) : 1);
}

void sender_changed(struct worker *w, struct inode *inode)
{
	struct flush *f = inode->unstored, *next;

	inode->unstored = NULL;
	for (; f; f = next) {
		next = f->next;
		if (!flush_look(w, f))
			flush_wait(f);
	}
}
