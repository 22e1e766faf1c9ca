// SPDX-License-Identifier: GPL-2.0-or-later
/* store_send.c - a slot of store.h gets its version, and is handed to the writers. */
#include "store_priv.h"

#include "base/mutant.h"

void store_slot_send(struct store *s, struct slot *slot)
{
	const struct journal_slot *js = slot_disk(&s->slots, slot);
	struct flush *f = &slot->flush;

	f->epoch = s->env->disk(s, slot->inode)->epoch;
	f->chunk = js->chunk;
	f->version = js->version;
	f->base = s->env->index(s, slot->inode, js->chunk);
	f->pages = js->pages;
	f->data = slot_data(&s->slots, slot);
	f->resident = false;
	f->tried = js->tried;
	f->sealed = s->sealed;
	f->whole_retry = false;
	s->env->send(s, slot->inode, f);
}

void store_seal(struct store *s, struct slot *slot)
{
	const struct journal_inode *disk = s->env->disk(s, slot->inode);
	uint64_t chunk = slot_disk(&s->slots, slot)->chunk, base, fresh;

	if (slots_sealed(&s->slots, slot->inode, chunk))
		return;
	base = s->env->index(s, slot->inode, chunk) & GVM_VERSION_MASK;
	fresh = gvm_version(disk->epoch, 1);
	if (disk->cut_version >= fresh)
		fresh = disk->cut_version + 1;
	slot_seal(&s->slots, slot, base < fresh ? fresh : base + !mutant("version-again"));
	if (mutant("index-early"))
		s->env->index_set(s, slot->inode, chunk, slot_disk(&s->slots, slot)->version);
	store_slot_send(s, slot);
}
