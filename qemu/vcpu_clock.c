// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_clock.c - see vcpu_clock.h. */
#include "vcpu_clock.h"

#include <string.h>

#define SLOT_DIVISOR  2	      /* half a second */
#define FIRST_DIVISOR 64      /* of the first slots: a 64th */
#define SLOT_ASKS     16      /* exchanges in a slot, at least */
#define STEP_DIVISOR  500000  /* two microseconds */
#define LEAST_DIVISOR 2000000 /* half of one: all of a host's vCPUs stand still for a step */
#define PPM_MAX	      VCPU_CLOCK_PPM_MAX
#define PPM_KNOWN     500 /* how well the drift is known when the guest begins, where answers are quick */
#define LEARNS	      1	  /* seconds, where they are slow */
#define LATE_SLOTS    2	     /* of these the quickest exchange says where the counters are, of the others how they drift */
#define EARLY_SLOT    (LATE_SLOTS + 1) /* a slot between them at least */
#define AGE_MAX	      3	     /* seconds for which that is taken for true */
#define DELAYED	      4	     /* a fourth */
#define FAR	      (1ll << 60) /* farther apart than anything that runs */
#define MARGIN	      32     /* a part of what an exchange took is left: what is so little wrong is not mended, back and forth */

void vcpu_clock_init(struct vcpu_clock *c, uint64_t hz)
{
	memset(c, 0, sizeof(*c));
	c->hz = hz;
	c->slot_ticks = hz / FIRST_DIVISOR;
}

static bool is_quicker(const struct vcpu_clock_point *a, const struct vcpu_clock_point *b)
{
	return a->took && (!b->took || a->took <= b->took);
}

/*
 * All slots are in use, of which two become one. However long there have been answers, they are kept for as much of that as
 * is worth it, and what is said of the drift is wrong by the same part.
 */
static void slots_widen(struct vcpu_clock *c)
{
	for (unsigned i = 0; i < VCPU_CLOCK_SLOTS / 2; i++)
		c->slot[i] = is_quicker(&c->slot[2 * i], &c->slot[2 * i + 1]) ? c->slot[2 * i] : c->slot[2 * i + 1];
	memset(c->slot + VCPU_CLOCK_SLOTS / 2, 0, sizeof(c->slot) / 2);
	c->slots = VCPU_CLOCK_SLOTS / 2;
	c->slot_began -= c->slot_ticks;
	c->slot_ticks *= 2;
}

