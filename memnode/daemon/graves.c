// SPDX-License-Identifier: GPL-2.0-or-later
/* graves.c - see graves.h. */
#include "graves.h"

static struct grave *grave_find(const struct graves *g, const struct gvm_id *id)
{
	for (unsigned i = 0; i < g->count; i++)
		if (gvm_id_equal(&g->grave[i].id, id))
			return (struct grave *)&g->grave[i];
	return NULL;
}

static bool is_before(uint64_t epoch, uint64_t order, const struct grave *grave)
{
	return epoch < grave->epoch || (epoch == grave->epoch && order < grave->order);
}

void grave_note(struct graves *g, const struct gvm_id *id, uint64_t epoch, uint64_t order)
{
	struct grave *grave = grave_find(g, id);

	if (grave && is_before(epoch, order, grave))
		return;
	if (!grave) {
		grave = &g->grave[g->next];
		g->next = (g->next + 1) % GRAVES_MAX;
		g->count += g->count < GRAVES_MAX;
	}
	*grave = (struct grave){.id = *id, .epoch = epoch, .order = order};
}

bool grave_bars(const struct graves *g, const struct gvm_region_create_req *what, uint64_t *detail)
{
	const struct grave *grave = what->order ? grave_find(g, &what->region) : NULL;

	if (!grave || !is_before(what->epoch, what->order, grave))
		return false;
	*detail = grave->order;
	return true;
}
