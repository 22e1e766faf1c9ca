// SPDX-License-Identifier: GPL-2.0-or-later
/* shares.c - see shares.h. */
#include "shares.h"

#define TOLD_MAX (1ull << 50) /* so that sums over all nodes of a mount fit 64 bits */

typedef unsigned __int128 wide; /* room for a product of bytes */

struct share share_told(uint64_t taken, uint64_t room)
{
	return taken <= TOLD_MAX && room <= TOLD_MAX ? (struct share){ taken, room } : (struct share){ 0 };
}

static struct share sum_of(const struct share *of, unsigned count)
{
	struct share sum = { 0 };

	for (unsigned i = 0; i < count; i++)
		if (of[i].room) {
			sum.taken += of[i].taken;
			sum.room += of[i].room;
		}
	return sum;
}

void shares_keep(const struct share *of, unsigned count, unsigned silent, unsigned copies, unsigned percent, uint64_t *kept)
{
	struct share sum = sum_of(of, count);
	unsigned nodes = silent;
	uint64_t largest = 0;

	for (unsigned i = 0; i < count; i++) {
		nodes += of[i].room != 0;
		largest = of[i].room > largest ? of[i].room : largest;
	}
	for (unsigned i = 0; i < count; i++) {
		wide room = of[i].room;

		if (percent != SHARES_KEEP)
			kept[i] = (uint64_t)(room * percent / 100);
		else if (copies > 1 && nodes > copies && largest)
			kept[i] = (uint64_t)(room * largest / ((wide)sum.room + (wide)silent * largest) + room / SHARES_SPARE);
		else
			kept[i] = 0;
	}
}

bool shares_fuller(struct share a, struct share b)
{
	return (wide)a.taken * b.room > (wide)b.taken * a.room;
}

static bool is_far_below(struct share node, struct share mean)
{
	return (wide)node.taken * 100 * mean.room < (wide)mean.taken * SHARES_FAR * node.room;
}

int shares_emptiest(const struct share *of, unsigned count)
{
	struct share mean = sum_of(of, count);
	int best = -1;

	for (unsigned i = 0; i < count; i++)
		if (of[i].room && is_far_below(of[i], mean) && (best < 0 || shares_fuller(of[best], of[i])))
			best = (int)i;
	return best;
}

bool shares_move(const struct share *of, unsigned count, unsigned from, unsigned to, uint64_t bytes)
{
	struct share mean = sum_of(of, count), a = of[from], b = of[to];

	if (!a.room || !b.room || !bytes || bytes > a.taken || !shares_fuller(a, mean) || !is_far_below(b, mean))
		return false;
	a.taken -= bytes;
	b.taken += bytes - bytes / 4;
	return !shares_fuller(b, a);
}

static bool stays_at_mean(const struct share *of, unsigned count, unsigned from, uint64_t bytes)
{
	struct share mean = sum_of(of, count), a = of[from];

	a.taken -= bytes < a.taken ? bytes : a.taken;
	return !shares_fuller(mean, a);
}

unsigned shares_move_some(const struct share *of, unsigned count, unsigned from, unsigned to, uint64_t bytes, unsigned max)
{
	unsigned least = 0, most = max;

	while (least < most) {
		unsigned n = most - (most - least) / 2;

		if (shares_move(of, count, from, to, n * bytes) && stays_at_mean(of, count, from, n * bytes))
			least = n;
		else
			most = n - 1;
	}
	return least;
}
