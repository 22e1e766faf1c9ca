// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vcpu_antenna.c - see vcpu_antenna.h. Flat protected mode without paging: the loop can lie anywhere below
 * 4 GiB, and nothing of the guest's memory is read.
 *
 * No stub comes back to where it was: an interrupt interrupted the loop, which begins anew. Only an NMI can
 * come elsewhere, between a vector's arrival and its `out`; so it keeps all registers, and the caller
 * takes the vCPU back there (some hosts' KVM cannot run IRET in protected mode, and an NMI as a stub's last act
 * would let the next one in before the stack is empty).
 *
 * Registers that no stub changes say which antenna this is: EBX whether its APIC is in x2APIC mode, EBP
 * where its EOI is else, EDI where its stack begins.
 */
#include "vcpu_antenna.h"

#include <string.h>

#define LOOP_AT    0x000
#define COMMON_AT  0x100
#define GDT_AT     0x200
#define IDT_AT     0x1000
#define STUBS_AT   0x2000
#define STACKS_AT  0x4000

#define VECTORS      256
#define STUB_BYTES   16
#define STACK_BYTES  128
#define NMI          2
#define DRAINED      0	   /* in a vector's place */
#define FLAGS_IF     0x200
#define FIRST_FIXED  16	   /* an APIC takes none below */

#define MSI_ADDRESS  0xfee00000u
#define MSI_MODE     8
#define MSI_ASSERT   0x4000
#define MSI_LEVEL    0x8000

#define APIC_BASE_X2APIC  (1u << 10)
#define APIC_EOI	  0xb0

static const uint8_t loop[] = {
	0xfb,			  /* 1:	sti */
	0x90,			  /*	nop: what is pending comes here */
	0xb0, DRAINED,		  /*	mov al, DRAINED */
	0xe6, VCPU_ANTENNA_PORT,  /*	out VCPU_ANTENNA_PORT, al */
	0xeb, 0xf8,		  /*	jmp 1b */
};

static const uint8_t common[] = {
	0xe6, VCPU_ANTENNA_PORT,	     /*	out VCPU_ANTENNA_PORT, al */
	0x84, 0xdb,			     /*	test bl, bl */
	0x75, 0x09,			     /*	jnz 2f */
	0xc7, 0x45, 0x00, 0x00, 0, 0, 0,     /*	mov dword [ebp], 0 */
	0xeb, 0x0b,			     /*	jmp 3f */
	0xb9, 0x0b, 0x08, 0, 0,		     /* 2:	mov ecx, X2APIC_EOI */
	0x31, 0xc0,			     /*	xor eax, eax */
	0x31, 0xd2,			     /*	xor edx, edx */
	0x0f, 0x30,			     /*	wrmsr */
	0x89, 0xfc,			     /* 3:	mov esp, edi */
	0xe9,				     /*	jmp loop */
};

static void store(uint8_t *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = value >> (8 * i);
}

