// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest that runs a guest, each as small as can be: the outer one, in flat protected mode with
 * one large page, makes itself a hypervisor (AMD's SVM) and runs the inner one, which halts at once; then it
 * halts, too. Nothing of the region is their memory: it is enough that the process maps it.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kvm.h"
#include "share.h"

#define CPUID_ENTRIES 256

/* The outer guest's memory: a page each. */
enum { CODE_PAGE, VMCB_PAGE, SAVE_PAGE, INNER_PAGE, TABLE_PAGE, PAGES };

#define LARGE_PAGE 0x83 /* present, writable, 4 MiB; the first */
#define CR0_PE_ET 0x11
#define CR0_PG 0x80000000
#define CR4_PSE 0x10
#define EFER_SVME 0x1000
#define EXIT_HLT 0x78
#define CODE_SEGMENT 0xc9b /* as a VMCB has it: present, 32 bits, 4 KiB units */
#define DATA_SEGMENT 0xc93

/* AMD64 Architecture Programmer's Manual, volume 2, appendix B. */
struct vmcb {
	uint32_t intercepts[5]; /* 0x00c, the fourth: HLT; 0x010: VMRUN */
	uint8_t unused1[0x58 - 20];
	uint32_t asid;
	uint8_t unused2[0x70 - 0x5c];
	uint64_t exit_code;
	uint8_t unused3[0x400 - 0x78];
	struct {
		uint16_t selector, attributes;
		uint32_t limit;
		uint64_t base;
	} segments[10]; /* ES, CS, SS, DS, ... */
	uint8_t unused4[0x4d0 - 0x4a0];
	uint64_t efer;
	uint8_t unused5[0x558 - 0x4d8];
	uint64_t cr0, dr7, dr6, rflags, rip;
};

_Static_assert(offsetof(struct vmcb, rip) == 0x578, "the layout of a VMCB");

static const unsigned char outer[] = {
	0xb9, 0x17, 0x01, 0x01, 0xc0,			   /*	mov ecx, VM_HSAVE_PA */
	0xb8, 0x00, SAVE_PAGE << 4, 0x00, 0x00,		   /*	mov eax, the save area */
	0x31, 0xd2,					   /*	xor edx, edx */
	0x0f, 0x30,					   /*	wrmsr */
	0xb8, 0x00, VMCB_PAGE << 4, 0x00, 0x00,		   /*	mov eax, the VMCB */
	0x0f, 0x01, 0xd8,				   /*	vmrun */
	0xf4,						   /*	hlt */
};
static const unsigned char inner[] = {0xf4};

static void inner_describe(struct vmcb *vmcb)
{
	vmcb->intercepts[3] = 1u << 24;
	vmcb->intercepts[4] = 1;
	vmcb->asid = 1;
	for (int i = 0; i < 4; i++) {
		vmcb->segments[i].selector = 8;
		vmcb->segments[i].attributes = i == 1 ? CODE_SEGMENT : DATA_SEGMENT;
		vmcb->segments[i].limit = ~0u;
	}
	vmcb->efer = EFER_SVME;
	vmcb->cr0 = CR0_PE_ET;
	vmcb->dr6 = 0xffff0ff0;
	vmcb->dr7 = 0x400;
	vmcb->rflags = 2;
	vmcb->rip = INNER_PAGE * PAGE_BYTES;
}

static struct vmcb *memory_make(int vm)
{
	unsigned char *memory = mmap(NULL, PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vmcb *vmcb = (struct vmcb *)(memory + VMCB_PAGE * PAGE_BYTES);

	memcpy(memory + CODE_PAGE * PAGE_BYTES, outer, sizeof(outer));
	memcpy(memory + INNER_PAGE * PAGE_BYTES, inner, sizeof(inner));
	*(uint32_t *)(memory + TABLE_PAGE * PAGE_BYTES) = LARGE_PAGE;
	inner_describe(vmcb);
	kvm_memory_set(vm, 0, 0, PAGES * PAGE_BYTES, memory);
	return vmcb;
}

/* All that the host's CPU can do, SVM too. */
static void cpuid_set(int kvm, int vcpu)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));

	cpuid->nent = CPUID_ENTRIES;
	kvm_check("KVM_GET_SUPPORTED_CPUID", ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid));
	kvm_check("KVM_SET_CPUID2", ioctl(vcpu, KVM_SET_CPUID2, cpuid));
	free(cpuid);
}

static void registers_set(int vcpu)
{
	struct kvm_regs registers = {.rflags = 2};
	struct kvm_sregs special;
	struct kvm_segment flat = {
		.limit = ~0u, .selector = 8, .type = 0x3, .present = 1, .db = 1, .s = 1, .g = 1};

	kvm_check("KVM_GET_SREGS", ioctl(vcpu, KVM_GET_SREGS, &special));
	special.ds = special.es = special.ss = special.cs = flat;
	special.cs.type = 0xb;
	special.cr0 = CR0_PG | CR0_PE_ET; /* KVM runs no hypervisor without paging */
	special.cr3 = TABLE_PAGE * PAGE_BYTES;
	special.cr4 = CR4_PSE;
	special.efer = EFER_SVME;
	kvm_check("KVM_SET_SREGS", ioctl(vcpu, KVM_SET_SREGS, &special));
	kvm_check("KVM_SET_REGS", ioctl(vcpu, KVM_SET_REGS, &registers));
}

void nested_run(void)
{
	int kvm = kvm_check("/dev/kvm", open("/dev/kvm", O_RDWR | O_CLOEXEC));
	int vm = kvm_check("KVM_CREATE_VM", ioctl(kvm, KVM_CREATE_VM, 0));
	int vcpu;
	struct vmcb *vmcb = memory_make(vm);
	struct kvm_run *run;

	ioctl(vm, KVM_SET_TSS_ADDR, KVM_TSS_ADDRESS);
	vcpu = kvm_check("KVM_CREATE_VCPU", ioctl(vm, KVM_CREATE_VCPU, 0));
	run = kvm_run_map(kvm, vcpu);
	cpuid_set(kvm, vcpu);
	registers_set(vcpu);
	kvm_run_to_halt(vcpu, run);
	if (vmcb->exit_code != EXIT_HLT)
		share_wrong("the inner guest ended with %#llx", (unsigned long long)vmcb->exit_code);
}
