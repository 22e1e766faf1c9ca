// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_machine.c - see vcpu_machine.h. */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "cpu.h"
#include "hw/boards.h"
#include "hw/i386/pc.h"
#include "hw/loader.h"
#include "hw/pci/pci.h"
#include "hw/pci/pci_bus.h"
#include "migration/blocker.h"
#include "sysemu/kvm.h"
#include "sysemu/runstate.h"
#include "sysemu/tcg.h"

#include "vcpu_machine.h"
#include "vcpu_map.h"
#include "vcpu_place.h"

/* The last of it, which every firmware has: each node has its own. */
#define FIRMWARE_AT     0xffff0000
#define FIRMWARE_BYTES  0x10000
#define APIC_ID_MAX     254

G_GNUC_PRINTF(1, 2) static void refuse(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    error_vreport(format, args);
    va_end(args);
    exit(1);
}

/* A part of a node's state is no state of the guest's. */
static void refuse_migration(void)
{
    Error *reason = NULL, *error = NULL;

    if (runstate_check(RUN_STATE_INMIGRATE)) {
        refuse("dsm-vcpus: a guest whose vCPUs run on several hosts cannot be "
               "migrated: -incoming");
    }
    error_setg(&reason, "A guest whose vCPUs run on several hosts can be neither "
               "saved nor migrated: each host has a part of its state");
    if (migrate_add_blocker(reason, &error)) {
        refuse("dsm-vcpus: %s", error_get_pretty(error));
    }
}

/* What the chipset itself has: functions of the first slot and of the ISA bridge's. */
static bool of_chipset(const PCMachineState *pcms, const PCIDevice *dev)
{
    int bridge = g_str_has_prefix(MACHINE_GET_CLASS(pcms)->name, "pc-q35") ? 31 : 1;

    return PCI_SLOT(dev->devfn) == 0 || PCI_SLOT(dev->devfn) == bridge;
}

static int refuse_child(Object *child, void *opaque)
{
    DeviceState *dev = (DeviceState *)object_dynamic_cast(child, TYPE_DEVICE);

    if (dev) {
        refuse("dsm-vcpus: node 0 has all devices, and this node can have no %s",
               object_get_typename(child));
    }
    return 0;
}

/* Its interrupts and its writes to RAM would be a second machine's. */
static void refuse_devices(MachineState *ms)
{
    PCMachineState *pcms = PC_MACHINE(ms);
    Object *root = OBJECT(ms);

    if (ms->kernel_filename) {
        refuse("dsm-vcpus: node 0 has what the guest boots, and this node can have "
               "no -kernel");
    }
    object_child_foreach(object_resolve_path_component(root, "peripheral"),
                         refuse_child, NULL);
    object_child_foreach(object_resolve_path_component(root, "peripheral-anon"),
                         refuse_child, NULL);
    for (int i = 0; i < ARRAY_SIZE(pcms->bus->devices); i++) {
        PCIDevice *dev = pcms->bus->devices[i];

        if (dev && !of_chipset(pcms, dev)) {
            refuse("dsm-vcpus: node 0 has all devices, and this node can have no %s "
                   "(-nodefaults)", object_get_typename(OBJECT(dev)));
        }
    }
}

static bool is_on(const char *parameter)
{
    g_autofree char *path = g_strdup_printf("/sys/module/%s", parameter), *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) && text[0] && strchr("Y1", text[0]);
}

/*
 * Whether the guest's page tables are walked by the processor: KVM's copies of them (shadow
 * pages) do not follow what another node writes there.
 */
static bool walked_by_processor(void)
{
    return is_on("kvm_intel/parameters/ept") || is_on("kvm_amd/parameters/npt");
}

/* Right, but all are slow. Whoever runs this by `gvm run` has been asked. */
static void warn_of_walks(void)
{
    bool amd = is_on("kvm_amd/parameters/npt");

    if (amd || is_on("kvm_intel/parameters/eptad")) {
        warn_report("dsm-vcpus: this host's processor writes to a guest's page tables when it walks "
                    "them, so that hosts take them from each other until next to nothing else is "
                    "done (%s)", amd ? "AMD's all do" : "modprobe -r kvm_intel && modprobe kvm_intel eptad=0");
    }
}

