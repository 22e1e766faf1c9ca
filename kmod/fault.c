// SPDX-License-Identifier: GPL-2.0
/*
 * Faults on a region's mappings.
 *
 * ->fault asks the core for the right, waits for it, and returns the page locked: the kernel maps
 * it before the page is unlocked, and so before any later revocation. At first, for a few ms, it
 * waits with the lock that the kernel took for the fault: usually the page arrives within that
 * time, and the access need not fault again. After that it drops the lock, where the fault allows
 * that, and waits without it.
 *
 * ->page_mkwrite, the upgrade of a page that is mapped read-only, never waits: 6.1 does not let it
 * drop the lock, and the kernel's reference to the page would look like a pin. Without the right it
 * unmaps the page, so that the access faults again in ->fault, which can wait. An instruction that
 * reads before it writes may fault again for the read, which is granted at once, and so loop: so
 * the page is marked (FRAME_UPGRADE), and the next fault on it, read or write, asks for the right
 * to write.
 *
 * An access of the kernel's own may hold pins of other pages, taken one after the other by one
 * call: two nodes that pin the same pages in different orders would deadlock. The owner of a pin is
 * not known. So when other nodes have waited long enough for pages that are pinned here, such a
 * fault fails: a caller that pins goes on with the pages that it has, and retries the rest; a copy
 * ends short. KVM is exempt: it pins one page at a time, and the error would end its guest.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>

#include "compat.h"
#include "frames.h"
#include "kvm.h"
#include "region.h"
#include "sleep.h"
#include "trace.h"

#define RETRY_MS 20 /* after the core had no memory */
#define GLANCE_MS 4 /* first wait, with the lock held: changes of the mappings wait as long */
#define ERROR_MS 500 /* an error noted for a fault holds this long for the retried fault */

/*
 * Asks the core: an answer of ivy_fault(), or -EDEADLK: an earlier try of this fault has waited too
 * long, and must not wait again. If the fault has to wait (0, -ENOMEM), `sleeper` has been added.
 */
static int fault_ask(struct gvm_region *region, u64 page, enum ivy_access access, bool upgrade,
		     struct gvm_sleeper *sleeper)
{
	struct gvm_batch batch;
	int noted, err = -EIO;

	gvm_region_enter(region, &batch);
	if (sleeper)
		gvm_sleeper_add(region, sleeper, page);
	if (!upgrade && xa_get_mark(&region->frames, page, FRAME_UPGRADE)) {
		xa_clear_mark(&region->frames, page, FRAME_UPGRADE);
		access = IVY_WRITE;
	}
	noted = gvm_region_error(region, page, gvm_region_now_ms() - ERROR_MS);
	if (!region->leaving && noted != -EIO)
		err = ivy_fault(region->core, page, access);
	if (!err && noted && sleeper && sleeper->may_pin && sleeper->tried) {
		gvm_region_error_clear(region, page);
		err = noted;
	}
	if (!err && upgrade)
		xa_set_mark(&region->frames, page, FRAME_UPGRADE);
	if (!err)
		gvm_contended_count(&region->contended, page);
	if (sleeper && err && err != -ENOMEM)
		gvm_sleeper_remove(sleeper);
	gvm_region_leave(region, &batch);
	return err;
}

static enum ivy_access fault_access(const struct vm_fault *vmf)
{
	if (vmf->flags & FAULT_FLAG_WRITE)
		return IVY_WRITE;
	return vmf->vma->vm_flags & VM_WRITE ? IVY_READ : IVY_LOOK;
}

static void fault_count(struct gvm_region *region, bool write)
{
	spin_lock_bh(&region->lock);
	if (write)
		region->stats.write_faults++;
	else
		region->stats.read_faults++;
	spin_unlock_bh(&region->lock);
}

/*
 * A kill ends every wait. An ordinary signal ends that of a user-mode fault only: the kernel's own
 * accesses would fault again at once, and spin until the page is there.
 */
