// SPDX-License-Identifier: GPL-2.0-or-later
/* seals.c - see seals.h. */
#include "seals.h"

#include "options.h"
#include "seal.h"
#include "worker_state.h"

#include <errno.h>

/* Of a folder or plain region, in that place. 0: it cannot be computed: then none fits. */
static uint64_t mark_at(const struct worker *w, const struct record *rec, const struct gvm_id *parent, const char *name)
{
	uint64_t mark;

	if (seal_mark(w->sealer, rec->kind == RECORD_FOLDER ? SEAL_MARKS_FOLDER : SEAL_MARKS_REGION, &rec->id, parent, name, &mark))
		return 0;
	return mark;
}

static bool is_marked(const struct worker *w, const struct record *rec)
{
	return rec->seal && rec->seal == mark_at(w, rec, &rec->parent, rec->name);
}

static const struct record *folder_of(const struct worker *w, const struct gvm_id *id)
{
	int nr = inode_by_id(w->inodes, id);
	const struct record *rec = nr < 0 ? NULL : &inode_disk(w->inodes, (unsigned)nr)->rec;

	return rec && rec->kind == RECORD_FOLDER ? rec : NULL;
}

/* (Records may name each other in a circle.) */
bool folder_is_marked(const struct worker *w, const struct gvm_id *id)
{
	for (unsigned depth = 0; w->sealer && !gvm_id_is_none(id); depth++) {
		const struct record *rec = folder_of(w, id);

		if (!rec || depth == JOURNAL_INODES || !is_marked(w, rec))
			return false;
		id = &rec->parent;
	}
	return true;
}

static bool is_believed(const struct worker *w, const struct record *rec)
{
	return is_marked(w, rec) && folder_is_marked(w, &rec->parent);
}

static bool is_used(const struct inode *inode)
{
	return inode->opens || inode->wbufs || inode->disk->epoch || inode->resident || inode->in_handshake;
}

void region_seal_look(struct inode *inode)
{
	if (!is_used(inode))
		journal_publish32(&inode->disk->found, SEAL_FOUND_NOTHING);
}

struct sealer *region_sealer(const struct worker *w, struct inode *inode)
{
	struct journal_inode *d = inode->disk;

	if (w->sealer && d->rec.node_count && d->found == SEAL_FOUND_NOTHING)
		journal_publish32(&d->found, is_believed(w, &d->rec) ? SEAL_FOUND_PLAIN : SEAL_FOUND_SEALED);
	return d->found == SEAL_FOUND_PLAIN ? NULL : w->sealer;
}

bool region_is_sealed(const struct worker *w, const struct inode *inode)
{
	const struct journal_inode *d = inode->disk;

	if (d->rec.node_count)
		return d->rec.seal & 1;
	return w->sealer && (d->seal ? d->seal == SEAL_YES : w->opts->seal != OPTIONS_NO_SEAL);
}

uint64_t region_seal_of_new(const struct worker *w, const struct inode *inode)
{
	const struct record *rec = &inode->disk->rec;
	uint64_t mark = w->sealer && !region_is_sealed(w, inode) ? mark_at(w, rec, &rec->parent, rec->name) : 0;

	return mark ? mark : w->journal->super->seal_id;
}

uint64_t folder_seal_of_new(const struct worker *w, const struct record *rec)
{
	return w->sealer ? mark_at(w, rec, &rec->parent, rec->name) : 0;
}

/* Whether a record that says it is plain is below the folder. */
static bool has_plain_below(const struct worker *w, const struct gvm_id *folder)
{
	for (unsigned nr = 1; nr < w->inodes->end; nr++) {
		const struct record *rec = &inode_disk(w->inodes, nr)->rec;

		if (inode_disk(w->inodes, nr)->use != INODE_USED || rec->kind != RECORD_REGION || !rec->node_count || rec->seal & 1)
			continue;
		for (unsigned depth = 0; rec && depth < JOURNAL_INODES && !gvm_id_is_none(&rec->parent); depth++) {
			if (gvm_id_equal(&rec->parent, folder))
				return true;
			rec = folder_of(w, &rec->parent);
		}
	}
	return false;
}

int seal_of_moved(const struct worker *w, const struct inode *inode, const struct gvm_id *parent, const char *name, uint64_t *seal)
{
	const struct record *rec = &inode->disk->rec;
	bool folder = rec->kind == RECORD_FOLDER;

	*seal = rec->seal;
	if (!w->sealer || rec->seal & 1 || !rec->seal || !is_believed(w, rec))
		return 0;
	if (!folder_is_marked(w, parent) && (!folder || has_plain_below(w, &rec->id)))
		return -EPERM;
	*seal = mark_at(w, rec, parent, name);
	return 0;
}
