// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two hosts of one guest, as far as interrupts go: two machines under KVM in one process. vCPU 0 is the first
 * one's, vCPUs 1 and 2 are the second's; in the first machine these are antennas (qemu/vcpu_antenna.h), and what
 * they hear is forwarded to the owners. vCPU 0 runs code that sends what it finds in a table; an owner hears as an
 * antenna does: it tells which interrupts it takes, and ends each.
 *
 *	antenna COUNT	how many of each kind are sent
 */
#include "vcpu_antenna.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SKIP 77
#define PATIENCE_S 120

#define RAM_BYTES 0x20000
#define CODE_AT 0x1000
#define TABLE_AT 0x4000
#define TRAMPOLINE_AT 0x10000 /* what a SIPI would have a vCPU run */
#define ANTENNA_AT 0xfd000000u
#define TSS_AT 0xfffbd000
#define PORT_SENT 0x10

#define APIC_AT 0xfee00000u
#define APIC_ENABLED 0x800
#define APIC_X2APIC 0x400
#define TO_SELF 0x40000
#define TO_ALL 0x80000
#define TO_OTHERS 0xc0000
#define LOGICAL 0x800
#define MSI_LOGICAL 4
#define MSI_HINT 8
#define LEVEL 0x8000
#define ASSERT 0x4000
#define LOWEST 0x100
#define NMI 0x400
#define INIT 0x500
#define SIPI 0x600

#define CPUS 3
#define CPUIDS 256
#define PINS 24
#define PIN 10
#define FDS 16
#define VECTOR_LEVEL 0x51
#define VECTOR_LAST 0x10 /* of the lowest priority: once it is taken, so are all that were sent before */
#define VECTOR_FIRST 0x60
#define VECTORS 64

static const struct mode {
	const char *name;
	int x2apic;
} modes[] = {
	{ "xAPIC", 0 },
	{ "x2APIC", 1 },
};

struct vcpu {
	int fd;
	struct kvm_run *run;
	struct vcpu_antenna antenna;
	struct vcpu_antenna_kept kept;
	pthread_t thread;
	unsigned long taken[256], nmis, smis, eois[256];
	unsigned int started, starts; /* the vector of the last SIPI, and 1 << 8; how many there were */
	int stops;
};

static struct machine {
	int vm;
	struct vcpu vcpus[CPUS];
} first, second;

/* What the first machine's IOAPIC would hold: a level-triggered line, and whether its interrupt is under way. */
static struct {
	pthread_mutex_t lock;
	int line, remote;
	unsigned long delivered, random;
} ioapic = { .lock = PTHREAD_MUTEX_INITIALIZER, .random = 88172645463325252 };

static const struct mode *mode;
static unsigned int count;
static uint8_t *ram, *heard, *owned;
static int kvm;

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define STORE(x, value) __atomic_store_n(&(x), value, __ATOMIC_SEQ_CST)
#define ADD(x, value) __atomic_add_fetch(&(x), value, __ATOMIC_SEQ_CST)

static void wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "antenna: %s: ", mode ? mode->name : "");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

static int call(const char *what, int result)
{
	if (result < 0)
		wrong("%s: %s", what, strerror(errno));
	return result;
}

#define VCPU(v, request, argument) call(#request, ioctl((v)->fd, request, argument))
#define VM(m, request, argument) call(#request, ioctl((m)->vm, request, argument))

#define WAIT(condition)                                                                             \
	do {                                                                                        \
		time_t until_ = time(NULL) + PATIENCE_S;                                            \
		while (!(condition)) {                                                              \
			if (time(NULL) > until_)                                                    \
				wrong("waited %d s for " #condition, PATIENCE_S);                   \
			usleep(50);                                                                 \
		}                                                                                   \
	} while (0)

static int is_antenna(const struct vcpu *v)
{
	return v > &first.vcpus[0] && v < &first.vcpus[CPUS];
}

/* ---- the machines ---- */

static void memory_set(struct machine *m, unsigned int slot, uint64_t gpa, uint64_t bytes, void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)hva,
	};

	VM(m, KVM_SET_USER_MEMORY_REGION, &region);
}

