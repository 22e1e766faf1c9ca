// SPDX-License-Identifier: GPL-2.0
/* The pseudo filesystem: see inode.h. */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

#include "compat.h"
#include "inode.h"
#include "region.h"

#define GIANTVM_MAGIC 0x6769766d /* "givm" */

static struct vfsmount *mount;
static int mount_users;

/* The inode holds a reference to the region: a process may open a path to it after the leave. */
static void region_evict_inode(struct inode *inode)
{
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (inode->i_private)
		gvm_region_put(inode->i_private);
}

static const struct super_operations filesystem_operations = {
	.statfs = simple_statfs,
	.evict_inode = region_evict_inode,
};

static int filesystem_init_context(struct fs_context *context)
{
	struct pseudo_fs_context *pseudo = init_pseudo(context, GIANTVM_MAGIC);

	if (!pseudo)
		return -ENOMEM;
	pseudo->ops = &filesystem_operations;
	return 0;
}

static struct file_system_type filesystem = {
	.owner = THIS_MODULE,
	.name = "giantvm",
	.init_fs_context = filesystem_init_context,
	.kill_sb = kill_anon_super,
};

int gvm_inodes_up(void)
{
	return simple_pin_fs(&filesystem, &mount, &mount_users);
}

void gvm_inodes_down(void)
{
	simple_release_fs(&mount, &mount_users);
}

/* A region's size is the same on all nodes, and never changes. */
static int region_setattr(gvm_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	if (attr->ia_valid & ATTR_SIZE)
		return -EPERM;
	return simple_setattr(idmap, dentry, attr);
}

static const struct inode_operations region_inode_operations = {
	.setattr = region_setattr,
};

int gvm_region_inode_create(struct gvm_region *region, const struct file_operations *files)
{
	struct inode *inode = alloc_anon_inode(mount->mnt_sb);

	if (IS_ERR(inode))
		return PTR_ERR(inode);
	/* A regular file, so that /proc/self/fd/N opens it again, and programs see its size. */
	inode->i_mode = S_IFREG | 0600;
	inode->i_op = &region_inode_operations;
	inode->i_fop = files;
	kref_get(&region->ref);
	inode->i_private = region;
	i_size_write(inode, region->pages << PAGE_SHIFT);
	region->inode = inode;
	return 0;
}

void gvm_region_inode_destroy(struct gvm_region *region)
{
	iput(region->inode);
}

struct file *gvm_region_inode_open(struct gvm_region *region, unsigned int flags)
{
	struct file *file;

	if (!try_module_get(THIS_MODULE))
		return ERR_PTR(-ENODEV);
	ihold(region->inode);
	file = alloc_file_pseudo(region->inode, mount, region->name, O_RDWR | flags,
				 region->inode->i_fop);
	if (IS_ERR(file)) {
		iput(region->inode);
		module_put(THIS_MODULE);
		return file;
	}
	file->private_data = region;
	return file;
}
