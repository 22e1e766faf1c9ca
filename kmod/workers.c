// SPDX-License-Identifier: GPL-2.0
/* Workqueues: see workers.h. */
#include <linux/errno.h>

#include "workers.h"

struct workqueue_struct *gvm_workqueue, *gvm_urgent, *gvm_agreements, *gvm_evictions;

int gvm_workers_init(void)
{
	gvm_workqueue = alloc_workqueue("giantvm", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	gvm_urgent = alloc_workqueue("giantvm-urgent", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	gvm_agreements = alloc_workqueue("giantvm-agree", WQ_UNBOUND, 1);
	gvm_evictions = alloc_workqueue("giantvm-evict", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (gvm_workqueue && gvm_urgent && gvm_agreements && gvm_evictions)
		return 0;
	gvm_workers_exit();
	return -ENOMEM;
}

void gvm_workers_exit(void)
{
	if (gvm_evictions)
		destroy_workqueue(gvm_evictions);
	if (gvm_agreements)
		destroy_workqueue(gvm_agreements);
	if (gvm_urgent)
		destroy_workqueue(gvm_urgent);
	if (gvm_workqueue)
		destroy_workqueue(gvm_workqueue);
}
