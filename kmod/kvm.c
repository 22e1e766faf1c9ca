// SPDX-License-Identifier: GPL-2.0
/* KVM's shadow pages: see kvm.h. */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/tracepoint.h>
#include <linux/xarray.h>

#include "kvm.h"
#include "log.h"
#include "region.h"

struct kvm_vcpu;

static const struct {
	const char *module, *paging; /* paging: its parameter; shadow pages without */
} vendors[] = {
	{ "kvm_amd", "npt" },
	{ "kvm_intel", "ept" },
};

static DEFINE_XARRAY(mappers); /* by address of the mm_struct: how many mappings of regions */
static const char *forbidden; /* why regions cannot be mapped; NULL: they can */
static struct tracepoint *nested_exits; /* that is watched */

bool gvm_kvm_permits(void)
{
	const char *why = READ_ONCE(forbidden);

	if (why)
		gvm_warn("regions cannot be mapped on this host: %s\n", why);
	return !why;
}

/* ---- processes that map regions ---- */

static unsigned long mappings(struct mm_struct *mm)
{
	return xa_to_value(xa_load(&mappers, (unsigned long)mm));
}

int gvm_kvm_mapped(struct mm_struct *mm)
{
	lockdep_assert_held_write(&mm->mmap_lock); /* nobody else changes this entry */
	return xa_err(xa_store(&mappers, (unsigned long)mm, xa_mk_value(mappings(mm) + 1),
			       GFP_KERNEL));
}

void gvm_kvm_unmapped(struct mm_struct *mm)
{
	unsigned long left = mappings(mm) - 1;

	if (left)
		xa_store(&mappers, (unsigned long)mm, xa_mk_value(left), GFP_KERNEL);
	else
		xa_erase(&mappers, (unsigned long)mm);
}

/* ---- nested guests ---- */

/* A nested guest is left, in the task that runs it; it is not entered again once that is killed. */
static void nested_exit(void *unused, struct kvm_vcpu *vcpu, u32 isa)
{
	if (xa_empty(&mappers) || !mappings(current->mm) || fatal_signal_pending(current))
		return;
	gvm_warn("%s (%d) is killed: it maps a region and runs a nested guest, which would see old memory\n",
		 current->comm, task_pid_nr(current));
	send_sig(SIGKILL, current, 1);
}

static void nested_exits_watch(struct tracepoint *tracepoint, void *unused)
{
	if (!nested_exits && !strcmp(tracepoint->name, "kvm_nested_vmexit") &&
	    !tracepoint_probe_register(tracepoint, nested_exit, NULL))
		nested_exits = tracepoint;
}

static void nested_exits_ignore(void)
{
	if (nested_exits)
		tracepoint_probe_unregister(nested_exits, nested_exit, NULL);
	nested_exits = NULL;
}

/* Of a module that is there already, too: the kernel tells of these when this is registered. */
static int tracepoints_changed(struct notifier_block *block, unsigned long event, void *data)
{
	const struct tp_module *of = data;
	struct tracepoint *tracepoint;
	int i;

	for (i = 0; i < of->mod->num_tracepoints; i++) {
		tracepoint = tracepoint_ptr_deref(&of->mod->tracepoints_ptrs[i]);
		if (event == MODULE_STATE_COMING)
			nested_exits_watch(tracepoint, NULL);
		else if (event == MODULE_STATE_GOING && tracepoint == nested_exits)
			nested_exits_ignore();
	}
	return NOTIFY_OK;
}

static struct notifier_block tracepoints_block = { .notifier_call = tracepoints_changed };

/* ---- KVM's parameters ---- */

/* Whether a parameter, a bool or a number, is off. */
static bool parameter_off(const struct module *module, const char *name, char *page)
{
	const struct kernel_param *parameter;

	for (parameter = module->kp; parameter < module->kp + module->num_kp; parameter++)
		if (!strcmp(parameter->name, name))
			return parameter->ops->get(page, parameter) > 0 &&
			       (page[0] == 'N' || page[0] == '0');
	return false;
}

static const char *module_forbids(const struct module *module, const char *paging)
{
	char *page = (char *)__get_free_page(GFP_KERNEL);
	const char *why = NULL;

	if (!page)
		why = "no memory to look at KVM's parameters";
	else if (parameter_off(module, paging, page))
		why = "KVM uses shadow paging (ept=0 or npt=0): guests would see old memory";
	else if (!nested_exits && !parameter_off(module, "nested", page))
		why = "whether guests run nested ones cannot be watched: load KVM with nested=0";
	free_page((unsigned long)page);
	return why;
}

/* What is mapped already is unmapped: the next access faults, and is told. */
static void regions_unmap(void)
{
	struct gvm_region *region;

	for (region = gvm_region_next(NULL); region; region = gvm_region_next(region))
		unmap_mapping_range(region->inode->i_mapping, 0, 0, 1);
}

static int module_changed(struct notifier_block *block, unsigned long event, void *data)
{
	const struct module *module = data;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vendors); i++) {
		if (strcmp(module->name, vendors[i].module))
			continue;
		if (event == MODULE_STATE_LIVE)
			WRITE_ONCE(forbidden, module_forbids(module, vendors[i].paging));
		else if (event == MODULE_STATE_GOING)
			WRITE_ONCE(forbidden, NULL);
		if (!gvm_kvm_permits())
			regions_unmap();
	}
	return NOTIFY_OK;
}

static struct notifier_block module_block = { .notifier_call = module_changed };

/* KVM may have been loaded before, or be built in: then its parameters cannot be read. */
static void vendor_look(const char *name)
{
	struct kobject *found = kset_find_obj(THIS_MODULE->mkobj.kobj.kset, name);
	struct module *module;

	if (!found)
		return;
	module = container_of(found, struct module_kobject, kobj)->mod;
	if (module)
		module_changed(NULL, MODULE_STATE_LIVE, module);
	else
		WRITE_ONCE(forbidden, "KVM is built into the kernel, and not a module");
	kobject_put(found);
}

int gvm_kvm_init(void)
{
	unsigned int i;
	int err;

	for_each_kernel_tracepoint(nested_exits_watch, NULL);
	err = register_tracepoint_module_notifier(&tracepoints_block);
	if (err)
		goto ignore;
	err = register_module_notifier(&module_block);
	if (err)
		goto unregister_tracepoints;
	for (i = 0; i < ARRAY_SIZE(vendors); i++)
		vendor_look(vendors[i].module);
	return 0;

unregister_tracepoints:
	unregister_tracepoint_module_notifier(&tracepoints_block);
ignore:
	nested_exits_ignore();
	return err;
}

void gvm_kvm_exit(void)
{
	unregister_module_notifier(&module_block);
	unregister_tracepoint_module_notifier(&tracepoints_block);
	nested_exits_ignore();
	tracepoint_synchronize_unregister(); /* the probe may run still */
	xa_destroy(&mappers);
}
