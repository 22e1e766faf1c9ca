// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bare.c - a guest without an operating system, the machine's firmware: up in a moment, and what it
 * does is counted. A test has the guest's RAM as a file, in which a page is the desk (struct desk,
 * bare.py): there it finds what each vCPU does, and lays its orders.
 */
#include <stdbool.h>
#include <stdint.h>

#define CPUS	    8
#define STACK_BYTES 4096
#define PAGE	    4096
#define DESK	    0x7000
#define COUNTS	    0x10000  /* a page for each vCPU */
#define TABLES	    0x300000 /* page tables */
#define SHARED	    0x400000 /* of litmus tests */
#define RING	    0x500000 /* the disk's */
#define BUFFER	    0x510000

enum order {
	DISK_MSIX = 1, /* target, count: requests to the disk, whose interrupts are the target's */
	DISK_INTX,
	LITMUS, /* other, batches */
	RESET,	/* by port 0xcf9 */
	TRIPLE_FAULT,
	OFF,
	PANIC,
	SUSPEND,
	CORNERS, /* slot of the disk on q35, or 0: what is seldom done, by a vCPU of another node */
	RELAY, /* other, turns: both write to a register, and see what the one before them wrote */
	NOWHERE, /* an instruction where there is no memory: KVM cannot go on */
	RESTART, /* cpu, count: it is started anew, whatever is sent to it meanwhile */
};

enum load { REST, WORK, READ_COUNTERS };

/* All of it 32 bits each, but for what is counted without an end. */
struct desk {
	uint32_t boots;			  /* how often the firmware began since the RAM was new */
	uint32_t online;		  /* bit by vCPU, since the last time it began */
	uint32_t order, cpu, argument[2]; /* written last: number */
	uint32_t number, done;		  /* done: the number of the order that was carried out */
	uint32_t result[8];
	uint32_t load; /* enum load */
	uint32_t reserved[15];
	uint64_t counter;	   /* that was read last */
	uint64_t back[CPUS][CPUS]; /* the most that the first's counter was behind what the other
				      had read before */
};

static volatile struct desk *const desk = (void *)DESK;

/* What a vCPU counts, of its timer, from another vCPU, of ports and counters that it read; on a page of
 * its own, which no other host takes. */
struct counts {
	uint64_t ticks, ipis, ports, looks;
	uint64_t rest[PAGE / 8 - 4];
};

static volatile struct counts *const counts = (void *)COUNTS;

enum vector { LOW = 0x05, TIMER = 0x40, IPI = 0x50, MSIX = 0x60, INTX = 0x70, SPURIOUS = 0xff };

/*
 * From the reset vector in the firmware's 16-bit segment to RAM, 32 and 64 bits; and the way of the
 * other vCPUs, by SIPI, from a page that is copied to 0x8000.
 */
