// SPDX-License-Identifier: GPL-2.0-or-later
/* kvm.c - see kvm.h. */
#include "kvm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "share.h"

int kvm_check(const char *what, int result)
{
	if (result >= 0)
		return result;
	fprintf(stderr, "share: %s: %s\n", what, strerror(errno));
	exit(1);
}

void kvm_memory_set(int vm, unsigned int slot, uint64_t gpa, uint64_t bytes, void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)hva,
	};

	kvm_check("KVM_SET_USER_MEMORY_REGION", ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
}

struct kvm_run *kvm_run_map(int kvm, int vcpu)
{
	int bytes = kvm_check("KVM_GET_VCPU_MMAP_SIZE", ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	struct kvm_run *run = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	kvm_check("mmap", run == MAP_FAILED ? -1 : 0);
	return run;
}

void kvm_run_to_halt(int vcpu, const struct kvm_run *run)
{
	do {
		if (ioctl(vcpu, KVM_RUN, 0) && errno != EINTR && errno != EAGAIN)
			kvm_check("KVM_RUN", -1);
	} while (run->exit_reason == KVM_EXIT_INTR);
	if (run->exit_reason != KVM_EXIT_HLT)
		share_wrong("the guest ended with exit reason %u", run->exit_reason);
}
