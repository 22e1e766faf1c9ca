/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel log: messages for an operator; warnings are rate-limited. */
#ifndef GVM_LOG_H
#define GVM_LOG_H

#include <linux/printk.h>

#define gvm_info(format, ...) pr_info("giantvm: " format, ##__VA_ARGS__)
#define gvm_warn(format, ...) pr_warn_ratelimited("giantvm: " format, ##__VA_ARGS__)

#endif