__asm__(".section .reset, \"ax\"\n"
	".code16\n"
	"	jmp begin\n"
	".section .begin, \"ax\"\n"
	"begin:	cli\n"
	"	lgdtl %cs:gdt_rom - 0x100000\n"
	"	mov %cr0, %eax\n"
	"	or $1, %al\n"
	"	mov %eax, %cr0\n"
	"	ljmpl $8, $copy - 0x100000 + 0xffff0000\n"
	".section .start, \"ax\"\n"
	".code32\n"
	"copy:	mov $16, %eax\n"
	"	mov %eax, %ds\n"
	"	mov %eax, %es\n"
	"	mov %eax, %ss\n"
	"	mov $0xffff0000, %esi\n"
	"	mov $image, %edi\n"
	"	mov $0x4000, %ecx\n"
	"	cld\n"
	"	rep movsl\n"
	"	mov $bss, %edi\n"
	"	mov $bss_end, %ecx\n"
	"	sub %edi, %ecx\n"
	"	xor %eax, %eax\n"
	"	rep stosb\n"
	"	mov $other, %esi\n"
	"	mov $0x8000, %edi\n"
	"	mov $other_end - other, %ecx\n"
	"	rep movsb\n"
	/* page tables: 4 GiB as they are, by 2 MiB */
	"	mov $0x300000, %edi\n"
	"	mov $0x1800, %ecx\n"
	"	rep stosl\n"
	"	movl $0x301003, 0x300000\n"
	"	mov $0x302003, %eax\n"
	"	mov $0x301000, %edi\n"
	"1:	mov %eax, (%edi)\n"
	"	add $8, %edi\n"
	"	add $0x1000, %eax\n"
	"	cmp $0x301020, %edi\n"
	"	jne 1b\n"
	"	mov $0x83, %eax\n"
	"	mov $0x302000, %edi\n"
	"	mov $2048, %ecx\n"
	"2:	mov %eax, (%edi)\n"
	"	add $8, %edi\n"
	"	add $0x200000, %eax\n"
	"	loop 2b\n"
	"	ljmp $8, $long_mode\n"
	"long_mode:\n"
	"	lgdtl gdt_ram\n"
	"	mov $0x20, %eax\n"
	"	mov %eax, %cr4\n"
	"	mov $0x300000, %eax\n"
	"	mov %eax, %cr3\n"
	"	mov $0xc0000080, %ecx\n"
	"	rdmsr\n"
	"	or $0x100, %eax\n"
	"	wrmsr\n"
	"	mov $0x80000011, %eax\n"
	"	mov %eax, %cr0\n"
	"	ljmp $24, $run\n"
	".code64\n"
	"run:	mov $1, %eax\n"
	"	cpuid\n"
	"	shr $24, %ebx\n"
	"	mov %ebx, %edi\n"
	"	inc %ebx\n"
	"	shl $12, %ebx\n"
	"	lea stacks(%rbx), %rsp\n"
	"	call cpu_main\n"
	".code16\n"
	"other:	cli\n"
	"	lgdtl %cs:gdt_ram - other\n"
	"	mov %cr0, %eax\n"
	"	or $1, %al\n"
	"	mov %eax, %cr0\n"
	"	ljmpl $8, $other32\n"
	"	.balign 8\n"
	"gdt_ram: .word 31\n"
	"	.long gdt\n"
	"	.word 0\n"
	"other_end:\n"
	".code32\n"
	"other32:\n"
	"	mov $16, %eax\n"
	"	mov %eax, %ds\n"
	"	mov %eax, %es\n"
	"	mov %eax, %ss\n"
	"	jmp long_mode\n"
	"	.balign 8\n"
	"gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff\n"
	"gdt_rom: .word 31\n"
	"	.long gdt - 0x100000 + 0xffff0000\n"
	".code64\n"
	".text\n");

uint8_t stacks[CPUS][STACK_BYTES] __attribute__((aligned(PAGE)));

/* ---- what a vCPU is made of ---- */

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}

static void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static uint16_t in16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static volatile uint32_t *memory32(uintptr_t at)
{
	return (volatile uint32_t *)at;
}

static volatile uint32_t *apic(unsigned at)
{
	return memory32(0xfee00000 + at);
}

static unsigned self(void)
{
	return *apic(0x20) >> 24;
}

static void fence(void)
{
	__asm__ volatile("mfence" ::: "memory");
}

static void relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

static void apic_send(unsigned cpu, uint32_t what)
{
	__asm__ volatile("cli");
	*apic(0x310) = cpu << 24;
	*apic(0x300) = what;
	__asm__ volatile("sti");
}

/* ---- interrupts ---- */

struct gate {
	uint16_t low, segment, type, middle;
	uint32_t high, zero;
};

struct frame;

static struct gate idt[256];
static volatile uint32_t handled, wrong; /* interrupts of the disk; those without a cause */
static volatile uint32_t low;		 /* of a vector below all devices' */
static volatile uint32_t target;
static uint16_t disk_port;

__attribute__((interrupt)) static void timer_came(struct frame *f)
{
	(void)f;
	counts[self()].ticks++;
	*apic(0xb0) = 0;
}

__attribute__((interrupt)) static void ipi_came(struct frame *f)
{
	(void)f;
	counts[self()].ipis++;
	*apic(0xb0) = 0;
}

