/* SPDX-License-Identifier: GPL-2.0-or-later */
/* seal_mutant.h - deliberate faults in sealing, for tests/seal to notice. None is compiled into the
 * programs. */
#ifndef GVM_SEAL_MUTANT_H
#define GVM_SEAL_MUTANT_H

#ifdef SEAL_MUTANTS
#include "codec.h"

/* Whether the fault of this name is in. */
bool seal_mutant(const char *name);
/* May put another salt in the place of one that was drawn. */
void seal_mutant_salt(struct chunk_salt *salt, uint64_t version);
/* Told of each block that is sealed: the salt (of which the key is made), the nonce, and what they seal. */
void seal_seen(const struct chunk_salt *salt, const uint8_t nonce[12], const uint8_t *about,
	       size_t about_bytes, const uint8_t *bytes, size_t n);
#else
#define seal_mutant(name) false
#define seal_mutant_salt(salt, version) ((void)(version))
#define seal_seen(...)	  ((void)0)
#endif

#endif
