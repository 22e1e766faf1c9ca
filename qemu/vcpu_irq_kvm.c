// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_irq_kvm.c - see vcpu_irq_kvm.h. */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/memalign.h"
#include "cpu.h"
#include "sysemu/kvm.h"
#include "sysemu/reset.h"

#include "vcpu_antenna.h"
#include "vcpu_irq.h"
#include "vcpu_irq_kvm.h"
#include "vcpu_life.h"
#include "vcpu_place.h"
#include "vcpu_router.h"

/* Below what KVM itself has in the guest's address space, above all devices. */
#define ANTENNAS_AT   0xfefe0000u
#define APIC_ENABLED  0xfee00800u
#define APIC_OF_BSP   0x100
#define FLAT_CPUS     8
#define LOOK_US       100    /* for the SIPI behind an INIT; ever longer, as there may be none */
#define LOOK_US_MAX   5000
#define DEBUG_REGISTERS  4
#define DR7_BASE      0x400

/* Each is its vCPU's thread's, but while all vCPUs stand. */
static struct antenna {
    bool parked;       /* KVM has its state, since the last reset */
    bool init_told;    /* INIT has come, and its SIPI has not */
    struct vcpu_antenna_kept kept;
    unsigned starts;   /* how many are known, since the machine is */
    uint64_t start[DEBUG_REGISTERS];
} antennas[VCPU_CPUS_MAX];

static uint8_t *code;
/* Held while what has come is given to the kernel: a reset is before it or behind it. */
static QemuMutex giving;

/* ---- what this node's vCPUs and devices send to others' ---- */

/*
 * Its APIC has the mode of one that nobody has touched, in which it hears what is sent to its id in
 * either mode; and a place in a flat logical destination that is what operating systems give it.
 */
static struct vcpu_antenna antenna_of(CPUState *cpu)
{
    unsigned i = cpu->cpu_index;

    return (struct vcpu_antenna) {
        .gpa = ANTENNAS_AT,
        .memory = code,
        .cpu = i,
        .apic_base = APIC_ENABLED | (i ? 0 : APIC_OF_BSP),
        .ldr = i < FLAT_CPUS ? 1u << (24 + i) : 0,
        .dfr = 0xffffffff,
    };
}

/* This node alone has come to the end of what it can do. */
G_GNUC_PRINTF(2, 3)
static void fail(CPUState *cpu, const char *format, ...)
{
    g_autofree char *what = NULL, *why = NULL;
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    why = g_strdup_printf("vCPU %d, which is node %u's, %s on node %u", cpu->cpu_index,
                          vcpu_place->map->node[cpu->cpu_index], what, vcpu_place->node);
    vcpu_life_lost(vcpu_place->node, why);
}

static void call(CPUState *cpu, int type, const char *name, void *data)
{
    int err = kvm_vcpu_ioctl(cpu, type, data);

    if (err < 0) {
        fail(cpu, "cannot hear (%s: %s)", name, strerror(-err));
    }
}
#define CALL(cpu, type, data) call(cpu, type, #type, data)

static void mp_state_set(CPUState *cpu, unsigned state)
{
    struct kvm_mp_state s = { state };

    CALL(cpu, KVM_SET_MP_STATE, &s);
}

static unsigned mp_state(CPUState *cpu)
{
    struct kvm_mp_state s;

    CALL(cpu, KVM_GET_MP_STATE, &s);
    return s.mp_state;
}

/*
 * Whether an INIT has come. Each look at its state takes it, and the SIPI behind it, too: then the vCPU is as RUNNABLE
 * as on the loop, but where the guest wants it to begin, and not in protected mode.
 */
static bool was_begun(CPUState *cpu)
{
    unsigned state = mp_state(cpu);
    struct kvm_sregs sregs;

    if (state != KVM_MP_STATE_RUNNABLE) {
        return state == KVM_MP_STATE_INIT_RECEIVED;
    }
    CALL(cpu, KVM_GET_SREGS, &sregs);
    return !(sregs.cr0 & CR0_PE_MASK);
}

static void park(CPUState *cpu)
{
    struct vcpu_antenna a = antenna_of(cpu);
    struct kvm_sregs sregs;
    struct kvm_lapic_state lapic;
    struct kvm_regs regs;
    struct kvm_vcpu_events events;

    CALL(cpu, KVM_GET_SREGS, &sregs);
    CALL(cpu, KVM_GET_LAPIC, &lapic);
    vcpu_antenna_park(&a, &sregs, &lapic, &regs, &events);
    CALL(cpu, KVM_SET_SREGS, &sregs);
    CALL(cpu, KVM_GET_LAPIC, &lapic);    /* as the mode has made it */
    vcpu_antenna_park(&a, &sregs, &lapic, &regs, &events);
    CALL(cpu, KVM_SET_LAPIC, &lapic);
    CALL(cpu, KVM_SET_REGS, &regs);
    CALL(cpu, KVM_SET_VCPU_EVENTS, &events);
    mp_state_set(cpu, KVM_MP_STATE_UNINITIALIZED);
}

