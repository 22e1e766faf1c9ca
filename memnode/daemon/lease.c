// SPDX-License-Identifier: GPL-2.0-or-later
/* lease.c - see lease.h. */
#include "lease.h"

void lease_clock_go(struct lease_clock *clock, uint64_t boottime_ns)
{
	uint64_t passed = clock->at_ns && boottime_ns > clock->at_ns ? boottime_ns - clock->at_ns : 0;

	clock->served_ns += passed < LEASE_PAUSE_NS ? passed : LEASE_PAUSE_NS;
	clock->at_ns = boottime_ns;
}

void lease_choose(struct lease *l, const struct gvm_region_open_req *what)
{
	l->ms = what->lease_ms;
	l->removes = what->lapse;
	l->host = what->host;
	l->process = what->process;
	l->away = false;
}

void lease_begin(struct lease *l, const struct lease_clock *clock)
{
	l->away = l->ms != 0;
	l->until_ns = clock->served_ns + l->ms * 1000000ull;
}

void lease_end(struct lease *l)
{
	l->ms = 0;
	l->removes = false;
	l->away = false;
}

uint8_t lease_state(const struct lease *l, const struct lease_clock *clock)
{
	if (!l->away)
		return GVM_WRITER_NONE;
	return l->until_ns > clock->served_ns ? GVM_WRITER_AWAY : GVM_WRITER_LAPSED;
}

uint64_t lease_left_ms(const struct lease *l, const struct lease_clock *clock)
{
	return lease_state(l, clock) == GVM_WRITER_AWAY ?
		       (l->until_ns - clock->served_ns + 999999) / 1000000 :
		       0;
}

void lease_hold(struct lease *l, uint64_t client, uint64_t epoch, const struct lease_clock *clock)
{
	l->hold_client = client;
	l->hold_epoch = epoch;
	l->hold_until_ns = clock->served_ns + LEASE_HOLD_NS;
}

void lease_unhold(struct lease *l, uint64_t client, uint64_t epoch)
{
	if (l->hold_client == client && l->hold_epoch == epoch)
		l->hold_client = 0;
}

bool lease_is_held_by(const struct lease *l, uint64_t client, uint64_t epoch,
		      const struct lease_clock *clock)
{
	return l->hold_client == client && l->hold_epoch == epoch &&
	       l->hold_until_ns > clock->served_ns;
}

bool lease_is_held_by_another(const struct lease *l, uint64_t client, const struct lease_clock *clock)
{
	return l->hold_client && l->hold_client != client && l->hold_until_ns > clock->served_ns;
}