static uint32_t load32(const uint8_t *at)
{
	return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

static void jump(uint8_t *at, uint32_t from, uint32_t to)
{
	at[0] = 0xe9;
	store(at + 1, to - (from + 5), 4);
}

/* An NMI's ends with its `out`; to run on after that is VCPU_ANTENNA_WRONG. */
static void build_stub(uint8_t *memory, unsigned vector)
{
	uint32_t where = STUBS_AT + vector * STUB_BYTES;
	uint8_t *p = memory + where;

	if (vector == NMI) {
		p[0] = 0x50;	/* push eax */
		p[1] = 0xb0;	/* mov al, NMI */
		p[2] = NMI;
		p[3] = 0xe6;	/* out VCPU_ANTENNA_PORT, al */
		p[4] = VCPU_ANTENNA_PORT;
		p[5] = 0x0f;	/* ud2 */
		p[6] = 0x0b;
		return;
	}
	p[0] = 0xb0; /* mov al, vector */
	p[1] = vector;
	jump(p + 2, where + 2, COMMON_AT);
}

static void build_gate(uint8_t *memory, uint32_t gpa, unsigned vector)
{
	uint32_t to = gpa + STUBS_AT + vector * STUB_BYTES;
	uint8_t *p = memory + IDT_AT + vector * 8;

	store(p, to & 0xffff, 2);
	store(p + 2, 8, 2);
	store(p + 4, 0x8e00, 2);    /* present, an interrupt gate of 32 bits */
	store(p + 6, to >> 16, 2);
}

void vcpu_antenna_build(uint8_t memory[VCPU_ANTENNA_BYTES], uint32_t gpa)
{
	memset(memory, 0, VCPU_ANTENNA_BYTES);
	memcpy(memory + LOOP_AT, loop, sizeof(loop));
	memcpy(memory + COMMON_AT, common, sizeof(common));
	jump(memory + COMMON_AT + sizeof(common) - 1, COMMON_AT + sizeof(common) - 1, LOOP_AT);
	store(memory + GDT_AT + 8, 0x00cf9b000000ffff, 8);
	store(memory + GDT_AT + 16, 0x00cf93000000ffff, 8);
	for (unsigned vector = 0; vector < VECTORS; vector++) {
		build_stub(memory, vector);
		build_gate(memory, gpa, vector);
	}
}

static uint32_t stack_top(const struct vcpu_antenna *a)
{
	return a->gpa + STACKS_AT + (a->cpu + 1) * STACK_BYTES;
}

static void park_sregs(const struct vcpu_antenna *a, struct kvm_sregs *s)
{
	struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = 8,
		.type = 11,
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
	};
	struct kvm_segment data = code;

	data.selector = 16;
	data.type = 3;
	memset(s, 0, sizeof(*s));
	s->cs = code;
	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->tr = (struct kvm_segment){ .limit = 0xffff, .type = 11, .present = 1 };
	s->ldt = (struct kvm_segment){ .limit = 0xffff, .type = 2, .present = 1 };
	s->cr0 = 0x11;	  /* PE, ET */
	s->idt.base = a->gpa + IDT_AT;
	s->idt.limit = VECTORS * 8 - 1;
	s->gdt.base = a->gpa + GDT_AT;
	s->gdt.limit = 3 * 8 - 1;
	s->apic_base = a->apic_base;
}

static void lapic_store(struct kvm_lapic_state *lapic, unsigned reg, uint32_t value)
{
	store((uint8_t *)lapic->regs + reg, value, 4);
}

/* Enabled, whether the owner's is or not: the owner's decides what becomes of what it is told. No timer runs. */
static void park_lapic(const struct vcpu_antenna *a, struct kvm_lapic_state *lapic)
{
	lapic_store(lapic, 0x80, 0);		     /* TPR */
	lapic_store(lapic, 0xf0, 0x1ff);	     /* SVR */
	if (!(a->apic_base & APIC_BASE_X2APIC)) {
		lapic_store(lapic, 0xd0, a->ldr);
		lapic_store(lapic, 0xe0, a->dfr);
	}
	for (unsigned reg = 0x320; reg <= 0x370; reg += 0x10)
		lapic_store(lapic, reg, 0x10000);    /* LVTs: masked */
	lapic_store(lapic, 0x380, 0);		     /* the timer's count */
}

void vcpu_antenna_park(const struct vcpu_antenna *a, struct kvm_sregs *sregs, struct kvm_lapic_state *lapic,
		       struct kvm_regs *regs, struct kvm_vcpu_events *events)
{
	park_sregs(a, sregs);
	park_lapic(a, lapic);
	*regs = (struct kvm_regs){
		.rip = a->gpa + LOOP_AT,
		.rsp = stack_top(a),
		.rdi = stack_top(a),
		.rbp = (uint32_t)(a->apic_base & 0xfffff000) + APIC_EOI,
		.rbx = !!(a->apic_base & APIC_BASE_X2APIC),
		.rflags = 2 | FLAGS_IF,
	};
	/* Of NMIs, SMIs and exceptions none is pending, and no instruction keeps interrupts off. */
	*events = (struct kvm_vcpu_events){
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
	};
}

