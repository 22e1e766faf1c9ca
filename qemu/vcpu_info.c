// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_info.c - `info vcpus-remote` of the monitor: what this node and the others have said to each other. */
#include "qemu/osdep.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"

#include "vcpu_counter.h"
#include "vcpu_map.h"
#include "vcpu_place.h"
#include "vcpu_router.h"

static void frames_print(Monitor *mon, const char *what, const uint64_t counts[VCPU_TYPES])
{
    monitor_printf(mon, "  %-9s", what);
    for (unsigned type = 0; type < VCPU_TYPES; type++) {
        if (counts[type] && vcpu_type_name(type)) {
            monitor_printf(mon, " %s %" PRIu64, vcpu_type_name(type), counts[type]);
        }
    }
    monitor_printf(mon, "\n");
}

static void peer_print(Monitor *mon, unsigned node)
{
    static const char *const states[] = {
        [VCPU_PEER_AWAITED] = "awaited",
        [VCPU_PEER_UP] = "connected",
        [VCPU_PEER_ENDED] = "lost",
    };
    struct vcpu_peer_stats s;
    enum vcpu_peer_state state;

    vcpu_router_stats(vcpu_place->router, node, &s, &state);
    monitor_printf(mon, "node %u: %s\n", node, states[state]);
    frames_print(mon, "sent", s.sent);
    frames_print(mon, "received", s.received);
    monitor_printf(mon, "  %-9s %" PRIu64 " sent, %" PRIu64 " received, %" PRIu64 " at most waiting\n", "bytes",
                   s.bytes_sent, s.bytes_received, s.queue_peak_bytes);
    monitor_printf(mon, "  %-9s %" PRIu64 " that waited, %.1f us each, %.1f at most\n", "accesses", s.calls,
                   s.calls ? s.call_ns / 1e3 / s.calls : 0, s.call_ns_max / 1e3);
    monitor_printf(mon, "  %-9s %" PRIu64 " merged interrupts, %" PRIu64 " frames of before a reset\n", "dropped",
                   s.merged, s.dropped);
}

/* Node 0 follows those that are ahead of it, and asks nobody. */
static void counter_print(Monitor *mon)
{
    struct vcpu_counter_figures f;

    vcpu_counter_figures(&f);
    monitor_printf(mon, "counter: the host's and %.1f us, %.1f us of steps", f.ahead, f.stepped);
    if (f.exchanges) {
        monitor_printf(mon, ", %.1f us apart at most, known to %.1f (%" PRIu64 " exchanges, the quickest %.1f us)", f.apart,
                       f.error, f.exchanges, f.quickest);
    }
    monitor_printf(mon, "\n");
}

void hmp_info_vcpus_remote(Monitor *mon, const QDict *qdict)
{
    char text[VCPU_MAP_TEXT_BYTES];

    if (!vcpu_place || !qatomic_read(&vcpu_place->router)) {
        monitor_printf(mon, "all vCPUs run here\n");
        return;
    }
    vcpu_map_text(vcpu_place->map, text);
    monitor_printf(mon, "this is node %u of %u (%s), after %u resets\n", vcpu_place->node, vcpu_place->map->nodes, text,
                   vcpu_router_era(vcpu_place->router));
    counter_print(mon);
    for (unsigned node = 0; node < vcpu_place->map->nodes; node++) {
        if (node != vcpu_place->node) {
            peer_print(mon, node);
        }
    }
}
