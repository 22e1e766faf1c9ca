/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * symbols.h - what a guest's Linux keeps in a page of its RAM, by its System.map: for the pages that hosts fight for. Pure.
 *
 * The kernel's text and data alone have names, and only where the guest was started with nokaslr: they are then
 * where the map says, less __START_KERNEL_map. Other pages (per-CPU data, what was allocated, programs) have none.
 */
#ifndef TOOLS_DSM_SYMBOLS_H
#define TOOLS_DSM_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#define SYMBOLS_TEXT 160

struct symbols {
	struct symbol *of; /* by address */
	size_t count;
	char *text;
};

/* Takes `text` over, which is zero-terminated. -EINVAL: it is no System.map, or one without addresses, as Debian's is outside of
 * its package with debug symbols; -ENOMEM. symbols_deinit() is due in every case. */
int symbols_parse(struct symbols *s, char *text);
/* "jiffies_64, tick_do_timer_cpu and 12 others": of the page at this offset of the RAM; "" for none. */
void symbols_of_page(const struct symbols *s, uint64_t offset, char text[SYMBOLS_TEXT]);
void symbols_deinit(struct symbols *s);

#endif
