/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The regions' devices, /dev/gvm/NAME. They have a class and a range of numbers of their own:
 * those of all misc devices of a host are fewer than it may have regions.
 */
#ifndef GVM_CHARDEV_H
#define GVM_CHARDEV_H

#include <linux/fs.h>

struct gvm_region;

/* `files`: the operations of an opened device. */
int gvm_chardevs_init(const struct file_operations *files);
void gvm_chardevs_exit(void);

int gvm_chardev_create(struct gvm_region *region);
/* The region has been closed. From here on no open finds it by its number. */
void gvm_chardev_destroy(struct gvm_region *region);

/* The region with that minor number, counted as opened (gvm_region_opened_get()); NULL if none. */
struct gvm_region *gvm_chardev_open(unsigned int minor);

#endif
