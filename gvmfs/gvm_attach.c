// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm_attach.c - see gvm_attach.h. Pure; a QEMU with the backend has it too. */
#include "gvm_attach.h"

#include <stdio.h>
#include <string.h>

enum {
	SEQ = 1 << 0,
	ADDRESS = 1 << 1,
	OFFSET = 1 << 2,
	BYTES = 1 << 3,
	PAGE_BYTES = 1 << 4,
	ERROR = 1 << 5,
	TEXT = 1 << 6,
};

/* For each type: which fields a message has beside the head, and how many descriptors come with
 * it. */
static const struct shape {
	uint8_t to, fields, fds_min, fds_max;
} shapes[] = {
	[GVM_ATTACH_HELLO] = {GVM_ATTACH_TO_GVMFS, SEQ | OFFSET | BYTES, 1, 1},
	[GVM_ATTACH_WELCOME] = {GVM_ATTACH_TO_CLIENT, BYTES, 2, 3},
	[GVM_ATTACH_REFUSE] = {GVM_ATTACH_TO_CLIENT, ERROR | TEXT, 0, 0},
	[GVM_ATTACH_READY] = {GVM_ATTACH_TO_GVMFS, ADDRESS | OFFSET | BYTES | PAGE_BYTES, 1, 1},
	[GVM_ATTACH_GO] = {GVM_ATTACH_TO_CLIENT, 0, 0, 0},
	[GVM_ATTACH_ZAP] = {GVM_ATTACH_TO_CLIENT, SEQ | OFFSET | BYTES, 0, 0},
	[GVM_ATTACH_ZAPPED] = {GVM_ATTACH_TO_GVMFS, SEQ, 0, 0},
	[GVM_ATTACH_PIN_ALL] = {GVM_ATTACH_TO_GVMFS, TEXT, 0, 0},
	[GVM_ATTACH_ABORT] = {GVM_ATTACH_TO_CLIENT, TEXT, 0, 0},
	[GVM_ATTACH_DETACHED] = {GVM_ATTACH_TO_GVMFS, 0, 0, 0},
	[GVM_ATTACH_SETTLE] = {GVM_ATTACH_TO_CLIENT, 0, 1, 1},
	[GVM_ATTACH_SETTLED] = {GVM_ATTACH_TO_GVMFS, 0, 0, 0},
};

struct gvm_attach_msg gvm_attach_message(enum gvm_attach_type type)
{
	return (struct gvm_attach_msg){
		.magic = GVM_ATTACH_MAGIC, .version = GVM_ATTACH_VERSION, .type = (uint16_t)type};
}

void gvm_attach_explain(struct gvm_attach_msg *msg, const char *why)
{
	snprintf(msg->text, sizeof(msg->text), "%s", why);
}

static bool fields_valid(const struct gvm_attach_msg *msg, unsigned fields)
{
	return ((fields & SEQ) || !msg->seq) && ((fields & ADDRESS) || !msg->address) &&
	       ((fields & OFFSET) || !msg->offset) && ((fields & BYTES) || !msg->bytes) &&
	       ((fields & PAGE_BYTES) || !msg->page_bytes) &&
	       ((fields & ERROR) ? msg->error < 0 && msg->error > -4096 : !msg->error) &&
	       ((fields & TEXT) ? !!memchr(msg->text, 0, sizeof(msg->text)) : !msg->text[0]);
}

/* Removes control characters, since the text may end up on a terminal or in a log. */
static void text_clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

bool gvm_attach_accept(struct gvm_attach_msg *msg, unsigned fds, enum gvm_attach_end to)
{
	const struct shape *shape;

	if (msg->magic != GVM_ATTACH_MAGIC || msg->version != GVM_ATTACH_VERSION ||
	    msg->type >= sizeof(shapes) / sizeof(*shapes))
		return false;
	shape = &shapes[msg->type];
	if (shape->to != to || fds < shape->fds_min || fds > shape->fds_max ||
	    !fields_valid(msg, shape->fields))
		return false;
	text_clean(msg->text);
	return true;
}
