/* SPDX-License-Identifier: GPL-2.0 */
/* The module's parameters, within the bounds that make sense; README.md says what each means. */
#ifndef GVM_PARAMS_H
#define GVM_PARAMS_H

#include <linux/types.h>

unsigned int gvm_params_lease_ms(void);
u64 gvm_params_lease_ns(void);
u64 gvm_params_hold_ns(void);
u8 gvm_params_hold_doublings(void);
u64 gvm_params_retry_ns(void);
u16 gvm_params_ahead_pages(void);
/* What all regions' shares of this node may take when each page has been used. May change. */
u64 gvm_params_lend_bytes(void);
/* Pages of a region that may be resident; LONG_MAX: no limit. May change at any time. */
long gvm_params_cache_pages(void);

#endif
