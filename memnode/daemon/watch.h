/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch.h - readers that keep copies of a region, and that its next writer waits for.
 *
 * A client that keeps what it has read (a page cache, a mapping) watches the region. A writer that wants
 * to attach is put off (WATCHED) while another client watches, and asks again; from then on no watch is
 * made or renewed, which tells each watcher to drop its copies and then to let the writer pass. So the new
 * writer's first write comes after the last old copy is gone. A watch that let it pass bars the next one
 * again, without more ado: what its client reads meanwhile may be kept for a moment.
 *
 * Neither side can hold up the other for long: a watch that is not renewed lapses after WATCH_NS, and a
 * writer that does not ask again is forgotten after WATCH_CLAIM_NS. A watcher relies on its watch for less
 * than WATCH_NS, counted from when it sent the request.
 *
 * The claim is that of the first of several writers, as long as it asks: it alone may have a watch of its own
 * renewed meanwhile. Two that took the claim from each other could renew the very watches that they wait for.
 *
 * Watches are numbered by their client, in ascending order: the end of a watch, or leave to pass it, that
 * comes late, over a connection that was thought dead, does not count for a newer one.
 */
#ifndef GVM_WATCH_H
#define GVM_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define WATCH_NS       1000000000ull
#define WATCH_CLAIM_NS 500000000ull
#define WATCH_MAX      256u /* clients that watch one region */

struct watch;
LIST_HEAD(watch_list, watch);

/* Of one region. All zero: nobody watches. */
struct watches {
	struct watch_list list;
	unsigned count;
	uint64_t claimer; /* the client that was put off first */
	uint64_t claim_until_ns;
};

/* Makes or renews a client's watch: OK; NOSPACE; WATCHED while a writer waits, *barred being 1 if this
 * watch is among those that it waits for. */
uint16_t watches_renew(struct watches *w, uint64_t client, uint64_t number, uint64_t now_ns,
		       uint64_t *barred);
/* Lets the writer that waits pass a client's watch, if its number is not above this one. */
void watches_pass(struct watches *w, uint64_t client, uint64_t number, uint64_t now_ns);
/* Ends a client's watch, if its number is not above this one. */
void watches_end(struct watches *w, uint64_t client, uint64_t number);
/* Whether a writer has to wait for other clients' watches; if so, none is made or renewed meanwhile. */
bool watches_bar(struct watches *w, uint64_t client, uint64_t now_ns);
/* The writer is attached: the watches that it passed bar the next one. */
void watches_attached(struct watches *w);
void watches_deinit(struct watches *w);


#endif
