/* SPDX-License-Identifier: GPL-2.0-or-later */
/* put_rule.h - which PUTs a node carries out, by their versions alone. Pure code: a model checker (tests/views) has the same. */
#ifndef GVM_PUT_RULE_H
#define GVM_PUT_RULE_H

#include <stdbool.h>
#include <stdint.h>

#ifndef PUT_MUTANT
#define PUT_MUTANT(name) false
#endif

enum put_rule {
	PUT_APPLIES,
	PUT_REPEATS,   /* it has been carried out: OK, without an effect */
	PUT_IS_OLD,    /* STALE */
	PUT_IS_BESIDE, /* STALE_BASE */
};

/* One whose base is its own version mends what is held in this version, if that has a body, and nothing else. */
static inline bool put_mends(uint64_t version, uint64_t base)
{
	return base == version;
}

static inline enum put_rule put_rule(uint64_t held, bool has_body, uint64_t version, uint64_t base)
{
	bool mends = put_mends(version, base);

	if (version == held)
		return mends && has_body ? PUT_APPLIES : PUT_REPEATS;
	if (mends && PUT_MUTANT("mend-over-newer"))
		return PUT_APPLIES;
	if (version < held)
		return PUT_IS_OLD;
	return base && base != held ? PUT_IS_BESIDE : PUT_APPLIES;
}

#endif
