/* SPDX-License-Identifier: GPL-2.0 */
/* /dev/giantvm: see uapi/giantvm.h. */
#ifndef GVM_DEVICE_H
#define GVM_DEVICE_H

int device_init(void);
void device_exit(void);

#endif
