// SPDX-License-Identifier: GPL-2.0
/* Buffers for frames: see buffers.h. */
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "buffers.h"

#define KEPT 32

static u8 *buffers[KEPT];
static unsigned int nr_buffers;
static DEFINE_SPINLOCK(buffers_lock); /* of both; also taken in softirqs */

u8 *gvm_buffer_get(gfp_t gfp)
{
	u8 *buffer = NULL;

	spin_lock_bh(&buffers_lock);
	if (nr_buffers)
		buffer = buffers[--nr_buffers];
	spin_unlock_bh(&buffers_lock);
	return buffer ?: kmalloc(BUFFER_BYTES, gfp);
}

void gvm_buffer_put(u8 *buffer)
{
	spin_lock_bh(&buffers_lock);
	if (buffer && nr_buffers < KEPT) {
		buffers[nr_buffers++] = buffer;
		buffer = NULL;
	}
	spin_unlock_bh(&buffers_lock);
	kfree(buffer);
}

int gvm_buffers_init(void)
{
	while (nr_buffers < KEPT) {
		u8 *buffer = kmalloc(BUFFER_BYTES, GFP_KERNEL);

		if (!buffer)
			return -ENOMEM;
		buffers[nr_buffers++] = buffer;
	}
	return 0;
}

void gvm_buffers_exit(void)
{
	while (nr_buffers)
		kfree(buffers[--nr_buffers]);
}
