// SPDX-License-Identifier: GPL-2.0-or-later
/* connection.c - see connection.h. */
#include "connection.h"

#include "base/log.h"
#include "fuse/front.h"
#include "state/request.h"
#include "state/worker_state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Newer than the kernel headers that Debian 12 has; the values are the kernel's ABI. */
#define NOTIFY_RESEND	7
#define HAS_RESEND_BIT2 (1u << 7) /* FUSE_HAS_RESEND, bit 39, in INIT's flags2 */

int connection_init(struct worker *w)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	char path[32];

	if (fuse_opt_add_arg(&args, "gvmfs") < 0 || fuse_opt_add_arg(&args, "-omax_read=131072") < 0)
		return -ENOMEM;
	w->session = fuse_session_new(&args, &front_ops, sizeof(front_ops), w);
	fuse_opt_free_args(&args);
	if (!w->session)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/dev/fd/%d", w->fuse_fd);
	if (fuse_session_mount(w->session, path) < 0)
		return -EIO;
	return fcntl(w->fuse_fd, F_SETFL, fcntl(w->fuse_fd, F_GETFL) | O_NONBLOCK) < 0 ? -errno : 0;
}

static void request_process(struct worker *w, uint8_t *buf, size_t bytes)
{
	struct fuse_buf fb = { .size = bytes, .mem = buf };

	fuse_session_process_buf(w->session, &fb);
}

/* Keeps the kernel's INIT, so that a successor can set libfuse up without one. */
static void init_keep(struct worker *w)
{
	const struct fuse_in_header *h = (const struct fuse_in_header *)w->request->data;
	const struct fuse_init_in *in = (const struct fuse_init_in *)(h + 1);
	struct journal_super *super = w->journal->super;
	size_t bytes = w->request->bytes;

	if (h->opcode != FUSE_INIT || bytes > JOURNAL_INIT_MAX || bytes < sizeof(*h) + 16)
		return;
	memcpy(super->init, w->request->data, bytes);
	if (in->flags & FUSE_INIT_EXT && bytes >= sizeof(*h) + sizeof(*in))
		super->can_resend = (in->flags2 & HAS_RESEND_BIT2) != 0;
	journal_publish32(&super->init_bytes, (uint32_t)bytes);
}

/*
 * Libfuse believes that it was initialised by this process, and the kernel sends again whatever the predecessor did
 * not answer, in any order.
 *
 * The predecessor may have done a part of it. But it began no WRITE before those that it overlaps and that came earlier
 * had ended (fuse/write.h), so what is done over again was answered by nobody, and neither was anything that came after
 * it to the same bytes. Of two such WRITEs either may come first: what the kernel sends of its pages is what they hold by
 * now, and callers of direct writes that overlap have not got an answer to either.
 */
void connection_take_over(struct worker *w)
{
	struct journal_super *super = w->journal->super;
	struct fuse_out_header again = { .len = sizeof(again), .error = NOTIFY_RESEND };
	uint8_t init[JOURNAL_INIT_MAX];

	memcpy(init, super->init, super->init_bytes);
	request_process(w, init, super->init_bytes); /* its answer finds no request: ignored */
	if (write(w->fuse_fd, &again, sizeof(again)) < 0)
		log_error(NULL, "the kernel does not send requests again: %s", strerror(errno));
}

int connection_serve(struct worker *w)
{
	int r = request_read(w->fuse_fd, &w->request);

	if (r <= 0)
		return r;
	init_keep(w);
	request_process(w, w->request->data, w->request->bytes);
	return 1;
}
