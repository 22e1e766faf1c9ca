// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_life.c - see vcpu_life.h. */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "block/aio.h"
#include "hw/core/cpu.h"
#include "qapi/error.h"
#include "qapi/qapi-events-run-state.h"
#include "sysemu/cpus.h"
#include "sysemu/runstate.h"

#include "vcpu_counter.h"
#include "vcpu_life.h"
#include "vcpu_map.h"
#include "vcpu_place.h"
#include "vcpu_router.h"

#define EXIT_LOST    125
#define OBEYS_MS     30000    /* a node that does not is lost, though it still says that it lives */
#define LOOK_MS      100
#define FAREWELL_MS  2000
#define EVENT_US     500000
#define CLOCK_MS     5    /* how often a node looks whether it knows the counter well enough to begin */

static struct {
    bool begun, pauses;                     /* atomic */
    bool ending;                            /* atomic: the guest has ended, and so may others */
    bool lost[VCPU_NODES_MAX], any_lost;    /* atomic */
    bool obeyed[VCPU_NODES_MAX];            /* STOPPED or READY has come */
    QemuCond changed;
    GQueue orders;                          /* of node 0, for the main loop: types of frames */
    QEMUTimer *later;                       /* obeys them */
} life;

static struct vcpu_router *router(void)
{
    return vcpu_place ? qatomic_read(&vcpu_place->router) : NULL;
}

/* Whether this is node 0, of a guest that all nodes have begun. */
static bool leads(void)
{
    return router() && !vcpu_place->node && qatomic_read(&life.begun);
}

/*
 * A vCPU of this node cannot go on: KVM has an error, such as a page of the guest's memory that was
 * lost with the host that had it. Of node 0 that stops all of them; another node ends the guest, which
 * would go on without it.
 */
static void state_changed(void *opaque, bool running, RunState state)
{
    if (state == RUN_STATE_INTERNAL_ERROR && vcpu_place_forwards()) {
        g_autofree char *why = g_strdup_printf("node %u cannot go on", vcpu_place->node);

        vcpu_life_lost(vcpu_place->node, why);
    }
}

static void obey(void *opaque);

void vcpu_life_begin(bool pauses)
{
    qemu_cond_init(&life.changed);
    g_queue_init(&life.orders);
    life.later = timer_new_ms(QEMU_CLOCK_REALTIME, obey, NULL);
    qatomic_set(&life.pauses, pauses);
    qatomic_set(&life.begun, true);
    qemu_add_vm_change_state_handler(state_changed, NULL);
}

/* ---- node 0 ---- */

static void tell_all(unsigned type, uint64_t value)
{
    struct vcpu_frame f = { .type = type, .value = value };

    vcpu_router_send_all(router(), &f);
}

/* Another node that has not; 0: there is none. */
static unsigned who_has_not(void)
{
    for (unsigned node = 1; node < vcpu_place->map->nodes; node++) {
        if (!life.obeyed[node] && !qatomic_read(&life.lost[node])) {
            return node;
        }
    }
    return 0;
}

static void wait_for_all(const char *what)
{
    int64_t until = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + OBEYS_MS;
    unsigned node;

    while ((node = who_has_not())) {
        if (qemu_clock_get_ms(QEMU_CLOCK_REALTIME) > until) {
            g_autofree char *why = g_strdup_printf("node %u did not %s within %u ms", node, what,
                                                   OBEYS_MS);
            vcpu_life_lost(node, why);
        } else {
            qemu_cond_timedwait_iothread(&life.changed, LOOK_MS);
        }
    }
}

void vcpu_life_stopping(void)
{
    if (leads()) {
        memset(life.obeyed, 0, sizeof(life.obeyed));
        tell_all(VCPU_STOP, 0);
    }
}

void vcpu_life_stopped(void)
{
    if (leads()) {
        wait_for_all("stop its vCPUs");
    }
}