static void disk_came(bool cause)
{
	if (cause && self() == target)
		handled++;
	else
		wrong++;
	*apic(0xb0) = 0;
}

__attribute__((interrupt)) static void msix_came(struct frame *f)
{
	(void)f;
	disk_came(true);
}

__attribute__((interrupt)) static void intx_came(struct frame *f)
{
	(void)f;
	disk_came(in8(disk_port + 19) & 1); /* which lowers the line */
}

__attribute__((interrupt)) static void low_came(struct frame *f)
{
	(void)f;
	low++;
	*apic(0xb0) = 0;
}

__attribute__((interrupt)) static void spurious_came(struct frame *f)
{
	(void)f;
}

static void gate_set(unsigned vector, void (*handler)(struct frame *))
{
	uintptr_t at = (uintptr_t)handler;

	idt[vector] = (struct gate){
		.low = (uint16_t)at, .segment = 24, .type = 0x8e00, .middle = (uint16_t)(at >> 16)};
}

static void idt_make(void)
{
	gate_set(LOW, low_came);
	gate_set(TIMER, timer_came);
	gate_set(IPI, ipi_came);
	gate_set(MSIX, msix_came);
	gate_set(INTX, intx_came);
	gate_set(SPURIOUS, spurious_came);
}

static void idt_load(const void *table, uint16_t limit)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) at = {limit, (uintptr_t)table};

	__asm__ volatile("lidt %0" ::"m"(at));
}

/* ---- PCI, and the disk: virtio as it was before 1.0 ---- */

static uint32_t pci_read(unsigned slot, unsigned function, unsigned at)
{
	out32(0xcf8, 0x80000000 | slot << 11 | function << 8 | (at & ~3u));
	return in32(0xcfc) >> (8 * (at & 3));
}

static void pci_write(unsigned slot, unsigned function, unsigned at, uint32_t value)
{
	out32(0xcf8, 0x80000000 | slot << 11 | function << 8 | at);
	out32(0xcfc, value);
}

#define DISK_BAR     0xc000
#define MSIX_BAR     0xfebf0000u
#define MSIX_ENABLED 0x80000000u
#define INTX_PIN     11

static unsigned disk_slot;
static uint16_t disk_entries;
static volatile uint16_t *available, *used;

static bool disk_find(void)
{
	for (disk_slot = 2; disk_slot < 32; disk_slot++)
		if (pci_read(disk_slot, 0, 0) == 0x10011af4)
			return true;
	return false;
}

static unsigned msix_capability(void)
{
	unsigned at = pci_read(disk_slot, 0, 0x34) & 0xff;

	while (at && (pci_read(disk_slot, 0, at) & 0xff) != 0x11)
		at = (pci_read(disk_slot, 0, at) >> 8) & 0xff;
	return at;
}

static void ioapic_write(unsigned index, uint32_t value)
{
	*memory32(0xfec00000) = index;
	*memory32(0xfec00010) = value;
}

static void disk_route(bool msix)
{
	unsigned cap = msix_capability();
	uint32_t control = pci_read(disk_slot, 0, cap) & 0x3fffffff;

	pci_write(disk_slot, 0, 0x10, DISK_BAR | 1);
	pci_write(disk_slot, 0, 0x14, MSIX_BAR);
	pci_write(disk_slot, 0, 4, 7);
	pci_write(disk_slot, 0, cap, msix ? control | MSIX_ENABLED : control);
	disk_port = DISK_BAR;
	if (msix) {
		volatile uint32_t *entry = memory32(MSIX_BAR);

		entry[0] = 0xfee00000 | target << 12;
		entry[1] = 0;
		entry[2] = MSIX;
		entry[3] = 0;
		return;
	}
	pci_write(1, 0, 0x60, INTX_PIN * 0x01010101u); /* all of the bus's lines */
	ioapic_write(0x10 + 2 * INTX_PIN + 1, target << 24);
	ioapic_write(0x10 + 2 * INTX_PIN, INTX | 1 << 15);
}

