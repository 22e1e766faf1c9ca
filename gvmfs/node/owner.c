// SPDX-License-Identifier: GPL-2.0-or-later
/* owner.c - see owner.h. */
#include "owner.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Reads 32 hexadecimal digits, with or without dashes, from a file; zeros if there is none. */
static void id_read(const char *path, struct gvm_id *id)
{
	FILE *f = fopen(path, "re");
	unsigned n = 0;
	int c;

	memset(id, 0, sizeof(*id));
	while (f && n < 2 * sizeof(id->b) && (c = fgetc(f)) != EOF) {
		static const char digits[] = "0123456789abcdef";
		const char *at = c ? strchr(digits, c) : NULL;

		if (!at)
			continue;
		id->b[n / 2] = (uint8_t)(id->b[n / 2] << 4 | (at - digits));
		n++;
	}
	if (f)
		fclose(f);
}

/* Hosts installed from one image may share a machine-id: so the product UUID of the hardware is part of the id. Without
 * either of the two the host is unknown (all zero). */
static void host_read(struct gvm_id *host)
{
	struct gvm_id machine;

	id_read("/etc/machine-id", host);
	id_read("/sys/class/dmi/id/product_uuid", &machine);
	if (gvm_id_is_none(host) || gvm_id_is_none(&machine)) {
		memset(host, 0, sizeof(*host));
		return;
	}
	for (unsigned i = 0; i < sizeof(host->b); i++)
		host->b[i] ^= machine.b[i];
}

void owner_self(struct record_owner *self, int pid)
{
	struct stat st;

	memset(self, 0, sizeof(*self));
	host_read(&self->host);
	id_read("/proc/sys/kernel/random/boot_id", &self->boot);
	self->pid_space = stat("/proc/self/ns/pid", &st) ? 0 : st.st_ino;
	self->pid = (uint32_t)pid;
}

/* A zombie counts as dead. If the pid was reused, the answer is about the new process. */
static bool process_is_dead(uint32_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	struct pollfd ended = { .fd = fd, .events = POLLIN };
	bool dead;

	if (fd < 0)
		return errno == ESRCH;
	dead = poll(&ended, 1, 0) == 1;
	close(fd);
	return dead;
}

bool owner_is_self(const struct record_owner *owner, const struct record_owner *self)
{
	return !gvm_id_is_none(&self->boot) && self->pid_space && self->pid &&
	       gvm_id_equal(&owner->boot, &self->boot) && owner->pid_space == self->pid_space &&
	       owner->pid == self->pid;
}

bool owner_is_dead(const struct record_owner *owner, const struct record_owner *self)
{
	if (gvm_id_is_none(&owner->boot) || gvm_id_is_none(&self->boot))
		return false;
	if (!gvm_id_equal(&owner->boot, &self->boot))
		return !gvm_id_is_none(&self->host) && gvm_id_equal(&owner->host, &self->host);
	return owner->pid && owner->pid_space && owner->pid_space == self->pid_space &&
	       process_is_dead(owner->pid);
}

void owner_lease(const struct options *opts, const struct record_owner *self, bool unlinked,
		 struct gvm_region_open_req *what)
{
	what->lease_ms = 1000 * (unlinked ? opts->unlinked_lease_s : opts->lease_s);
	what->lapse = unlinked;
	memcpy(what->host.b, self->host.b, 16);
	memcpy(what->host.b + 16, self->boot.b, 16);
	gvm_store_le(what->process.b, self->pid_space, 8);
	gvm_store_le(what->process.b + 8, self->pid, 4);
	gvm_store_le(what->process.b + 12, (uint64_t)getpid(), 4);
}

uint8_t owner_judge(const struct record_owner *self, uint8_t writer, const struct gvm_bytes32 *host,
		    const struct gvm_id *process)
{
	struct record_owner mount = { .pid_space = gvm_load_le(process->b, 8),
				      .pid = (uint32_t)gvm_load_le(process->b + 8, 4) };
	struct record_owner worker;

	if (writer == GVM_WRITER_NONE)
		return writer;
	memcpy(mount.host.b, host->b, 16);
	memcpy(mount.boot.b, host->b + 16, 16);
	/* Even if the node says that the writer is connected: a node that was stopped or busy when this mount detached
	 * may not know of that yet. */
	if (owner_is_self(&mount, self))
		return GVM_WRITER_NONE;
	worker = mount;
	worker.pid = (uint32_t)gvm_load_le(process->b + 12, 4);
	if (writer != GVM_WRITER_THERE && owner_is_dead(&mount, self) && owner_is_dead(&worker, self))
		return GVM_WRITER_NONE;
	return writer;
}
