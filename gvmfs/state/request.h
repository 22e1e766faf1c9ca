/* SPDX-License-Identifier: GPL-2.0-or-later */
/* request.h - a request of the kernel, as it is read from /dev/fuse: how large it, and its answer, may be. */
#ifndef GVMFS_REQUEST_H
#define GVMFS_REQUEST_H

#include "gvm_wire.h"

#define REQUEST_DATA_MAX  (256u << 10) /* max_write */
#define REQUEST_BYTES_MAX (REQUEST_DATA_MAX + 4096u)
#define READ_BYTES_MAX	  GVM_CHUNK_BYTES /* max_read: touches two chunks at the most */

#endif
