// SPDX-License-Identifier: GPL-2.0
/* /dev/giantvm and its calls: see uapi/giantvm.h. */
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/uaccess.h>

#include "cluster.h"
#include "device.h"
#include "region.h"
#include "stats.h"

/* What the node is part of, and which regions there are, changes under this alone. */
static DEFINE_MUTEX(device_mutex);
static struct gvm_cluster *the_cluster;

static long device_up(void __user *argument)
{
	struct giantvm_up up;
	bool same;
	int err;

	if (copy_from_user(&up, argument, sizeof(up)))
		return -EFAULT;
	if (!the_cluster)
		return cluster_create(&up, &the_cluster);
	err = cluster_same(the_cluster, &up, &same);
	if (err)
		return err;
	return same ? 0 : -EBUSY;
}

static long device_down(void)
{
	int err = regions_part();

	if (err)
		return err;
	cluster_destroy(the_cluster);
	the_cluster = NULL;
	return 0;
}

static long device_join(void __user *argument)
{
	struct giantvm_region wish;
	struct gvm_region *region;
	int err, fd;

	if (copy_from_user(&wish, argument, sizeof(wish)))
		return -EFAULT;
	if (!the_cluster)
		return -ENOTCONN;
	err = region_join(the_cluster, &wish, &region);
	if (err)
		return err;
	fd = region_descriptor(region, wish.open_flags);
	region_put(region);
	return fd;
}

static long device_leave(void __user *argument)
{
	struct giantvm_leave leave;

	if (copy_from_user(&leave, argument, sizeof(leave)))
		return -EFAULT;
	if (leave.reserved || strnlen(leave.name, sizeof(leave.name)) == sizeof(leave.name))
		return -EINVAL;
	return region_part(leave.name);
}

static long device_stats(void __user *argument)
{
	struct giantvm_stats stats;
	struct gvm_region *region;

	if (copy_from_user(&stats, argument, sizeof(stats)))
		return -EFAULT;
	if (strnlen(stats.name, sizeof(stats.name)) == sizeof(stats.name))
		return -EINVAL;
	region = region_find(stats.name);
	if (!region)
		return -ENOENT;
	stats_get(region, &stats);
	region_put(region);
	return copy_to_user(argument, &stats, sizeof(stats)) ? -EFAULT : 0;
}

static long device_call(unsigned int command, void __user *argument)
{
	switch (command) {
	case GIANTVM_UP:
		return device_up(argument);
	case GIANTVM_DOWN:
		return device_down();
	case GIANTVM_JOIN:
		return device_join(argument);
	case GIANTVM_LEAVE:
		return device_leave(argument);
	case GIANTVM_STATS:
		return device_stats(argument);
	}
	return -ENOTTY;
}

static long device_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	long result;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	result = mutex_lock_killable(&device_mutex);
	if (result)
		return result;
	result = device_call(command, (void __user *)argument);
	mutex_unlock(&device_mutex);
	return result;
}

static const struct file_operations device_files = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "giantvm",
	.fops = &device_files,
	.mode = 0600,
};

int device_init(void)
{
	return misc_register(&device);
}

void device_exit(void)
{
	misc_deregister(&device);
	WARN_ON(device_down());
}
