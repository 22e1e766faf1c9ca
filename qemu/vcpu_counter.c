// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_counter.c - see vcpu_counter.h. */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "cpu.h"
#include "sysemu/kvm.h"
#include "sysemu/reset.h"

#include "vcpu_clock.h"
#include "vcpu_counter.h"
#include "vcpu_map.h"
#include "vcpu_place.h"
#include "vcpu_router.h"

#define STEPS_MAX     16
#define SAMPLES       16
#define RATE_NS       20000000    /* how long the rate is measured: it says how long a second is, about */
#define CLOCK_BYTES   8
#define ANSWER_BYTES  24

static struct {
    QemuMutex lock;            /* of `clock`; nobody waits with it */
    struct vcpu_clock clock;
    uint64_t asked;            /* when, by this host's counter */
    uint64_t total;            /* atomic: what the guest's counter is ahead of the host's by */
    /* x-skew-ppm: */
    uint64_t began, skewed;    /* skewed: atomic, KVM */
    /* From when a step is ordered until it is made: */
    bool steps;                /* atomic */
    uint64_t step, skew;
    QemuMutex adding;          /* held while offsets and `total` change */
} counter;

/* A test can have the host's counter run faster than it does; by KVM that is in the vCPUs' offsets, too. */
static uint64_t skew_at(uint64_t host)
{
    return kvm_enabled() ? qatomic_read(&counter.skewed) : (host - counter.began) / 1000000 * vcpu_place->skew_ppm;
}

/* This host's own. */
static uint64_t own(void)
{
    uint64_t host = cpu_get_host_ticks();

    return host + skew_at(host);
}

uint64_t vcpu_counter_guest(void)
{
    return own() + qatomic_read(&counter.total);
}

/* ---- steps ---- */

static void offset_call(CPUState *cpu, int type, uint64_t *offset)
{
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
        .addr = (uintptr_t)offset,
    };
    int err = kvm_vcpu_ioctl(cpu, type, &attr);

    if (err < 0) {    /* it could at the beginning (kvm_begin_tsc()) */
        error_report_once("dsm-vcpus: KVM cannot set a counter's offset: %s", strerror(-err));
    }
}

/*
 * No vCPU of this host is in the guest. What the guest has added to one of its counters stays. Those that run elsewhere need
 * none.
 */
static void offsets_add(uint64_t ticks)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        uint64_t offset = 0;

        if (!vcpu_place_elsewhere(cpu->cpu_index)) {
            offset_call(cpu, KVM_GET_DEVICE_ATTR, &offset);
            offset += ticks;
            offset_call(cpu, KVM_SET_DEVICE_ATTR, &offset);
        }
    }
}

static void add(uint64_t step, uint64_t skew)
{
    qemu_mutex_lock(&counter.adding);
    if (kvm_enabled()) {
        offsets_add(step + skew);
        qatomic_set(&counter.skewed, counter.skewed + skew);
    }
    qatomic_set(&counter.total, counter.total + step);
    qemu_mutex_unlock(&counter.adding);
}

static void step_all(CPUState *cpu, run_on_cpu_data data)
{
    add(counter.step, counter.skew);
    qatomic_store_release(&counter.steps, false);
}

static uint64_t skew_due(void)
{
    if (!kvm_enabled()) {
        return 0;
    }
    return (cpu_get_host_ticks() - counter.began) / 1000000 * vcpu_place->skew_ppm - qatomic_read(&counter.skewed);
}

/* With all of this host's vCPUs out of the guest; by TCG all see it at once. */
static void order(uint64_t step)
{
    CPUState *cpu;

    counter.step = step;
    counter.skew = skew_due();
    if (!counter.step && !counter.skew) {
        return;
    }
    if (!kvm_enabled()) {
        add(step, 0);
        return;
    }
    qatomic_set(&counter.steps, true);
    CPU_FOREACH(cpu) {
        if (!vcpu_place_elsewhere(cpu->cpu_index)) {
            async_safe_run_on_cpu(cpu, step_all, RUN_ON_CPU_NULL);
            return;
        }
    }
}

/* ---- exchanges ---- */

static void ask(uint64_t now)
{
    uint8_t body[CLOCK_BYTES];
    struct vcpu_frame f = {
        .type = VCPU_CLOCK,
        .value = vcpu_clock_wants(&counter.clock, now),
        .body = body,
        .body_bytes = sizeof(body),
    };

    counter.asked = now;
    vcpu_store_le(body, now, 8);
    vcpu_router_send(vcpu_place->router, 0, &f);
}

static void answer(const struct vcpu_frame *f, uint64_t came)
{
    uint8_t body[ANSWER_BYTES];
    struct vcpu_frame is = {
        .type = VCPU_CLOCK_IS,
        .era = f->era,
        .body = body,
        .body_bytes = sizeof(body),
    };

    qemu_mutex_lock(&counter.lock);
    vcpu_clock_wanted(&counter.clock, f->value);
    is.value = counter.clock.shift;
    qemu_mutex_unlock(&counter.lock);
    memcpy(body, f->body, 8);
    vcpu_store_le(body + 8, came, 8);
    vcpu_store_le(body + 16, own(), 8);
    vcpu_router_answer(vcpu_place->router, f->from, &is);
}

