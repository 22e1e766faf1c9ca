// SPDX-License-Identifier: GPL-2.0
/* The regions' devices: see chardev.h. */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

#include "chardev.h"
#include "compat.h"
#include "region.h"

static dev_t first_number;
static struct cdev numbers; /* all of the range */
static DEFINE_XARRAY_ALLOC(minors); /* minor number: region */
static u32 next_minor;
/*
 * Guards the minors, and is held while a device is created or destroyed: an open of a new device
 * finds its region.
 */
static DEFINE_MUTEX(chardevs_mutex);

static char *chardev_node(gvm_devnode_device *device, umode_t *mode)
{
	struct gvm_region *region = dev_get_drvdata(device);

	if (mode)
		*mode = 0600;
	return kasprintf(GFP_KERNEL, "gvm/%s", region->name);
}

static struct class chardevs = {
	.name = "giantvm",
	.devnode = chardev_node,
};

static dev_t chardev_number(const struct gvm_region *region)
{
	return MKDEV(MAJOR(first_number), region->minor);
}

static int chardev_add(struct gvm_region *region)
{
	struct device *device;
	int err;

	/*
	 * Cyclic, so that the device node of a region that was left is not soon another region's.
	 */
	err = xa_alloc_cyclic(&minors, &region->minor, region, XA_LIMIT(0, GIANTVM_REGIONS_MAX - 1),
			      &next_minor, GFP_KERNEL);
	if (err < 0)
		return err == -EBUSY ? -ENOSPC : err;
	device = device_create(&chardevs, NULL, chardev_number(region), region, "gvm-%s",
			       region->name);
	if (IS_ERR(device))
		xa_erase(&minors, region->minor);
	return PTR_ERR_OR_ZERO(device);
}

int gvm_chardev_create(struct gvm_region *region)
{
	int err;

	mutex_lock(&chardevs_mutex);
	err = chardev_add(region);
	mutex_unlock(&chardevs_mutex);
	return err;
}

void gvm_chardev_destroy(struct gvm_region *region)
{
	mutex_lock(&chardevs_mutex);
	device_destroy(&chardevs, chardev_number(region));
	xa_erase(&minors, region->minor);
	mutex_unlock(&chardevs_mutex);
}

struct gvm_region *gvm_chardev_open(unsigned int minor)
{
	struct gvm_region *region;

	mutex_lock(&chardevs_mutex);
	region = xa_load(&minors, minor);
	if (region && !gvm_region_opened_get(region))
		region = NULL;
	mutex_unlock(&chardevs_mutex);
	return region;
}

int gvm_chardevs_init(const struct file_operations *files)
{
	int err = class_register(&chardevs);

	if (err)
		return err;
	err = alloc_chrdev_region(&first_number, 0, GIANTVM_REGIONS_MAX, "giantvm");
	if (err)
		goto unregister_class;
	cdev_init(&numbers, files);
	numbers.owner = THIS_MODULE;
	err = cdev_add(&numbers, first_number, GIANTVM_REGIONS_MAX);
	if (err)
		goto unregister_numbers;
	return 0;

unregister_numbers:
	unregister_chrdev_region(first_number, GIANTVM_REGIONS_MAX);
unregister_class:
	class_unregister(&chardevs);
	return err;
}

void gvm_chardevs_exit(void)
{
	cdev_del(&numbers);
	unregister_chrdev_region(first_number, GIANTVM_REGIONS_MAX);
	class_unregister(&chardevs);
	xa_destroy(&minors);
}
