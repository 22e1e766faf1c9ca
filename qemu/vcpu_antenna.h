/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_antenna.h - what a vCPU that runs on another node does in this node's KVM: it hears.
 *
 * It waits in KVM_RUN as a vCPU that has not been started (KVM_MP_STATE_UNINITIALIZED), but with its APIC enabled and
 * its interrupts on. An INIT and a SIPI change its state and nothing else, and can be read from it; whatever else
 * this node's vCPUs, irqfds and MSIs send to it stays in its APIC, and KVM_RUN returns (EAGAIN). Then it is made
 * KVM_MP_STATE_RUNNABLE, on a loop of ours that leaves KVM_RUN with each vector, which is kept, and at last
 * with VCPU_ANTENNA_DRAINED: it waits again, and only then its owner is told. Were it to be told while this
 * vCPU can run, an INIT and a SIPI that the guest sends once it has been served would start the guest's code here.
 *
 * Pure: no call is made. The caller maps VCPU_ANTENNA_BYTES of memory at an address below 4 GiB, one for all
 * antennas of a machine, gives KVM what is made here, and shows what KVM_RUN came back with.
 */
#ifndef VCPU_ANTENNA_H
#define VCPU_ANTENNA_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "vcpu_wire.h"

#define VCPU_ANTENNA_BYTES   0xc000
#define VCPU_ANTENNA_CPUS    256
#define VCPU_ANTENNA_PORT    0x20    /* of the I/O space, but no access of the guest's: vcpu_antenna_heard() */

struct vcpu_antenna {
	uint32_t gpa;		/* where the memory is in the antenna's address space */
	uint8_t *memory;
	unsigned cpu;		/* which has its own stack there */
	uint64_t apic_base;	/* MSR_IA32_APICBASE: the same as the owner's, for its mode and address */
	uint32_t ldr, dfr;	/* the owner's: what a logical destination is compared with in xAPIC mode */
};

enum vcpu_antenna_heard {
	VCPU_ANTENNA_NOTHING,
	VCPU_ANTENNA_DRAINED,	/* nothing was pending */
	VCPU_ANTENNA_VECTOR,
	VCPU_ANTENNA_NMI,	/* vcpu_antenna_nmi_ends() before it runs again */
	VCPU_ANTENNA_EOI,	/* its own, of a level interrupt: the owner's is the one that counts */
	VCPU_ANTENNA_WRONG,	/* nothing that an antenna does */
};

void vcpu_antenna_build(uint8_t memory[VCPU_ANTENNA_BYTES], uint32_t gpa);

/*
 * The state in which it hears. `sregs` and `lapic` are what KVM has, and are changed; the others are
 * written. In this order to KVM, as APIC state depends on the mode: sregs, lapic, regs, events,
 * KVM_MP_STATE_UNINITIALIZED.
 */
void vcpu_antenna_park(const struct vcpu_antenna *a, struct kvm_sregs *sregs, struct kvm_lapic_state *lapic,
		       struct kvm_regs *regs, struct kvm_vcpu_events *events);

/* After a KVM_RUN that did not fail. */
enum vcpu_antenna_heard vcpu_antenna_heard(const struct kvm_run *run, unsigned *vector);

/* Whether to make it run: what has woken it may have been a SIPI too many. */
bool vcpu_antenna_is_pending(const struct kvm_lapic_state *lapic, const struct kvm_vcpu_events *events);

/*
 * Whether an SMI is what has woken it: taken out of `events`, which are to be given back. It is not to run with one: it would
 * leave its loop for what the guest has in system management mode.
 */
bool vcpu_antenna_smi(struct kvm_vcpu_events *events);

/* What was heard and not told yet: of a vector that comes twice before it is told its owner's APIC has one bit, too. */
struct vcpu_antenna_kept {
	uint64_t vectors[4], levels[4];
	bool nmi;
};

void vcpu_antenna_keep(struct vcpu_antenna_kept *kept, unsigned vector, bool level);
/* The highest, taken out; 0: there is none. */
unsigned vcpu_antenna_next(struct vcpu_antenna_kept *kept, bool *level);

/* Before it runs again: whether the vector that was heard is a line's. */
bool vcpu_antenna_was_level(const struct kvm_lapic_state *lapic, unsigned vector);

/*
 * How the owner's KVM is given what a valid frame (IRQ, NMI, SMI, INIT, SIPI) is for the vCPU with this APIC
 * id, at most 254: by KVM_SIGNAL_MSI, so that nobody waits for the vCPU. False: it is another frame.
 */
bool vcpu_antenna_msi(const struct vcpu_frame *frame, uint32_t apic_id, struct kvm_msi *msi);

/*
 * What IRET would do, which only the caller can see to the end of: back to what the NMI interrupted, and
 * NMIs on. `regs` and `events` are what KVM has, and are to be given back.
 */
void vcpu_antenna_nmi_ends(const struct vcpu_antenna *a, struct kvm_regs *regs, struct kvm_vcpu_events *events);

#endif
