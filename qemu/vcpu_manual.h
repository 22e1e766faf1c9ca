/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_manual.h - the options of the manual, -giantvm-id N, -giantvm-conf FILE and -giantvm-roles cpu,mem, as an object
 * dsm-vcpus. No QEMU header.
 *
 * FILE is the list of nodes of `gvm dsm`. Those with the role cpu share the guest's vCPUs evenly, in the order of
 * their ids; the first has all devices. The ports of the list are the kernel module's: a QEMU has the one below its node's.
 */
#ifndef VCPU_MANUAL_H
#define VCPU_MANUAL_H

#define VCPU_MANUAL_ERROR_BYTES 256
#define VCPU_MANUAL_KEY_ID	"giantvm-key"
#define VCPU_MANUAL_KEY		"secret,id=" VCPU_MANUAL_KEY_ID ",file=/etc/gvm/key"

struct vcpu_manual {
	const char *id, *conf, *roles; /* as given, or NULL */
};

/*
 * For a guest with `cpus` vCPUs: 0, with what -object takes in *object, to be freed; or a negative errno and `error`, the
 * end of a message to the user.
 */
int vcpu_manual_object(const struct vcpu_manual *m, unsigned cpus, char **object, char error[VCPU_MANUAL_ERROR_BYTES]);

#endif
