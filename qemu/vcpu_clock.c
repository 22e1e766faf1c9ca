// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_clock.c - see vcpu_clock.h. */
#include "vcpu_clock.h"

#include <string.h>

#define SLOT_DIVISOR  2	     /* half a second */
#define STEP_DIVISOR  500000 /* two microseconds */
#define PPM_MAX	      500    /* what counters of one rate do not reach */
#define LATE_SLOTS    2	     /* of these the quickest exchange says where the counters are, of the others how they drift */
#define EARLY_SLOT    (LATE_SLOTS + 1) /* half a second between them at least */
#define AGE_MAX	      3	     /* seconds for which that is taken for true */
#define FAR	      (1ll << 60) /* farther apart than anything that runs */
#define MARGIN	      32     /* a part of what an exchange took is left: what is so little wrong is not mended, back and forth */

void vcpu_clock_init(struct vcpu_clock *c, uint64_t hz)
{
	memset(c, 0, sizeof(*c));
	c->hz = hz;
}

static bool is_quicker(const struct vcpu_clock_point *a, const struct vcpu_clock_point *b)
{
	return a->took && (!b->took || a->took <= b->took);
}

static void slots_move(struct vcpu_clock *c, uint64_t now)
{
	while (now - c->slot_began >= c->hz / SLOT_DIVISOR) {
		memmove(c->slot + 1, c->slot, sizeof(c->slot) - sizeof(c->slot[0]));
		c->slot[0] = (struct vcpu_clock_point){0};
		/* After a pause in which nothing came all are empty. */
		if (now - c->slot_began > c->hz * VCPU_CLOCK_SLOTS)
			c->slot_began = now;
		else
			c->slot_began += c->hz / SLOT_DIVISOR;
	}
}

void vcpu_clock_answered(struct vcpu_clock *c, const struct vcpu_clock_exchange *x)
{
	uint64_t whole = x->back - x->sent, there = x->left - x->came;
	struct vcpu_clock_point p;

	if (whole > INT64_MAX || there >= whole)
		return;
	p = (struct vcpu_clock_point){
		.at = x->sent + whole / 2,
		.offset = (int64_t)(x->came - x->sent - (whole - there) / 2),
		.took = whole - there,
	};
	if (!c->exchanges++)
		c->slot_began = x->back;
	c->shift_of_0 = x->shift;
	slots_move(c, x->back);
	if (is_quicker(&p, &c->slot[0]))
		c->slot[0] = p;
}

static struct vcpu_clock_point quickest(const struct vcpu_clock *c, unsigned from, unsigned to)
{
	struct vcpu_clock_point found = {0};

	for (unsigned i = from; i < to; i++)
		if (is_quicker(&c->slot[i], &found))
			found = c->slot[i];
	return found;
}

/*
 * Where node 0's own counter is, minus this host's; and what the exchange took that says so. False: how fast they drift
 * apart is not known yet, or no more.
 */
static bool estimate(const struct vcpu_clock *c, uint64_t now, int64_t *offset, uint64_t *took)
{
	struct vcpu_clock_point late = quickest(c, 0, LATE_SLOTS), early = quickest(c, EARLY_SLOT, VCPU_CLOCK_SLOTS);
	double drift, age;

	if (!late.took || !early.took)
		return false;
	drift = (double)(int64_t)((uint64_t)late.offset - (uint64_t)early.offset) / (double)(late.at - early.at);
	if (drift > PPM_MAX / 1e6 || drift < -PPM_MAX / 1e6)
		drift = drift < 0 ? -PPM_MAX / 1e6 : PPM_MAX / 1e6;
	age = (double)(int64_t)(now - late.at);
	if (age > AGE_MAX * (double)c->hz || age < -(double)c->hz)
		return false;
	*offset = (int64_t)((uint64_t)late.offset + (uint64_t)(int64_t)(drift * age));
	*took = late.took;
	return true;
}

bool vcpu_clock_set(struct vcpu_clock *c, uint64_t now)
{
	int64_t offset;
	uint64_t took;

	if (!estimate(c, now, &offset, &took))
		return false;
	c->shift = (uint64_t)offset + c->shift_of_0;
	c->set = true;
	return true;
}

/* How far the guest's counter is behind node 0's; negative: ahead of it. */
static bool behind(const struct vcpu_clock *c, uint64_t now, int64_t *ticks, int64_t *margin)
{
	int64_t offset;
	uint64_t took;

	if (!c->set || !estimate(c, now, &offset, &took))
		return false;
	*ticks = (int64_t)((uint64_t)offset + c->shift_of_0 - c->shift);
	if (*ticks < -FAR || *ticks > FAR)
		*ticks = *ticks < 0 ? -FAR : FAR;
	*margin = (int64_t)(took / MARGIN);
	return true;
}

uint64_t vcpu_clock_step(struct vcpu_clock *c, uint64_t now)
{
	int64_t ticks = (int64_t)(c->wanted - c->shift), margin = 0; /* node 0's */
	uint64_t most = c->hz / STEP_DIVISOR, step, skew;

	if (behind(c, now, &ticks, &margin)) {
		skew = (uint64_t)(ticks < 0 ? -ticks : ticks);
		c->skew_max = skew > c->skew_max ? skew : c->skew_max;
	} else if (!c->wanted || ticks <= 0) {
		return 0;
	}
	ticks -= margin;
	step = ticks <= 0 ? 0 : (uint64_t)ticks < most ? (uint64_t)ticks : most;
	c->shift += step;
	c->stepped += step;
	return step;
}

uint64_t vcpu_clock_wants(const struct vcpu_clock *c, uint64_t now)
{
	int64_t ticks, margin;

	/* As it will be when it is told the next time. */
	if (!behind(c, now + c->hz / 1000 * VCPU_CLOCK_ASK_MS, &ticks, &margin) || -ticks <= margin)
		return c->shift_of_0;
	return c->shift_of_0 + (uint64_t)(-ticks - margin);
}

void vcpu_clock_wanted(struct vcpu_clock *c, uint64_t shift)
{
	if ((int64_t)(shift - c->shift) > 0 && (int64_t)(shift - c->wanted) > 0)
		c->wanted = shift;
}
