/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Buffers for frames: of those that have arrived in part or wait for the work, and of those that
 * have been sent in part. An idle peer has none, so few are needed. Allocating several pages for
 * each message would take longer than handling it, as the kernel may zero them. So some are kept,
 * allocated from the start: leases have to be renewed also when memory is short.
 */
#ifndef GVM_BUFFERS_H
#define GVM_BUFFERS_H

#include <linux/types.h>

#include "frame.h"

#define BUFFER_BYTES (2 * FRAME_BYTES_MAX)

/* 0 or -ENOMEM. */
int gvm_buffers_init(void);
/* After all have been put; also after gvm_buffers_init() failed. */
void gvm_buffers_exit(void);

/* BUFFER_BYTES, one of those that are kept or a new one; NULL: no memory. */
u8 *gvm_buffer_get(gfp_t gfp);
void gvm_buffer_put(u8 *buffer);

#endif
