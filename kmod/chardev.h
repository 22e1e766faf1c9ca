/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The regions' devices, /dev/gvm/NAME. They have a class and a range of numbers of their own:
 * those of all misc devices of a host are fewer than it may have regions.
 */
#ifndef GVM_CHARDEV_H
#define GVM_CHARDEV_H

#include <linux/fs.h>

struct gvm_region;

/* `files`: of an opened one. */
int gvm_chardevs_init(const struct file_operations *files);
void gvm_chardevs_exit(void);

int gvm_chardev_create(struct gvm_region *region);
/* Of a region that is closed; it is not found by its number any more. */
void gvm_chardev_destroy(struct gvm_region *region);

/* The region with that minor number, with one more file (gvm_region_opened_get()); or NULL. */
struct gvm_region *gvm_chardev_open(unsigned int minor);

#endif
