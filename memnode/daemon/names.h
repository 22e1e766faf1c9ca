/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names.h - the name table: opaque records under 128-bit keys, the newest version wins.
 *
 * What the records say is the clients' business. The table is bounded in number and bytes.
 */
#ifndef GVM_NAMES_H
#define GVM_NAMES_H

#include "../gvm_wire.h"

#define NAMES_COUNT_MAX 65536u
#define NAMES_BYTES_MAX (64u << 20)

struct name;

struct names {
	struct name **sorted; /* by key */
	unsigned count, room;
	uint64_t bytes;
};

void names_deinit(struct names *t);

uint16_t name_put(struct names *t, const struct gvm_name_put_req *what, const uint8_t *record,
		  uint32_t bytes, uint64_t *detail);
/* Writes the answer's data to buf (room: GVM_DATA_MAX); returns its bytes. */
uint32_t name_list(const struct names *t, const struct gvm_name_list_req *what,
		   struct gvm_name_list_rsp *rsp, uint8_t *buf);

#endif
