/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gvm_upgrade.h - how gvm upgrade has a newer gvmfs take a running one's place: the conversation between it and the
 * supervisor, over a UNIX socket of type SOCK_SEQPACKET, which only the mount's own user and root may connect to.
 *
 *	C: ASK	  [the new program, open for reading]
 *	S: SAYS	  text: how far it is
 *	S: DONE	  the new one serves. The end
 *	S: FAILED text: why the old one goes on. The end
 */
#ifndef GVM_UPGRADE_H
#define GVM_UPGRADE_H

#include <stdint.h>

#define GVM_UPGRADE_MAGIC 0x556d7647u /* "GvmU" */
#define GVM_UPGRADE_TEXT  504u
/* Its name, in the folder of listener.h: with the mount's device number. */
#define GVM_UPGRADE_NAME "upgrade-of-%u-%u"

enum gvm_upgrade_what { GVM_UPGRADE_ASK = 1, GVM_UPGRADE_SAYS, GVM_UPGRADE_DONE, GVM_UPGRADE_FAILED };

struct gvm_upgrade_msg {
	uint32_t magic;
	uint32_t what; /* enum gvm_upgrade_what */
	char text[GVM_UPGRADE_TEXT]; /* zero-terminated */
};

_Static_assert(sizeof(struct gvm_upgrade_msg) == 512, "the messages have no padding");

#endif