void vcpu_life_resuming(void)
{
    static bool before;

    if (!leads()) {
        return;
    }
    /* A node that says that it stands has been reset for the first time, which takes away what has come for its vCPUs. */
    if (!before) {
        before = true;
        vcpu_life_stopping();
        vcpu_life_stopped();
    }
    tell_all(VCPU_CONT, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
}

void vcpu_life_resetting(void)
{
    if (leads()) {
        memset(life.obeyed, 0, sizeof(life.obeyed));
        vcpu_router_era_begin(router(), vcpu_router_era(router()) + 1);
        tell_all(VCPU_RESET, 0);
    }
}

void vcpu_life_was_reset(void)
{
    if (leads()) {
        wait_for_all("reset its vCPUs");
    }
}

static void asked(unsigned cause)
{
    switch (cause) {
    case VCPU_CAUSE_SHUTDOWN:
        qemu_system_shutdown_request(SHUTDOWN_CAUSE_GUEST_SHUTDOWN);
        break;
    case VCPU_CAUSE_PANIC:
        qemu_system_guest_panicked(NULL);
        break;
    default:
        qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
        break;
    }
}

/* ---- the others ---- */

bool vcpu_life_asks(unsigned cause)
{
    struct vcpu_frame f = { .type = VCPU_ASK, .value = cause };

    if (!vcpu_place_forwards()) {
        return false;
    }
    if (current_cpu && router()) {
        f.cpu = current_cpu->cpu_index;
        vcpu_router_send(router(), 0, &f);
        cpu_stop_current();
    }
    return true;
}

bool vcpu_life_refuses(Error **errp)
{
    if (vcpu_place_forwards()) {
        error_setg(errp, "This is node %u of a guest whose vCPUs run on several hosts: do it on "
                   "node 0", vcpu_place->node);
        return true;
    }
    if (qatomic_read(&life.any_lost)) {
        error_setg(errp, "A node that ran vCPUs of the guest was lost");
        return true;
    }
    return false;
}

static void answer(unsigned type)
{
    struct vcpu_frame f = { .type = type };

    vcpu_router_send(router(), 0, &f);
}

/* In the main loop, one after the other. */
static void obey(void *opaque)
{
    gpointer order;

    while ((order = g_queue_pop_head(&life.orders))) {
        switch (GPOINTER_TO_UINT(order)) {
        case VCPU_STOP:
            vm_stop(RUN_STATE_PAUSED);
            answer(VCPU_STOPPED);
            break;
        case VCPU_RESET:
            qemu_system_reset(SHUTDOWN_CAUSE_GUEST_RESET);
            answer(VCPU_READY);
            break;
        case VCPU_CONT:
            if (!vcpu_counter_is_set()) {
                g_queue_push_head(&life.orders, order);
                timer_mod(life.later, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + CLOCK_MS);
                return;
            }
            if (!qatomic_read(&life.any_lost)) {
                vm_start();
            }
            break;
        }
    }
}

void vcpu_life_came(const struct vcpu_frame *f)
{
    if (f->type == VCPU_RESET) {
        vcpu_router_era_begin(router(), f->era);
    }
    if (f->type == VCPU_END && f->value == VCPU_CAUSE_LOST) {
        g_autofree char *why = g_strdup_printf("node %u cannot go on", f->from);

        vcpu_life_lost(f->from, why);
        return;
    }
    qemu_mutex_lock_iothread();
    switch (f->type) {
    case VCPU_STOP:
    case VCPU_CONT:
    case VCPU_RESET:
        g_queue_push_tail(&life.orders, GUINT_TO_POINTER(f->type));
        aio_bh_schedule_oneshot(qemu_get_aio_context(), obey, NULL);
        break;
    case VCPU_STOPPED:
    case VCPU_READY:
        life.obeyed[f->from] = true;
        qemu_cond_broadcast(&life.changed);
        break;
    case VCPU_ASK:
        if (f->era == vcpu_router_era(router())) {
            asked(f->value);
        }
        break;
    case VCPU_END:
        qatomic_set(&life.ending, true);
        qemu_system_shutdown_request(SHUTDOWN_CAUSE_HOST_QMP_QUIT);
        break;
    }
    qemu_mutex_unlock_iothread();
}

/* ---- the end ---- */

static void *end_anyway(void *opaque)
{
    g_usleep(EVENT_US);
    _exit(EXIT_LOST);
}

static void pause_for_good(void *opaque)
{
    vm_stop(RUN_STATE_INTERNAL_ERROR);
}

/* The big lock is not taken: whoever holds it may be what hangs. */
void vcpu_life_lost(unsigned node, const char *why)
{
    bool pauses = qatomic_read(&life.begun) && qatomic_read(&life.pauses);
    struct vcpu_frame f = { .type = VCPU_END, .value = VCPU_CAUSE_LOST };
    QemuThread thread;
    CPUState *cpu;

    if (qatomic_read(&life.ending)) {
        return;
    }
    qatomic_set(&life.lost[node], true);
    if (qatomic_xchg(&life.any_lost, true)) {
        return;
    }
    CPU_FOREACH(cpu) {
        cpu->stop = true;
        qemu_cpu_kick(cpu);
    }
    if (node == vcpu_place->node && router()) {    /* paused, it would be missed by nobody */
        vcpu_router_send_all(router(), &f);
    }
    fprintf(stderr, "gvm: %s; the guest had vCPUs there and %s\n", why,
            pauses ? "is paused for good" : "ends");
    if (!pauses) {
        qemu_thread_create(&thread, "dsm-vcpus/end", end_anyway, NULL, QEMU_THREAD_DETACHED);
    }
    qapi_event_send_dsm_vcpus_lost(node, why);
    if (!pauses) {
        _exit(EXIT_LOST);
    }
    aio_bh_schedule_oneshot(qemu_get_aio_context(), pause_for_good, NULL);
}

void vcpu_life_leaving(void)
{
    struct vcpu_frame f = { .type = VCPU_END, .value = VCPU_CAUSE_SHUTDOWN };

    if (!router()) {
        return;
    }
    /* One that has heard it says so, too, to those that have not yet. */
    if (qatomic_xchg(&life.ending, true) || !vcpu_place->node) {
        vcpu_router_send_all(router(), &f);
        vcpu_router_flush(router(), FAREWELL_MS);
    }
}