void vcpu_counter_came(const struct vcpu_frame *f)
{
    uint64_t now = own();
    struct vcpu_clock_exchange x;

    /* The router is the caller's; who made it may not have had the time to say so. */
    if (!qatomic_read(&vcpu_place->router)) {
        return;
    }
    if (f->type == VCPU_CLOCK) {
        answer(f, now);
        return;
    }
    x = (struct vcpu_clock_exchange) {
        .sent = vcpu_load_le(f->body, 8),
        .came = vcpu_load_le(f->body + 8, 8),
        .left = vcpu_load_le(f->body + 16, 8),
        .back = now,
        .shift = f->value,
    };
    qemu_mutex_lock(&counter.lock);
    vcpu_clock_answered(&counter.clock, &x);
    qemu_mutex_unlock(&counter.lock);
}

static void *follow(void *opaque)
{
    uint64_t looked = own(), look;
    unsigned us = 0;

    rcu_register_thread();
    for (;; g_usleep(us)) {
        uint64_t now, step = 0, more;
        bool ordered = qatomic_load_acquire(&counter.steps);

        qemu_mutex_lock(&counter.lock);
        us = vcpu_place->node ? vcpu_clock_ask_us(&counter.clock) : UINT_MAX;
        now = own();
        if (vcpu_place->node && now - counter.asked >= counter.clock.hz / 1000000 * us) {
            ask(now);
        }
        look = counter.clock.hz / 1000 * VCPU_CLOCK_LOOK_MS;
        /* As many as would have been made, had this thread had its time. */
        for (int i = 0; !ordered && i < STEPS_MAX && now - looked >= look / 2; i++) {
            more = vcpu_clock_step(&counter.clock, now);
            step += more;
            looked = more ? looked + look : now;
        }
        qemu_mutex_unlock(&counter.lock);
        if (!ordered) {
            order(step);
        }
        us = MIN(us, VCPU_CLOCK_LOOK_MS * 1000);
    }
    return NULL;
}

/* ---- the beginning ---- */

/* Both clocks at once. */
static void sample(uint64_t *ticks, int64_t *ns)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < SAMPLES; i++) {
        uint64_t before = cpu_get_host_ticks();
        int64_t at = get_clock();
        uint64_t took = cpu_get_host_ticks() - before;

        if (took < least) {
            least = took;
            *ticks = before;
            *ns = at;
        }
    }
}

static uint64_t rate(void)
{
    uint64_t ticks, ticks_end;
    int64_t ns, ns_end;

    sample(&ticks, &ns);
    g_usleep(RATE_NS / 1000);
    sample(&ticks_end, &ns_end);
    return (double)(ticks_end - ticks) * 1e9 / (ns_end - ns);
}

/* What a guest has added to its counters is no part of a new beginning. */
static void reset(void *opaque)
{
    CPUState *cpu;

    qemu_mutex_lock(&counter.adding);
    CPU_FOREACH(cpu) {
        uint64_t offset = counter.total + counter.skewed;

        if (!vcpu_place_elsewhere(cpu->cpu_index)) {
            offset_call(cpu, KVM_SET_DEVICE_ATTR, &offset);
        }
    }
    qemu_mutex_unlock(&counter.adding);
}

void vcpu_counter_init(void)
{
    qemu_mutex_init(&counter.lock);
    qemu_mutex_init(&counter.adding);
    counter.began = cpu_get_host_ticks();
    vcpu_clock_init(&counter.clock, rate());
    if (kvm_enabled()) {
        qemu_register_reset(reset, NULL);
    }
}

void vcpu_counter_begin(void)
{
    QemuThread thread;

    if (vcpu_place->map->nodes > 1) {
        qemu_thread_create(&thread, "dsm-vcpus/clock", follow, NULL, QEMU_THREAD_DETACHED);
    }
}

bool vcpu_counter_is_set(void)
{
    enum vcpu_clock_state state;
    uint64_t now, shift = 0;
    double ppm = 0;
    bool set, was_set;

    if (!vcpu_place->node) {
        return true;
    }
    qemu_mutex_lock(&counter.lock);
    now = own();
    was_set = counter.clock.set;
    state = was_set ? VCPU_CLOCK_KNOWS : vcpu_clock_state(&counter.clock, now, &ppm);
    set = was_set || vcpu_clock_set(&counter.clock, now);
    if (set && !was_set) {
        shift = counter.clock.shift;
    }
    qemu_mutex_unlock(&counter.lock);
    if (state == VCPU_CLOCK_RATES_DIFFER) {
        error_report("dsm-vcpus: node 0's time stamp counter runs %+.0f ppm faster than this host's, and they cannot be "
                     "one counter", ppm);
        exit(1);
    }
    if (shift) {
        add(shift, 0);
    }
    return set;
}

void vcpu_counter_figures(struct vcpu_counter_figures *figures)
{
    const struct vcpu_clock *c = &counter.clock;
    double us;

    qemu_mutex_lock(&counter.lock);
    us = c->hz / 1e6;
    *figures = (struct vcpu_counter_figures) {
        .ahead = (int64_t)(qatomic_read(&counter.total) + skew_at(cpu_get_host_ticks())) / us,
        .exchanges = c->exchanges,
        .quickest = c->took_min / us,
        .stepped = c->stepped / us,
        .apart = c->skew_max / us,
        .error = c->error_max / us,
    };
    qemu_mutex_unlock(&counter.lock);
}
