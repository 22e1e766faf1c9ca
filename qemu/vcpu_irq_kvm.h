/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_irq_kvm.h - interrupts between vCPUs of different nodes, whose APICs are in the kernel: each vCPU that runs
 * elsewhere is an antenna here (vcpu_antenna.h), and what comes from another node is given to the kernel.
 */
#ifndef VCPU_IRQ_KVM_H
#define VCPU_IRQ_KVM_H

struct CPUState;
struct vcpu_frame;

/* The machine is complete, and no vCPU runs yet. */
void vcpu_irq_kvm_begin(void);
/*
 * What the thread of a vCPU that runs elsewhere does while the guest runs, until it is wanted for something else. Called
 * with the big lock, which it gives up meanwhile.
 */
void vcpu_irq_kvm_hear(struct CPUState *cpu);
/* An IRQ, NMI, SMI, INIT or SIPI for a vCPU of this node has come. Called without the big lock, and does not wait for it. */
void vcpu_irq_kvm_came(const struct vcpu_frame *frame);

/* accel/kvm/kvm-all.c: KVM_RUN, once. -EINTR: the thread is wanted for something else. */
int kvm_cpu_run_once(struct CPUState *cpu);

#endif
