// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_env.c - gvmfs's functions of resident_env.h: the kernel, and the rest of gvmfs, for the
 * decisions of the fast path; and the events from the kernel. (The client: resident_client.c; the
 * nodes: resident_nodes.c.) */
#include "file.h"
#include "node/region.h"
#include "node/times.h"
#include "resident.h"
#include "resident_calls.h"
#include "resident_env.h"
#include "state/lookout.h"
#include "state/worker_state.h"
#include "uffd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALL_LONG_NS  1000000ull
#define RESIDENTS_FEW 4u /* up to so many regions, each is read without asking which have faults */

/* The kernel. */

int resident_faults_watch(struct resident *r, bool watch)
{
	if (watch)
		return loop_add(&r->rs->faults, &r->faults, r->faults_fd, resident_faults_ready, r);
	loop_remove(&r->rs->faults, &r->faults);
	return 0;
}

void residents_faults_watch(struct residents *rs)
{
	rs->watch_ns = LOOP_NEVER;
	for (unsigned s = 0; (s = session_set_next(&rs->open, s)) < JOURNAL_SESSIONS; s++) {
		struct resident *r = rs->list[s];

		if (!r->faults.place && !r->apart && !r->client_gone && resident_faults_watch(r, true) < 0)
			rs->watch_ns = gvm_now_ns() + UFFD_ERROR_US * 1000ull;
	}
}

/* The client has made the descriptor one that ends each sleep and reports no fault (uffd_set_nonblock()). */
static void faults_pause(struct resident *r)
{
	uint64_t until_ns = gvm_now_ns() + UFFD_ERROR_US * 1000ull;

	uffd_set_nonblock(r->fd[SESSION_UFFD]);
	r->faults.events = 0;
	resident_faults_watch(r, false);
	if (r->rs->watch_ns > until_ns)
		r->rs->watch_ns = until_ns;
}

void resident_faults_ready(void *resident)
{
	struct resident *r = resident;

	if (r->client_gone || r->apart)
		return;
	r->rs->faults_read += resident_faults_read(r);
	if (r->faults.events & EPOLLERR)
		faults_pause(r);
}

static void faults_ask(struct residents *rs)
{
	struct loop_events events;

	loop_sleep(&rs->faults, 0, &events);
	loop_handle(&rs->faults, &events);
}

/* To read one region's faults costs a call, and so does asking which of all regions have some. */
unsigned residents_faults_read(struct worker *w)
{
	struct residents *rs = w->residents;

	rs->faults_read = 0;
	if (rs->count > RESIDENTS_FEW)
		faults_ask(rs);
	else
		for (unsigned s = 0; (s = session_set_next(&rs->open, s)) < JOURNAL_SESSIONS; s++)
			resident_faults_ready(rs->list[s]);
	if (rs->faults_woken && !rs->faults_read) /* by what, then? */
		faults_ask(rs);
	rs->faults_woken = false;
	return rs->faults_read;
}

unsigned resident_faults_read(struct resident *r)
{
	struct uffd_msg msg[RESIDENT_FAULTS];
	size_t room = (RESIDENT_FAULTS - r->fault_count) * sizeof(*msg); /* others were read, without a turn since */
	ssize_t bytes = !room ? 0 : r->reader ? read(r->faults_fd, msg, room) : uffd_read(r->faults_fd, msg, room);
	unsigned n = bytes > 0 ? (unsigned)((size_t)bytes / sizeof(*msg)) : 0;

	for (unsigned i = 0; i < n; i++)
		if (msg[i].event == UFFD_EVENT_PAGEFAULT)
			resident_fault(r, msg[i].arg.pagefault.address);
	return n;
}

/* Calls that may wait for a lock that a client holds: the mmap_lock of its memory, the inode lock of its
 * memfd. Others may have the front's role meanwhile. */

void resident_call_begin(struct resident *r)
{
	static _Thread_local int tid;

	if (!tid)
		tid = gettid();
	lookout_begin(r->w->lookout, r->session, tid);
	if (r->apart) {
		r->call_ns = gvm_now_ns();
		/* Other regions may wait for what this turn has given back, and the call may never
		 * return. */
		if (residents_have_freed(r->rs))
			relief_poke(&r->w->lookout->relief);
	}
	relief_begin(&r->w->lookout->relief);
}

void resident_call_end(struct resident *r)
{
	uint64_t now;

	lookout_end(r->w->lookout, r->session);
	relief_end(&r->w->lookout->relief);
	if (!r->apart)
		return;
	now = gvm_now_ns();
	if (now - r->call_ns > CALL_LONG_NS)
		r->waited_ns = now;
}

static uint64_t page_off(uint64_t c, unsigned page)
{
	return c * GVM_CHUNK_BYTES + (uint64_t)page * GVM_PAGE_BYTES;
}

