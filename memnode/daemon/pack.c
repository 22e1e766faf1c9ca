// SPDX-License-Identifier: GPL-2.0-or-later
/* pack.c - see pack.h. */
#include "pack.h"
#include "region_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In a step that looks for a chunk. */
#define LOOK_REGIONS 64u
#define LOOK_ENTRIES 512u
/* Shares of what the node may hold: of chunks that wait, as if all of them were raw; and of what is not taken. */
#define BEHIND_SHARE 8u
#define SPARE_SHARE  8u

static bool is_nearly_full(const struct regions *t)
{
	return t->limit_cells - t->totals.cells - t->entry_cells < t->limit_cells / SPARE_SHARE;
}

bool pack_is_behind(const struct regions *t)
{
	return t->totals.raw * REGION_CHUNK_CELLS > t->limit_cells / BEHIND_SHARE || is_nearly_full(t);
}

bool pack_is_urgent(const struct regions *t)
{
	return t->totals.raw && is_nearly_full(t);
}

int packer_init(struct packer *p, struct regions *t, struct journal *journal)
{
	*p = (struct packer){.t = t, .journal = journal};
	p->codec = chunk_codec_create();
	p->from_body = malloc(GVM_CHUNK_BYTES);
	p->to_body = malloc(GVM_CHUNK_BYTES);
	if (p->codec && p->from_body && p->to_body)
		return 0;
	packer_deinit(p);
	return -ENOMEM;
}

void packer_deinit(struct packer *p)
{
	chunk_codec_destroy(p->codec);
	free(p->from_body);
	free(p->to_body);
	*p = (struct packer){0};
}

void packer_again(struct packer *p)
{
	p->wrapped = false;
}

static void begin(struct packer *p, struct region *r, uint64_t chunk)
{
	struct chunk_entry *entry = &r->entries[chunk];

	if (entry->rotten || entry_head(p->t, r, entry, &p->from)) {
		entry_set_raw(p->t, r, entry, false);
		return;
	}
	p->id = r->id;
	p->chunk = chunk;
	p->version = entry->version;
	p->cell = entry->cell;
	p->bytes = entry->bytes;
	p->check = entry->check;
	store_copy(p->t->store, entry->cell, entry->head_bytes, p->from_body, p->from.body_bytes);
	if (chunk_verify(&p->from, p->from_body, &r->id, chunk)) {
		entry_set_raw(p->t, r, entry, false);
		return;
	}
	p->to = p->from;
	p->blocks = p->from.block_mask;
	p->from_at = p->to_at = 0;
	p->busy = true;
	p->fruitless = false;
}

/* Begins with the next chunk that waits, if it is among those that this step looks at. */
static void look(struct packer *p)
{
	struct regions *t = p->t;
	unsigned entries = 0;

	for (unsigned regions = 0; regions < LOOK_REGIONS; regions++, p->region++, p->next = 0) {
		struct region *r;

		if (p->region >= t->count) {
			p->wrapped = p->fruitless;
			p->fruitless = true;
			p->region = 0;
			p->next = 0;
			return;
		}
		r = t->sorted[p->region];
		while (r->totals.raw && (p->next = region_next_written(r, p->next)) < r->entries_chunks) {
			struct chunk_entry *entry = &r->entries[p->next];

			if (entries++ == LOOK_ENTRIES)
				return;
			p->next++;
			if (!entry_has_body(entry) || !entry->raw || store_is_pinned(t->store, entry->cell))
				continue;
			begin(p, r, p->next - 1);
			return;
		}
	}
}

static void block(struct packer *p)
{
	unsigned b = (unsigned)__builtin_ctz(p->blocks);
	const struct chunk_block *k = &p->from.block[b];
	const uint8_t *bytes = p->from_body + p->from_at;

	p->blocks &= p->blocks - 1;
	p->from_at += k->bytes;
	if (k->raw)
		chunk_block_pack(p->codec, &p->from, b, bytes, &p->id, p->chunk, &p->to.block[b],
				 p->to_body + p->to_at);
	else
		memcpy(p->to_body + p->to_at, bytes, k->bytes);
	p->to_at += p->to.block[b].bytes;
}

/* Unless it was written to, or is being sent, since it was begun. A chunk that was mended meanwhile has the same version, and
 * perhaps the same cells; if it has the same head, it has the content that was verified here. */
static void end(struct packer *p)
{
	struct region *r = region_find_any(p->t, &p->id);
	struct chunk_entry *entry = r && p->chunk < r->entries_chunks ? &r->entries[p->chunk] : NULL;

	p->busy = false;
	if (!entry || !entry_has_body(entry) || entry->version != p->version || entry->cell != p->cell ||
	    entry->bytes != p->bytes || entry->check != p->check || !entry->raw || store_is_pinned(p->t->store, entry->cell))
		return;
	p->to.body_bytes = p->to_at;
	if (p->to.body_bytes == p->from.body_bytes) {
		entry_set_raw(p->t, r, entry, false);
		return;
	}
	chunk_repack(p->t, r, p->chunk, &p->to, p->to_body);
	if (p->journal)
		journal_chunk(p->journal, &p->id, p->chunk);
}

bool packer_step(struct packer *p)
{
	if (!p->t->totals.raw || (p->wrapped && !p->busy))
		return false;
	if (!p->busy)
		look(p);
	else if (p->blocks)
		block(p);
	else if (!p->journal || journal_is_quiet(p->journal))
		end(p);
	else
		return false;
	return true;
}
