/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chance.h - a simulator's program: episodes of events by chance, which a seed repeats, until something is wrong or
 * so many steps are made.
 *
 *	sim [-m MUTANT] [-t] [-b] STEPS [SEED ...]	so many steps, from each seed on (1)
 *
 * A failure says its seed, with status 1; -t shows every step of it. With -b, the same episodes follow once more, backwards:
 * an episode that does anything else than before is wrong, since it did not begin from nothing. main() is in chance.c.
 */
#ifndef SIM_CHANCE_H
#define SIM_CHANCE_H

#include <stdint.h>

/* A number below it, by the episode's chance. */
uint32_t pick(uint32_t below);

/* How often each kind of event is tried in an episode. */
#define MIXTURE_KINDS 64u

struct mixture {
	uint32_t weight[MIXTURE_KINDS], sum;
};

/* Each episode is of another kind: of `some` kinds each may be left out (but those in `kept`, bit k: kind k), or be much
 * more frequent, or rarer, than `often` says. */
void mixture_make(struct mixture *m, const uint16_t *often, unsigned kinds, const unsigned *some, unsigned count,
		  uint64_t kept);
/* More of them. */
void mixture_vary(struct mixture *m, const unsigned *some, unsigned count, uint64_t kept);
void mixture_set(struct mixture *m, unsigned kind, uint32_t weight);
unsigned mixture_pick(const struct mixture *m);

/* What the simulator of a world defines. An episode begins from nothing but its seed, makes no more than `steps` steps, and
 * adds them to *took: NULL, or what is wrong. */
const char *sim_episode(uint64_t seed, uint64_t steps, uint64_t *took);
/* How often an event of each kind was possible and done. */
extern uint64_t sim_done[];
extern const unsigned sim_kinds;

#endif
