/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Deliberate faults, each of which the model checker of tests/kmod has to notice. In the module
 * there are none.
 *
 *	token-unread		a home opens its share as it was told under an earlier join
 *	zeros-again		the creator tells a home zeros that it has told zeros before
 *	zeros-by-anyone		any node tells zeros
 *	told-forgotten		a home's late answer, that its share is closed, counts as news
 *	names-suffice		frames about another region of that name are about this one
 *	used-is-forgone		a withdrawal ends a region that has been used
 *	lost-is-zeros		a home that is told that it has lost its share begins with zeros
 */
#ifndef GVM_MUTANT_H
#define GVM_MUTANT_H

#ifndef gvm_mutant
#define gvm_mutant(name) false
#endif

#endif
