// SPDX-License-Identifier: GPL-2.0
/*
 * giantvm_kvm: one coherent memory over many hosts, for unmodified KVM and QEMU and for any
 * program.
 *
 *	device.c	/dev/giantvm
 *	cluster.c	the nodes; peer.c: one of them; link.c: a connection; handshake.c, auth.c,
 *			frame.c: how it begins, and its bytes
 *	region.c	regions; inode.c, file.c, fault.c: as the kernel's mm sees them;
 *			chardev.c: /dev/gvm/NAME
 *	sleep.c		who waits for a page
 *	frames.c	resident pages; revoke.c, evict.c: how they go
 *	env.c		what the protocol core asks for; receive.c, clock.c: what it is told
 *	ivy*.c		the protocol core: see IVY.md
 */
#include <linux/module.h>
#include <linux/workqueue.h>

#include "chardev.h"
#include "cluster.h"
#include "device.h"
#include "evict.h"
#include "stats.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

struct workqueue_struct *gvm_workqueue, *gvm_evictions;

static void workqueues_destroy(void)
{
	if (gvm_evictions)
		destroy_workqueue(gvm_evictions);
	if (gvm_workqueue)
		destroy_workqueue(gvm_workqueue);
}

static int __init giantvm_init(void)
{
	int err;

	gvm_workqueue = alloc_workqueue("giantvm", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	gvm_evictions = alloc_workqueue("giantvm-evict", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	err = -ENOMEM;
	if (!gvm_workqueue || !gvm_evictions)
		goto destroy_workqueues;
	stats_init();
	err = evict_init();
	if (err)
		goto exit_stats;
	err = chardevs_init();
	if (err)
		goto exit_evict;
	err = device_init();
	if (err)
		goto exit_chardevs;
	return 0;

exit_chardevs:
	chardevs_exit();
exit_evict:
	evict_exit();
exit_stats:
	stats_exit();
destroy_workqueues:
	workqueues_destroy();
	return err;
}

static void __exit giantvm_exit(void)
{
	device_exit();
	chardevs_exit();
	evict_exit();
	stats_exit();
	workqueues_destroy();
}

module_init(giantvm_init);
module_exit(giantvm_exit);

MODULE_DESCRIPTION("Coherent memory over many hosts, for KVM guests and programs");
MODULE_AUTHOR("GVM contributors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
