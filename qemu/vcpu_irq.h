/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_irq.h - interrupts between vCPUs of different nodes. With TCG by hooks in hw/intc/apic.c, which has an APIC
 * for each vCPU on each node; with KVM vcpu_irq_kvm.h. No call waits. All are under QEMU's big lock, but what
 * says otherwise, and those of an antenna's thread.
 */
#ifndef VCPU_IRQ_H
#define VCPU_IRQ_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu_frame;

/*
 * The vCPU's APIC is to take something. True: it runs elsewhere and its node has been told. `mask`:
 * CPU_INTERRUPT_INIT, _NMI or _SMI.
 */
bool vcpu_irq_vector(int cpu_index, unsigned vector, bool level);
bool vcpu_irq_signal(int cpu_index, int mask);
bool vcpu_irq_startup(int cpu_index, unsigned vector);
/* A vCPU of this node has ended a level interrupt. True: the IOAPIC is elsewhere, and is told. */
bool vcpu_irq_eoi(int cpu_index, unsigned vector);
/* What others address this vCPU by has changed. */
void vcpu_irq_apic(int cpu_index, uint32_t id, uint32_t ldr, uint32_t dfr, uint64_t base);
/* The IOAPIC's entries, one for each pin, may have changed: another node's vCPU ends a line's interrupt as they say. */
void vcpu_irq_routes(const uint64_t *entries);
/* The host bridge's configuration was written: where RAM and ROM are. */
void vcpu_irq_pci_config(unsigned at, uint32_t value, unsigned bytes);

/* Such a frame has come, which no kernel takes. Called without the big lock. */
void vcpu_irq_came(const struct vcpu_frame *frame);

/* hw/intc/apic.c, hw/intc/ioapic.c */
void apic_from_node(int cpu_index, const struct vcpu_frame *frame);
void ioapic_from_node(unsigned pin, uint64_t entry);

#endif
