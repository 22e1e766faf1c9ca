// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * note.c - what a region's writer leaves beside it for the next one: some bytes that the node does not look at (gvmfs:
 * what a start touched). It is a hint, and its loss none: it is not kept on a disk. It is charged as the region's tables
 * are, so no promise suffers from it.
 */
#include "region_priv.h"

#include <stdlib.h>
#include <string.h>

static void note_drop(struct regions *t, struct region *r)
{
	regions_uncharge(t, r->note_cells);
	free(r->note);
	r->note = NULL;
	r->note_bytes = 0;
	r->note_epoch = r->note_cells = 0;
}

uint16_t regions_note(struct regions *t, const struct gvm_region_note_req *what,
		      const uint8_t *note, uint32_t bytes, uint64_t *detail)
{
	uint64_t cells = store_cells_of(bytes);
	struct region *r;
	uint16_t status = region_of_writer(t, &what->region, what->epoch, &r, detail);

	if (status)
		return status;
	note_drop(t, r);
	if (!bytes)
		return GVM_OK;
	if (!regions_charge(t, cells))
		return GVM_ERR_NOSPACE;
	r->note = malloc(bytes);
	if (!r->note) {
		regions_uncharge(t, cells);
		return GVM_ERR_NOSPACE;
	}
	memcpy(r->note, note, bytes);
	r->note_bytes = bytes;
	r->note_epoch = what->epoch;
	r->note_cells = cells;
	return GVM_OK;
}

uint16_t regions_noted(const struct regions *t, const struct gvm_region_noted_req *what,
		       struct gvm_region_noted_rsp *rsp, uint8_t *buf, uint32_t *bytes)
{
	const struct region *r = regions_find(t, &what->region);

	if (!r)
		return GVM_ERR_LOST;
	if (r->note)
		memcpy(buf, r->note, r->note_bytes);
	*bytes = r->note_bytes;
	rsp->epoch = r->note_epoch;
	return GVM_OK;
}
