// SPDX-License-Identifier: GPL-2.0
/* For how long other nodes' offers keep a region here: see agree.h. */
#include "mutant.h"
#include "opening.h"
#include "region.h"

void gvm_region_keep(struct gvm_region *region)
{
	spin_lock_bh(&region->lock);
	region->on.from = IVY_NONE;
	spin_unlock_bh(&region->lock);
}

/* A later offer of the same node. */
static bool offer_follows(const struct region_offer *offer, const struct region_offer *before)
{
	return offer->from == before->from && (s32)(offer->number - before->number) > 0;
}

bool gvm_region_offered(struct gvm_region *region, const struct region_offer *offer, bool creates)
{
	bool here;

	spin_lock_bh(&region->lock);
	here = !region->leaving && atomic_read(&region->opened) >= 0;
	if (here && region->on.from != offer->from)
		region->on.from = IVY_NONE;
	else if (here && offer_follows(offer, &region->on))
		region->on.number = offer->number; /* that node has joined it once more */
	if (here && creates)
		region->creator = *offer;
	spin_unlock_bh(&region->lock);
	return here;
}

bool gvm_region_superseded(struct gvm_region *region, const struct region_offer *offer)
{
	bool superseded;

	spin_lock_bh(&region->lock);
	superseded = region->leaving || atomic_read(&region->opened) < 0 ||
		     (offer_follows(offer, &region->creator) && !gvm_opening_completed(region) &&
		      gvm_region_untouched(region));
	spin_unlock_bh(&region->lock);
	return superseded;
}

bool gvm_region_forgo(struct gvm_region *region, const struct region_offer *offer, bool creator)
{
	bool forgo;

	if (gvm_region_shut(region))
		return false;
	spin_lock_bh(&region->lock);
	forgo = (gvm_region_untouched(region) || gvm_mutant("used-is-forgone")) &&
		((creator && !gvm_opening_completed(region) && !region->joined) ||
		 (region->on.from == offer->from && region->on.number == offer->number));
	/* A call that is joining it keeps it; if the call fails, device_give_up() leaves it. */
	region->made |= forgo && region->joining;
	forgo &= !region->joining;
	/* Under the same lock: a later offer finds it leaving, and joins it anew. */
	region->leaving |= forgo;
	spin_unlock_bh(&region->lock);
	if (!forgo)
		gvm_region_reopen(region);
	return forgo;
}
