// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_irq.c - see vcpu_irq.h. */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "hw/boards.h"
#include "hw/i386/ioapic.h"
#include "hw/i386/ioapic_internal.h"
#include "hw/i386/pc.h"
#include "hw/pci/pci.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci-host/q35.h"

#include "vcpu_irq.h"
#include "vcpu_place.h"
#include "vcpu_router.h"

static bool send_to(int cpu_index, struct vcpu_frame f)
{
    if (!vcpu_place_elsewhere(cpu_index) || !vcpu_place->router) {
        return false;
    }
    f.cpu = cpu_index;
    vcpu_router_send(vcpu_place->router, vcpu_place->map->node[cpu_index], &f);
    return true;
}

bool vcpu_irq_vector(int cpu_index, unsigned vector, bool level)
{
    if (vector < VCPU_VECTOR_MIN) {
        return vcpu_place_elsewhere(cpu_index);    /* no interrupt to anybody */
    }
    return send_to(cpu_index, (struct vcpu_frame) {
        .type = VCPU_IRQ,
        .flags = level ? VCPU_IRQ_LEVEL : 0,
        .value = vector,
    });
}

bool vcpu_irq_signal(int cpu_index, int mask)
{
    return send_to(cpu_index, (struct vcpu_frame) {
        .type = mask == CPU_INTERRUPT_INIT ? VCPU_INIT :
                mask == CPU_INTERRUPT_NMI ? VCPU_NMI : VCPU_SMI,
    });
}

bool vcpu_irq_startup(int cpu_index, unsigned vector)
{
    return send_to(cpu_index, (struct vcpu_frame) {
        .type = VCPU_SIPI,
        .value = vector,
    });
}

bool vcpu_irq_eoi(int cpu_index, unsigned vector)
{
    struct vcpu_frame f = {
        .type = VCPU_EOI,
        .cpu = cpu_index,
        .value = vector,
    };

    if (!vcpu_place_forwards()) {
        return false;
    }
    /* The first vectors, which a vCPU may send to itself, are no device's. */
    if (vcpu_place->router && !vcpu_place_elsewhere(cpu_index) &&
        vector >= VCPU_VECTOR_MIN) {
        vcpu_router_send(vcpu_place->router, 0, &f);
    }
    return true;
}

void vcpu_irq_apic(int cpu_index, uint32_t id, uint32_t ldr, uint32_t dfr,
                   uint64_t base)
{
    struct vcpu_apic apic = { .id = id, .ldr = ldr, .dfr = dfr };
    uint8_t body[VCPU_APIC_BYTES];
    struct vcpu_frame f = {
        .type = VCPU_APIC,
        .cpu = cpu_index,
        .value = base,
        .body = body,
        .body_bytes = sizeof(body),
    };

    if (!vcpu_place || !vcpu_place->router || vcpu_place_elsewhere(cpu_index)) {
        return;
    }
    vcpu_apic_encode(&apic, body);
    vcpu_router_send_all(vcpu_place->router, &f);
}

void vcpu_irq_pci_config(unsigned at, uint32_t value, unsigned bytes)
{
    uint8_t body[2];
    struct vcpu_frame f = {
        .type = VCPU_PCI_CONFIG,
        .flags = ctz32(bytes),
        .value = bytes < 4 ? value & ((1u << (8 * bytes)) - 1) : value,
        .body = body,
        .body_bytes = sizeof(body),
    };

    if (!vcpu_place || !vcpu_place->router || vcpu_place->node ||
        at + bytes > VCPU_PCI_CONFIG_BYTES || bytes == 3) {
        return;
    }
    vcpu_store_le(body, at, 2);
    vcpu_router_send_all(vcpu_place->router, &f);
}

void vcpu_irq_routes(const uint64_t *entries)
{
    static uint64_t told[IOAPIC_NUM_PINS];
    static uint32_t told_era;
    uint8_t body[4];
    struct vcpu_frame f = {
        .type = VCPU_RTE,
        .body = body,
        .body_bytes = sizeof(body),
    };

    if (!vcpu_place || !vcpu_place->router || vcpu_place->node) {
        return;
    }
    /* After a reset all nodes have what they began with. */
    if (told_era != vcpu_router_era(vcpu_place->router)) {
        told_era = vcpu_router_era(vcpu_place->router);
        memset(told, 0, sizeof(told));
    }
    for (unsigned pin = 0; pin < IOAPIC_NUM_PINS; pin++) {
        f.value = entries[pin] & ~(uint64_t)IOAPIC_LVT_REMOTE_IRR;
        if (f.value != told[pin]) {
            told[pin] = f.value;
            vcpu_store_le(body, pin, sizeof(body));
            vcpu_router_send_all(vcpu_place->router, &f);
        }
    }
}

static void pci_config_came(const struct vcpu_frame *f)
{
    PCIDevice *bridge = PC_MACHINE(qdev_get_machine())->bus->devices[0];
    unsigned at = vcpu_load_le(f->body, 2);

    /* q35: this node's ECAM would show its own bus, and hide node 0's. */
    if (at >= MCH_HOST_BRIDGE_PCIEXBAR &&
        at < MCH_HOST_BRIDGE_PCIEXBAR + MCH_HOST_BRIDGE_PCIEXBAR_SIZE) {
        return;
    }
    bridge->config_write(bridge, at, f->value, vcpu_frame_size(f));
}

void vcpu_irq_came(const struct vcpu_frame *f)
{
    qemu_mutex_lock_iothread();
    /* A reset may have come first while this thread waited. */
    if (f->era == vcpu_router_era(vcpu_place->router)) {
        if (f->type == VCPU_EOI) {
            ioapic_eoi_broadcast(f->value);
        } else if (f->type == VCPU_PCI_CONFIG) {
            pci_config_came(f);
        } else if (f->type == VCPU_RTE) {
            ioapic_from_node(vcpu_load_le(f->body, 4), f->value);
        } else {
            apic_from_node(f->cpu, f);
        }
    }
    qemu_mutex_unlock_iothread();
}
