// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_io.c - see vcpu_io.h. */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "hw/core/cpu.h"

#include "vcpu_io.h"
#include "vcpu_place.h"
#include "vcpu_router.h"

#define PORTS         0x10000
#define OVER_DEVICES  5000
#define UNDER_RAM     (-100)

/* A region that forwards: its offset in its space. */
struct window {
    MemoryRegion mr;
    hwaddr base;
    bool port;
};

/*
 * What no vCPU does (the monitor's accesses) finds no device; nor does what ends
 * behind the last port, which QEMU leaves to the region in which it begins.
 */
static bool can_forward(const struct window *w, hwaddr at, unsigned size)
{
    return current_cpu && vcpu_place->router && !(w->port && at + size > PORTS);
}

/*
 * There is no answer: node 0 is lost, or the guest has ended. The vCPU does not go on with what
 * no device said; it stops here, or with the process.
 */
static void hold(CPUState *cpu)
{
    while (!qatomic_read(&cpu->stop)) {
        g_usleep(1000);
    }
}

/*
 * QEMU 7.2 takes the big lock for every access to a region; the vCPU gives it
 * up while it waits. Nothing of QEMU's that it relies on can change meanwhile:
 * the lock was taken for this callback alone.
 */
static int call_unlocked(struct vcpu_frame *f, struct vcpu_frame *answer,
                         uint8_t *body)
{
    bool locked = qemu_mutex_iothread_locked();
    int err;

    if (locked) {
        qemu_mutex_unlock_iothread();
    }
    err = vcpu_router_call(vcpu_place->router, 0, f, answer, body);
    if (err) {
        hold(current_cpu);
    }
    if (locked) {
        qemu_mutex_lock_iothread();
    }
    return err;
}

static struct vcpu_frame frame_of(const struct window *w, hwaddr at,
                                  unsigned size, unsigned type)
{
    return (struct vcpu_frame) {
        .type = type,
        .flags = ctz32(size) | (w->port ? VCPU_IO_PORT : 0),
        .cpu = current_cpu->cpu_index,
        .value = w->base + at,
    };
}

static MemTxResult window_read(void *opaque, hwaddr at, uint64_t *value,
                               unsigned size, MemTxAttrs attrs)
{
    const struct window *w = opaque;
    uint8_t body[VCPU_BODY_MAX], one[2] = { 1 };
    struct vcpu_frame f, answer;

    *value = ~0ull;
    if (!can_forward(w, at, size)) {
        return MEMTX_DECODE_ERROR;
    }
    f = frame_of(w, at, size, VCPU_IO_READ);
    f.body = one;
    f.body_bytes = sizeof(one);
    if (call_unlocked(&f, &answer, body)) {
        return MEMTX_ERROR;
    }
    *value = vcpu_load_le(body, size);
    return answer.value == VCPU_IO_OK ? MEMTX_OK :
           answer.value == VCPU_IO_ERROR ? MEMTX_ERROR : MEMTX_DECODE_ERROR;
}

/*
 * No write is posted, though one of memory could be: what this vCPU stores next may be seen on another
 * node, by a vCPU whose access to the same device would come first.
 */
static MemTxResult window_write(void *opaque, hwaddr at, uint64_t value,
                                unsigned size, MemTxAttrs attrs)
{
    const struct window *w = opaque;
    uint8_t body[VCPU_BODY_MAX], bytes[8];
    struct vcpu_frame f, answer;

    if (!can_forward(w, at, size)) {
        return MEMTX_DECODE_ERROR;
    }
    f = frame_of(w, at, size, VCPU_IO_WRITE);
    vcpu_store_le(bytes, value, size);
    f.body = bytes;
    f.body_bytes = size;
    return call_unlocked(&f, &answer, body) ? MEMTX_ERROR : MEMTX_OK;
}

static const MemoryRegionOps window_ops = {
    .read_with_attrs = window_read,
    .write_with_attrs = window_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

static void window_add(MemoryRegion *space, hwaddr base, uint64_t size,
                       int priority, bool port)
{
    struct window *w = g_new0(struct window, 1);

    w->base = base;
    w->port = port;
    memory_region_init_io(&w->mr, NULL, &window_ops, w, "dsm-vcpus", size);
    memory_region_add_subregion_overlap(space, base, &w->mr, priority);
}

void vcpu_io_forward(void)
{
    MemoryRegion *memory = get_system_memory();

    window_add(get_system_io(), 0, PORTS, INT_MAX, true);
    window_add(memory, 0xa0000, 0x20000, OVER_DEVICES, false);    /* VGA */
    window_add(memory, 0xfec00000, 0x1000, OVER_DEVICES, false);  /* IOAPIC */
    window_add(memory, 0xfed00000, 0x1000, OVER_DEVICES, false);  /* HPET */
    window_add(memory, 0, 1ull << 46, UNDER_RAM, false);          /* BARs */
}

void vcpu_io_serve(const struct vcpu_frame *f)
{
    bool write = f->type == VCPU_IO_WRITE;
    unsigned size = vcpu_frame_size(f), count = vcpu_frame_count(f);
    uint8_t bytes[VCPU_BODY_MAX];
    struct vcpu_frame done = {
        .type = VCPU_IO_DONE,
        .cpu = f->cpu,
        .era = f->era,
        .seq = f->seq,
        .body = bytes,
    };
    MemTxResult result = MEMTX_OK;

    if (write) {
        memcpy(bytes, f->body, f->body_bytes);
    }
    for (unsigned i = 0; i < count; i++) {
        result |= address_space_rw(f->flags & VCPU_IO_PORT ? &address_space_io :
                                                             &address_space_memory,
                                   f->value, MEMTXATTRS_UNSPECIFIED,
                                   bytes + i * size, size, write);
    }
    if (f->flags & VCPU_IO_POSTED) {
        return;
    }
    done.body_bytes = write ? 0 : size * count;
    done.value = result == MEMTX_OK ? VCPU_IO_OK :
                 result & MEMTX_DECODE_ERROR ? VCPU_IO_NO_DEVICE : VCPU_IO_ERROR;
    vcpu_router_answer(vcpu_place->router, f->from, &done);
}