/* The same routes on both: where a vector is a line's, the owner's end of it is seen. */
static void routes_set(struct machine *m)
{
	struct kvm_irq_routing *r = calloc(1, sizeof(*r) + (1 + FDS) * sizeof(*r->entries));

	r->nr = 1 + FDS;
	for (int i = 0; i <= FDS; i++) {
		r->entries[i].gsi = i ? PINS + i - 1 : PIN;
		r->entries[i].type = KVM_IRQ_ROUTING_MSI;
		r->entries[i].u.msi.address_lo = APIC_AT | 1 << 12;
		r->entries[i].u.msi.data = i ? VECTOR_FIRST + i - 1 : VECTOR_LEVEL | LEVEL | ASSERT;
	}
	VM(m, KVM_SET_GSI_ROUTING, r);
	free(r);
}

static uint64_t apic_base(int cpu)
{
	return APIC_AT | APIC_ENABLED | (mode->x2apic ? APIC_X2APIC : 0) | (cpu ? 0 : 0x100);
}

static void mp_state_set(struct vcpu *v, unsigned int state)
{
	VCPU(v, KVM_SET_MP_STATE, &(struct kvm_mp_state){ state });
}

static void park(struct vcpu *v)
{
	struct kvm_sregs sregs;
	struct kvm_lapic_state lapic;
	struct kvm_regs regs;
	struct kvm_vcpu_events events;

	VCPU(v, KVM_GET_SREGS, &sregs);
	VCPU(v, KVM_GET_LAPIC, &lapic);
	vcpu_antenna_park(&v->antenna, &sregs, &lapic, &regs, &events);
	VCPU(v, KVM_SET_SREGS, &sregs);
	VCPU(v, KVM_GET_LAPIC, &lapic); /* as the mode has made it */
	vcpu_antenna_park(&v->antenna, &sregs, &lapic, &regs, &events);
	VCPU(v, KVM_SET_LAPIC, &lapic);
	VCPU(v, KVM_SET_REGS, &regs);
	VCPU(v, KVM_SET_VCPU_EVENTS, &events);
	mp_state_set(v, KVM_MP_STATE_UNINITIALIZED);
}

static void machine_create(struct machine *m, uint8_t *antennas)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { PINS } };
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUIDS * sizeof(*cpuid->entries));

	cpuid->nent = CPUIDS;
	memset(m, 0, sizeof(*m));
	m->vm = call("KVM_CREATE_VM", ioctl(kvm, KVM_CREATE_VM, 0));
	ioctl(m->vm, KVM_SET_TSS_ADDR, TSS_AT);
	VM(m, KVM_ENABLE_CAP, &split);
	memory_set(m, 0, 0, RAM_BYTES, ram);
	memory_set(m, 1, ANTENNA_AT, VCPU_ANTENNA_BYTES, antennas);
	call("KVM_GET_SUPPORTED_CPUID", ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid));
	for (int i = 0; i < CPUS; i++) {
		struct vcpu *v = &m->vcpus[i];
		int bytes = call("KVM_GET_VCPU_MMAP_SIZE", ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));

		v->fd = call("KVM_CREATE_VCPU", ioctl(m->vm, KVM_CREATE_VCPU, i));
		v->run = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
		call("mmap", v->run == MAP_FAILED ? -1 : 0);
		VCPU(v, KVM_SET_CPUID2, cpuid);
		v->antenna = (struct vcpu_antenna){
			.gpa = ANTENNA_AT,
			.memory = antennas,
			.cpu = i,
			.apic_base = apic_base(i),
			.ldr = 1u << (24 + i),
			.dfr = 0xffffffff,
		};
	}
	free(cpuid);
	vcpu_antenna_build(antennas, ANTENNA_AT);
	routes_set(m);
}

