/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frames.h - cuts a node's bytes into frames and checks each answer.
 *
 * Pure: no socket, no clock, no allocation. Bytes are put into the reader's buffer, frames come
 * out as pointers into it. A frame has been checked by itself; whether it answers a request, the
 * caller checks (req_find()).
 */
#ifndef GVM_CLIENT_FRAMES_H
#define GVM_CLIENT_FRAMES_H

#include "../gvm_client.h"

#define FRAME_BYTES_MAX (GVM_HDR_BYTES + GVM_META_MAX + GVM_DATA_MAX)

/* One frame; the pointers hold until the next frame_reader_room(). */
struct frame {
	struct gvm_hdr hdr;
	const uint8_t *meta;
	const uint8_t *data;
};

struct frame_reader {
	uint8_t *buf;
	size_t cap; /* at least FRAME_BYTES_MAX */
	size_t start, end; /* the bytes not yet handed out */
	size_t touched;	   /* the furthest byte ever put there */
	/* The frame at `start`, once its header and meta bytes are there and checked: its length,
	 * otherwise 0. A header is checked before the reader waits for its data: a damaged length
	 * would swallow the frames that follow. */
	size_t frame_bytes;
	struct gvm_hdr hdr;
};

void frame_reader_init(struct frame_reader *r, uint8_t *buf, size_t cap);
/* Where the next bytes go, and how many: never 0. */
uint8_t *frame_reader_room(struct frame_reader *r, size_t *bytes);
/* `bytes` were put there. */
void frame_reader_fed(struct frame_reader *r, size_t bytes);
/*
 * 1 and a frame whose header, meta and data checks are right; 0: more bytes are needed; or
 * -EBADMSG or -EPROTONOSUPPORT and why: nothing more can be read from this stream.
 * With -EBADMSG and *tag not 0 the frame's header is right, and names the request.
 */
int frame_reader_next(struct frame_reader *r, struct frame *f, uint64_t *tag, const char **why);

/* An answer's content. */
struct answer {
	int result; /* of its status */
	uint64_t detail;
	bool more;
	uint64_t version; /* GET */
	struct chunk_head head;
};

/*
 * Reads the answer in `f` to a request of the frame's op other than HELLO and AUTH: 0, or -EBADMSG
 * and why. For ops with fields, `rsp` receives them.
 */
int answer_parse(const struct frame *f, struct answer *a, union gvm_answer *rsp, const char **why);

/* Checks a piece against the request and the pieces before it (`g`: all zero before the first): 0,
 * or -EBADMSG and why. */
int get_progress_add(struct gvm_get_progress *g, const struct gvm_get_req *what,
		     const struct answer *a, const char **why);

#endif
