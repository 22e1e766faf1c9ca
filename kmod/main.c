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
	int err = workers_init();

	if (err)
		return err;
	stats_init();
	err = evict_init();
	if (err)
		goto exit_stats;
	err = chardevs_init(&region_files);
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
	workers_exit();
	return err;
}

static void __exit giantvm_exit(void)
{
	device_exit();
	chardevs_exit();
	evict_exit();
	stats_exit();
	workers_exit();
}

module_init(giantvm_init);
module_exit(giantvm_exit);

MODULE_DESCRIPTION("Coherent memory over many hosts, for KVM guests and programs");
MODULE_AUTHOR("GVM contributors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
