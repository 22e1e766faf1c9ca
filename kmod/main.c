// SPDX-License-Identifier: GPL-2.0
/*
 * giantvm_kvm: one coherent memory over many hosts, for unmodified KVM and QEMU and for any
 * program.
 *
 * From the top down:
 *
 *	device.c	/dev/giantvm
 *	receive.c	what arrives on connections; handshake.c: how one begins; agree.c: that all
 *			nodes mean the same by a region's name
 *	region.c	one region's life
 *	env.c		what the protocol core asks for; clock.c: when it is called
 *	file.c, fault.c	a region as the kernel's mm sees it
 *	sleep.c		faults that wait for a page
 *	opening.c	when a home takes its share into use; tell.c: what is told about regions
 *	evict.c, sweep.c, pinned.c
 *			how pages go
 *	enter.c		the lock of a core, and what is done when it is let go of; revoke.c
 *	regions.c	the list of all; frames.c: resident pages; inode.c, chardev.c: its inode and
 *			/dev/gvm/NAME
 *	cluster.c	the nodes; peer.c: one of them; link.c: a connection; auth.c, frame.c
 *	ivy/		the protocol core: see IVY.md
 */
#include <linux/module.h>

#include "chardev.h"
#include "device.h"
#include "evict.h"
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
	err = gvm_evict_init();
	if (err)
		goto exit_stats;
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
	gvm_stats_exit();
	gvm_workers_exit();
}

module_init(giantvm_init);
module_exit(giantvm_exit);

MODULE_DESCRIPTION("Coherent memory over many hosts, for KVM guests and programs");
MODULE_AUTHOR("GVM contributors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
