// SPDX-License-Identifier: GPL-2.0
/* A region's homes: see homes.h. */
#include "cluster.h"
#include "homes.h"
#include "ivy/types.h"

int gvm_homes_place(const struct home_list *homes, u16 id)
{
	unsigned int i;

	for (i = 0; i < homes->nr; i++)
		if (homes->ids[i] == id)
			return i;
	return -1;
}

u16 gvm_homes_of(const struct home_list *homes, u64 page)
{
	return homes->ids[ivy_home_turn(page, homes->nr)];
}

u64 gvm_homes_share(const struct home_list *homes, u16 id, u64 pages)
{
	int place = gvm_homes_place(homes, id);

	return place < 0 ? 0 : ivy_share_pages(pages, homes->nr, place);
}

bool gvm_homes_known(const struct home_list *homes, const struct gvm_cluster *cluster)
{
	unsigned int i;

	for (i = 0; i < homes->nr; i++)
		if (gvm_cluster_home(cluster, homes->ids[i]) < 0 ||
		    (i && homes->ids[i] <= homes->ids[i - 1]))
			return false;
	return homes->nr && homes->nr <= REGION_HOMES_MAX;
}

void gvm_homes_choose(struct home_list *homes, const struct gvm_cluster *cluster, const char *name)
{
	unsigned int all = cluster->nr_homes, nr = all < HOMES_DEFAULT ? all : HOMES_DEFAULT;
	unsigned int first = 0, i, over;

	for (i = 0; name[i]; i++)
		first = (first * 31 + name[i]) % all;
	over = first + nr > all ? first + nr - all : 0; /* beyond the end: from 0 on */
	*homes = (struct home_list){ .nr = nr, .relays = cluster->nodes };
	for (i = 0; i < nr; i++)
		homes->ids[i] = cluster->homes[i < over ? i : first + i - over];
}
