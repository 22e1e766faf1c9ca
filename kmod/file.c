// SPDX-License-Identifier: GPL-2.0
/*
 * A region as a file: opened by its path /dev/gvm/NAME, by GIANTVM_JOIN, or again through /proc. It
 * can be mapped shared, read (to inspect a guest), and have holes punched into it (a balloon's
 * pages, freed on every node).
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "chardev.h"
#include "compat.h"
#include "frames.h"
#include "kvm.h"
#include "region.h"
#include "sleep.h"

#define RETRY_MS 20 /* after the core had no memory */

/* The region, counted as opened; NULL if it has been left and only its inode remains. */
static struct gvm_region *inode_open(struct inode *inode)
{
	struct gvm_region *region = inode->i_private;

	if (S_ISCHR(inode->i_mode))
		return gvm_chardev_open(iminor(inode));
	return gvm_region_opened_get(region) ? region : NULL;
}

static int region_open(struct inode *inode, struct file *file)
{
	struct gvm_region *region = inode_open(inode);

	if (!region)
		return -ENXIO;
	kref_get(&region->ref);
	file->private_data = region;
	file->f_mapping = region->inode->i_mapping;
	return 0;
}

static int region_release(struct inode *inode, struct file *file)
{
	struct gvm_region *region = file->private_data;

	atomic_dec(&region->opened);
	gvm_region_put(region);
	return 0;
}

static int region_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct gvm_region *region = file->private_data;
	int err;

	/* A private copy of a page would be coherent with nothing. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_pgoff > region->pages || vma_pages(vma) > region->pages - vma->vm_pgoff)
		return -ENXIO;
	if (!gvm_kvm_permits())
		return -EOPNOTSUPP;
	err = gvm_kvm_mapped(vma->vm_mm);
	if (err)
		return err;
	/* DONTEXPAND also keeps mlock() from holding references, and huge pages away. */
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTCOPY | VM_DONTDUMP);
	vma->vm_ops = &gvm_region_faults;
	return 0;
}

static loff_t region_llseek(struct file *file, loff_t offset, int whence)
{
	struct gvm_region *region = file->private_data;

	return fixed_size_llseek(file, offset, whence, region->pages << PAGE_SHIFT);
}

/* A request to the core, under its lock. 1: done; 0: under way, complete() tells; or an errno. */
typedef int page_ask(struct gvm_region *region, u64 page, u64 begun_ms);

/*
 * Makes the request once, and waits for complete(). 1: it was done at once; 0: it has completed;
 * -EAGAIN: call again; -EINTR: killed, as a page's home may never answer; or the request's errno.
 */
static int page_wait(struct gvm_region *region, u64 page, page_ask *ask, u64 begun_ms)
{
	struct gvm_sleeper sleeper = {};
	struct gvm_batch batch;
	bool again;
	int said;

	gvm_region_enter(region, &batch);
	/* Before the core is asked: where this node is the home, it may answer at once. */
	gvm_sleeper_add(region, &sleeper, page);
	said = region->leaving ? -EIO : ask(region, page, begun_ms);
	/* Retried: no memory, or a fault of this node on the page is under way. */
	again = said == -ENOMEM || said == -EBUSY;
	if (said && !again)
		gvm_sleeper_remove(&sleeper);
	gvm_region_leave(region, &batch);
	if (said && !again)
		return said;
	gvm_sleeper_sleep(region, &sleeper, TASK_KILLABLE,
			  again ? msecs_to_jiffies(RETRY_MS) : MAX_SCHEDULE_TIMEOUT);
	if (!again && sleeper.woken)
		return sleeper.err;
	return fatal_signal_pending(current) ? -EINTR : -EAGAIN;
}

static int ask_read(struct gvm_region *region, u64 page, u64 begun_ms)
{
	if (gvm_region_error(region, page, begun_ms) == -EIO)
		return -EIO;
	return ivy_fault(region->core, page, IVY_LOOK);
}

static int read_page(struct gvm_region *region, u64 page, void *to)
{
	u64 begun_ms = gvm_region_now_ms();
	struct folio *frame;
	int right;

	/* Until it is here, and does not go again meanwhile. */
	do {
		right = page_wait(region, page, ask_read, begun_ms);
		if (right < 0 && right != -EAGAIN)
			return right;
		frame = right == 1 ? gvm_frame_lock(region, page, IVY_S) : NULL;
	} while (!frame);
	memcpy(to, folio_address(frame), PAGE_SIZE);
	folio_unlock(frame);
	folio_put(frame);
	return 0;
}

/* To inspect a guest. Each page is copied at one moment, but not all pages at the same one. */
static ssize_t region_read(struct kiocb *kiocb, struct iov_iter *to)
{
	struct gvm_region *region = kiocb->ki_filp->private_data;
	loff_t size = region->pages << PAGE_SHIFT;
	void *copy = (void *)__get_free_page(GFP_KERNEL);
	ssize_t done = 0;
	int err = copy ? 0 : -ENOMEM;

	while (!err && iov_iter_count(to) && kiocb->ki_pos < size) {
		size_t offset = kiocb->ki_pos & ~PAGE_MASK, copied;
		size_t bytes = min_t(size_t, PAGE_SIZE - offset, iov_iter_count(to));

		err = read_page(region, kiocb->ki_pos >> PAGE_SHIFT, copy);
		if (err)
			break;
		copied = copy_to_iter(copy + offset, bytes, to);
		if (copied < bytes)
			err = -EFAULT;
		kiocb->ki_pos += copied;
		done += copied;
	}
	free_page((unsigned long)copy);
	return done ?: err;
}

