// SPDX-License-Identifier: GPL-2.0-or-later
/* names_save.c - see names_save.h. */
#include "names_save.h"

#include "jobs.h"
#include "names_job.h"
#include "names_state.h"
#include "state/seals.h"
#include "state/worker_state.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define REKEYED_MAX 8

void names_hear(struct worker *w, uint64_t number)
{
	if (number > w->names->clock)
		w->names->clock = number;
}

static void save_start(struct worker *w, struct inode *inode, unsigned rekeyed, bool gives_way,
		       names_done_fn *done, void *arg);

/* If no table is known, makes a new one, of which no node has forgotten tombstones. */
static uint64_t names_table(struct worker *w)
{
	if (!w->names->table && getrandom(&w->names->table, sizeof(w->names->table), GRND_NONBLOCK) < 0)
		w->names->table = w->journal->super->client;
	return w->names->table;
}

/* A fence has passed the name's birth. No node has the name (any more), but to some nodes its id may mean a forgotten
 * name: it gets a new id, which is in the journal before anything is sent. */
static bool inode_rekey(struct worker *w, struct inode *inode)
{
	struct record rec = inode->disk->rec;

	if (getrandom(&rec.id, sizeof(rec.id), GRND_NONBLOCK) != sizeof(rec.id))
		return false;
	rec.born = rec.version = 0;
	if (rec.kind == RECORD_FOLDER && rec.seal)
		rec.seal = folder_seal_of_new(w, &rec);
	inode_set_record(w->inodes, inode->nr, &rec);
	return true;
}

static void save_end(struct job *job)
{
	struct names_save_job *sj = (struct names_save_job *)job;
	struct worker *w = sj->w;
	struct journal_inode *d = sj->inode->disk;
	int r = job->result;

	names_hear(w, sj->clock);
	names_hear(w, sj->put.version);
	if (r == -EAGAIN && sj->rekeyed < REKEYED_MAX && inode_rekey(w, sj->inode)) {
		save_start(w, sj->inode, sj->rekeyed + 1, false, sj->done, sj->arg);
		free(sj);
		return;
	}
	/* After a failure some node may still have this version. If the caller goes back to the former record, that has
	 * the next version, and the next refresh saves it. */
	d->rec.version = sj->put.version + (r < 0);
	if (r < 0)
		journal_publish32(&d->times_owed, 1);
	if (!r || r == -EIDRM) /* (A removed record cannot have other slots any more.) */
		journal_publish64(&d->view_saved, 0);
	if (r == -EIDRM && d->rec.orphan)
		r = 0; /* an orphan is to be removed anyway */
	if (r == -EIDRM) {
		if (!d->epoch)
			inode_set_gone(w->inodes, sj->inode->nr);
		r = -ESTALE;
	}
	sj->done(w, r == -EAGAIN ? -EBUSY : r, sj->arg);
	free(sj);
}

/* The end of a save for the times alone. After -ESTALE the version is put back; after another failure it is raised,
 * since some node may have it. If the record was saved since, that save had these times, too. */
static void save_times_end(struct job *job)
{
	struct names_save_job *sj = (struct names_save_job *)job;
	struct worker *w = sj->w;
	struct journal_inode *d = sj->inode->disk;
	int r = job->result;

	names_hear(w, sj->clock);
	names_hear(w, sj->put.version);
	if (r < 0 && d->rec.version == sj->put.version)
		d->rec.version = r == -ESTALE ? sj->put.version - 1 : sj->put.version + 1;
	if (r < 0)
		journal_publish32(&d->times_owed, 1);
	sj->done(w, r, sj->arg);
	free(sj);
}

static void save_start(struct worker *w, struct inode *inode, unsigned rekeyed, bool gives_way,
		       names_done_fn *done, void *arg)
{
	struct record *rec = &inode->disk->rec;
	struct names_save_job *sj = calloc(1, sizeof(*sj));
	uint64_t version = rec->version + 1;

	if (!sj) {
		done(w, -ENOMEM, arg);
		return;
	}
	sj->creates = !rec->born;
	if (sj->creates && version <= w->names->clock)
		version = w->names->clock + 1;
	if (version < rec->born)
		version = rec->born; /* a predecessor was killed between the two stores below */
	if (sj->creates) {
		rec->table = names_table(w);
		journal_publish64(&rec->born, version);
	}
	journal_publish64(&rec->version, version);
	names_hear(w, version);
	sj->job.work = names_job_save;
	sj->job.done = gives_way ? save_times_end : save_end;
	sj->gives_way = gives_way;
	sj->w = w;
	sj->done = done;
	sj->arg = arg;
	sj->inode = inode;
	sj->rekeyed = rekeyed;
	sj->put = (struct gvm_name_put_req){
		.key = rec->id, .table = rec->table, .born = rec->born, .version = version
	};
	if (rec->kind != RECORD_GONE)
		sj->record_bytes = record_pack(rec, sj->record);
	inode->disk->times_owed = 0;
	jobs_submit(w->jobs, &sj->job);
}

void names_save(struct worker *w, struct inode *inode, names_done_fn *done, void *arg)
{
	const struct record *rec = &inode->disk->rec;

	if (rec->kind == RECORD_GONE && !rec->born)
		done(w, 0, arg); /* no node knows of it */
	else
		save_start(w, inode, 0, false, done, arg);
}

void names_save_times(struct worker *w, struct inode *inode, names_done_fn *done, void *arg)
{
	if (inode->disk->rec.born)
		save_start(w, inode, 0, true, done, arg);
	else
		done(w, -EBUSY, arg); /* its first save is not done yet */
}