static void machine_end(struct machine *m)
{
	for (int i = 0; i < CPUS; i++) {
		munmap(m->vcpus[i].run, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
		close(m->vcpus[i].fd);
	}
	close(m->vm);
}

/* ---- what is sent ---- */

/* The owner is told what its antenna has heard. */
static void tell(const struct vcpu *antenna, unsigned int type, unsigned int vector, unsigned int flags)
{
	struct vcpu_frame frame = { .type = type, .value = vector, .flags = flags };
	struct kvm_msi msi;

	if (!vcpu_antenna_msi(&frame, antenna->antenna.cpu, &msi))
		wrong("a frame of type %u is told to nobody", type);
	VM(&second, KVM_SIGNAL_MSI, &msi);
}

/* What a device of the first machine sends. */
static void msi_send(uint32_t data, unsigned int to)
{
	struct kvm_msi msi = { .address_lo = APIC_AT | to << 12, .data = data };

	VM(&first, KVM_SIGNAL_MSI, &msi);
}

/* Whoever holds the lock. */
static void line_looks(void)
{
	if (ioapic.line && !ioapic.remote) {
		ioapic.remote = 1;
		ioapic.delivered++;
		msi_send(VECTOR_LEVEL | LEVEL | ASSERT, 1);
	}
}

/* The driver's handler: at times what the device wants is not all done, and the line stays. */
static void line_served(void)
{
	pthread_mutex_lock(&ioapic.lock);
	ioapic.random = ioapic.random * 6364136223846793005 + 1442695040888963407;
	if (ioapic.random >> 62)
		ioapic.line = 0;
	pthread_mutex_unlock(&ioapic.lock);
}

static void line_ended(void)
{
	pthread_mutex_lock(&ioapic.lock);
	if (!ioapic.remote)
		wrong("an interrupt of the line ended that was not under way");
	ioapic.remote = 0;
	line_looks();
	pthread_mutex_unlock(&ioapic.lock);
}

/* ---- vCPUs 1 and 2, on either machine ---- */

static void nmi_came(struct vcpu *v)
{
	struct kvm_vcpu_events events;
	struct kvm_regs regs;

	VCPU(v, KVM_GET_REGS, &regs);
	VCPU(v, KVM_GET_VCPU_EVENTS, &events);
	vcpu_antenna_nmi_ends(&v->antenna, &regs, &events);
	VCPU(v, KVM_SET_REGS, &regs);
	VCPU(v, KVM_SET_VCPU_EVENTS, &events);
	ADD(v->nmis, 1);
	v->kept.nmi = is_antenna(v);
}

static int was_level(struct vcpu *v, unsigned int vector)
{
	struct kvm_lapic_state lapic;

	VCPU(v, KVM_GET_LAPIC, &lapic);
	if (vcpu_antenna_was_level(&lapic, vector) != (vector == VECTOR_LEVEL))
		wrong("of vector %#x its APIC has the wrong kind", vector);
	return vector == VECTOR_LEVEL;
}

static void vector_came(struct vcpu *v, unsigned int vector)
{
	/* Counted first: who has seen it at the owner looks here, too. */
	ADD(v->taken[vector], 1);
	if (is_antenna(v))
		vcpu_antenna_keep(&v->kept, vector, was_level(v, vector));
	else if (vector == VECTOR_LEVEL)
		line_served();
}

/* It can no longer run: what the guest does when it is served may be to start this vCPU anew. */
static void drained(struct vcpu *v)
{
	unsigned int vector;
	bool level;

	mp_state_set(v, KVM_MP_STATE_UNINITIALIZED);
	if (v->kept.nmi)
		tell(v, VCPU_NMI, 0, 0);
	v->kept.nmi = 0;
	while ((vector = vcpu_antenna_next(&v->kept, &level)))
		tell(v, VCPU_IRQ, vector, level ? VCPU_IRQ_LEVEL : 0);
}

static void exit_came(struct vcpu *v)
{
	unsigned int vector = 0;

	switch (vcpu_antenna_heard(v->run, &vector)) {
	case VCPU_ANTENNA_NOTHING:
		break;
	case VCPU_ANTENNA_DRAINED:
		drained(v);
		break;
	case VCPU_ANTENNA_VECTOR:
		vector_came(v, vector);
		break;
	case VCPU_ANTENNA_NMI:
		nmi_came(v);
		break;
	case VCPU_ANTENNA_EOI:
		if (v == &second.vcpus[1] && vector == VECTOR_LEVEL)
			line_ended();
		ADD(v->eois[vector], 1);
		break;
	case VCPU_ANTENNA_WRONG:
		wrong("vCPU %u leaves KVM_RUN with exit %u, %u", v->antenna.cpu, v->run->exit_reason, vector);
	}
}

/* What has come is in its APIC, or was an INIT: then its SIPI, which KVM says and does not run. */
static void woken(struct vcpu *v)
{
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state state;
	struct kvm_sregs sregs;

	VCPU(v, KVM_GET_MP_STATE, &state);
	if (state.mp_state == KVM_MP_STATE_UNINITIALIZED) {
		VCPU(v, KVM_GET_LAPIC, &lapic);
		VCPU(v, KVM_GET_VCPU_EVENTS, &events);
		if (vcpu_antenna_smi(&events)) {
			VCPU(v, KVM_SET_VCPU_EVENTS, &events);
			ADD(v->smis, 1);
		}
		if (vcpu_antenna_is_pending(&lapic, &events))
			mp_state_set(v, KVM_MP_STATE_RUNNABLE);
		return;
	}
	while (state.mp_state != KVM_MP_STATE_RUNNABLE && !LOAD(v->stops)) {
		usleep(100);
		VCPU(v, KVM_GET_MP_STATE, &state);
	}
	VCPU(v, KVM_GET_SREGS, &sregs);
	park(v); /* with what was sent until now forgotten, as an INIT has it */
	STORE(v->started, sregs.cs.selector >> 8 | 1 << 8);
	ADD(v->starts, 1);
}

static void *vcpu_thread(void *argument)
{
	struct vcpu *v = argument;

	while (!LOAD(v->stops)) {
		if (!ioctl(v->fd, KVM_RUN, 0))
			exit_came(v);
		else if (errno == EAGAIN)
			woken(v);
		else if (errno == EINTR)
			v->run->immediate_exit = 0;
		else
			call("KVM_RUN", -1);
	}
	return NULL;
}

static void nothing(int signal)
{
	(void)signal;
}

static void kick(struct vcpu *v)
{
	v->run->immediate_exit = 1;
	pthread_kill(v->thread, SIGUSR1);
}

static void vcpu_begin(struct vcpu *v)
{
	errno = pthread_create(&v->thread, NULL, vcpu_thread, v);
	call("pthread_create", errno ? -1 : 0);
}

static void vcpu_end(struct vcpu *v)
{
	STORE(v->stops, 1);
	kick(v);
	pthread_join(v->thread, NULL);
}

/* ---- vCPU 0 of the first machine: sends ---- */

static const uint8_t sender[] = {
	0xbe, 0x08, 0x40, 0, 0,			/* 1:	mov esi, TABLE_AT + 8 */
	0x8b, 0x1d, 0x00, 0x40, 0, 0,		/*	mov ebx, [TABLE_AT] */
	0x8b, 0x56, 0x04,			/* 2:	mov edx, [esi + 4] */
	0x8b, 0x06,				/*	mov eax, [esi] */
	0x83, 0x3d, 0x04, 0x40, 0, 0, 0,	/*	cmp dword [TABLE_AT + 4], 0 */
	0x75, 0x0d,				/*	jne 3f */
	0x89, 0x15, 0x10, 0x03, 0xe0, 0xfe,	/*	mov [APIC_AT + 0x310], edx */
	0xa3, 0x00, 0x03, 0xe0, 0xfe,		/*	mov [APIC_AT + 0x300], eax */
	0xeb, 0x07,				/*	jmp 4f */
	0xb9, 0x30, 0x08, 0, 0,			/* 3:	mov ecx, 0x830 */
	0x0f, 0x30,				/*	wrmsr */
	0x83, 0xc6, 0x08,			/* 4:	add esi, 8 */
	0x4b,					/*	dec ebx */
	0x75, 0xd8,				/*	jnz 2b */
	0xe6, PORT_SENT,			/*	out PORT_SENT, al */
	0xeb, 0xc9,				/*	jmp 1b */
};

static void send_all(void)
{
	struct vcpu *v = &first.vcpus[0];
	uint32_t *table = (uint32_t *)(ram + TABLE_AT);

	table[1] = mode->x2apic;
	while (ioctl(v->fd, KVM_RUN, 0))
		if (errno != EINTR && errno != EAGAIN)
			call("KVM_RUN", -1);
	if (v->run->exit_reason != KVM_EXIT_IO || v->run->io.port != PORT_SENT)
		wrong("the sender leaves KVM_RUN with exit %u", v->run->exit_reason);
	table[0] = 0;
}

static void send_later(uint32_t low, unsigned int to)
{
	uint32_t *table = (uint32_t *)(ram + TABLE_AT), *entry = table + 2 + 2 * table[0]++;

	entry[0] = low | ASSERT;
	entry[1] = mode->x2apic ? to : to << 24;
}

static void sender_start(void)
{
	struct vcpu *v = &first.vcpus[0];
	struct kvm_regs regs;

	park(v);
	VCPU(v, KVM_GET_REGS, &regs);
	regs.rip = CODE_AT;
	regs.rflags = 2; /* what is sent to all stays in its APIC */
	VCPU(v, KVM_SET_REGS, &regs);
	mp_state_set(v, KVM_MP_STATE_RUNNABLE);
	memcpy(ram + CODE_AT, sender, sizeof(sender));
	memset(ram + TRAMPOLINE_AT, 0xf4, 0x1000);
	ram[TABLE_AT] = 0;
}

/* ---- what is promised ---- */

/* What is sent to a vCPU. */
static unsigned long *expected(int cpu)
{
	static unsigned long taken[CPUS][256];

	return taken[cpu];
}

/* Each vector that was sent came out of the antenna and of its owner as often as expected, now that the last has. */
static void all_came(const char *what)
{
	for (int cpu = 1; cpu < CPUS; cpu++) {
		expected(cpu)[VECTOR_LAST]++;
		send_later(VECTOR_LAST, cpu);
	}
	send_all();
	for (int cpu = 1; cpu < CPUS; cpu++) {
		struct vcpu *antenna = &first.vcpus[cpu], *owner = &second.vcpus[cpu];
		unsigned long *sent = expected(cpu);

		WAIT(LOAD(owner->taken[VECTOR_LAST]) == sent[VECTOR_LAST]);
		for (unsigned int vector = 0; vector < 256; vector++)
			if (antenna->taken[vector] != sent[vector] || owner->taken[vector] != sent[vector])
				wrong("%s: of vector %#x %lu were sent to vCPU %d, heard %lu, taken %lu", what, vector,
				      sent[vector], cpu, antenna->taken[vector], owner->taken[vector]);
	}
}

static void vector_expected(unsigned int vector, unsigned int cpus)
{
	for (int cpu = 1; cpu < CPUS; cpu++)
		expected(cpu)[vector] += cpus >> cpu & 1;
}

/* `cpus`, a bit for each: whom it is for. */
static void ipis_come(const char *what, uint32_t kind, unsigned int to, unsigned int cpus, unsigned int nr)
{
	for (unsigned int sent = 0; sent < nr; sent += VECTORS) {
		for (unsigned int i = 0; i < VECTORS; i++) {
			send_later((VECTOR_FIRST + i) | kind, to);
			vector_expected(VECTOR_FIRST + i, cpus);
		}
		all_came(what);
	}
}

static void nmis_come(unsigned int nr)
{
	unsigned long before = first.vcpus[1].nmis;

	for (unsigned int i = 1; i <= nr; i++) {
		send_later(NMI, 1);
		all_came("NMI");
		if (first.vcpus[1].nmis != before + i || second.vcpus[1].nmis != before + i)
			wrong("of %u NMIs the antenna heard %lu, the owner %lu", i, first.vcpus[1].nmis - before,
			      second.vcpus[1].nmis - before);
	}
}

/* NMIs that are sent while one is pending are one; vectors are not lost by them. */
static void nmis_lose_nothing(unsigned int nr)
{
	unsigned long before = first.vcpus[1].nmis;

	for (unsigned int sent = 0; sent < nr; sent += VECTORS) {
		for (unsigned int i = 0; i < VECTORS; i++) {
			send_later((VECTOR_FIRST + i) | TO_OTHERS, 0);
			vector_expected(VECTOR_FIRST + i, 6);
			send_later(NMI, 1 + i % 2);
		}
		all_came("IPIs among NMIs");
	}
	if (first.vcpus[1].nmis == before)
		wrong("of NMIs among IPIs the antenna heard none");
}

static void msis_come(unsigned int nr)
{
	for (unsigned int sent = 0; sent < nr; sent += VECTORS) {
		for (unsigned int i = 0; i < VECTORS; i++) {
			msi_send(VECTOR_FIRST + i, 1 + i % 2);
			expected(1 + i % 2)[VECTOR_FIRST + i]++;
		}
		all_came("MSI");
	}
}

/* KVM chooses one of the two, an antenna or not. */
static void lowest_priorities_come(unsigned int nr)
{
	struct kvm_msi lowest = {
		.address_lo = APIC_AT | 6 << 12 | MSI_LOGICAL | MSI_HINT,
		.data = VECTOR_FIRST | LOWEST,
	};
	struct vcpu *owners = second.vcpus;
	unsigned long wanted = expected(1)[VECTOR_FIRST] + expected(2)[VECTOR_FIRST];

	for (unsigned int i = 0; i < nr; i++) {
		wanted++;
		VM(&first, KVM_SIGNAL_MSI, &lowest);
		WAIT(LOAD(owners[1].taken[VECTOR_FIRST]) + LOAD(owners[2].taken[VECTOR_FIRST]) >= wanted);
	}
	for (int cpu = 1; cpu < CPUS; cpu++) {
		expected(cpu)[VECTOR_FIRST] = first.vcpus[cpu].taken[VECTOR_FIRST];
		wanted -= expected(cpu)[VECTOR_FIRST];
	}
	if (wanted)
		wrong("an MSI of the lowest priority was heard by two");
	all_came("an MSI of the lowest priority");
}

/* The kernel may deliver an eventfd's later than the write: it is waited for before the last is sent. */
static void irqfds_come(unsigned int nr)
{
	int fds[FDS];

	for (int i = 0; i < FDS; i++) {
		struct kvm_irqfd irqfd = { .gsi = PINS + i };

		fds[i] = call("eventfd", eventfd(0, EFD_CLOEXEC));
		irqfd.fd = fds[i];
		VM(&first, KVM_IRQFD, &irqfd);
	}
	for (unsigned int sent = 0; sent < nr; sent += FDS) {
		for (int i = 0; i < FDS; i++) {
			expected(1)[VECTOR_FIRST + i]++;
			call("write", eventfd_write(fds[i], 1));
		}
		for (int i = 0; i < FDS; i++)
			WAIT(LOAD(first.vcpus[1].taken[VECTOR_FIRST + i]) >= expected(1)[VECTOR_FIRST + i]);
		all_came("irqfd");
	}
	for (int i = 0; i < FDS; i++)
		close(fds[i]);
}

/* Each is ended once, by its owner; the antenna's own end of it is told apart. */
static void lines_come(unsigned int nr)
{
	struct vcpu *antenna = &first.vcpus[1], *owner = &second.vcpus[1];
	unsigned long before = ioapic.delivered, stayed;

	for (unsigned int i = 0; i < nr; i++) {
		pthread_mutex_lock(&ioapic.lock);
		ioapic.line = 1;
		line_looks();
		pthread_mutex_unlock(&ioapic.lock);
		WAIT(!LOAD(ioapic.line) && !LOAD(ioapic.remote));
	}
	expected(1)[VECTOR_LEVEL] += ioapic.delivered - before;
	all_came("a line");
	stayed = ioapic.delivered - before - nr;
	if (owner->eois[VECTOR_LEVEL] != expected(1)[VECTOR_LEVEL] ||
	    antenna->eois[VECTOR_LEVEL] != expected(1)[VECTOR_LEVEL] || (nr > 100 && !stayed))
		wrong("of %lu interrupts of a line the owner ended %lu, the antenna %lu", expected(1)[VECTOR_LEVEL],
		      owner->eois[VECTOR_LEVEL], antenna->eois[VECTOR_LEVEL]);
}

/* The first time, and once it has heard much: nothing of the guest's code is run. */
static void start_is_told(int cpu, unsigned int page)
{
	struct vcpu *v = &first.vcpus[cpu];
	unsigned int before = LOAD(v->starts);

	send_later(INIT, cpu);
	send_later(SIPI | page, cpu);
	send_all();
	WAIT(LOAD(v->starts) == before + 1);
	if (v->started != (1 << 8 | page))
		wrong("a SIPI of vector %#x is told as %#x", page, v->started & 0xff);
	send_later(SIPI | page, cpu); /* one too many */
	send_all();
	ipis_come("after a start", 0, cpu, 1u << cpu, VECTORS);
	if (LOAD(v->starts) != before + 1)
		wrong("a SIPI without an INIT is told");
}

static void promises(void)
{
	start_is_told(1, TRAMPOLINE_AT >> 12);
	start_is_told(2, TRAMPOLINE_AT >> 12);
	ipis_come("a fixed IPI", 0, 1, 2, count);
	ipis_come("a logical IPI", LOGICAL, 2, 2, count / 10);
	ipis_come("a logical IPI to two", LOGICAL, 6, 6, count / 10);
	ipis_come("an IPI to all others", TO_OTHERS, 0, 6, count / 10);
	ipis_come("an IPI to all", TO_ALL, 0, 6, VECTORS);
	send_later(TO_SELF | VECTOR_FIRST, 0);
	all_came("an IPI to self");
	nmis_come(count / 50);
	nmis_lose_nothing(count / 10);
	msis_come(count);
	lowest_priorities_come(count / 10);
	irqfds_come(count);
	lines_come(count / 4);
	start_is_told(1, 0x9a);
	start_is_told(2, 0x9b);
}

static void run_in(const struct mode *in)
{
	unsigned long all = 0;

	mode = in;
	for (int cpu = 0; cpu < CPUS; cpu++)
		memset(expected(cpu), 0, 256 * sizeof(*expected(cpu)));
	ioapic.delivered = 0;
	machine_create(&first, heard);
	machine_create(&second, owned);
	sender_start();
	for (int cpu = 1; cpu < CPUS; cpu++) {
		struct vcpu *antenna = &first.vcpus[cpu], *owner = &second.vcpus[cpu];

		park(antenna);
		park(owner);
		vcpu_begin(antenna);
		vcpu_begin(owner);
	}
	promises();
	for (int cpu = 1; cpu < CPUS; cpu++) {
		vcpu_end(&first.vcpus[cpu]);
		vcpu_end(&second.vcpus[cpu]);
		for (int i = 0; i < 256; i++)
			all += second.vcpus[cpu].taken[i];
	}
	printf("antenna: %s: %lu interrupts and %lu NMIs, each once; %lu of a line, each ended once; %lu SMIs\n", mode->name,
	       all, second.vcpus[1].nmis, second.vcpus[1].eois[VECTOR_LEVEL], first.vcpus[1].smis);
	fflush(stdout);
	machine_end(&first);
	machine_end(&second);
}

static uint8_t *memory(size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	call("mmap", p == MAP_FAILED ? -1 : 0);
	return p;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = nothing };

	count = argc > 1 ? atoi(argv[1]) : 1000;
	sigaction(SIGUSR1, &action, NULL);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0) {
		printf("skip: kvm: /dev/kvm: %s\n", strerror(errno));
		return SKIP;
	}
	ram = memory(RAM_BYTES);
	heard = memory(VCPU_ANTENNA_BYTES);
	owned = memory(VCPU_ANTENNA_BYTES);
	for (unsigned int i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		run_in(&modes[i]);
	return 0;
}
