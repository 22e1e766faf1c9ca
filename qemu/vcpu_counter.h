/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_counter.h - the guest's time stamp counter is the same on all nodes: the exchanges with node 0 and the steps for
 * vcpu_clock.h, which reckons. No QEMU header.
 *
 * It is the host's counter, plus a shift that only grows once the guest runs. By KVM the shift is a part of each vCPU's
 * offset. Two vCPUs of one host hear of each other sooner than a step is long: so all of them stand still while it is made.
 */
#ifndef VCPU_COUNTER_H
#define VCPU_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu_frame;

/* In microseconds of the guest's counter, but for the exchanges. */
struct vcpu_counter_figures {
    double ahead;       /* of the host's */
    uint64_t exchanges;
    double quickest;    /* exchange */
    double stepped;
    double apart;       /* from node 0's, certainly, at most, since the guest began here */
    double error;       /* how well that was known, at worst */
};

/* The machine is complete, and no other node can say anything yet. */
void vcpu_counter_init(void);
/* All nodes are there. */
void vcpu_counter_begin(void);
/*
 * Whether the guest may begin here: its counter is node 0's then. False: not yet. Under the big lock, with all vCPUs
 * standing.
 */
bool vcpu_counter_is_set(void);
/* The guest's counter, by TCG. */
uint64_t vcpu_counter_guest(void);
/* CLOCK, CLOCK_IS: as soon as it comes. Does not wait for the big lock. */
void vcpu_counter_came(const struct vcpu_frame *frame);
void vcpu_counter_figures(struct vcpu_counter_figures *figures);

#endif
