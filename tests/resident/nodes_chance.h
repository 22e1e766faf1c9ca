/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nodes_chance.h - the simulator's part of the nodes: nodes_chance.c, or tests/replicas. */
#ifndef RESIDENT_NODES_CHANCE_H
#define RESIDENT_NODES_CHANCE_H

#include "world.h"

#include "../sim/chance.h"

/* How often each kind of event is tried; and how much oftener, or rarer, in the episode that begins. */
extern const uint16_t nodes_often[EVENTS];
void nodes_mix(struct mixture *mix);
/* Fills in what an event of theirs is about. */
void nodes_choose(struct event *e);
extern const bool nodes_seal;

#endif
