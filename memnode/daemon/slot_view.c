// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * slot_view.c - the views of a region's slots, as its writer records them: REGION_VIEW and REGION_VIEWS.
 *
 * A writer that keeps several replicas of a slot says here which of them it writes to, before it acknowledges a
 * write that the others lack: first that it is about to (a proposed view), then that it does (an active one). If the
 * writer's host is lost, the next one asks. The node sees to it that no view goes back. And it gives readers nothing of a
 * slot whose active view does not name it: so a writer that keeps one copy tells the node from which a slot has moved away.
 *
 * The table of views is made, and charged to the node's memory, with the region if its maker asks for that: a writer that
 * needs it while the node is full would have to wait. Otherwise it is made with the first view.
 */
#include "region_priv.h"

#include <stdlib.h>
#include <string.h>

static bool view_is_valid(const struct gvm_region_view_req *what, const struct slot_view *view)
{
	if (what->slot >= GVM_SLOTS_MAX || what->active > 1 || !what->epoch || !what->number ||
	    gvm_id_is_none(&view->member[0]))
		return false;
	for (unsigned i = 1; i < GVM_REPLICAS_MAX; i++) {
		if (gvm_id_is_none(&view->member[i]))
			continue;
		if (gvm_id_is_none(&view->member[i - 1]))
			return false;
		for (unsigned j = 0; j < i; j++)
			if (gvm_id_equal(&view->member[i], &view->member[j]))
				return false;
	}
	return true;
}

/* It is what is there under that number. */
static bool view_is_again(const struct slot_view *held, const struct slot_view *new)
{
	return held->number == new->number && !memcmp(held, new, sizeof(*new));
}

static bool view_put(struct slot_views *v, const struct slot_view *new, bool active)
{
	if (view_is_again(&v->active, new) || (!active && view_is_again(&v->proposed, new)))
		return true;
	if (new->number <= v->active.number || (!active && new->number <= v->proposed.number) ||
	    (new->number == v->proposed.number && !view_is_again(&v->proposed, new)))
		return false;
	*(active ? &v->active : &v->proposed) = *new;
	if (active && v->proposed.number <= new->number)
		v->proposed = (struct slot_view){0};
	return true;
}

uint16_t regions_view(struct regions *t, const struct gvm_region_view_req *what, uint64_t *detail)
{
	struct slot_view new = {what->number, {what->member_0, what->member_1, what->member_2, what->member_3}};
	struct slot_views *held;
	struct region *r;
	uint16_t status = region_of_writer(t, &what->region, what->epoch, &r, detail);

	if (status)
		return status;
	if (!view_is_valid(what, &new))
		return GVM_ERR_INVALID;
	if (!region_views_make(t, r))
		return GVM_ERR_NOSPACE;
	held = &r->views[what->slot];
	if (view_put(held, &new, what->active))
		return GVM_OK;
	*detail = held->proposed.number ? held->proposed.number : held->active.number;
	return GVM_ERR_STALE;
}

bool region_slot_is_gone(const struct regions *t, const struct region *r, uint64_t chunk)
{
	const struct slot_view *active = r->views ? &r->views[chunk % GVM_SLOTS_MAX].active : NULL;

	if (!active || !active->number || !t->self)
		return false;
	for (unsigned i = 0; i < GVM_REPLICAS_MAX; i++)
		if (gvm_id_equal(&active->member[i], t->self))
			return false;
	return true;
}

static uint8_t *view_list(uint8_t *p, unsigned slot, bool active, const struct slot_view *view)
{
	if (!view->number)
		return p;
	gvm_store_le(p, slot, 4);
	gvm_store_le(p + 4, active, 1);
	gvm_store_le(p + 5, view->number, 8);
	memcpy(p + 13, view->member, sizeof(view->member));
	return p + GVM_VIEW_ENTRY_BYTES;
}

static uint8_t *view_store(uint8_t *p, const struct slot_view *view)
{
	gvm_store_le(p, view->number, 8);
	return (uint8_t *)mempcpy(p + 8, view->member, sizeof(view->member));
}

static const uint8_t *view_load(const uint8_t *p, struct slot_view *view, bool old)
{
	size_t bytes = sizeof(view->member) - (old ? sizeof(view->member[0]) : 0);

	*view = (struct slot_view){.number = gvm_load_le(p, 8)};
	memcpy(view->member, p + 8, bytes);
	return p + 8 + bytes;
}

bool region_views_next(const struct region *r, unsigned *slot, uint8_t *image)
{
	for (; r->views && *slot < GVM_SLOTS_MAX; ++*slot) {
		const struct slot_views *v = &r->views[*slot];

		if (!v->active.number && !v->proposed.number)
			continue;
		gvm_store_le(image, *slot, 4);
		view_store(view_store(image + 4, &v->active), &v->proposed);
		return true;
	}
	return false;
}

bool region_views_restore(struct regions *t, struct region *r, const uint8_t *image, bool old)
{
	uint64_t slot = gvm_load_le(image, 4);

	_Static_assert(VIEWS_IMAGE_BYTES == 4 + 2 * (8 + sizeof(((struct slot_view *)0)->member)), "both views of a slot");
	if (slot >= GVM_SLOTS_MAX)
		return true;
	if (!region_views_make(t, r))
		return false;
	view_load(view_load(image + 4, &r->views[slot].active, old), &r->views[slot].proposed, old);
	return true;
}

uint16_t regions_views(const struct regions *t, const struct gvm_region_views_req *what,
		       struct gvm_region_views_rsp *rsp, uint8_t *buf, uint32_t *bytes)
{
	const struct region *r = regions_find(t, &what->region);
	uint64_t end = (uint64_t)what->first + what->count;
	uint8_t *p = buf;

	_Static_assert(2 * GVM_SLOTS_MAX * GVM_VIEW_ENTRY_BYTES <= GVM_DATA_MAX, "one answer has them all");
	if (!r)
		return GVM_ERR_LOST;
	for (uint64_t s = what->first; r->views && s < GVM_SLOTS_MAX && s < end; s++) {
		p = view_list(p, (unsigned)s, true, &r->views[s].active);
		p = view_list(p, (unsigned)s, false, &r->views[s].proposed);
	}
	*bytes = (uint32_t)(p - buf);
	rsp->count = *bytes / GVM_VIEW_ENTRY_BYTES;
	return GVM_OK;
}
