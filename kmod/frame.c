// SPDX-License-Identifier: GPL-2.0
/* Frames to bytes and back: see frame.h. Pure code. */
#include <linux/errno.h>
#include <linux/string.h>

#include "compat.h"
#include "frame.h"

static const u8 hello_magic[] = { 'G', 'V', 'M', '-', 'I', 'V', 'Y', HELLO_VERSION };

void gvm_frame_head_encode(const struct frame_head *head, u8 *bytes)
{
	put_unaligned_le16(head->body_bytes, bytes);
	bytes[2] = head->kind;
	bytes[3] = 0;
	put_unaligned_le32(head->tag, bytes + 4);
}

int gvm_frame_bytes(const u8 *bytes)
{
	u16 body_bytes = get_unaligned_le16(bytes);

	return body_bytes <= FRAME_BODY_BYTES_MAX ? FRAME_HEAD_BYTES + body_bytes : -EBADMSG;
}

int gvm_frame_head_decode(const u8 *bytes, struct frame_head *head)
{
	head->body_bytes = get_unaligned_le16(bytes);
	head->kind = bytes[2];
	head->tag = get_unaligned_le32(bytes + 4);
	if (bytes[3])
		return -EBADMSG;
	switch (head->kind) {
	case FRAME_HELLO:
		return head->body_bytes == HELLO_BYTES && !head->tag ? 0 : -EBADMSG;
	case FRAME_PROOF:
		return head->body_bytes == PROOF_BYTES && !head->tag ? 0 : -EBADMSG;
	case FRAME_REGION:
		return head->body_bytes == REGION_FRAME_BYTES && !head->tag ? 0 : -EBADMSG;
	case FRAME_MESSAGE:
		return head->body_bytes >= IVY_HDR_BYTES &&
		       head->body_bytes <= FRAME_BODY_BYTES_MAX ? 0 : -EBADMSG;
	}
	return -EBADMSG;
}

void gvm_hello_encode(const struct hello *hello, u8 *bytes)
{
	memcpy(bytes, hello_magic, sizeof(hello_magic));
	put_unaligned_le16(hello->from, bytes + 8);
	put_unaligned_le16(hello->to, bytes + 10);
	put_unaligned_le32(hello->flags, bytes + 12);
	put_unaligned_le64(hello->digest, bytes + 16);
	memcpy(bytes + 24, hello->nonce, HELLO_NONCE_BYTES);
}

int gvm_hello_decode(const u8 *bytes, struct hello *hello)
{
	if (memcmp(bytes, hello_magic, HELLO_VERSION_AT))
		return -EBADMSG;
	if (bytes[HELLO_VERSION_AT] != HELLO_VERSION)
		return -EPROTONOSUPPORT;
	hello->from = get_unaligned_le16(bytes + 8);
	hello->to = get_unaligned_le16(bytes + 10);
	hello->flags = get_unaligned_le32(bytes + 12);
	hello->digest = get_unaligned_le64(bytes + 16);
	memcpy(hello->nonce, bytes + 24, HELLO_NONCE_BYTES);
	return hello->flags & ~(HELLO_PROOF_NEEDED | HELLO_PAIR_KEYS) ? -EBADMSG : 0;
}

void gvm_region_frame_encode(const struct region_frame *frame, u8 *bytes)
{
	unsigned int i;

	memset(bytes, 0, REGION_FRAME_BYTES);
	bytes[0] = frame->word;
	bytes[1] = frame->share;
	bytes[2] = frame->flags;
	put_unaligned_le32(frame->number, bytes + 4);
	put_unaligned_le64(frame->pages, bytes + 8);
	put_unaligned_le64(frame->token, bytes + 16);
	put_unaligned_le64(frame->id, bytes + 24);
	strscpy(bytes + 32, frame->name, REGION_NAME_BYTES);
	put_unaligned_le16(frame->homes.nr, bytes + 64);
	for (i = 0; i < REGION_HOMES_MAX; i++)
		put_unaligned_le16(frame->homes.ids[i], bytes + 66 + 2 * i);
	put_unaligned_le16(frame->homes.relays, bytes + 98);
}

/* Ends with a zero, and has nothing behind the first one. */
static bool name_is_padded(const char *name)
{
	size_t length = strnlen(name, REGION_NAME_BYTES);

	return length < REGION_NAME_BYTES &&
	       !memchr_inv(name + length, 0, REGION_NAME_BYTES - length);
}

/* In order, so that none is there twice, and nothing behind them. */
static bool homes_are_listed(const struct home_list *homes)
{
	unsigned int i;

	if (homes->nr > REGION_HOMES_MAX)
		return false;
	for (i = 0; i < homes->nr; i++)
		if (homes->ids[i] >= IVY_NODES_MAX || (i && homes->ids[i] <= homes->ids[i - 1]))
			return false;
	for (; i < REGION_HOMES_MAX; i++)
		if (homes->ids[i])
			return false;
	return homes->relays <= IVY_NODES_MAX && !homes->nr == !homes->relays;
}

int gvm_region_frame_decode(const u8 *bytes, struct region_frame *frame)
{
	unsigned int i;

	frame->word = bytes[0];
	frame->share = bytes[1];
	frame->flags = bytes[2];
	frame->number = get_unaligned_le32(bytes + 4);
	frame->pages = get_unaligned_le64(bytes + 8);
	frame->token = get_unaligned_le64(bytes + 16);
	frame->id = get_unaligned_le64(bytes + 24);
	memcpy(frame->name, bytes + 32, REGION_NAME_BYTES);
	frame->homes.nr = get_unaligned_le16(bytes + 64);
	for (i = 0; i < REGION_HOMES_MAX; i++)
		frame->homes.ids[i] = get_unaligned_le16(bytes + 66 + 2 * i);
	frame->homes.relays = get_unaligned_le16(bytes + 98);
	if (frame->word < REGION_ASK || frame->word > REGION_OPEN || frame->share >= SHARES ||
	    frame->flags & ~(REGION_COMPLETE | REGION_CREATOR | REGION_FULL) || bytes[3] ||
	    !name_is_padded(frame->name) || !homes_are_listed(&frame->homes) ||
	    !frame->pages != !frame->homes.nr)
		return -EBADMSG;
	return 0;
}
