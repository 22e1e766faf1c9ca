// SPDX-License-Identifier: GPL-2.0
/*
 * giantvm_kvm: one coherent memory over many hosts, for unmodified KVM and QEMU and for any
 * program.
 *
 * From the top down:
 *
 *	device.c	/dev/giantvm
 *	receive.c	frames from peers; handshake.c: the start of a connection; agree.c:
 *			agreement on the region that a name stands for
 *	region_life.c	one region's life
 *	env.c		the protocol core's callbacks; clock.c: its ticks and holds
 *	file.c, fault.c	a region as the kernel's mm sees it; kvm.c: what KVM must not do with it
 *	sleep.c		faults that wait for a page
 *	opening.c	when a home opens its share; tell.c: frames about regions
 *	evict.c, sweep.c, pinned.c
 *			eviction, the end of a lease, pinned pages
 *	enter.c		the lock of a core, and its batch; revoke.c: taking mappings down
 *	regions.c	the list of regions; frames.c: resident pages; inode.c, chardev.c: its
 *			inode and /dev/gvm/NAME
 *	cluster.c	the nodes; peer.c: one of them; link.c: a connection; auth.c, frame.c
 *	ivy/		the protocol core: see IVY.md
 */
#include <linux/module.h>

#include "chardev.h"
#include "device.h"
#include "evict.h"
#include "kvm.h"
#include "region.h"
#include "stats.h"
#include "workers.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static int __init giantvm_init(void)
{
	int err = gvm_workers_init();

	if (err)
		return err;
	gvm_stats_init();
	err = gvm_kvm_init();
	if (err)
		goto exit_stats;
	err = gvm_evict_init();
	if (err)
		goto exit_kvm;
	err = gvm_chardevs_init(&gvm_region_files);
	if (err)
		goto exit_evict;
	err = gvm_device_init();
	if (err)
		goto exit_chardevs;
	return 0;

exit_chardevs:
	gvm_chardevs_exit();
exit_evict:
	gvm_evict_exit();
exit_kvm:
	gvm_kvm_exit();
exit_stats:
	gvm_stats_exit();
	gvm_workers_exit();
	return err;
}

static void __exit giantvm_exit(void)
{
	gvm_device_exit();
	gvm_chardevs_exit();
	gvm_evict_exit();
	gvm_kvm_exit();
	gvm_stats_exit();
	gvm_workers_exit();
}

module_init(giantvm_init);
module_exit(giantvm_exit);

MODULE_DESCRIPTION("Coherent memory over many hosts, for KVM guests and programs");
MODULE_AUTHOR("GVM contributors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
