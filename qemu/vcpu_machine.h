/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_machine.h - what a guest's machine has to be for its vCPUs to run on several nodes, and what of
 * it is the same on all of them.
 */
#ifndef VCPU_MACHINE_H
#define VCPU_MACHINE_H

#include <stdint.h>

#include "vcpu_wire.h"

struct vcpu_place;

/* Ends QEMU with the reason where it cannot be done. When the machine is complete. */
void vcpu_machine_check(const struct vcpu_place *place);
/* All but the map's. */
void vcpu_machine_digest(uint64_t digest[VCPU_DIGESTS]);

#endif
