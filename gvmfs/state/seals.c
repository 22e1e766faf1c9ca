// SPDX-License-Identifier: GPL-2.0-or-later
/* seals.c - see seals.h. */
#include "seals.h"

#include "options.h"
#include "seal.h"
#include "worker_state.h"

/* 0: it cannot be computed: then none fits. */
static uint64_t plain_mark(const struct worker *w, struct inode *inode)
{
	const struct gvm_id *id = &inode->disk->rec.id;

	if (inode->plain_mark && gvm_id_equal(&inode->plain_id, id))
		return inode->plain_mark;
	inode->plain_id = *id;
	if (seal_plain_mark(w->sealer, id, &inode->plain_mark))
		inode->plain_mark = 0;
	return inode->plain_mark;
}

struct sealer *region_sealer(const struct worker *w, struct inode *inode)
{
	uint64_t mark = w->sealer && inode->disk->rec.seal ? plain_mark(w, inode) : 0;

	return mark && inode->disk->rec.seal == mark ? NULL : w->sealer;
}

bool region_is_sealed(const struct worker *w, const struct inode *inode)
{
	const struct journal_inode *d = inode->disk;

	if (d->rec.node_count)
		return d->rec.seal & 1;
	return w->sealer && (d->seal ? d->seal == SEAL_YES : w->opts->seal != OPTIONS_NO_SEAL);
}

uint64_t region_seal_of_new(const struct worker *w, struct inode *inode)
{
	uint64_t mark = w->sealer && !region_is_sealed(w, inode) ? plain_mark(w, inode) : 0;

	return mark ? mark : w->journal->super->seal_id;
}
