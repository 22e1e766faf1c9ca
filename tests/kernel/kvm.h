/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kvm.h - what the small guests under KVM have in common. What fails ends the program, with a line that says what. */
#ifndef KERNEL_TESTS_KVM_H
#define KERNEL_TESTS_KVM_H

#include <linux/kvm.h>
#include <stdint.h>

#define KVM_TSS_ADDRESS 0xfffbd000

/* A call's result, if it is none of an error. */
int kvm_check(const char *what, int result);
void kvm_memory_set(int vm, unsigned int slot, uint64_t gpa, uint64_t bytes, void *hva);
struct kvm_run *kvm_run_map(int kvm, int vcpu);
/* Until the guest halts; that it ends otherwise is wrong. */
void kvm_run_to_halt(int vcpu, const struct kvm_run *run);

#endif
