/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_place.h - which of the guest's vCPUs this QEMU runs, for QEMU's own files.
 *
 * All others are parked: they exist, so that their APICs can be addressed. With TCG their threads never
 * run; with KVM they hear (vcpu_irq_kvm.h). No QEMU header; without the object `dsm-vcpus` every vCPU runs here.
 */
#ifndef VCPU_PLACE_H
#define VCPU_PLACE_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu_map;
struct vcpu_router;

struct vcpu_place {
    unsigned node;
    const struct vcpu_map *map;
    bool shadow;                   /* for tests: the guest never changes a page table */
    uint16_t skew_ppm;             /* for tests: this host's counter runs so much faster than it does */
    struct vcpu_router *router;    /* NULL before the machine is complete */
};

/* Set once, before there is a vCPU; NULL: one QEMU runs the guest. */
extern struct vcpu_place *vcpu_place;

bool vcpu_place_elsewhere(int cpu_index);
/* Whether this is a node other than 0, which has no devices. */
bool vcpu_place_forwards(void);
/*
 * Whether this thread does what another node's vCPUs ask for: as a vCPU's own, it may not wait for that
 * node.
 */
extern __thread bool vcpu_place_serves;

#endif
