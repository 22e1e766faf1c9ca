/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lease.h - how long a region stays its writer's when none of the writer's connections is open.
 *
 * A writer's connections end when its network fails for a moment, and when the process behind them
 * is replaced. So the end of the last one starts the lease, for the time that the writer chose; a
 * new connection stops it. Until it has lapsed no other writer gets the region without force.
 *
 * The lease counts the node's time of service only: while the node was stopped or suspended no
 * writer could have come back.
 *
 * A hold reserves a free region for one client, which asks all of the region's nodes before it
 * attaches on any.
 */
#ifndef GVM_LEASE_H
#define GVM_LEASE_H

#include "../gvm_wire.h"

#define LEASE_PAUSE_NS 2000000000ull /* the most that the clock advances between two readings */
#define LEASE_HOLD_NS  5000000000ull

struct lease_clock {
	uint64_t served_ns; /* never 0 */
	uint64_t at_ns;	    /* the last reading, on CLOCK_BOOTTIME */
};

struct lease {
	uint32_t ms; /* as the writer chose; 0: none */
	bool removes; /* the node removes the region when it lapses */
	bool away;    /* the writer has no connection: the lease is running */
	uint64_t until_ns;
	struct gvm_bytes32 host; /* of the writer, opaque */
	struct gvm_id process;
	uint64_t hold_client, hold_epoch, hold_until_ns;
};

void lease_clock_go(struct lease_clock *clock, uint64_t boottime_ns);

/* The writer has attached, and chooses the lease's terms. */
void lease_choose(struct lease *l, const struct gvm_region_open_req *what);
/* The writer's last connection has ended. */
void lease_begin(struct lease *l, const struct lease_clock *clock);
/* The writer has given the region up. */
void lease_end(struct lease *l);
/* GVM_WRITER_NONE, _LAPSED or _AWAY, of a region without a connection of the writer. */
uint8_t lease_state(const struct lease *l, const struct lease_clock *clock);
/* Rounded up; 0 if it is not running. */
uint64_t lease_left_ms(const struct lease *l, const struct lease_clock *clock);

void lease_hold(struct lease *l, uint64_t client, uint64_t epoch, const struct lease_clock *clock);
void lease_unhold(struct lease *l, uint64_t client, uint64_t epoch);
bool lease_is_held_by(const struct lease *l, uint64_t client, uint64_t epoch,
		      const struct lease_clock *clock);
bool lease_is_held_by_another(const struct lease *l, uint64_t client, const struct lease_clock *clock);

#endif
