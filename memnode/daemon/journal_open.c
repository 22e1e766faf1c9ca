// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * journal_open.c - from the file to a node that serves, and back.
 *
 * Order of a start: read everything; bring the file to the disk; write a checkpoint, in which regions that are
 * only what a loss has left say so; then the superblock, with the incarnation and not clean. A start that is cut
 * off before that leaves the file as it was for the next. Order of an end: all records, the disk, the superblock.
 */
#include "journal_impl.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STOP_SECONDS 20

/* Cells that the file has room for: part of it is for moving records, for regions and names, and for what
 * segments lose at their ends; and a record is larger than its cells (1,280 bytes for 1,024). */
static uint64_t file_cells(const struct keep_log *l)
{
	uint64_t kept = l->segments / 8 + 6;

	return (l->segments - kept) * (uint64_t)(l->segment_bytes - KEEP_RECORD_MAX) / 1280;
}

static void found_say(const struct journal *j, const char *dir)
{
	const struct journal_found *f = &j->found;

	if (j->file.fresh)
		log_line("keeps what it holds in %s", dir);
	else if (!f->lost)
		log_line("has %llu regions with %llu chunks from %s, as they were", (unsigned long long)f->regions,
			 (unsigned long long)f->chunks, dir);
	else
		log_line("%s may lack what was written last: this node begins anew. %llu regions with %llu chunks are "
			 "what is left, for those who ask for remains, until they are deleted",
			 dir, (unsigned long long)f->regions, (unsigned long long)f->chunks);
	if (f->holes)
		log_line("%s is damaged in %llu places", dir, (unsigned long long)f->holes);
	if (f->damaged)
		log_line("%llu chunks in %s are damaged: requests for them are refused", (unsigned long long)f->damaged,
			 dir);
}

static int checkpoint_whole(struct journal *j)
{
	int err;

	checkpoint_begin(j);
	while (j->checkpoint.step != CHECKPOINT_NONE) {
		checkpoint_work(j);
		err = keep_log_flush(&j->log);
		if (err)
			return err;
	}
	if (j->log.full)
		return -ENOSPC;
	err = keep_log_flush(&j->log);
	journal_look(j);
	if (!err)
		journal_work(j); /* drops the segments of before, and writes the zeros of cuts */
	if (!err)
		err = keep_log_flush(&j->log);
	journal_look(j);
	return err;
}

static int journal_begin(struct journal *j, const struct keep_wish *w, struct gvm_id *incarnation, char *why,
			 size_t why_bytes)
{
	char what[200] = "";
	int err;

	err = j->file.fresh ? 0 : journal_load(j, w, what, sizeof(what));
	if (!err && fdatasync(j->log.fd) && errno != EINVAL)
		err = -errno;
	if (!err)
		err = checkpoint_whole(j);
	if (!err && !j->file.fresh && !j->found.lost)
		*incarnation = j->file.super.incarnation;
	if (!err)
		err = keep_file_mark(&j->file, incarnation, false);
	if (err)
		snprintf(why, why_bytes, "%s: %s", w->dir, *what ? what : strerror(-err));
	return err;
}

int journal_open(struct journal *j, const struct keep_wish *w, struct regions *regions, struct names *names,
		 struct gvm_id *incarnation, char *why, size_t why_bytes)
{
	uint64_t cells;
	int err;

	memset(j, 0, sizeof(*j));
	j->regions = regions;
	j->names = names;
	j->moves.segment = -1;
	err = keep_file_open(&j->file, w, why, why_bytes);
	if (err)
		return err;
	err = keep_log_init(&j->log, j->file.fd, &j->file.super.file, j->file.super.segment_bytes, j->file.segments,
			    w->sync);
	if (err) {
		snprintf(why, why_bytes, "%s", strerror(-err));
		return err;
	}
	regions->log = &j->log;
	cells = file_cells(&j->log);
	if (cells < regions->limit_cells) {
		log_line("lends %llu MiB only: %s has room for no more",
			 (unsigned long long)(cells * STORE_CELL_BYTES >> 20), w->dir);
		regions->promisable_cells =
			(uint64_t)((double)regions->promisable_cells / (double)regions->limit_cells * (double)cells);
		regions->limit_cells = cells;
	}
	err = journal_begin(j, w, incarnation, why, why_bytes);
	if (err)
		return err;
	j->incarnation = *incarnation;
	found_say(j, w->dir);
	return 0;
}

int journal_start(struct journal *j, int event_fd)
{
	return keep_log_start(&j->log, event_fd);
}

int journal_close(struct journal *j)
{
	int err = keep_log_stop(&j->log, STOP_SECONDS);

	if (!err)
		err = keep_log_flush(&j->log);
	if (!err)
		err = keep_file_mark(&j->file, &j->incarnation, true);
	return err;
}

void journal_deinit(struct journal *j)
{
	j->regions->log = NULL;
	keep_log_deinit(&j->log);
	keep_file_close(&j->file);
}
