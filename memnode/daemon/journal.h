/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal.h - what a node with --persist writes down of its regions, chunks and names, and reads at its start.
 *
 * Memory is where the node works; the file is read once, at the start. Each change is appended to the
 * file as the new state of what it changed, never as a difference: a chunk is written whole. There are
 * two streams (keep_format.h): the regions and names, and the chunks.
 *
 * Space comes back in two ways. Regions and names are written out whole into new segments now and then
 * (a checkpoint, some at a time, changes going on meanwhile), after which the older ones are free. Of the
 * segments with chunks the one with the least in it that counts is emptied: those chunks are appended anew,
 * from memory. So a chunk's newest record is always the last one of it in the stream, and the start takes the
 * first that it meets from the end.
 *
 * Chunk records name a region by its birth number, so that those of a deleted region mean nothing.
 *
 * A shrinking region's chunks get their zero records only after the region's own record is on the disk: if
 * the machine goes down between the two, the start does it. It grows again after that.
 *
 * All in the node's loop.
 */
#ifndef GVM_JOURNAL_H
#define GVM_JOURNAL_H

#include "keep_file.h"
#include "keep_log.h"
#include "names.h"
#include "region.h"

enum checkpoint_step { CHECKPOINT_NONE, CHECKPOINT_REGIONS, CHECKPOINT_NAMES };

struct checkpoint {
	uint8_t step; /* enum checkpoint_step */
	bool first;   /* the cursor is before all */
	struct gvm_id after;
	uint64_t seq;	/* of the segment that it begins in */
	uint64_t bytes; /* written by it, or by the last one */
	uint64_t ended; /* record number of its end; 0: older segments are dropped */
};

struct moves {
	int64_t segment; /* that is emptied; -1: none */
	struct gvm_id region;
	uint64_t chunk;
	bool whole; /* all chunks were looked at: deleted regions' go by themselves */
};

/* What the start found. */
struct journal_found {
	bool lost; /* not all that was answered is there: regions are what a loss has left */
	uint64_t regions, chunks, damaged, holes;
};

struct journal {
	struct keep_log log;
	struct keep_file file;
	struct regions *regions;
	struct names *names;
	struct gvm_id incarnation;
	struct journal_found found;
	uint64_t serial;     /* of the last record of regions and names */
	uint64_t meta_bytes; /* written since the last checkpoint began */
	struct checkpoint checkpoint;
	struct moves moves;
	unsigned cuts; /* regions that wait to have their zero records written */
	/* as it was looked at last */
	struct keep_progress progress;
};

/*
 * Opens the file, puts back what it holds into empty regions and names, and makes it the node's. *incarnation: the
 * node's new one, which is replaced by the one of before if nothing is lost. 0, or a negative errno with a
 * sentence in `why`.
 */
int journal_open(struct journal *j, const struct keep_wish *wish, struct regions *regions, struct names *names,
		 struct gvm_id *incarnation, char *why, size_t why_bytes);
/* Everything is answered: brings it to the disk and says so in the file. 0; or why the next start cannot rely on
 * it. -ETIMEDOUT: the disk still has a write: nothing may be freed. */
int journal_close(struct journal *j);
/* After regions_deinit(). Without journal_close() the file is left as by a process that is killed. */
void journal_deinit(struct journal *j);

/* Starts the threads; event_fd tells of progress. */
int journal_start(struct journal *j, int event_fd);
/* Looks at the progress; true if it is news. */
bool journal_look(struct journal *j);
/* Does some of what is to be done now and then; true: call again soon. */
bool journal_work(struct journal *j);

/* Whether a change can be carried out now: 0; -EAGAIN: later; -EIO: the disk does not take it. */
int journal_ready(struct journal *j);
/* Whether a record that is in no hurry would delay nobody's. */
bool journal_is_quiet(struct journal *j);
/* The number up to which `written` must have come before a request is answered. */
static inline uint64_t journal_number(const struct journal *j)
{
	return j->log.appended;
}

static inline uint64_t journal_written(const struct journal *j)
{
	return j->progress.written;
}

/* After a change, successful or not: writes down what there is now. */
void journal_region(struct journal *j, const struct gvm_id *id);
void journal_view(struct journal *j, const struct gvm_id *id, unsigned slot);
void journal_region_cut(struct journal *j, const struct gvm_id *id);
bool journal_region_waits(const struct journal *j, const struct gvm_id *id); /* to be cut */
void journal_region_gone(struct journal *j, const struct gvm_id *id);
void journal_chunk(struct journal *j, const struct gvm_id *id, uint64_t chunk);
void journal_discard(struct journal *j, const struct gvm_id *id, uint64_t first, uint64_t count);
void journal_name(struct journal *j, const struct gvm_id *key);
void journal_fence(struct journal *j);
void journal_forget(struct journal *j, uint64_t table);
void journal_drain(struct journal *j);

#endif
