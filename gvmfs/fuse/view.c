// SPDX-License-Identifier: GPL-2.0-or-later
/* view.c - see view.h. */
#include "view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(CORE_HEAD_BYTES == GVM_CHUNK_BYTES, "chunks of a region are those of its core");

enum core_view view_find(struct worker *w, const struct inode *folder, const char *name, struct inode **region)
{
	char region_name[RECORD_NAME_MAX + 1];
	size_t n;
	enum core_view view = core_view_of(name, &n);
	int nr;

	if (!view || n > RECORD_NAME_MAX)
		return CORE_NONE;
	memcpy(region_name, name, n);
	region_name[n] = 0;
	nr = inode_lookup(w->inodes, &folder->disk->rec.id, region_name);
	*region = nr < 0 ? NULL : inode_get(w->inodes, (unsigned)nr);
	if (!*region || (*region)->disk->rec.kind != RECORD_REGION || !view_part(*region, view).bytes)
		return CORE_NONE;
	return view;
}

static void view_stat(struct worker *w, const struct inode *region, enum core_view view, struct stat *st)
{
	struct core_part part = view_part(region, view);

	inode_stat(w->inodes, region->nr, st);
	st->st_ino |= (uint64_t)view << VIEW_SHIFT;
	st->st_mode = S_IFREG | (st->st_mode & 0444);
	st->st_size = (off_t)(part.head + part.bytes);
}

/* The sizes of views change with what is known of the guest: the kernel keeps none. */
void view_entry(struct worker *w, struct inode *region, enum core_view view, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){
		.ino = inode_ino(region->nr) | (uint64_t)view << VIEW_SHIFT,
		.generation = region->disk->generation,
		.entry_timeout = FRONT_TIMEOUT_S,
	};
	view_stat(w, region, view, &e->attr);
	region->disk->lookups++;
}

void view_reply_attr(struct worker *w, fuse_req_t req, const struct inode *region, enum core_view view)
{
	struct stat st;

	view_stat(w, region, view, &st);
	fuse_reply_attr(req, &st, 0);
}

/* Copies what of `part`, which stands at `at` of the head, lies among the `bytes` from `off` on. */
static void part_copy(uint8_t *to, uint64_t off, size_t bytes, const uint8_t *part, uint64_t at, size_t part_bytes)
{
	uint64_t begin = off > at ? off : at;
	uint64_t end = off + bytes < at + part_bytes ? off + bytes : at + part_bytes;

	if (begin < end)
		memcpy(to + (begin - off), part + (begin - at), end - begin);
}

uint8_t *view_head(const struct worker *w, const struct inode *region, uint64_t off, size_t bytes)
{
	const struct core_facts *facts = &region->disk->core;
	uint8_t elf[CORE_ELF_BYTES], *head = calloc(1, bytes);

	assert(off + bytes <= CORE_HEAD_BYTES && facts->note_bytes <= CORE_NOTE_MAX);
	if (!head)
		return NULL;
	core_elf(facts, region->disk->rec.size_bytes, elf);
	part_copy(head, off, bytes, elf, 0, sizeof(elf));
	part_copy(head, off, bytes, journal_note(w->journal, region->nr), CORE_ELF_BYTES, facts->note_bytes);
	return head;
}