static void disk_start(bool msix)
{
	volatile uint32_t *ring = memory32(RING);

	out8(disk_port + 18, 0);
	out8(disk_port + 18, 3);
	out32(disk_port + 4, 0);
	out16(disk_port + 14, 0);
	disk_entries = in16(disk_port + 12);
	for (unsigned i = 0; i < 0x4000; i++)
		ring[i] = 0;
	available = (void *)(RING + 16ul * disk_entries);
	used = (void *)((RING + 18ul * disk_entries + 4 + 4095) & ~4095ul);
	if (msix) {
		out16(disk_port + 20, 0xffff);
		out16(disk_port + 22, 0);
	}
	out32(disk_port + 8, RING >> 12);
	out8(disk_port + 18, 7);
}

struct descriptor {
	uint64_t at;
	uint32_t bytes;
	uint16_t flags, next;
};

/* One request at a time, each of which has one interrupt. */
static void disk_requests(bool msix, unsigned count)
{
	struct descriptor *d = (void *)RING;

	handled = wrong = 0;
	if (!disk_find()) {
		desk->result[0] = desk->result[1] = ~0u;
		return;
	}
	disk_route(msix);
	disk_start(msix);
	for (unsigned i = 0; i < 4; i++)
		memory32(BUFFER)[i] = 0; /* read sector 0 */
	d[0] = (struct descriptor){BUFFER, 16, 1, 1};
	d[1] = (struct descriptor){BUFFER + 512, 512, 3, 2};
	d[2] = (struct descriptor){BUFFER + 16, 1, 2, 0};
	for (unsigned i = 1; i <= count; i++) {
		available[2 + (i - 1) % disk_entries] = 0;
		fence();
		available[1] = (uint16_t)i;
		fence();
		out16(disk_port + 16, 0);
		while (used[1] != (uint16_t)i || handled + wrong < i)
			relax();
	}
	/* What comes twice comes in these ticks. */
	for (uint64_t until = counts[self()].ticks + 5; counts[self()].ticks < until;)
		relax();
	out8(disk_port + 18, 0);
	desk->result[0] = handled;
	desk->result[1] = wrong;
}

/* ---- corners ---- */

#define ECAM 0xb0000000u /* of q35, where it is told to be */

static void corners(unsigned slot)
{
	/* A port of which the second byte is behind the last one. */
	out16(0xffff, in16(0xffff));
	low = 0;
	apic_send(self(), 0xc000 | LOW); /* by level */
	while (!low)
		relax();
	desk->result[0] = low;
	if (!slot)
		return;
	pci_write(0, 0, 0x64, 0);
	pci_write(0, 0, 0x60, ECAM | 1);
	desk->result[1] = pci_read(slot, 0, 0);
	desk->result[2] = *memory32(ECAM + (slot << 15));
}

static void restart(unsigned cpu, unsigned count)
{
	uint32_t bit = 1u << cpu;

	for (desk->result[0] = 0; desk->result[0] < count; desk->result[0]++) {
		apic_send(cpu, 0x4500);
		__asm__ volatile("lock andl %1, %0" : "+m"(desk->online) : "r"(~bit));
		apic_send(cpu, 0x4608);
		while (!(desk->online & bit))
			relax();
	}
}

/* ---- litmus tests ---- */

#define BATCH 128

/* A cache line each. */
struct cell {
	volatile uint32_t value, rest[15];
};

struct litmus {
	volatile uint32_t here[2]; /* batches that each has done */
	volatile uint32_t counter, end;
	struct cell x[BATCH], y[BATCH], saw[2][BATCH];
	struct cell data[BATCH], flag[BATCH], saw_flag[BATCH], saw_data[BATCH];
};

static struct litmus *const litmus = (void *)SHARED;

static void meet(unsigned side, uint32_t at)
{
	litmus->here[side] = at;
	while (litmus->here[!side] < at && !litmus->end)
		; /* a pause would make TCG leave the vCPU for long */
}