static int ask_discard(struct gvm_region *region, u64 page, u64 begun_ms)
{
	return ivy_discard(region->core, page); /* complete() clears a noted error */
}

static int discard_page(struct gvm_region *region, u64 page)
{
	int done;

	do
		done = page_wait(region, page, ask_discard, 0);
	while (done == -EAGAIN);
	return min(done, 0);
}

/* Whole pages only: a part of a page at either end keeps its contents. */
static long region_discard(struct gvm_region *region, u64 offset, u64 bytes)
{
	u64 page, end;
	int err = 0;

	if (offset + bytes < offset)
		return -EINVAL;
	page = offset / PAGE_SIZE + !!(offset % PAGE_SIZE);
	end = min((offset + bytes) / PAGE_SIZE, region->pages);
	for (; page < end && !err; page++)
		err = discard_page(region, page);
	return err;
}

static long region_fallocate(struct file *file, int mode, loff_t offset, loff_t bytes)
{
	if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	return region_discard(file->private_data, offset, bytes);
}

static long file_info(struct gvm_region *region, void __user *argument)
{
	struct giantvm_region_info info = {
		.abi = GIANTVM_ABI,
		.size_bytes = region->pages << PAGE_SHIFT,
	};

	strscpy(info.name, region->name, sizeof(info.name));
	return copy_to_user(argument, &info, sizeof(info)) ? -EFAULT : 0;
}

static long file_discard(struct file *file, void __user *argument)
{
	struct giantvm_range range;

	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (copy_from_user(&range, argument, sizeof(range)))
		return -EFAULT;
	return region_discard(file->private_data, range.offset_bytes, range.size_bytes);
}

/* A list of ranges on its way to the user. */
struct lost_list {
	struct giantvm_range __user *out;
	u32 nr, room; /* nr: without `last` */
	struct giantvm_range last; /* may still grow */
};

/* 1: there is no room for the page. */
static int lost_add(struct lost_list *list, u64 page)
{
	u64 offset = page << PAGE_SHIFT;

	if (list->last.size_bytes && list->last.offset_bytes + list->last.size_bytes != offset) {
		if (list->nr + 1 == list->room)
			return 1;
		if (copy_to_user(&list->out[list->nr], &list->last, sizeof(list->last)))
			return -EFAULT;
		list->nr++;
		list->last.size_bytes = 0;
	}
	if (!list->last.size_bytes)
		list->last.offset_bytes = offset;
	list->last.size_bytes += PAGE_SIZE;
	return 0;
}

/* Adds a bounded number of pages from *from on. 1: the list is full; *from is where to go on. */
static int lost_some(struct gvm_region *region, struct lost_list *list, u64 *from, u64 *pages)
{
	u32 nr, i;
	int err;

	spin_lock_bh(&region->lock);
	nr = ivy_lost(region->core, from, pages, PAGE_SIZE / sizeof(*pages));
	spin_unlock_bh(&region->lock);
	for (i = 0; i < nr; i++) {
		err = lost_add(list, pages[i]);
		if (err) {
			*from = pages[i];
			return err;
		}
	}
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

static long file_lost(struct gvm_region *region, void __user *argument)
{
	struct lost_list list = {};
	struct giantvm_lost lost;
	int err = 0;
	u64 *pages, from;

	if (copy_from_user(&lost, argument, sizeof(lost)))
		return -EFAULT;
	if (lost.reserved || !lost.nr_ranges || lost.offset_bytes & ~PAGE_MASK)
		return -EINVAL;
	pages = (u64 *)__get_free_page(GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	list.out = u64_to_user_ptr(lost.ranges);
	list.room = lost.nr_ranges;
	from = lost.offset_bytes >> PAGE_SHIFT;
	while (!err && from < region->pages)
		err = lost_some(region, &list, &from, pages);
	free_page((unsigned long)pages);
	if (err < 0)
		return err;
	if (list.last.size_bytes &&
	    copy_to_user(&list.out[list.nr++], &list.last, sizeof(list.last)))
		return -EFAULT;
	lost.nr_ranges = list.nr;
	lost.offset_bytes = min(from, region->pages) << PAGE_SHIFT;
	return copy_to_user(argument, &lost, sizeof(lost)) ? -EFAULT : 0;
}

static long region_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	switch (command) {
	case GIANTVM_DISCARD:
		return file_discard(file, (void __user *)argument);
	case GIANTVM_REGION_INFO:
		return file_info(file->private_data, (void __user *)argument);
	case GIANTVM_LOST:
		return file_lost(file->private_data, (void __user *)argument);
	}
	return -ENOTTY;
}

const struct file_operations gvm_region_files = {
	.owner = THIS_MODULE,
	.open = region_open,
	.release = region_release,
	.mmap = region_mmap,
	.read_iter = region_read,
	.llseek = region_llseek,
	.fallocate = region_fallocate,
	.unlocked_ioctl = region_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