int env_copy(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk, bool wake,
	     unsigned *done)
{
	uint64_t address = r->address + page_off(c, first);
	size_t bytes;
	int error;

	resident_call_begin(r);
	if (chunk)
		error = uffd_copy(r->fd[SESSION_UFFD], address, chunk + first * GVM_PAGE_BYTES,
				  n * GVM_PAGE_BYTES, wake, &bytes);
	else
		error = uffd_zero(r->fd[SESSION_UFFD], address, n * GVM_PAGE_BYTES, &bytes);
	resident_call_end(r);
	*done = (unsigned)(bytes / GVM_PAGE_BYTES);
	if (!error && wake && r->chunk[c].fetch && r->chunk[c].fetch->wanted_ns) {
		worker_took(r->w, r->inode, LATENCY_FAULT, r->chunk[c].fetch->wanted_ns);
		r->chunk[c].fetch->wanted_ns = 0;
	}
	return error;
}

int env_copy_hidden(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk,
		    unsigned *done)
{
	size_t bytes;
	int error = window_fill(&r->rs->window, r->fd[SESSION_MEMORY], page_off(c, first),
				chunk ? chunk + first * GVM_PAGE_BYTES : NULL, n * GVM_PAGE_BYTES, &bytes);

	*done = (unsigned)(bytes / GVM_PAGE_BYTES);
	return error;
}

int env_map(struct resident *r, uint64_t c, unsigned first, unsigned n)
{
	unsigned already = 0;
	int error;

	resident_call_begin(r);
	error = uffd_continue(r->fd[SESSION_UFFD], r->address + page_off(c, first), n * GVM_PAGE_BYTES,
			      &already);
	resident_call_end(r);
	return !error && already == n ? ENV_MAPPED : error;
}

void env_wake(struct resident *r, uint64_t c, unsigned first, unsigned n)
{
	uffd_wake(r->fd[SESSION_UFFD], r->address + page_off(c, first), n * GVM_PAGE_BYTES);
}

void env_wake_all(struct resident *r)
{
	uffd_wake(r->fd[SESSION_UFFD], r->address, r->bytes);
}

int env_poison(struct resident *r, uint64_t c, unsigned page)
{
	int error;

	if (!r->poison)
		return -EOPNOTSUPP;
	resident_call_begin(r);
	error = uffd_poison(r->fd[SESSION_UFFD], r->address + page_off(c, page), GVM_PAGE_BYTES);
	resident_call_end(r);
	return error;
}

bool env_uffd_alive(struct resident *r)
{
	bool alive;

	resident_call_begin(r);
	alive = uffd_alive(r->fd[SESSION_UFFD]);
	resident_call_end(r);
	return alive;
}

uint32_t env_pins(const struct resident *r, uint64_t c)
{
	return atomic_load(&r->pins[c]);
}

int env_punch(struct resident *r, uint64_t off, uint64_t bytes)
{
	int error;

	resident_call_begin(r);
	error = fallocate(r->fd[SESSION_MEMORY], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
			  (off_t)bytes) < 0 ? -errno : 0;
	resident_call_end(r);
	return error;
}

int env_write(struct resident *r, const void *data, uint64_t off, uint64_t bytes)
{
	static const uint8_t zeros[GVM_PAGE_BYTES];
	int error;

	assert(data || bytes <= sizeof(zeros));
	resident_call_begin(r);
	error = file_pwrite(r->fd[SESSION_MEMORY], data ? data : zeros, bytes, off);
	resident_call_end(r);
	return error;
}

void env_read(struct resident *r, void *to, uint64_t off, uint64_t bytes)
{
	if (file_pread(r->fd[SESSION_MEMORY], to, bytes, off))
		abort(); /* our own memfd, within its size */
}

bool env_data(struct resident *r, enum session_fd which, uint64_t *begin, uint64_t *end)
{
	off_t data, hole = 0;

	/* The marks are our own. */
	if (which == SESSION_MEMORY)
		resident_call_begin(r);
	data = lseek(r->fd[which], (off_t)*begin, SEEK_DATA);
	if (data >= 0 && end)
		hole = lseek(r->fd[which], data, SEEK_HOLE);
	if (which == SESSION_MEMORY)
		resident_call_end(r);
	if (data < 0)
		return false;
	*begin = (uint64_t)data;
	if (end)
		*end = (uint64_t)hole;
	return true;
}

void env_mark32(struct resident *r, uint32_t *where, uint32_t value)
{
	(void)r;
	journal_publish32(where, value);
}

void env_mark64(struct resident *r, uint64_t *where, uint64_t value)
{
	(void)r;
	journal_publish64(where, value);
}

uint64_t env_now(const struct resident *r)
{
	(void)r;
	return gvm_now_ns();
}

/* The region. */

const char *env_name(const struct resident *r)
{
	return r->inode->disk->rec.name;
}

uint64_t env_epoch(const struct resident *r)
{
	return r->inode->disk->epoch;
}

bool env_failed(const struct resident *r)
{
	return r->inode->disk->failed;
}

bool env_unwanted(const struct resident *r)
{
	return r->inode->disk->use == INODE_UNLINKED && !r->inode->opens &&
	       !r->inode->parked;
}

void env_changed(struct resident *r)
{
	times_content(r->w, r->inode);
}

void env_report(struct resident *r, uint64_t c, const char *what, int error)
{
	region_report(r->w, r->inode, c, what, error);
}

void env_fail(struct resident *r, uint64_t c, int error)
{
	region_fail(r->w, r->inode, c, error);
}