enum vcpu_antenna_heard vcpu_antenna_heard(const struct kvm_run *run, unsigned *vector)
{
	switch (run->exit_reason) {
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return VCPU_ANTENNA_NOTHING;
	case KVM_EXIT_IOAPIC_EOI:
		*vector = run->eoi.vector;
		return VCPU_ANTENNA_EOI;
	case KVM_EXIT_IO:
		break;
	default:
		return VCPU_ANTENNA_WRONG;
	}
	if (run->io.direction != KVM_EXIT_IO_OUT || run->io.size != 1 || run->io.count != 1 ||
	    run->io.port != VCPU_ANTENNA_PORT)
		return VCPU_ANTENNA_WRONG;
	*vector = ((const uint8_t *)run)[run->io.data_offset];
	if (*vector == DRAINED)
		return VCPU_ANTENNA_DRAINED;
	if (*vector == NMI)
		return VCPU_ANTENNA_NMI;
	return *vector < FIRST_FIXED ? VCPU_ANTENNA_WRONG : VCPU_ANTENNA_VECTOR;
}

bool vcpu_antenna_is_pending(const struct kvm_lapic_state *lapic, const struct kvm_vcpu_events *events)
{
	uint32_t any = events->nmi.pending;

	for (unsigned reg = 0x200; reg <= 0x270; reg += 0x10)	 /* IRR */
		any |= load32((const uint8_t *)lapic->regs + reg);
	return any;
}

bool vcpu_antenna_smi(struct kvm_vcpu_events *events)
{
	if (!events->smi.pending)
		return false;
	events->smi.pending = 0; /* an INIT that came, too, is told by latched_init */
	events->flags = KVM_VCPUEVENT_VALID_SMM;
	return true;
}

void vcpu_antenna_keep(struct vcpu_antenna_kept *kept, unsigned vector, bool level)
{
	uint64_t bit = 1ull << (vector % 64);

	kept->vectors[vector / 64] |= bit;
	if (level)
		kept->levels[vector / 64] |= bit;
}

unsigned vcpu_antenna_next(struct vcpu_antenna_kept *kept, bool *level)
{
	for (int i = 3; i >= 0; i--) {
		unsigned at;

		if (!kept->vectors[i])
			continue;
		at = 63 - __builtin_clzll(kept->vectors[i]);
		*level = kept->levels[i] >> at & 1;
		kept->vectors[i] &= ~(1ull << at);
		kept->levels[i] &= ~(1ull << at);
		return i * 64 + at;
	}
	return 0;
}

bool vcpu_antenna_was_level(const struct kvm_lapic_state *lapic, unsigned vector)
{
	return load32((const uint8_t *)lapic->regs + 0x180 + vector / 32 * 0x10) >> (vector % 32) & 1;
}

/* 0: of none that an APIC takes. A line's interrupts are asserted; nobody takes them back. */
static uint32_t msi_data(const struct vcpu_frame *f)
{
	switch (f->type) {
	case VCPU_IRQ:
		return f->value | (f->flags & VCPU_IRQ_LEVEL ? MSI_LEVEL : 0) | MSI_ASSERT;
	case VCPU_SMI:
		return 2 << MSI_MODE | MSI_ASSERT;
	case VCPU_NMI:
		return 4 << MSI_MODE | MSI_ASSERT;
	case VCPU_INIT:
		return 5 << MSI_MODE | MSI_ASSERT;
	case VCPU_SIPI:
		return f->value | 6 << MSI_MODE | MSI_ASSERT;
	default:
		return 0;
	}
}

bool vcpu_antenna_msi(const struct vcpu_frame *frame, uint32_t apic_id, struct kvm_msi *msi)
{
	*msi = (struct kvm_msi){
		.address_lo = MSI_ADDRESS | apic_id << 12,
		.data = msi_data(frame),
	};
	return msi->data;
}

/* On the stack: EAX, which the stub saved, and EIP, CS and EFLAGS. */
void vcpu_antenna_nmi_ends(const struct vcpu_antenna *a, struct kvm_regs *regs, struct kvm_vcpu_events *events)
{
	const uint8_t *stack = a->memory + (uint32_t)(regs->rsp - a->gpa);

	regs->rax = load32(stack);
	regs->rip = load32(stack + 4);
	regs->rflags = load32(stack + 12);
	regs->rsp += 16;
	events->nmi.masked = 0;
	events->flags = 0;
}
