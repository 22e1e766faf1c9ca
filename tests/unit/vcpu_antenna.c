// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_antenna.c - how an antenna is parked and KVM's exits are read. Under KVM: tests/kernel/antenna.c. */
#include "check.h"
#include "vcpu_antenna.h"

#define GPA 0xfd000000u

static uint8_t memory[VCPU_ANTENNA_BYTES];

static union {
	struct kvm_run run;
	uint8_t bytes[4096];
} at;

static enum vcpu_antenna_heard out(uint16_t port, uint8_t value, uint8_t size, uint8_t direction)
{
	unsigned vector = 999;

	at.run.exit_reason = KVM_EXIT_IO;
	at.run.io.direction = direction;
	at.run.io.size = size;
	at.run.io.count = 1;
	at.run.io.port = port;
	at.run.io.data_offset = 2048;
	at.bytes[2048] = value;
	return vcpu_antenna_heard(&at.run, &vector);
}

static void a_vector_is_told_from_what_no_antenna_does(void)
{
	unsigned vector;

	CHECK_EQ(out(VCPU_ANTENNA_PORT, 0x31, 1, KVM_EXIT_IO_OUT), VCPU_ANTENNA_VECTOR);
	CHECK_EQ(out(VCPU_ANTENNA_PORT, 16, 1, KVM_EXIT_IO_OUT), VCPU_ANTENNA_VECTOR);
	CHECK_EQ(out(VCPU_ANTENNA_PORT, 255, 1, KVM_EXIT_IO_OUT), VCPU_ANTENNA_VECTOR);
	CHECK_EQ(out(VCPU_ANTENNA_PORT, 2, 1, KVM_EXIT_IO_OUT), VCPU_ANTENNA_NMI);
	CHECK_EQ(out(VCPU_ANTENNA_PORT, 0, 1, KVM_EXIT_IO_OUT), VCPU_ANTENNA_DRAINED);
	CHECK_EQ(out(VCPU_ANTENNA_PORT, 6, 1, KVM_EXIT_IO_OUT), VCPU_ANTENNA_WRONG);
	CHECK_EQ(out(VCPU_ANTENNA_PORT, 13, 1, KVM_EXIT_IO_OUT), VCPU_ANTENNA_WRONG);
	CHECK_EQ(out(VCPU_ANTENNA_PORT + 1, 0x31, 1, KVM_EXIT_IO_OUT), VCPU_ANTENNA_WRONG);
	CHECK_EQ(out(VCPU_ANTENNA_PORT, 0x31, 2, KVM_EXIT_IO_OUT), VCPU_ANTENNA_WRONG);
	CHECK_EQ(out(VCPU_ANTENNA_PORT, 0x31, 1, KVM_EXIT_IO_IN), VCPU_ANTENNA_WRONG);
	at.run.exit_reason = KVM_EXIT_IOAPIC_EOI;
	at.run.eoi.vector = 0x51;
	CHECK_EQ(vcpu_antenna_heard(&at.run, &vector), VCPU_ANTENNA_EOI);
	CHECK_EQ(vector, 0x51);
	at.run.exit_reason = KVM_EXIT_INTR;
	CHECK_EQ(vcpu_antenna_heard(&at.run, &vector), VCPU_ANTENNA_NOTHING);
	at.run.exit_reason = KVM_EXIT_SHUTDOWN;
	CHECK_EQ(vcpu_antenna_heard(&at.run, &vector), VCPU_ANTENNA_WRONG);
}

static struct kvm_regs parked(unsigned cpu, uint64_t apic_base)
{
	struct vcpu_antenna a = {.gpa = GPA, .memory = memory, .cpu = cpu, .apic_base = apic_base};
	struct kvm_sregs sregs;
	struct kvm_lapic_state lapic = {0};
	struct kvm_vcpu_events events;
	struct kvm_regs regs;

