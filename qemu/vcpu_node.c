// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vcpu_node.c - the object dsm-vcpus: this QEMU is one of several that run one guest.
 *
 *     -object secret,id=k,file=KEYFILE
 *     -object 'dsm-vcpus,id=v,node=1,cpus=0-3@0;4-7@1,hosts=10.0.0.1:9999;10.0.0.2:9999,key=k'
 *
 * The machine is the same on all nodes; node 0 has the devices and what the guest boots. When the
 * machine is complete, a node waits for all others; node 0 then lets the vCPUs begin, on all.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qapi/error.h"
#include "qapi/qapi-types-qom.h"
#include "crypto/secret.h"
#include "qom/object_interfaces.h"
#include "sysemu/kvm.h"
#include "sysemu/runstate.h"
#include "sysemu/sysemu.h"
#include "exec/cpu-common.h"

#include "addr.h"
#include "vcpu_counter.h"
#include "vcpu_io.h"
#include "vcpu_irq.h"
#include "vcpu_irq_kvm.h"
#include "vcpu_life.h"
#include "vcpu_machine.h"
#include "vcpu_place.h"
#include "vcpu_router.h"

/* accel/tcg/translate-all.c */
extern bool tb_source_is_shared;

#define TYPE_DSM_VCPUS "dsm-vcpus"
OBJECT_DECLARE_SIMPLE_TYPE(DsmVcpus, DSM_VCPUS)

#define START_MS  60000

struct DsmVcpus {
    Object parent_obj;

    uint16_t node;
    char *cpus, *hosts, *key;

    struct vcpu_place place;
    struct vcpu_map map;
    struct vcpu_addr *addrs;
    Notifier done, leaving;
    DsmVcpusOnLoss on_loss;
};

/* ---- what other nodes say ---- */

static void frame_came(void *opaque, const struct vcpu_frame *f)
{
    switch (f->type) {
    case VCPU_IO_READ:
    case VCPU_IO_WRITE:
        vcpu_io_serve(f);
        break;
    case VCPU_IRQ:
    case VCPU_NMI:
    case VCPU_SMI:
    case VCPU_INIT:
    case VCPU_SIPI:
        if (kvm_enabled()) {
            vcpu_irq_kvm_came(f);
        } else {
            vcpu_irq_came(f);
        }
        break;
    case VCPU_APIC:
    case VCPU_RTE:
    case VCPU_EOI:
    case VCPU_PCI_CONFIG:
        vcpu_irq_came(f);
        break;
    case VCPU_STOP:
    case VCPU_STOPPED:
    case VCPU_CONT:
    case VCPU_RESET:
    case VCPU_READY:
    case VCPU_ASK:
    case VCPU_END:
        vcpu_life_came(f);
        break;
    case VCPU_CLOCK:
    case VCPU_CLOCK_IS:
        vcpu_counter_came(f);
        break;
    default:
        break;
    }
}

static void peer_lost(void *opaque, unsigned node, const char *why)
{
    vcpu_life_lost(node, why);
}

static void noted(void *opaque, const char *text)
{
    fprintf(stderr, "gvm: %s\n", text);
}

static void reader_thread(void *opaque, bool begins)
{
    vcpu_place_serves = begins;
    if (begins) {
        rcu_register_thread();
    } else {
        rcu_unregister_thread();
    }
}

/* ---- the beginning and the end ---- */

static void router_start(DsmVcpus *v)
{
    g_autofree uint8_t *key = NULL;
    char error[VCPU_ROUTER_ERROR_BYTES];
    size_t key_bytes;
    struct vcpu_router_conf conf = {
        .node = v->node,
        .map = &v->map,
        .addrs = v->addrs,
        .start_ms = START_MS,
        .opaque = v,
        .frame = frame_came,
        .thread = reader_thread,
        .lost = peer_lost,
        .note = noted,
    };
    struct vcpu_router *router;

    if (qcrypto_secret_lookup(v->key, &key, &key_bytes, &error_fatal)) {
        exit(1);
    }
    vcpu_machine_digest(conf.digest);
    vcpu_counter_init();
    conf.key = key;
    conf.key_bytes = key_bytes;
    if (vcpu_router_create(&conf, &router, error)) {
        error_report("dsm-vcpus: %s", error);
        exit(1);
    }
    /* Nobody runs yet who could need the lock; what comes waits for it. */
    qatomic_set(&v->place.router, router);
    vcpu_router_wait_up(router, UINT32_MAX / 2);
    vcpu_counter_begin();
    vcpu_life_begin(v->on_loss == DSM_VCPUS_ON_LOSS_PAUSE);
}

static void machine_done(Notifier *notifier, void *data)
{
    DsmVcpus *v = container_of(notifier, DsmVcpus, done);

    vcpu_machine_check(&v->place);
    if (kvm_enabled()) {
        vcpu_irq_kvm_begin();
    }
    if (v->node) {
        vcpu_io_forward();
    }
    router_start(v);
}

/* The guest has ended here, and its QEMU ends. */
static void leaving(Notifier *notifier, void *data)
{
    vcpu_life_leaving();
}