static void check_kvm(const struct vcpu_place *place)
{
    const CPUX86State *env = &X86_CPU(first_cpu)->env;
    CPUState *cpu;

    if (!kvm_irqchip_is_split()) {
        refuse("dsm-vcpus: with KVM the APICs have to be in the kernel and the IOAPIC in QEMU "
               "(-machine kernel-irqchip=split)");
    }
    if (!walked_by_processor() && !place->shadow) {
        refuse("dsm-vcpus: this host's KVM has no nested paging (ept, npt), and does not see what "
               "others write to the guest's page tables");
    }
    warn_of_walks();
    if (env->features[FEAT_1_ECX] & CPUID_EXT_VMX ||
        env->features[FEAT_8000_0001_ECX] & CPUID_EXT3_SVM) {
        refuse("dsm-vcpus: a guest that has guests of its own would have copies of their page "
               "tables, which do not follow what others write there (-cpu ...,vmx=off,svm=off)");
    }
    if (X86_CPU(first_cpu)->hyperv_features || X86_CPU(first_cpu)->hyperv_passthrough) {
        refuse("dsm-vcpus: what KVM offers to Windows (hv-...) reaches the vCPUs of one host alone");
    }
    if (env->user_tsc_khz) {
        refuse("dsm-vcpus: the counter's rate is that of the hosts (-cpu ...,tsc-frequency=)");
    }
    CPU_FOREACH(cpu) {
        if (X86_CPU(cpu)->apic_id > APIC_ID_MAX) {
            refuse("dsm-vcpus: a vCPU's APIC has the id %u, and %u is the highest that can be "
                   "sent to", X86_CPU(cpu)->apic_id, APIC_ID_MAX);
        }
    }
}

void vcpu_machine_check(const struct vcpu_place *place)
{
    MachineState *ms = MACHINE(qdev_get_machine());

    if (!object_dynamic_cast(OBJECT(ms), TYPE_PC_MACHINE)) {
        refuse("dsm-vcpus: the machine is %s, and only pc and q35 can do this",
               MACHINE_GET_CLASS(ms)->name);
    }
    if (kvm_enabled()) {
        check_kvm(place);
    } else if (!tcg_enabled()) {
        refuse("dsm-vcpus: only KVM and TCG can do this");
    }
    if (ms->smp.cpus != place->map->cpus) {
        refuse("dsm-vcpus: the guest has %u vCPUs, and cpus= has %u", ms->smp.cpus,
               place->map->cpus);
    }
    if (ms->smp.max_cpus != ms->smp.cpus) {
        refuse("dsm-vcpus: vCPUs cannot be plugged in (maxcpus=%u)", ms->smp.max_cpus);
    }
    if (ms->maxram_size != ms->ram_size) {
        refuse("dsm-vcpus: memory cannot be plugged in, since all nodes would have to "
               "have it at once (-m maxmem)");
    }
    if (x86_machine_is_smm_enabled(X86_MACHINE(ms))) {
        refuse("dsm-vcpus: system management mode is no affair of several hosts "
               "(-machine smm=off)");
    }
    if (PC_MACHINE(ms)->vmport == ON_OFF_AUTO_ON) {
        refuse("dsm-vcpus: VMware's port is a look at registers, which another host "
               "may have (-machine vmport=off)");
    }
    if (place->node) {
        refuse_devices(ms);
    }
    refuse_migration();
}

static uint64_t digest_of(const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    return vcpu_digest(text, strlen(text));
}

void vcpu_machine_digest(uint64_t digest[VCPU_DIGESTS])
{
    MachineState *ms = MACHINE(qdev_get_machine());
    X86MachineState *x86ms = X86_MACHINE(ms);
    const CPUX86State *env = &X86_CPU(first_cpu)->env;
    g_autoptr(GString) features = g_string_new(ms->cpu_type);
    const void *firmware = rom_ptr(FIRMWARE_AT, FIRMWARE_BYTES);

    for (int i = 0; i < FEATURE_WORDS; i++) {
        g_string_append_printf(features, " %" PRIx64, env->features[i]);
    }
    digest[VCPU_SAME_MACHINE] = digest_of("%s %s %u %u %u %u %" PRIx64,
                                          MACHINE_GET_CLASS(ms)->name,
                                          kvm_enabled() ? "kvm" : "tcg",
                                          ms->smp.sockets, ms->smp.dies, ms->smp.cores,
                                          ms->smp.threads,
                                          firmware ? vcpu_digest(firmware, FIRMWARE_BYTES) : 0);
    digest[VCPU_SAME_CPU] = digest_of("%s %x %x", features->str, env->cpuid_version,
                                      env->cpuid_level);
    digest[VCPU_SAME_RAM] = digest_of("%" PRIu64 " %" PRIu64, (uint64_t)ms->ram_size,
                                      (uint64_t)x86ms->below_4g_mem_size);
}
