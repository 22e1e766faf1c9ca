// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * regions_model.c - every order in which three nodes can agree on a region (kmod/agree.c, opening.c, offers.c), and what
 * must hold in each (regions_world.h).
 *
 *	regions_model [-m MUTANT] [-n STATES] [-t] [CASE... | long]
 *
 * In every state: no home begins with zeros what it was open for before, or what it had contents of, whoever of those that
 * know the region is alive; none begins as lost what it never had; no withdrawal ends a region that is in use; and a
 * creator is told that a home began anew only where one did. At the end: where a node has joined a region that all homes
 * have been open for once, each home is, or has another one of that name.
 */
#include "regions_world.h"

#include "../sim/explore.h"

#include <stdio.h>

static const struct model_case {
	struct explore_case name;
	uint8_t homes; /* bits */
	uint8_t created; /* 1 + a node that has created the region before the case begins, and all homes are open */
	uint8_t joined; /* 1 + another node that has joined it since */
	struct limits limits;
} cases[] = {
	{{"created", "homes 1 and 2: a create, offered twice", false}, 6, 0, 0, {.creates = 1, .sends = 1, .writes = 1}},
	{{"created-thrice", "homes 1 and 2: a create, offered three times, 2 writes", true}, 6, 0, 0,
	 {.creates = 1, .sends = 1, .works = 1, .writes = 2}},
	{{"created-anew", "homes 1 and 2: a create, a home begins anew", false}, 6, 0, 0,
	 {.creates = 1, .writes = 1, .restarts = 1}},
	{{"joined", "home 1: a create, a join, each may give up, 2 writes", false}, 2, 0, 0,
	 {.creates = 1, .joins = 1, .gives_up = 2, .writes = 2}},
	{{"late-word", "home 1: a create, offered twice, a join, a node begins anew", false}, 2, 0, 0,
	 {.creates = 1, .sends = 1, .joins = 1, .restarts = 1, .writes = 1}},
	{{"joined-of-two", "homes 1 and 2: a create, a join, one of them gives up", true}, 6, 0, 0,
	 {.creates = 1, .joins = 1, .gives_up = 1, .writes = 1}},
	{{"created-twice", "home 1: two creates, each may give up", false}, 2, 0, 0,
	 {.creates = 2, .gives_up = 2, .writes = 1}},
	{{"twice-of-two", "homes 1 and 2: two creates, one gives up", true}, 6, 0, 0,
	 {.creates = 2, .gives_up = 1, .writes = 1}},
	{{"created-cut", "homes 1 and 2: a create, a cut", false}, 6, 0, 0, {.creates = 1, .writes = 1, .cuts = 1}},
	{{"impatient", "homes 1 and 2: a create that does not wait, a home begins anew", false}, 6, 0, 0,
	 {.creates = 1, .gives_up = 1, .impatient = 1, .writes = 1, .restarts = 1}},
	{{"own-home", "home 2, and 0 and 1 lend memory for others: a create, a home begins anew, a join", false}, 4, 0, 0,
	 {.creates = 1, .joins = 1, .restarts = 1, .writes = 1, .others = 3}},
	{{"own-homes-used", "homes 1 and 2 of 3 that lend memory: in use by node 0; a home begins anew, a join", false}, 6, 1, 0,
	 {.joins = 1, .restarts = 1, .writes = 1, .others = 1}},
	{{"home-creates", "homes 0 and 1: a home creates, another node joins", false}, 3, 0, 0,
	 {.creates = 1, .joins = 1, .writes = 1}},
	{{"used", "homes 1 and 2: in use by node 0; 2 homes begin anew", false}, 6, 1, 0,
	 {.writes = 2, .restarts = 2, .works = 1}},
	{{"used-and-left", "homes 1 and 2: in use by node 0; a home leaves, a join, a node begins anew", false}, 6, 1, 0,
	 {.writes = 1, .leaves = 1, .joins = 1, .restarts = 1}},
	{{"used-and-cut", "homes 1 and 2: in use by node 0; a cut, a node begins anew", false}, 6, 1, 0,
	 {.writes = 1, .cuts = 1, .restarts = 1, .works = 1}},
	{{"created-over-it", "homes 1 and 2: in use by node 0; a node begins anew, another one is created", false}, 6, 1, 0,
	 {.writes = 1, .creates = 1, .restarts = 1}},
	{{"repeated", "homes 1 and 2: a create, a home begins anew, a frame comes twice", false}, 6, 0, 0,
	 {.creates = 1, .restarts = 1, .repeats = 1}},
	{{"one-home", "home 1: in use by 0 and 2; it begins anew, or they do, and one creates", false}, 2, 1, 3,
	 {.writes = 1, .restarts = 2, .creates = 1}},
	{{"one-home-long", "the same with 3 that begin anew", true}, 2, 1, 3, {.writes = 2, .restarts = 3, .creates = 1}},
};

static const char *const kind_names[KINDS] = {
	"deliver", "answer", "take", "connect", "end of a call", "work", "send again", "give up", "create", "join",
	"leave", "write", "cut", "repeat", "restart"};

static uint8_t *limit_of(enum kind kind)
{
	switch (kind) {
	case WORK:
		return &left.works;
	case SEND:
		return &left.sends;
	case GIVE_UP:
		return &left.gives_up;
	case CREATE:
		return &left.creates;
	case JOIN:
		return &left.joins;
	case LEAVE:
		return &left.leaves;
	case WRITE:
		return &left.writes;
	case CUT:
		return &left.cuts;
	case REPEAT:
		return &left.repeats;
	case RESTART:
		return &left.restarts;
	default:
		return NULL;
	}
}

static enum explore_went go(unsigned int event, unsigned int *next)
{
	enum kind kind = event / PAIR;
	uint8_t *limit = limit_of(kind);

	if (limit && !*limit) {
		*next = (kind + 1) * PAIR;
		return WENT_NOT;
	}
	if (limit)
		--*limit;
	if (world_event(kind, event % PAIR / NODES, event % NODES))
		return WENT_ON;
	if (limit)
		++*limit;
	return WENT_NOT;
}

static const char *finish(void)
{
	world_settle();
	return world_wrong_at_end();
}

static void begin(unsigned int c)
{
	const struct model_case *now = &cases[c];

	world_begin(now->homes, now->limits.others);
	if (now->created) {
		world_event(CREATE, now->created - 1u, 0);
		world_settle();
	}
	if (now->joined) {
		world_event(JOIN, now->joined - 1u, 0);
		world_settle();
	}
	left = now->limits;
}

static const struct explore_case *nth(unsigned int c)
{
	return &cases[c].name;
}

static void print_event(unsigned int event)
{
	printf("  %s %u %u\n", kind_names[event / PAIR], event % PAIR / NODES, event % NODES);
}

int main(int argc, char **argv)
{
	const struct explore x = {
		.world = world_memory,
		.left = &left,
		.world_bytes = world_bytes,
		.left_bytes = sizeof(left),
		.cases = sizeof(cases) / sizeof(*cases),
		.events = KINDS * PAIR,
		.nth = nth,
		.begin = begin,
		.go = go,
		.hash = world_hash,
		.check = world_wrong,
		.finish = finish,
		.print_event = print_event,
		.print_world = world_print,
	};

	return explore_main(&x, argc, argv);
}
