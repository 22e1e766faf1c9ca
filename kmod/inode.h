/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Regions' inodes, on a pseudo filesystem of their own: each gives its region one address space,
 * through whichever file it is opened.
 */
#ifndef GVM_INODE_H
#define GVM_INODE_H

#include <linux/fs.h>

struct gvm_region;

/*
 * The filesystem, from UP to DOWN. It keeps the module loaded, also after DOWN for as long as any
 * process has an open file or path of one of its inodes.
 */
int gvm_inodes_up(void);
void gvm_inodes_down(void);

/* Sets region->inode, which has a reference to the region; `files`: the operations of its files. */
int gvm_region_inode_create(struct gvm_region *region, const struct file_operations *files);
void gvm_region_inode_destroy(struct gvm_region *region);
/* An open file of the region, or an ERR_PTR. The caller has counted it in region->opened. */
struct file *gvm_region_inode_open(struct gvm_region *region, unsigned int flags);

#endif