/*
 * Where the guest begins its vCPUs: an INIT and a SIPI that come while this one runs its loop make KVM run it there, which it
 * leaves before the first instruction. Firmware and kernel each have a place.
 */
static void guard(CPUState *cpu, unsigned vector)
{
    struct antenna *mine = &antennas[cpu->cpu_index];
    struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP };
    uint64_t at = (uint64_t)vector << 12;

    for (unsigned i = 0; i < DEBUG_REGISTERS; i++) {
        if (i < mine->starts && mine->start[i] == at) {
            return;
        }
    }
    mine->start[mine->starts++ % DEBUG_REGISTERS] = at;
    debug.arch.debugreg[7] = DR7_BASE;
    for (unsigned i = 0; i < MIN(mine->starts, DEBUG_REGISTERS); i++) {
        debug.arch.debugreg[i] = mine->start[i];
        debug.arch.debugreg[7] |= 2 << (2 * i);
    }
    CALL(cpu, KVM_SET_GUEST_DEBUG, &debug);
}

/*
 * An INIT has come. KVM says its SIPI, too, and runs nothing. Where this thread is wanted before that, the next
 * KVM_RUN ends at once.
 */
static void wait_for_sipi(CPUState *cpu)
{
    struct antenna *mine = &antennas[cpu->cpu_index];
    unsigned us = LOOK_US;
    struct kvm_sregs sregs;

    if (!mine->init_told) {
        mine->init_told = true;
        vcpu_irq_signal(cpu->cpu_index, CPU_INTERRUPT_INIT);
    }
    while (mp_state(cpu) != KVM_MP_STATE_RUNNABLE) {
        if (qatomic_read(&cpu->kvm_run->immediate_exit) || qatomic_read(&cpu->exit_request)) {
            return;
        }
        g_usleep(us);
        us = MIN(us * 2, LOOK_US_MAX);
    }
    CALL(cpu, KVM_GET_SREGS, &sregs);
    /* First: who is told may be sent to at once. */
    park(cpu);
    guard(cpu, sregs.cs.selector >> 8);
    memset(&mine->kept, 0, sizeof(mine->kept));
    mine->init_told = false;
    if (cpu->cpu_index) {    /* vCPU 0 begins without one */
        vcpu_irq_startup(cpu->cpu_index, sregs.cs.selector >> 8);
    }
}

/* Only node 0 has lines. */
static bool was_level(CPUState *cpu, unsigned vector)
{
    struct kvm_lapic_state lapic;

    if (vcpu_place->node) {
        return false;
    }
    CALL(cpu, KVM_GET_LAPIC, &lapic);
    return vcpu_antenna_was_level(&lapic, vector);
}

static void nmi_came(CPUState *cpu)
{
    struct vcpu_antenna a = antenna_of(cpu);
    struct kvm_vcpu_events events;
    struct kvm_regs regs;

    CALL(cpu, KVM_GET_REGS, &regs);
    CALL(cpu, KVM_GET_VCPU_EVENTS, &events);
    vcpu_antenna_nmi_ends(&a, &regs, &events);
    CALL(cpu, KVM_SET_REGS, &regs);
    CALL(cpu, KVM_SET_VCPU_EVENTS, &events);
    antennas[cpu->cpu_index].kept.nmi = true;
}

/* It waits first: what the guest does once it is served may be to start this vCPU anew. */
static void drained(CPUState *cpu)
{
    struct vcpu_antenna_kept *kept = &antennas[cpu->cpu_index].kept;
    unsigned vector;
    bool level;

    mp_state_set(cpu, KVM_MP_STATE_UNINITIALIZED);
    if (kept->nmi) {
        kept->nmi = false;
        vcpu_irq_signal(cpu->cpu_index, CPU_INTERRUPT_NMI);
    }
    while ((vector = vcpu_antenna_next(kept, &level))) {
        vcpu_irq_vector(cpu->cpu_index, vector, level);
    }
}

