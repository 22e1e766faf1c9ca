/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutant.h - deliberate faults that test the tests: a program that is built with GVM_MUTANTS does
 * the wrong thing that GVM_MUTANT names, and the torture test has to notice. In other builds this
 * is nothing.
 *
 *	no-zap		memory is punched out that the client still has in its page tables
 *	no-hash		nothing that was evicted counts as changed
 *	early-pin	pins are looked at before the zap, not after it
 *	stray-sent	pages are sent that came while a flush waited, and are not remembered as sent
 *	sent-unlearnt	the pages that a flush sent are not remembered as sent
 *	stale-epoch	what is evicted is sent with the epoch of an earlier attachment
 *
 * And those that take luck, or a simulator (tests/resident):
 *
 *	presence-trusted  a successor takes every page that lies in the memory for content
 *	left-late	it takes the chunk over last into which pages were just being put
 *	left-served	it serves faults on chunks that it has not taken over
 *	left-uncounted	what it has not taken over takes no room in the budget
 *	left-unsynced	or is no matter of an fsync
 *	left-undrained	or of the client's end
 *	left-asleep	faults that the killed worker had read are not read again
 *	renewed-in-vain	the first worker of a new program (gvm upgrade) crashes
 *	unannounced	pages are put in that are not marked as coming
 *	given-early	a client is told to go on alone while pages are still on the nodes
 *	told-served	faults of a client that was told so are served all the same
 *	told-forgotten	a successor does not know that it was
 *	settled-swept	it punches out what such a client has without a mark
 *	marked-early	they are marked as filled before they are there
 *	dropped-early	pages are punched out before their marks go
 *	shown-evicting	a fault does not end an eviction
 *	not-called-off	a write does not
 *	no-pin		nobody looks at pins
 *	any-zap		an answer to a predecessor's zap is taken for one to ours
 *	untried		a version that was sent, and perhaps taken, is given to other bytes
 *	refused-dropped	what a node refused is punched out
 *	whole-blind	a chunk is sent as a whole with zeros for what is not here
 *	synced-early	what was marked while it was being sent counts as sent
 *	punch-unblocks	a hole takes its chunk off those that wait for room
 *	room-untold	requests that wait for room are not told when there is some
 *	hole-unasked	a hole is filled whatever the budget says
 *	putting-untold	what a chunk holds whose pages are just being put in is told all the same
 *	turn-in-turn	a turn begins while a call of another waits
 *	news-late	a piece that comes while a call waits is not noticed
 *	again-late	nor anything else
 *	cancelled-early	a request is taken back while a call has its data
 *	next-cancelled	one that was taken back meanwhile is carried out
 *	rest-asleep	pages that come do not wake who waits for others
 *	short-asleep	nor who waits for pages for which its group had no memory
 *	short-untimed	they are not tried again after a while
 *	zeros-asleep	nor is a chunk of zeros
 *	rot-unsent	of a chunk that is rotten on the node only what has changed is sent
 *	rot-dropped	one that is found so while it leaves goes nevertheless
 *	replay-takes-room  what an earlier start touched is fetched though others have to go for it
 *
 * Of cache and write-back (tests/store):
 *
 *	pages-early	a wbuf's pages are marked before they are there
 *	wbuf-presence-trusted  a successor takes all of a wbuf for content
 *	sealed-left-behind  it does not send what its predecessor had sealed
 *	sealed-takes	what is being sent takes further writes
 *	older-first	a page is read from what is being sent, not from what was written since
 *	version-again	two contents of a chunk get the same version
 *	index-early	the index has a version before the node has acknowledged it
 *	refused-forgotten  what a node refused for want of room is dropped
 *	failed-comes-back  a successor sends what a region had written before it failed
 *	synced-when-sent  an fsync does not wait for what is being sent
 *	sync-seals-nothing  an fsync leaves it to the clock to have it sent
 *	sync-seals-once  and so it does with what cannot be sent when it comes, or has no wbuf yet
 *	cut-early	what is to be cut off is dropped before the nodes have cut it off
 *	cut-unheld	what comes behind a region's new end is done while it is being cut off
 *	cut-revives	what has waited for the end of that is done then
 *	cut-untold	it is not told
 *	cut-rest-waits	the zeros behind the new end wait for WRITEs that wait for the end
 *	cut-refused	a READ fails with the GET of a chunk that has just been cut off
 *	spill-unread	a page is read as it was before its write was spilled
 *	spill-revives	a GET under way brings into the cache what a spilled write has replaced
 *	spill-passed	a chunk gets a wbuf, and what is spilled of it stays
 *	spill-unsynced	an fsync does not wait for what is spilled
 *	spill-lost	a successor does not look at what is spilled
 *	spill-untold	what is spilled gets no wbuf when there is one
 *	spill-head-blocks  or where the first of its node's may have none
 *	spill-stays	what is spilled of a chunk that moves counts on the node that it has left
 *	spill-left-unsynced  an fsync does not wait for what a predecessor has spilled and was not adopted yet
 *	spill-left-linked  what the predecessor was about to spill stays in its bucket
 *	spill-undropped	what is dropped gets wbufs
 *	unspilled-early	what is spilled counts as gone before the wbuf has it
 *	unspilled-new	and an fsync does not wait for that wbuf
 *	hole-skipped	a hole over a chunk that is being sent for the first time is not made
 *	edge-open	the last page of a write, if it is not whole, is not completed
 *	writes-overtake	a write goes past an earlier one of the same bytes that waits
 *	wide-unseen	and past one of many chunks
 *	reach-short	and past one that began some chunks before
 *	written-stays-cached  a write leaves what the cache has of its pages
 *	answer-revives	or what a GET under way brings of them
 *	sent-is-there	a GET's answer is taken for what is on its way to the node
 *	forgotten-comes-back  a GET under way brings back what was forgotten
 *	earlier-answer	a READ beside another host's writer is answered from a GET that was sent before it came
 *	nothing-kept	a READ of two chunks there keeps nothing of the first until it has the second
 *	wbufs-unshared, entries-unshared  nodes have no shares of the wbufs, of the entries
 *	pinned-counts	a node's share of entries is used by what waits for other nodes
 *	two-wanted	who waits for an entry is told when there are two
 *	wbuf-untold, entry-untold  who waits for one is not told
 *	next-asleep	nor the next of a line when the first gives up
 *
 * Of what is sealed, in either:
 *
 *	version-kept	what failed is sealed again under the version that it had
 *	sealed-again	a whole chunk is sealed anew where it should be composed of what the node has
 *	seals-forgotten	what a node has acknowledged is not known afterwards
 *	flux-checked	pages that are being sent are to be what is known of them when they are read
 *
 * Of the page cache beside another host's writer (tests/watch):
 *
 *	trust-from-answer  a watch is relied on from its answer on, not from when it was asked for
 *	trust-beside-drop  or while pages are still being dropped
 *	trusted-late	a READ counts as current if the watch is relied on when it is answered
 *	untrusted-stays	what a READ brings beside another host's writer is not dropped again
 *	lapse-unseen	pages stay when a watch could not be renewed
 *	pass-early	a writer may pass before the pages are dropped
 *	pass-for-all	leave to pass counts for the watch that is just being asked for, too
 *	drop-failed-unseen  pages that could not be dropped stay
 *	pause-ignored	pages are dropped while a writer of this host opens the file
 *	old-kept-at-end	what the watch ends with is taken for current when the file is next opened
 *	left-as-it-is	a region is given up with its pages in the page cache
 *	predecessor-trusted  a successor takes what its predecessor left there for current
 *
 * Of a slot's replicas (tests/views):
 *
 *	view-unrecorded	a view holds before its members have recorded it
 *	view-live-subset  a write is acknowledged by the members that answer, without a view of theirs
 *	view-next-only	or by those of the view that is about to be
 *	view-number-again  a view that is tried again with other members has the number of the first
 *	view-late-record  a record of an attempt that was given up counts for the present one
 *	view-any-answer	without the journal, any member of the last known view is enough
 *	view-first-answer  or the first view that is heard of
 *	view-proposed-believed  or what was proposed, as if it were active
 *	view-proposed-unseen  or what was proposed does not matter
 *	view-growth-early  a replica is taken into the view before all members know that it is
 *	view-growth-unheld  writes begin though some may know of a view that was given up
 *	view-next-believed  a worker takes the next view that its predecessor noted for one that its members have recorded
 *	fill-unread	a replica that comes back is read without having been given what it missed
 *	fill-unheld	writes begin while it is taken in
 *	fill-unknown-kept  what it has of a chunk that was never written does not matter
 *	fill-unmarked	what is written while it is filled is not copied again
 *	view-leave-unrecorded  a member that is to leave is out at once
 *	view-leave-alone  or though those that stay do not answer
 *	view-leave-early  or though it leaves a single one: a copy that moves leaves before there is another
 *	view-first-all	without a view, one that has moved to the slot since has what was acknowledged, too
 *	view-unneeded	a member that is bad leaves the view though nothing needs that
 *	mend-over-newer	a node takes a copy that mends though what it has is of another version
 *
 * Of nodes that fail, and copies that rot (tests/replicas):
 *
 *	whole-anew	where one node refuses a change that another has taken, all of the chunk is read from the memory once
 *			more, and sent in the same version
 *	rot-believed	what does not verify is taken for the chunk's content
 *	parts-mixed	a copy is made of parts of two versions
 *	moved-untold	the node from which slots of a region with one copy have moved is not told so
 *	trims-forgotten	the journal does not say that nodes may have what they need no more
 *	scrub-in-vain	what a node finds to be rotten, that nobody has read, is not mended
 *	rack-twice	a copy goes to a rack that has another
 *	replica-twice	a replica goes to a node whose own one is to go elsewhere, and may yet stay
 *	strays-are-all	a node forgets its own slots, too, when it is rid of what has moved away
 *	held-untold	writes that a fill has held are not told that it was given up
 *	lost-retried	what no node can read is waited for
 *	come-since-forgotten  pages that came while a flush gave them up are taken for what the nodes have
 *	rot-undivided	pages are not asked for one by one where no node has all of them
 *	spoilt-given-up	what another thread decoded, and does not verify, is asked for of no other node
 *	beside-is-here	pages that another thread is still decoding count as here
 *	beside-written	the front writes over them
 *	mend-undivided	a copy is not put together from others that are rotten in different pages
 *	mend-newest	a rotten copy is mended in the version that the chunk has by then
 *
 * One is no fault, but another kernel:
 *
 *	no-nowait	a userfaultfd has no read that never waits, as before Linux 6.10
 */
#ifndef GVMFS_MUTANT_H
#define GVMFS_MUTANT_H

#include <stdbool.h>

#ifdef GVM_MUTANTS
#include <string.h>

extern const char *mutant_chosen; /* NULL: none */

static inline bool mutant(const char *name)
{
	return mutant_chosen && strcmp(mutant_chosen, name) == 0;
}
#else
#define mutant(name) false
#endif

#endif