	memset(&sregs, 0xff, sizeof(sregs));
	memset(&events, 0xff, sizeof(events));
	vcpu_antenna_park(&a, &sregs, &lapic, &regs, &events);
	CHECK_EQ(regs.rflags, 0x202);
	CHECK(!events.nmi.pending && !events.interrupt.shadow && !events.smi.smm);
	CHECK_EQ(sregs.apic_base, apic_base);
	CHECK_EQ(sregs.cr0, 0x11);
	CHECK_EQ(sregs.efer, 0);
	CHECK_EQ(sregs.interrupt_bitmap[0], 0);
	return regs;
}

static void each_has_a_stack_of_its_own(void)
{
	uint64_t below = 0;

	vcpu_antenna_build(memory, GPA);
	for (unsigned cpu = 0; cpu < VCPU_ANTENNA_CPUS; cpu++) {
		struct kvm_regs regs = parked(cpu, 0xfee00800);

		CHECK(regs.rsp >= below + 128 && regs.rsp <= GPA + VCPU_ANTENNA_BYTES);
		for (uint64_t p = regs.rsp - 128; p < regs.rsp; p++)
			CHECK(!memory[p - GPA]);
		below = regs.rsp;
	}
}

static void the_mode_says_where_an_interrupt_ends(void)
{
	CHECK_EQ(parked(1, 0xfee00800).rbx, 0);
	CHECK_EQ(parked(1, 0xfee00800).rbp, 0xfee000b0);
	CHECK_EQ(parked(1, 0xfed00900).rbp, 0xfed000b0);
	CHECK_EQ(parked(1, 0xfee00c00).rbx, 1);
}

static void an_nmi_goes_back_to_what_it_interrupted(void)
{
	struct vcpu_antenna a = {.gpa = GPA, .memory = memory, .cpu = 3};
	struct kvm_regs regs = parked(3, 0xfee00800);
	struct kvm_vcpu_events events = {.nmi.masked = 1, .nmi.pending = 1, .flags = 0xff};
	uint64_t top = regs.rsp;
	uint32_t stack[4] = {0x31, GPA + 0x2345, 8, 0x46};

	regs.rsp -= sizeof(stack);
	memcpy(memory + (regs.rsp - GPA), stack, sizeof(stack));
	vcpu_antenna_nmi_ends(&a, &regs, &events);
	CHECK_EQ(regs.rsp, top);
	CHECK_EQ(regs.rax, 0x31);
	CHECK_EQ(regs.rip, GPA + 0x2345);
	CHECK_EQ(regs.rflags, 0x46);
	CHECK(!events.nmi.masked && !events.flags);
}

static void a_lines_vector_is_told_from_others(void)
{
	struct kvm_lapic_state lapic = {0};

	lapic.regs[0x180 + 0x10 + 2] = 2; /* TMR: 0x31 */
	for (unsigned vector = 0; vector < 256; vector++)
		CHECK_EQ(vcpu_antenna_was_level(&lapic, vector), vector == 0x31);
	memset(&lapic, 0, sizeof(lapic));
	lapic.regs[0x180 + 0x70 + 3] = (char)0x80;
	CHECK(vcpu_antenna_was_level(&lapic, 255) && !vcpu_antenna_was_level(&lapic, 254));
}

static void an_smi_is_taken_out(void)
{
	struct kvm_vcpu_events events = {.flags = KVM_VCPUEVENT_VALID_SMM | KVM_VCPUEVENT_VALID_NMI_PENDING};

	CHECK(!vcpu_antenna_smi(&events));
	events.smi.pending = events.smi.latched_init = 1;
	CHECK(vcpu_antenna_smi(&events));
	CHECK(!events.smi.pending && !events.smi.smm && events.smi.latched_init);
	CHECK_EQ(events.flags, KVM_VCPUEVENT_VALID_SMM);
	CHECK(!vcpu_antenna_smi(&events));
}