static void heard(CPUState *cpu)
{
    unsigned vector = 0;

    switch (vcpu_antenna_heard(cpu->kvm_run, &vector)) {
    case VCPU_ANTENNA_NOTHING:
    case VCPU_ANTENNA_EOI:
        break;
    case VCPU_ANTENNA_DRAINED:
        drained(cpu);
        break;
    case VCPU_ANTENNA_VECTOR:
        vcpu_antenna_keep(&antennas[cpu->cpu_index].kept, vector, was_level(cpu, vector));
        break;
    case VCPU_ANTENNA_NMI:
        nmi_came(cpu);
        break;
    case VCPU_ANTENNA_WRONG:
        if (cpu->kvm_run->exit_reason == KVM_EXIT_DEBUG && was_begun(cpu)) {
            wait_for_sipi(cpu);
            break;
        }
        fail(cpu, "has run (exit %u)", cpu->kvm_run->exit_reason);
        break;
    }
}

static void woken(CPUState *cpu)
{
    struct kvm_lapic_state lapic;
    struct kvm_vcpu_events events;

    if (mp_state(cpu) != KVM_MP_STATE_UNINITIALIZED) {
        wait_for_sipi(cpu);
        return;
    }
    CALL(cpu, KVM_GET_LAPIC, &lapic);
    CALL(cpu, KVM_GET_VCPU_EVENTS, &events);
    if (vcpu_antenna_smi(&events)) {
        CALL(cpu, KVM_SET_VCPU_EVENTS, &events);
        vcpu_irq_signal(cpu->cpu_index, CPU_INTERRUPT_SMI);
    }
    if (vcpu_antenna_is_pending(&lapic, &events)) {
        mp_state_set(cpu, KVM_MP_STATE_RUNNABLE);
    }
}

void vcpu_irq_kvm_hear(CPUState *cpu)
{
    struct antenna *mine = &antennas[cpu->cpu_index];
    int err = 0;

    qemu_mutex_unlock_iothread();
    /* Without cpu_exec_start(): where all vCPUs have to stand for a moment, this one is none. */
    if (!mine->parked) {
        mine->parked = true;
        mine->init_told = false;
        /* Where this thread had to wait, the guest runs already, and its INIT and SIPI may have been taken by a look. */
        if (!cpu->cpu_index || !was_begun(cpu)) {
            park(cpu);
        }
    }
    cpu->vcpu_dirty = false;    /* what it is elsewhere is not known here */
    if (was_begun(cpu)) {    /* while this thread did something else */
        wait_for_sipi(cpu);
    }
    while (err != -EINTR) {
        err = kvm_cpu_run_once(cpu);
        if (!err) {
            heard(cpu);
        } else if (err == -EAGAIN) {
            woken(cpu);
        } else if (err != -EINTR) {
            fail(cpu, "cannot hear (KVM_RUN: %s)", strerror(-err));
        }
    }
    qemu_mutex_lock_iothread();
    qatomic_set(&cpu->exit_request, 0);
}

/* ---- what others send to this node's ---- */

void vcpu_irq_kvm_came(const struct vcpu_frame *f)
{
    CPUState *cpu = qemu_get_cpu(f->cpu);
    struct kvm_msi msi;

    if (!cpu || !vcpu_antenna_msi(f, X86_CPU(cpu)->apic_id, &msi)) {
        return;
    }
    qemu_mutex_lock(&giving);
    if (f->era == vcpu_router_era(vcpu_place->router)) {
        kvm_vm_ioctl(kvm_state, KVM_SIGNAL_MSI, &msi);
    }
    qemu_mutex_unlock(&giving);
}

/* The era is another one already, and QEMU resets the vCPUs after this. */
static void reset(void *opaque)
{
    qemu_mutex_lock(&giving);
    for (unsigned i = 0; i < VCPU_CPUS_MAX; i++) {
        antennas[i].parked = antennas[i].init_told = false;
        memset(&antennas[i].kept, 0, sizeof(antennas[i].kept));
    }
    qemu_mutex_unlock(&giving);
}

void vcpu_irq_kvm_begin(void)
{
    struct kvm_userspace_memory_region region = {
        .slot = kvm_get_max_memslots() - 1,    /* the last that QEMU would take */
        .guest_phys_addr = ANTENNAS_AT,
        .memory_size = VCPU_ANTENNA_BYTES,
    };
    int err;

    code = qemu_memalign(qemu_real_host_page_size(), VCPU_ANTENNA_BYTES);
    vcpu_antenna_build(code, ANTENNAS_AT);
    region.userspace_addr = (uintptr_t)code;
    err = kvm_vm_ioctl(kvm_state, KVM_SET_USER_MEMORY_REGION, &region);
    if (err < 0) {
        error_report("dsm-vcpus: no memory at 0x%x: %s", ANTENNAS_AT, strerror(-err));
        exit(1);
    }
    qemu_mutex_init(&giving);
    qemu_register_reset(reset, NULL);
}