/* "unix:/path", or an address or a host's name, with a port. */
static bool addr_of(const char *text, struct vcpu_addr *to, const char **why)
{
    struct addr addr;

    *why = "neither an address nor a host's name, with a port";
    if (g_str_has_prefix(text, "unix:")) {
        return !vcpu_addr_unix(text + strlen("unix:"), to);
    }
    memset(to, 0, sizeof(*to));
    return strchr(text, ':') && !addr_parse(text, &addr) && !addr_resolve(&addr, &to->sa, &to->bytes, why);
}

static void vcpus_complete(UserCreatable *uc, Error **errp)
{
    DsmVcpus *v = DSM_VCPUS(uc);
    char error[VCPU_MAP_ERROR_BYTES];
    g_auto(GStrv) hosts = NULL;
    const char *why;

    if (vcpu_place) {
        error_setg(errp, "there can be one dsm-vcpus only");
        return;
    }
    if (!v->cpus || !v->hosts || !v->key) {
        error_setg(errp, "dsm-vcpus needs cpus=, hosts= and key=");
        return;
    }
    if (vcpu_map_parse(v->cpus, &v->map, error)) {
        error_setg(errp, "cpus=%s: %s", v->cpus, error);
        return;
    }
    if (!vcpu_map_runs(&v->map, 0, 0)) {
        error_setg(errp, "cpus=%s: vCPU 0 has to run on node 0, which has the "
                   "interrupt lines of old devices", v->cpus);
        return;
    }
    hosts = g_strsplit(v->hosts, ";", 0);
    if (g_strv_length(hosts) != v->map.nodes || v->node >= v->map.nodes) {
        error_setg(errp, "cpus= has nodes 0 to %u, hosts= has %u, node= is %u",
                   v->map.nodes - 1, g_strv_length(hosts), v->node);
        return;
    }
    v->addrs = g_new0(struct vcpu_addr, v->map.nodes);
    for (unsigned i = 0; i < v->map.nodes; i++) {
        if (!addr_of(hosts[i], &v->addrs[i], &why)) {
            error_setg(errp, "hosts=: '%s': %s", hosts[i], why);
            return;
        }
    }
    v->place.node = v->node;
    v->place.map = &v->map;
    /* Exit notifiers and threads still have it when QEMU frees its objects. */
    object_ref(OBJECT(v));
    vcpu_place = &v->place;
    if (v->node) {
        autostart = 0;    /* node 0 says when */
    }
    tb_source_is_shared = true;    /* by TCG on all nodes; no matter with KVM */
    v->done.notify = machine_done;
    qemu_add_machine_init_done_notifier(&v->done);
    v->leaving.notify = leaving;
    qemu_add_exit_notifier(&v->leaving);
}

static bool vcpus_can_be_deleted(UserCreatable *uc)
{
    return false;
}

#define STRING_PROPERTY(name)                                               \
    static char *get_##name(Object *obj, Error **errp)                      \
    {                                                                       \
        return g_strdup(DSM_VCPUS(obj)->name);                              \
    }                                                                       \
    static void set_##name(Object *obj, const char *value, Error **errp)    \
    {                                                                       \
        g_free(DSM_VCPUS(obj)->name);                                       \
        DSM_VCPUS(obj)->name = g_strdup(value);                             \
    }
STRING_PROPERTY(cpus)
STRING_PROPERTY(hosts)
STRING_PROPERTY(key)

static int get_on_loss(Object *obj, Error **errp)
{
    return DSM_VCPUS(obj)->on_loss;
}

static void set_on_loss(Object *obj, int value, Error **errp)
{
    DSM_VCPUS(obj)->on_loss = value;
}

static bool get_shadow(Object *obj, Error **errp)
{
    return DSM_VCPUS(obj)->place.shadow;
}

static void set_shadow(Object *obj, bool value, Error **errp)
{
    DSM_VCPUS(obj)->place.shadow = value;
}

static void vcpus_class_init(ObjectClass *oc, void *data)
{
    UserCreatableClass *ucc = USER_CREATABLE_CLASS(oc);

    ucc->complete = vcpus_complete;
    ucc->can_be_deleted = vcpus_can_be_deleted;
    object_class_property_add_str(oc, "cpus", get_cpus, set_cpus);
    object_class_property_add_str(oc, "hosts", get_hosts, set_hosts);
    object_class_property_add_str(oc, "key", get_key, set_key);
    object_class_property_add_bool(oc, "x-shadow-paging", get_shadow, set_shadow);
    object_class_property_add_enum(oc, "on-loss", "DsmVcpusOnLoss",
                                   &DsmVcpusOnLoss_lookup, get_on_loss, set_on_loss);
}

static void vcpus_init(Object *obj)
{
    object_property_add_uint16_ptr(obj, "node", &DSM_VCPUS(obj)->node,
                                   OBJ_PROP_FLAG_READWRITE);
    object_property_add_uint16_ptr(obj, "x-skew-ppm", &DSM_VCPUS(obj)->place.skew_ppm,
                                   OBJ_PROP_FLAG_READWRITE);
}

static const TypeInfo vcpus_info = {
    .name = TYPE_DSM_VCPUS,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(DsmVcpus),
    .instance_init = vcpus_init,
    .class_init = vcpus_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_USER_CREATABLE },
        { }
    }
};

static void register_types(void)
{
    type_register_static(&vcpus_info);
}

type_init(register_types);