static void litmus_batch(unsigned side)
{
	struct litmus *l = litmus;

	/* Each stores, and looks at what the other stores: one of them sees it. */
	for (unsigned i = 0; i < BATCH; i++) {
		struct cell *mine = side ? l->y : l->x, *others = side ? l->x : l->y;

		mine[i].value = 1;
		fence();
		l->saw[side][i].value = others[i].value;
	}
	/* One writes data, then a flag; who sees the flag sees the data. */
	for (unsigned i = 0; i < BATCH; i++) {
		if (side) {
			l->saw_flag[i].value = l->flag[i].value;
			l->saw_data[i].value = l->data[i].value;
		} else {
			l->data[i].value = 1;
			l->flag[i].value = 1;
		}
	}
	for (unsigned i = 0; i < BATCH; i++)
		__asm__ volatile("lock incl %0" : "+m"(l->counter));
}

static void litmus_judge(void)
{
	struct litmus *l = litmus;

	for (unsigned i = 0; i < BATCH; i++) {
		desk->result[1] += !l->saw[0][i].value && !l->saw[1][i].value;
		desk->result[2] += l->saw_flag[i].value && !l->saw_data[i].value;
		desk->result[4] += l->saw[0][i].value && l->saw[1][i].value;
		l->x[i].value = l->y[i].value = l->data[i].value = l->flag[i].value = 0;
	}
}

static volatile uint32_t litmus_cpu; /* 0: none; else its number and one */

static void litmus_other(void)
{
	for (uint32_t at = 1; !litmus->end; at += 2) {
		meet(1, at);
		if (!litmus->end)
			litmus_batch(1);
		meet(1, at + 1);
	}
	litmus_cpu = 0;
}

static void litmus_run(unsigned other, unsigned batches)
{
	for (unsigned i = 0; i < sizeof(*litmus) / 4; i++)
		memory32(SHARED)[i] = 0;
	for (unsigned i = 0; i < 8; i++)
		desk->result[i] = 0;
	fence();
	litmus_cpu = other + 1;
	for (uint32_t batch = 0; batch < batches; batch++) {
		meet(0, 2 * batch + 1);
		litmus_batch(0);
		meet(0, 2 * batch + 2);
		litmus_judge();
	}
	desk->result[0] = batches * BATCH;
	desk->result[3] = litmus->counter != 2 * batches * BATCH;
	litmus->end = 1;
	while (litmus_cpu)
		relax();
}

/* ---- two vCPUs and one device ---- */

static volatile uint32_t relay_cpu, relay_turn, relay_turns, relay_wrong;

/* What is written in a turn: a vector, of a pin that is masked. */
static uint32_t relay_value(uint32_t turn)
{
	return 1u << 16 | 0x80 | (turn & 0x3f);
}

static void relay_side(uint32_t side)
{
	for (uint32_t turn = side; turn < relay_turns; turn += 2) {
		while (relay_turn != turn)
			;
		*memory32(0xfec00000) = 0x10 + 2 * INTX_PIN;
		relay_wrong += (*memory32(0xfec00010) & 0xff) != (relay_value(turn - 1) & 0xff);
		/* The more is written, the longer is it on its way. */
		for (uint32_t i = 0; i < 16; i++)
			*memory32(0xfec00010) = relay_value(turn + 1 + i);
		*memory32(0xfec00010) = relay_value(turn);
		relay_turn = turn + 1;
	}
}

static void relay_run(unsigned other, unsigned turns)
{
	ioapic_write(0x10 + 2 * INTX_PIN, relay_value(-1u));
	relay_turn = relay_wrong = 0;
	relay_turns = turns & ~1u;
	fence();
	relay_cpu = other + 1;
	relay_side(0);
	while (relay_cpu)
		relax();
	desk->result[0] = relay_turn;
	desk->result[1] = relay_wrong;
}

/* ---- life ---- */

/* ACPI's states: 0 off, 1 suspended to RAM. */
static void sleep_as(unsigned type)
{
	pci_write(1, 3, 0x40, 0x601);
	pci_write(1, 3, 0x80, 1);
	out16(0x604, (uint16_t)(0x2000 | type << 10));
}

