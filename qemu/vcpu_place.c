// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_place.c - see vcpu_place.h. */
#include "vcpu_place.h"

#include "vcpu_map.h"

struct vcpu_place *vcpu_place;
__thread bool vcpu_place_serves;

bool vcpu_place_elsewhere(int cpu_index)
{
    return vcpu_place &&
           !vcpu_map_runs(vcpu_place->map, vcpu_place->node, cpu_index);
}

bool vcpu_place_forwards(void)
{
    return vcpu_place && vcpu_place->node;
}
