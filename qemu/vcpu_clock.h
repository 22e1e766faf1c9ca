/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_clock.h - one counter for a guest on several hosts, whose own counters drift apart. Pure.
 *
 * What a vCPU reads is its host's counter and a shift. A node asks node 0 for its guest's counter (CLOCK): where an exchange
 * took long, what it says is worth little, so that of those of a while the quickest counts, and two of these say how fast
 * the hosts drift apart. The guest's counter never goes back: where a node is behind it goes forward, by small steps; where
 * it is ahead node 0 does, who is told what its shift should be. So all follow the fastest host.
 *
 * Nobody in the guest sees a difference that is less than a message takes from one host to another. What is left is
 * less than that: the quickest exchange's error is at most half of what it took.
 *
 * All times are ticks of counters that have the same rate by name. Before the guest runs the shift is set, in any direction;
 * while it runs it only grows.
 */
#ifndef VCPU_CLOCK_H
#define VCPU_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define VCPU_CLOCK_SLOTS   16	  /* of time, each of which keeps its quickest exchange */
#define VCPU_CLOCK_LOOK_MS 10	  /* how often vcpu_clock_step() is called, at least */
#define VCPU_CLOCK_ASK_US  20000 /* how often node 0 is asked, at least */
#define VCPU_CLOCK_PPM_MAX 500	  /* what counters of one rate do not reach */

/* The counters are the hosts' own, without a shift: what was learned of them is true after a step, too. */
struct vcpu_clock_exchange {
	uint64_t sent, back;	/* this host's */
	uint64_t came, left;	/* node 0's */
	uint64_t shift;		/* node 0's, when it answered */
};

struct vcpu_clock_point {
	uint64_t at;	/* this host's own counter; in the middle of the exchange */
	int64_t offset; /* node 0's own minus this one */
	uint64_t took;	/* on the way there and back; 0: there is no point */
};

enum vcpu_clock_state {
	VCPU_CLOCK_LEARNS,
	VCPU_CLOCK_KNOWS,
	VCPU_CLOCK_RATES_DIFFER, /* by far more than VCPU_CLOCK_PPM_MAX */
};

struct vcpu_clock {
	uint64_t hz;
	uint64_t shift;
	bool set; /* another node's shift */
	uint64_t shift_of_0; /* as of its last answer */
	uint64_t wanted;     /* node 0: what its shift is to become */
	struct vcpu_clock_point slot[VCPU_CLOCK_SLOTS]; /* the first is the newest */
	uint64_t slot_began, slot_ticks;
	unsigned slots;	      /* that have begun; they are wider once all have */
	uint64_t first_at;    /* when the first answer came */
	/* For the user, in ticks but for the first. */
	uint64_t exchanges, stepped;
	uint64_t took_min;	   /* the quickest exchange */
	uint64_t skew_max;	   /* what it certainly was behind or ahead, once it was set */
	uint64_t error_max;	   /* how far off what it is taken for may have been, either way */
};

void vcpu_clock_init(struct vcpu_clock *c, uint64_t hz);
/* An answer has come. One that cannot be (it was there before it was sent) is left out. */
void vcpu_clock_answered(struct vcpu_clock *c, const struct vcpu_clock_exchange *x);
/* How soon node 0 is to be asked again, in microseconds: the sooner the less is known. */
unsigned vcpu_clock_ask_us(const struct vcpu_clock *c);
/*
 * Whether enough is known: a tenth of a second of quick answers, a second of slow ones. Node 0's rate is *ppm above
 * this host's.
 */
enum vcpu_clock_state vcpu_clock_state(const struct vcpu_clock *c, uint64_t now, double *ppm);
/* The guest does not run: its counter is node 0's from now on. False: it is not known well enough. */
bool vcpu_clock_set(struct vcpu_clock *c, uint64_t now);
/* The guest runs: by how much the shift has grown now: by half a microsecond to two, or not at all. */
uint64_t vcpu_clock_step(struct vcpu_clock *c, uint64_t now);
/*
 * What node 0's shift would have to be for this node not to be ahead of it: for the next CLOCK. Told once more, or late, it
 * says the same.
 */
uint64_t vcpu_clock_wants(const struct vcpu_clock *c, uint64_t now);
/* Node 0 is told that. */
void vcpu_clock_wanted(struct vcpu_clock *c, uint64_t shift);

#endif