static void what_is_pending_is_told_from_nothing(void)
{
	struct kvm_lapic_state lapic = {0};
	struct kvm_vcpu_events events = {0};

	CHECK(!vcpu_antenna_is_pending(&lapic, &events));
	events.nmi.pending = 1;
	CHECK(vcpu_antenna_is_pending(&lapic, &events));
	events.nmi.pending = 0;
	for (unsigned reg = 0; reg < 0x400; reg += 0x10) {
		lapic.regs[reg + 3] = (char)0x80;
		CHECK_EQ(vcpu_antenna_is_pending(&lapic, &events), reg >= 0x200 && reg < 0x280);
		lapic.regs[reg + 3] = 0;
	}
}

static void what_is_kept_is_told_once_the_highest_first(void)
{
	struct vcpu_antenna_kept kept = {0};
	bool level;

	CHECK_EQ(vcpu_antenna_next(&kept, &level), 0);
	vcpu_antenna_keep(&kept, 16, false);
	vcpu_antenna_keep(&kept, 255, true);
	vcpu_antenna_keep(&kept, 64, false);
	vcpu_antenna_keep(&kept, 16, false);
	vcpu_antenna_keep(&kept, 63, true);
	CHECK(vcpu_antenna_next(&kept, &level) == 255 && level);
	CHECK(vcpu_antenna_next(&kept, &level) == 64 && !level);
	CHECK(vcpu_antenna_next(&kept, &level) == 63 && level);
	CHECK(vcpu_antenna_next(&kept, &level) == 16 && !level);
	CHECK_EQ(vcpu_antenna_next(&kept, &level), 0);
	vcpu_antenna_keep(&kept, 255, false);
	CHECK(vcpu_antenna_next(&kept, &level) == 255 && !level);
}

static uint32_t told(unsigned type, unsigned value, unsigned flags)
{
	struct vcpu_frame f = { .type = type, .value = value, .flags = flags };
	struct kvm_msi msi;

	CHECK_EQ(vcpu_antenna_msi(&f, 254, &msi), msi.data != 0);
	CHECK_EQ(msi.address_lo, 0xfeefe000);
	CHECK_EQ(msi.address_hi, 0);
	return msi.data;
}

static void each_frame_for_a_vcpu_has_its_message(void)
{
	CHECK_EQ(told(VCPU_IRQ, 0x31, 0), 0x4031);
	CHECK_EQ(told(VCPU_IRQ, 0x31, VCPU_IRQ_LEVEL), 0xc031);
	CHECK_EQ(told(VCPU_SMI, 0, 0), 0x4200);
	CHECK_EQ(told(VCPU_NMI, 0, 0), 0x4400);
	CHECK_EQ(told(VCPU_INIT, 0, 0), 0x4500);
	CHECK_EQ(told(VCPU_SIPI, 0x9a, 0), 0x469a);
	CHECK_EQ(told(VCPU_EOI, 0x31, 0), 0);
	CHECK_EQ(told(VCPU_APIC, 0, 0), 0);
}

static const struct check_test tests[] = {
	{"a-vector-is-told-from-what-no-antenna-does", a_vector_is_told_from_what_no_antenna_does},
	{"each-has-a-stack-of-its-own", each_has_a_stack_of_its_own},
	{"the-mode-says-where-an-interrupt-ends", the_mode_says_where_an_interrupt_ends},
	{"a-lines-vector-is-told-from-others", a_lines_vector_is_told_from_others},
	{"an-smi-is-taken-out", an_smi_is_taken_out},
	{"what-is-pending-is-told-from-nothing", what_is_pending_is_told_from_nothing},
	{"what-is-kept-is-told-once-the-highest-first", what_is_kept_is_told_once_the_highest_first},
	{"each-frame-for-a-vcpu-has-its-message", each_frame_for_a_vcpu_has_its_message},
	{"an-nmi-goes-back-to-what-it-interrupted", an_nmi_goes_back_to_what_it_interrupted},
};

CHECK_MAIN(tests)