static void carry_out(void)
{
	target = desk->argument[0];
	switch (desk->order) {
	case DISK_MSIX:
	case DISK_INTX:
		disk_requests(desk->order == DISK_MSIX, desk->argument[1]);
		break;
	case LITMUS:
		litmus_run(desk->argument[0], desk->argument[1]);
		break;
	case RELAY:
		relay_run(desk->argument[0], desk->argument[1]);
		break;
	case RESET:
		desk->done = desk->number;
		out8(0xcf9, 6);
		break;
	case TRIPLE_FAULT:
		desk->done = desk->number;
		idt_load(idt, 0);
		__asm__ volatile("ud2");
		break;
	case OFF:
		sleep_as(0);
		break;
	case NOWHERE:
		((void (*)(void))(uintptr_t)0xfeb00000)();
		break;
	case PANIC:
		out8(0x505, 1);
		break;
	case SUSPEND:
		sleep_as(1);
		break;
	case CORNERS:
		corners(desk->argument[0]);
		break;
	case RESTART:
		restart(desk->argument[0], desk->argument[1]);
		break;
	}
	fence();
	desk->done = desk->number;
}

/* Ports and interrupts of others, without a rest. */
static void work(unsigned cpu)
{
	uint32_t next = cpu;

	do
		next = (next + 1) % CPUS;
	while (!(desk->online & 1u << next));
	in8(0x61);
	counts[cpu].ports++;
	if (next != cpu)
		apic_send(next, 0x4000 | IPI);
}

static uint64_t counter(void)
{
	uint32_t low, high;

	__asm__ volatile("mfence; lfence; rdtsc; lfence" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

/* One after the other: what a vCPU reads under the lock is not less than what any has read before.
 */
static void read_counter(unsigned cpu)
{
	static volatile uint64_t read[CPUS];
	static volatile uint32_t lock;
	uint32_t taken = 1;

	__asm__ volatile("xchg %0, %1" : "+r"(taken), "+m"(lock)::"memory");
	if (taken) {
		relax();
		return;
	}
	desk->counter = read[cpu] = counter();
	for (unsigned other = 0; other < CPUS; other++) {
		uint64_t back = read[other] - read[cpu];

		if (read[other] && (int64_t)back > (int64_t)desk->back[cpu][other])
			desk->back[cpu][other] = back;
	}
	counts[cpu].looks++;
	fence();
	lock = 0;
}

static void wait_ticks(unsigned cpu, unsigned ticks)
{
	for (uint64_t until = counts[cpu].ticks + ticks; counts[cpu].ticks < until;)
		__asm__ volatile("sti; hlt" ::: "memory");
}

__attribute__((noreturn, used)) void cpu_main(unsigned cpu)
{
	if (cpu == 0) {
		idt_make();
		desk->online = 0;
		desk->load = REST;
		desk->done = desk->number;
		desk->boots++; /* from now on a test lays orders */
		out8(0x21, 0xff);
		out8(0xa1, 0xff);
	}
	idt_load(idt, sizeof(idt) - 1);
	*apic(0xf0) = 0x100 | SPURIOUS;
	*apic(0x3e0) = 3; /* a 16th of a GHz */
	*apic(0x320) = 0x20000 | TIMER;
	*apic(0x380) = 62500000 / 100;
	__asm__ volatile("lock orl %1, %0" : "+m"(desk->online) : "r"(1u << cpu));
	if (cpu == 0) {
		*apic(0x300) = 0xc4500; /* INIT, then SIPI, to all others */
		wait_ticks(cpu, 2);
		*apic(0x300) = 0xc4608;
	}
	for (;;) {
		if (desk->number != desk->done && desk->cpu == cpu)
			carry_out();
		if (litmus_cpu == cpu + 1)
			litmus_other();
		if (relay_cpu == cpu + 1) {
			relay_side(1);
			relay_cpu = 0;
		}
		if (desk->load == WORK)
			work(cpu);
		else if (desk->load == READ_COUNTERS)
			read_counter(cpu);
		else
			__asm__ volatile("sti; hlt" ::: "memory");
	}
}
