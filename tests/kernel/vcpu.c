// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest that is as small as can be: real-mode code under KVM, with pages of the region as memory, that
 * increments a word in each of them in turn, on each of its CPUs. One runs on each node; the sum has to
 * be right.
 *
 * Its first page, the code, is this process's own; the region's pages are at guest address 64 KiB.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kvm.h"
#include "share.h"

#define FIRST_PAGE 16
#define PAGES 16
#define MEMORY_GPA 0x10000
#define VCPUS_MAX 8

struct vcpu {
	pthread_t thread;
	int kvm, vm;
	unsigned int index;
};

static const unsigned char code[] = {
	0xb8, 0x00, 0x10,	/*	mov ax, MEMORY_GPA / 16 */
	0x8e, 0xd8,		/*	mov ds, ax */
	0x31, 0xdb,		/*	xor bx, bx */
	0x66, 0xb9, 0, 0, 0, 0, /*	mov ecx, rounds */
	0xf0, 0x66, 0xff, 0x07, /* 1:	lock inc dword [bx] */
	0x81, 0xc3, 0x00, 0x10, /*	add bx, PAGE_BYTES: from the last page to the first */
	0x66, 0x49,		/*	dec ecx */
	0x75, 0xf4,		/*	jnz 1b */
	0xf4,			/*	hlt */
};
#define ROUNDS_AT 9

static void code_load(int vm, unsigned int rounds)
{
	unsigned char *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	memcpy(page, code, sizeof(code));
	memcpy(page + ROUNDS_AT, &rounds, sizeof(rounds));
	kvm_memory_set(vm, 0, 0, PAGE_BYTES, page);
}

/* A thread; what it is given is a struct vcpu. */
static void *vcpu_run_to_halt(void *argument)
{
	struct vcpu *v = argument;
	int vcpu = kvm_check("KVM_CREATE_VCPU", ioctl(v->vm, KVM_CREATE_VCPU, v->index));
	struct kvm_run *run = kvm_run_map(v->kvm, vcpu);
	struct kvm_regs registers = { .rip = 0, .rflags = 2 };
	struct kvm_sregs special;

	kvm_check("KVM_GET_SREGS", ioctl(vcpu, KVM_GET_SREGS, &special));
	special.cs.base = 0;
	special.cs.selector = 0;
	kvm_check("KVM_SET_SREGS", ioctl(vcpu, KVM_SET_SREGS, &special));
	kvm_check("KVM_SET_REGS", ioctl(vcpu, KVM_SET_REGS, &registers));
	kvm_run_to_halt(vcpu, run);
	return NULL;
}

static void vcpus_run_to_halt(int kvm, int vm, unsigned int nr)
{
	struct vcpu vcpus[VCPUS_MAX];
	unsigned int i;

	for (i = 0; i < nr; i++) {
		vcpus[i] = (struct vcpu){ .kvm = kvm, .vm = vm, .index = i };
		pthread_create(&vcpus[i].thread, NULL, vcpu_run_to_halt, &vcpus[i]);
	}
	for (i = 0; i < nr; i++)
		pthread_join(vcpus[i].thread, NULL);
}

static uint64_t sum(void)
{
	uint64_t sum = 0;
	size_t page;

	for (page = FIRST_PAGE; page < FIRST_PAGE + PAGES; page++)
		sum += (uint32_t)share_load(page, 0);
	return sum;
}

void vcpu_run(unsigned int rounds, unsigned int vcpus)
{
	int kvm = kvm_check("/dev/kvm", open("/dev/kvm", O_RDWR | O_CLOEXEC));
	int vm = kvm_check("KVM_CREATE_VM", ioctl(kvm, KVM_CREATE_VM, 0));
	uint64_t before, wanted;
	double begun;

	vcpus = vcpus < VCPUS_MAX ? vcpus : VCPUS_MAX;
	wanted = (uint64_t)rounds * vcpus * share.nodes;
	ioctl(vm, KVM_SET_TSS_ADDR, KVM_TSS_ADDRESS);
	code_load(vm, rounds);
	kvm_memory_set(vm, 1, MEMORY_GPA, PAGES * PAGE_BYTES, share_word(FIRST_PAGE, 0));
	share_meet(40);
	before = sum();
	share_meet(41);
	begun = share_now();
	vcpus_run_to_halt(kvm, vm, vcpus);
	printf("vcpu: %u x %u increments, %.1f us each\n", vcpus, rounds,
	       (share_now() - begun) * 1e6 / (rounds * vcpus));
	share_meet(42);
	if (sum() - before != wanted)
		share_wrong("the guests counted %llu, not %llu",
			    (unsigned long long)(sum() - before), (unsigned long long)wanted);
	share_meet(43);
}
