// SPDX-License-Identifier: GPL-2.0-or-later
/* store_send.c - a wbuf of store.h gets its version, and is handed to the writers. */
#include "store_priv.h"

#include "base/mutant.h"

void store_wbuf_send(struct store *s, struct wbuf *wbuf)
{
	const struct journal_wbuf *js = wbuf_disk(&s->wbufs, wbuf);
	struct flush *f = &wbuf->flush;

	f->epoch = s->env->disk(s, wbuf->inode)->epoch;
	f->chunk = js->chunk;
	f->version = js->version;
	f->base = s->env->index(s, wbuf->inode, js->chunk);
	f->pages = js->pages;
	f->data = wbuf_data(&s->wbufs, wbuf);
	f->resident = false;
	f->tried = js->tried;
	f->sealed = s->sealed;
	f->whole_retry = false;
	s->env->send(s, wbuf->inode, f);
}

void store_seal(struct store *s, struct wbuf *wbuf)
{
	const struct journal_inode *disk = s->env->disk(s, wbuf->inode);
	uint64_t chunk = wbuf_disk(&s->wbufs, wbuf)->chunk, base, fresh;

	if (wbufs_sealed(&s->wbufs, wbuf->inode, chunk))
		return;
	base = s->env->index(s, wbuf->inode, chunk) & GVM_VERSION_MASK;
	fresh = gvm_version(disk->epoch, 1);
	if (disk->cut_version >= fresh)
		fresh = disk->cut_version + 1;
	wbuf_seal(&s->wbufs, wbuf, base < fresh ? fresh : base + !mutant("version-again"));
	if (mutant("index-early"))
		s->env->index_set(s, wbuf->inode, chunk, wbuf_disk(&s->wbufs, wbuf)->version);
	store_wbuf_send(s, wbuf);
}
