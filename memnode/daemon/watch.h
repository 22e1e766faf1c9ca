/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch.h - readers that keep copies of a region; its next writer waits for them.
 *
 * A client that keeps copies of what it has read (a page cache, a mapping) watches the region. A
 * writer that wants to attach is refused (WATCHED) while another client watches, and retries; from
 * then on no watch is made or renewed, which tells each watcher to drop its copies and then to let
 * the writer pass. So the new writer's first write comes after the last stale copy has been
 * dropped. A watch that let one writer pass still bars the next one: its client may keep pages that
 * it reads meanwhile.
 *
 * Neither side can block the other for long: a watch that is not renewed lapses after WATCH_NS, and
 * the claim of a writer that does not retry after WATCH_CLAIM_NS. A watcher relies on its watch for
 * less than WATCH_NS, counted from when it sent the request.
 *
 * Of several writers the first has the claim, for as long as it retries: it alone may renew a watch
 * of its own meanwhile. If writers took the claim from each other they could renew the very watches
 * that the others wait for.
 *
 * Watches are numbered by their client, in ascending order: a late request to end a watch or to let
 * a writer pass, over a connection that was thought dead, has no effect on a newer watch.
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

/* Of one region. All zero: no client watches. */
struct watches {
	struct watch_list list;
	unsigned count;
	uint64_t claimer; /* the client that was refused first */
	uint64_t claim_until_ns;
	uint64_t unknown_until_ns; /* watches from before the node's restart may last so long */
};

/* Makes or renews a client's watch: OK; NOSPACE; WATCHED while a writer waits, with *barred 1 if the writer
 * waits for this watch. */
uint16_t watches_renew(struct watches *w, uint64_t client, uint64_t number, uint64_t now_ns,
		       uint64_t *barred);
/* Lets the writer that waits pass a client's watch, if its number is not above this one. */
void watches_pass(struct watches *w, uint64_t client, uint64_t number, uint64_t now_ns);
/* Ends a client's watch, if its number is not above this one. */
void watches_end(struct watches *w, uint64_t client, uint64_t number);
/*
 * Whether a writer has to wait for other clients' watches; if so, none is made or renewed
 * meanwhile.
 */
bool watches_bar(struct watches *w, uint64_t client, uint64_t now_ns);
/* The node has restarted, and does not know who watches: it bars writers as long as a watch may last. */
void watches_unknown(struct watches *w, uint64_t now_ns);
/* The writer has attached: the watches that it passed bar the next writer. */
void watches_attached(struct watches *w);
void watches_deinit(struct watches *w);

#endif