static void slots_move(struct vcpu_clock *c, uint64_t now)
{
	int64_t since = (int64_t)(now - c->slot_began);

	if (since < 0 && since >= -(int64_t)c->hz)
		return;
	/* After a pause in which nothing came all are empty. */
	if (since < 0 || (uint64_t)since > 2 * c->slot_ticks * VCPU_CLOCK_SLOTS) {
		memset(c->slot, 0, sizeof(c->slot));
		c->slot_began = now;
		c->slots = 1;
	}
	while (now - c->slot_began >= c->slot_ticks) {
		if (c->slots == VCPU_CLOCK_SLOTS && c->slot_ticks < c->hz / SLOT_DIVISOR) {
			slots_widen(c);
			continue;
		}
		memmove(c->slot + 1, c->slot, sizeof(c->slot) - sizeof(c->slot[0]));
		c->slot[0] = (struct vcpu_clock_point){0};
		c->slot_began += c->slot_ticks;
		c->slots += c->slots < VCPU_CLOCK_SLOTS;
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
	if (!c->exchanges++) {
		c->slot_began = c->first_at = x->back;
		c->slots = 1;
	}
	if (!c->took_min || p.took < c->took_min)
		c->took_min = p.took;
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

/* What it took beyond the quickest of all, by more than those differ that nothing delayed. */
static double delayed(const struct vcpu_clock_point *p, const struct vcpu_clock_point *best)
{
	uint64_t usual = best->took + best->took / DELAYED;

	return p->took > usual ? (double)(p->took - usual) : 0;
}

struct estimate {
	int64_t offset; /* node 0's own counter minus this host's */
	double drift;	/* how much of it comes with each tick */
	double wrong;	/* how far off the drift may be */
	uint64_t error; /* how far off `offset` may be */
	/* What is not worth a step, either way: a delay may have been on one way alone. Else each mistake would be for good, as
	 * all follow the fastest. */
	int64_t margin;
};

/* False: how fast they drift apart is not known yet, or no more. */
static bool estimate(const struct vcpu_clock *c, uint64_t now, struct estimate *e)
{
	struct vcpu_clock_point late = quickest(c, 0, LATE_SLOTS), early = quickest(c, EARLY_SLOT, VCPU_CLOCK_SLOTS);
	struct vcpu_clock_point best = quickest(c, 0, VCPU_CLOCK_SLOTS);
	double drift, age, between, lost;

	/* The middle of one that took very long may be in an earlier slot than its end. */
	if (!late.took || !early.took || (int64_t)(late.at - early.at) <= 0)
		return false;
	between = (double)(late.at - early.at);
	e->drift = drift = (double)(int64_t)((uint64_t)late.offset - (uint64_t)early.offset) / between;
	if (drift > PPM_MAX / 1e6 || drift < -PPM_MAX / 1e6)
		drift = drift < 0 ? -PPM_MAX / 1e6 : PPM_MAX / 1e6;
	age = (double)(int64_t)(now - late.at);
	if (age > AGE_MAX * (double)c->hz || age < -(double)c->hz)
		return false;
	e->offset = (int64_t)((uint64_t)late.offset + (uint64_t)(int64_t)(drift * age));
	e->wrong = ((double)late.took + (double)early.took) / 2 / between;
	age = age < 0 ? -age : age;
	e->error = late.took / 2 + (uint64_t)(e->wrong * age);
	lost = delayed(&late, &best) / 2;
	lost += (lost + delayed(&early, &best) / 2) / between * age;
	e->margin = (int64_t)(late.took / MARGIN) + (int64_t)lost;
	return true;
}

unsigned vcpu_clock_ask_us(const struct vcpu_clock *c)
{
	double us = (double)c->slot_ticks * 1e6 / SLOT_ASKS / (double)c->hz;

	return us < VCPU_CLOCK_ASK_US ? (unsigned)us : VCPU_CLOCK_ASK_US;
}

enum vcpu_clock_state vcpu_clock_state(const struct vcpu_clock *c, uint64_t now, double *ppm)
{
	struct estimate e;

	if (!estimate(c, now, &e))
		return VCPU_CLOCK_LEARNS;
	*ppm = e.drift * 1e6;
	if (e.wrong > PPM_KNOWN / 1e6)
		return now - c->first_at > LEARNS * c->hz ? VCPU_CLOCK_KNOWS : VCPU_CLOCK_LEARNS;
	return *ppm > PPM_MAX + PPM_KNOWN || *ppm < -(PPM_MAX + PPM_KNOWN) ? VCPU_CLOCK_RATES_DIFFER : VCPU_CLOCK_KNOWS;
}

bool vcpu_clock_set(struct vcpu_clock *c, uint64_t now)
{
	struct estimate e;
	double ppm;

	if (vcpu_clock_state(c, now, &ppm) != VCPU_CLOCK_KNOWS || !estimate(c, now, &e))
		return false;
	c->shift = (uint64_t)e.offset + c->shift_of_0;
	c->set = true;
	return true;
}

/* How far the guest's counter is behind node 0's; negative: ahead of it. */
static bool behind(const struct vcpu_clock *c, uint64_t now, int64_t *ticks, struct estimate *e)
{
	if (!c->set || !estimate(c, now, e))
		return false;
	*ticks = (int64_t)((uint64_t)e->offset + c->shift_of_0 - c->shift);
	if (*ticks < -FAR || *ticks > FAR)
		*ticks = *ticks < 0 ? -FAR : FAR;
	return true;
}

uint64_t vcpu_clock_step(struct vcpu_clock *c, uint64_t now)
{
	int64_t ticks = (int64_t)(c->wanted - c->shift); /* node 0's */
	uint64_t most = c->hz / STEP_DIVISOR, step, skew;
	struct estimate e = {0};

	if (behind(c, now, &ticks, &e)) {
		skew = (uint64_t)(ticks < 0 ? -ticks : ticks);
		skew = skew > e.error ? skew - e.error : 0;
		c->skew_max = skew > c->skew_max ? skew : c->skew_max;
		c->error_max = e.error > c->error_max ? e.error : c->error_max;
	} else if (!c->wanted || ticks <= 0) {
		return 0;
	}
	ticks -= e.margin;
	if (ticks < (int64_t)(c->hz / LEAST_DIVISOR))
		return 0;
	step = (uint64_t)ticks < most ? (uint64_t)ticks : most;
	c->shift += step;
	c->stepped += step;
	return step;
}

uint64_t vcpu_clock_wants(const struct vcpu_clock *c, uint64_t now)
{
	struct estimate e;
	int64_t ticks;

	/* As it will be when it is told the next time. */
	if (!behind(c, now + c->hz / 1000000 * VCPU_CLOCK_ASK_US, &ticks, &e))
		return c->shift_of_0;
	return -ticks <= e.margin ? c->shift_of_0 : c->shift_of_0 + (uint64_t)(-ticks - e.margin);
}

void vcpu_clock_wanted(struct vcpu_clock *c, uint64_t shift)
{
	if ((int64_t)(shift - c->shift) > 0 && (int64_t)(shift - c->wanted) > 0)
		c->wanted = shift;
}