static unsigned int fault_task_state(unsigned int flags)
{
	return flags & FAULT_FLAG_INTERRUPTIBLE && flags & FAULT_FLAG_USER ? TASK_INTERRUPTIBLE :
									     TASK_KILLABLE;
}

static vm_fault_t region_fault(struct vm_fault *vmf)
{
	struct gvm_region *region = vmf->vma->vm_file->private_data;
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	/* With RETRY_NOWAIT the request is sent, but the fault does not wait for the answer. */
	bool waits = !(vmf->flags & FAULT_FLAG_ALLOW_RETRY && vmf->flags & FAULT_FLAG_RETRY_NOWAIT);
	unsigned int state = fault_task_state(vmf->flags);
	struct gvm_sleeper sleeper = {
		.may_pin = !(vmf->flags & FAULT_FLAG_USER) && !gvm_runs_guest(),
		.tried = vmf->flags & FAULT_FLAG_TRIED,
	};
	bool glanced = false;
	u64 page = vmf->pgoff;
	struct folio *frame;
	struct file *file;
	long timeout;
	int err;

	if (page >= region->pages || !gvm_kvm_permits())
		return VM_FAULT_SIGBUS;
	fault_count(region, write);
	for (;;) {
		err = fault_ask(region, page, fault_access(vmf), false, waits ? &sleeper : NULL);
		trace_gvm_fault(region->tag, page, write, err);
		if (err == 1) {
			frame = gvm_frame_lock(region, page, write ? IVY_M : IVY_S);
			if (!frame)
				continue; /* it was revoked again meanwhile */
			vmf->page = folio_page(frame, 0);
			return VM_FAULT_LOCKED;
		}
		if (err && err != -ENOMEM)
			return VM_FAULT_SIGBUS;
		if (!waits)
			return VM_FAULT_RETRY;
		if (!err && !glanced) {
			glanced = true;
			gvm_sleeper_sleep(region, &sleeper, state, msecs_to_jiffies(GLANCE_MS));
			continue;
		}
		timeout = err ? msecs_to_jiffies(RETRY_MS) : MAX_SCHEDULE_TIMEOUT;
		if (vmf->flags & FAULT_FLAG_ALLOW_RETRY) {
			/*
			 * The mapping may be unmapped while its lock is dropped. The reference to
			 * its file keeps the region joined, and this module loaded, until the
			 * return.
			 */
			file = get_file(vmf->vma->vm_file);
			release_fault_lock(vmf);
			gvm_sleeper_sleep(region, &sleeper, state, timeout);
			fput(file);
			return VM_FAULT_RETRY;
		}
		gvm_sleeper_sleep(region, &sleeper, state, timeout);
		if (sleeper.err || signal_pending_state(state, current))
			return VM_FAULT_SIGBUS; /* without ALLOW_RETRY there is no other way out */
	}
}

static vm_fault_t region_page_mkwrite(struct vm_fault *vmf)
{
	struct gvm_region *region = vmf->vma->vm_file->private_data;
	struct folio *frame = page_folio(vmf->page);
	u64 page = vmf->pgoff;
	int err;

	fault_count(region, true);
	err = fault_ask(region, page, IVY_WRITE, true, NULL);
	trace_gvm_fault(region->tag, page, true, err);
	if (err == 1) {
		folio_lock(frame);
		if (gvm_frame_right(region, page, frame) >= IVY_M)
			return VM_FAULT_LOCKED;
		folio_unlock(frame);
	}
	unmap_mapping_pages(region->inode->i_mapping, page, 1, false);
	return VM_FAULT_NOPAGE;
}

/* A mapping is split, or moved. */
static void region_vma_open(struct vm_area_struct *vma)
{
	gvm_kvm_mapped(vma->vm_mm); /* counted before: this needs no memory */
}

static void region_vma_close(struct vm_area_struct *vma)
{
	gvm_kvm_unmapped(vma->vm_mm);
}

const struct vm_operations_struct gvm_region_faults = {
	.open = region_vma_open,
	.close = region_vma_close,
	.fault = region_fault,
	.page_mkwrite = region_page_mkwrite,
};
