// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_event.c - the events of resident.h: each changes the state of a region, and notes that
 * the region has to be looked at; the turn (resident_turn.c) decides. */
#include "base/log.h"
#include "base/mutant.h"
#include "resident_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define GONE_SAY_NS 5000000000ull
#define UNMAPPED_NS 1000000000ull
#define SHORT_NS    20000000ull
#define SHORT_SAY_NS 10000000000ull

void resident_fault(struct resident *r, uint64_t address)
{
	assert(r->fault_count < RESIDENT_FAULTS);
	r->fault[r->fault_count++] = address;
	resident_note(r);
}

static void fetch_note(struct resident_fetch *f)
{
	if (!f->noted)
		STAILQ_INSERT_TAIL(&f->r->news, f, entry);
	f->noted = true;
	resident_note(f->r);
}

void resident_piece(struct resident_fetch *f, uint32_t pages)
{
	f->decoded |= pages & f->asked;
	fetch_note(f);
}

void resident_fetched(struct resident_fetch *f, int error)
{
	f->over = true;
	f->error = error;
	fetch_note(f);
}

void resident_flushed(struct flush *flush)
{
	struct eviction *e = (struct eviction *)flush;

	STAILQ_INSERT_TAIL(&e->r->outcomes, e, entry);
	resident_note(e->r);
}

void resident_zapped(struct resident *r, uint64_t seq)
{
	if (!r->zapping || (seq != r->zap_seq && !mutant("any-zap")))
		return;
	r->zapped = true;
	resident_note(r);
}

void resident_budget(struct resident *r, uint64_t bytes)
{
	uint64_t before = r->local;

	r->local = bytes ? bytes / GVM_PAGE_BYTES : r->chunks * GVM_CHUNK_PAGES;
	if (r->local < RESIDENT_LOCAL_MIN)
		r->local = RESIDENT_LOCAL_MIN;
	if (r->local > before)
		replay_gone(r);
	r->over = false;
	resident_note(r);
	resident_ios_look(r);
}

void resident_pin(struct resident *r)
{
	r->pinned = true;
	resident_note(r);
	resident_ios_look(r);
}

void resident_left(struct resident *r)
{
	if (r->client_gone)
		return;
	r->client_gone = true;
	resident_note(r);
	r->look_at_ns = r->env->now(r);
	r->gone_said_ns = r->look_at_ns + GONE_SAY_NS;
	r->env->unwatch(r);
}

void resident_abort(struct resident *r, const char *why)
{
	if (r->aborted)
		return;
	r->aborted = true;
	resident_note(r);
	log_error(r->env->name(r), "its client, process %d, cannot go on: %s", r->pid, why);
	r->env->abort(r, why);
	resident_ios_look(r);
}

/* A page could not be put in, since its address is not mapped: the client may be unmapping its
 * memory, and not have said so yet. It gets UNMAPPED_NS to leave. */
static void resident_unmapped(struct resident *r)
{
	if (r->unmapped_ns || r->client_gone)
		return;
	r->unmapped_ns = r->env->now(r) + UNMAPPED_NS;
	resident_note(r);
}

/* The client's memory group is at its limit, as one is that has just grown, until gvm run raises it. Faults go on
 * waiting: they are served again in SHORT_NS. */
static void resident_short(struct resident *r)
{
	uint64_t now_ns = r->env->now(r);

	resident_count(r, memory_waits, 1);
	if (r->short_at_ns)
		return;
	r->short_at_ns = now_ns + SHORT_NS;
	if (r->short_said_ns && now_ns - r->short_said_ns < SHORT_SAY_NS)
		return;
	r->short_said_ns = now_ns;
	r->short_told = true;
	log_warning(r->env->name(r), "process %d may have no more memory here: its faults wait", r->pid);
}

void client_fed(struct resident *r)
{
	if (r->short_told)
		log_info(r->env->name(r), "process %d has memory again", r->pid);
	r->short_told = false;
}

void client_trouble(struct resident *r, int error)
{
	if (error == -ESRCH)
		resident_left(r);
	else if (error == -ENOMEM)
		resident_short(r);
	else if (error == -ENOENT)
		resident_unmapped(r);
	else if (error == -EEXIST)
		resident_abort(r, "another program puts pages into its memory");
	else
		resident_abort(r, strerror(-error));
}

void resident_ios_look(struct resident *r)
{
	if (TAILQ_EMPTY(&r->ios))
		return;
	r->ios_due = true;
	resident_note(r);
}
