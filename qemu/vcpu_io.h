/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_io.h - what vCPUs on other nodes than 0 do to ports and device memory.
 *
 * Those nodes have regions over all of the I/O space and of the memory where a device may be, whose
 * accesses go to node 0. A vCPU waits for its answer, also of a write, without QEMU's big lock.
 */
#ifndef VCPU_IO_H
#define VCPU_IO_H

struct vcpu_frame;

/* Once, on a node other than 0, when the machine is complete. */
void vcpu_io_forward(void);
/* IO_READ or IO_WRITE has come to node 0. Called without the big lock. */
void vcpu_io_serve(const struct vcpu_frame *frame);

#endif
