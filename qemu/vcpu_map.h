/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_map.h - which vCPU of a guest runs on which node.
 *
 *	0-3@0;4-7@1		vCPUs 0 to 3 on node 0, 4 to 7 on node 1
 *	0,2,4-6@0;1,3,7@1	lists, too
 *
 * Every vCPU from 0 to the highest has a node, and every node from 0 to the highest a vCPU. Pure:
 * nothing is allocated, and a map never changes once it is parsed.
 */
#ifndef VCPU_MAP_H
#define VCPU_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vcpu_wire.h"

struct vcpu_map {
	unsigned cpus, nodes;
	uint8_t node[VCPU_CPUS_MAX];
};

#define VCPU_MAP_ERROR_BYTES 160
#define VCPU_MAP_TEXT_BYTES  (VCPU_CPUS_MAX * 8)

/* 0, or -EINVAL: `error` is the end of a message to the user, who gave the text. */
int vcpu_map_parse(const char *text, struct vcpu_map *map, char error[VCPU_MAP_ERROR_BYTES]);
/* The shortest text of this map; texts that say the same have one. */
void vcpu_map_text(const struct vcpu_map *map, char text[VCPU_MAP_TEXT_BYTES]);
/* Of that text, for HELLO. */
uint64_t vcpu_map_digest(const struct vcpu_map *map);
/* False where there is no such vCPU, too. */
bool vcpu_map_runs(const struct vcpu_map *map, unsigned node, unsigned cpu);
unsigned vcpu_map_count(const struct vcpu_map *map, unsigned node);
/*
 * Whether the vCPU that a valid frame to node `to` names is where the frame needs it: what asks or
 * tells for a vCPU comes from that vCPU's node, what is done to one goes to its node.
 */
bool vcpu_map_frame_fits(const struct vcpu_map *map, const struct vcpu_frame *frame, unsigned to);

#endif
