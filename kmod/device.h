/* SPDX-License-Identifier: GPL-2.0 */
/* /dev/giantvm: see uapi/giantvm.h. */
#ifndef GVM_DEVICE_H
#define GVM_DEVICE_H

int gvm_device_init(void);
void gvm_device_exit(void);

#endif
