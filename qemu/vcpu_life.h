/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_life.h - when the vCPUs of all nodes run: stop, go on, reset, and the end.
 *
 * Node 0 says so: what stops or resumes its own vCPUs does the same to all others' (softmmu/cpus.c), and
 * a reset (softmmu/runstate.c) takes place on all nodes while every vCPU stands. Node 0 waits for the
 * others without QEMU's big lock, as it does for its own vCPUs: those of others may have accesses
 * to its devices under way. All calls are under the big lock, but where it says otherwise, and do
 * nothing where there is no `dsm-vcpus`.
 */
#ifndef VCPU_LIFE_H
#define VCPU_LIFE_H

#include <stdbool.h>

struct vcpu_frame;
struct Error;

/* All nodes are there. From now on, if `pauses`, a loss pauses the guest for good. */
void vcpu_life_begin(bool pauses);

/* Node 0 stops its vCPUs, and so do the others; the second call waits until they have. */
void vcpu_life_stopping(void);
void vcpu_life_stopped(void);
void vcpu_life_resuming(void);
/* Node 0 resets the machine, with all vCPUs stopped; the second call waits until all have. */
void vcpu_life_resetting(void);
void vcpu_life_was_reset(void);

/* True: this is another node, and node 0 has been asked for it (enum vcpu_cause). With or without the lock. */
bool vcpu_life_asks(unsigned cause);
/* True, and the reason: the user may not do that here. */
bool vcpu_life_refuses(struct Error **errp);

/* Without the big lock. */
void vcpu_life_came(const struct vcpu_frame *frame);
void vcpu_life_lost(unsigned node, const char *why);
/* This node's QEMU ends, as the guest does. */
void vcpu_life_leaving(void);

#endif
