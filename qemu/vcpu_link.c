// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_link.c - see vcpu_link.h. */
#include "vcpu_link.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* As the end of "node 1 has ". */
static const char *const others[VCPU_DIGESTS] = {
	[VCPU_SAME_MACHINE] = "another machine",
	[VCPU_SAME_CPU] = "another CPU model",
	[VCPU_SAME_RAM] = "other RAM",
	[VCPU_SAME_MAP] = "another map of vCPUs",
};

int vcpu_link_init(struct vcpu_link *link, const struct vcpu_self *self, bool connecting,
		   unsigned peer)
{
	struct vcpu_hello hello = {.from = self->node, .to = (uint16_t)peer};

	memset(link, 0, sizeof(*link));
	link->self = self;
	link->connecting = connecting;
	link->peer = peer;
	memcpy(hello.digest, self->digest, sizeof(hello.digest));
	if (vcpu_random(hello.nonce, sizeof(hello.nonce)))
		return -EIO;
	vcpu_hello_encode(&hello, link->hello_sent);
	return 0;
}

void vcpu_link_deinit(struct vcpu_link *link)
{
	vcpu_seal_deinit(&link->to_peer);
	vcpu_seal_deinit(&link->from_peer);
}

static size_t say(const struct vcpu_link *link, enum vcpu_type type, const void *body, size_t bytes,
		  uint8_t *out)
{
	struct vcpu_frame frame = {
		.type = type,
		.from = link->self->node,
		.body = body,
		.body_bytes = (uint16_t)bytes,
	};

	return vcpu_frame_encode(&frame, out);
}

size_t vcpu_link_hello(struct vcpu_link *link, uint8_t out[VCPU_FRAME_MAX])
{
	return say(link, VCPU_HELLO, link->hello_sent, VCPU_HELLO_BYTES, out);
}

/* Where the answer to a frame goes, and the reason for this node's user why there is none. */
struct answer {
	uint8_t *out;
	size_t *out_bytes;
	char *why;
};

__attribute__((format(printf, 3, 4))) static int fail(struct answer *a, int err, const char *format,
						      ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(a->why, VCPU_WHY_BYTES, format, args);
	va_end(args);
	return err;
}

static int derive(const struct vcpu_link *link, enum vcpu_use use, uint8_t out[VCPU_KEY_BYTES])
{
	return vcpu_key_derive(
		link->self->prk, link->connecting ? link->hello_sent : link->hello_received,
		link->connecting ? link->hello_received : link->hello_sent, use, out);
}

static int seal_begin(const struct vcpu_link *link, struct vcpu_seal *seal, enum vcpu_use use)
{
	uint8_t key[VCPU_KEY_BYTES];
	int err = derive(link, use, key);

	if (!err)
		err = vcpu_seal_init(seal, key);
	vcpu_key_wipe(key, sizeof(key));
	return err;
}

static int up(struct vcpu_link *link)
{
	bool out = link->connecting;
	int err =
		seal_begin(link, &link->to_peer, out ? VCPU_SEAL_CONNECTING : VCPU_SEAL_ACCEPTING);

	if (!err)
		err = seal_begin(link, &link->from_peer,
				 out ? VCPU_SEAL_ACCEPTING : VCPU_SEAL_CONNECTING);
	if (!err)
		link->state = VCPU_UP;
	return err;
}

static int send_proof(const struct vcpu_link *link, struct answer *a)
{
	uint8_t proof[VCPU_PROOF_BYTES];
	int err = derive(link, link->connecting ? VCPU_PROOF_CONNECTING : VCPU_PROOF_ACCEPTING,
			 proof);

	if (err)
		return fail(a, err, "a cipher failed");
	*a->out_bytes = say(link, VCPU_PROOF, proof, sizeof(proof), a->out);
	return 0;
}

/* Says the same to the peer, whose user reads it as well. */
__attribute__((format(printf, 4, 5))) static int
refuse(const struct vcpu_link *link, struct answer *a, int err, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(a->why, VCPU_REFUSE_MAX, format, args);
	va_end(args);
	assert(n > 0 && n < VCPU_REFUSE_MAX);
	*a->out_bytes = say(link, VCPU_REFUSE, a->why, (size_t)n, a->out);
	return err;
}

static int hello_differs(const struct vcpu_link *link, const struct vcpu_hello *hello,
			 struct answer *a)
{
	const struct vcpu_self *self = link->self;

	for (unsigned i = 0; i < VCPU_DIGESTS; i++)
		if (hello->digest[i] != self->digest[i])
			return refuse(link, a, -EACCES, "node %u has %s than node %u", hello->from,
				      others[i], self->node);
	return 0;
}

static int hello_came(struct vcpu_link *link, const struct vcpu_frame *frame, struct answer *a)
{
	const struct vcpu_self *self = link->self;
	struct vcpu_hello hello;
	int err = vcpu_hello_decode(frame->body, &hello);

	if (err == -EPROTONOSUPPORT)
		return refuse(
			link, a, err,
			"node %u has version %u of the protocol between vCPUs, node %u has %u",
			frame->from, frame->body[VCPU_VERSION_AT], self->node, VCPU_VERSION);
	if (err || hello.from != frame->from)
		return fail(a, -EBADMSG, "a HELLO was not well formed");
	if (hello.to != self->node)
		return refuse(link, a, -EACCES, "node %u took node %u for node %u", hello.from,
			      self->node, hello.to);
	if (link->connecting ? hello.from != link->peer
			     : hello.from >= self->map->nodes || hello.from <= self->node)
		return refuse(link, a, -EACCES, "node %u is not one that node %u waits for",
			      hello.from, self->node);
	err = hello_differs(link, &hello, a);
	if (err)
		return err;
	memcpy(link->hello_received, frame->body, VCPU_HELLO_BYTES);
	link->state = VCPU_PROVING;
	if (link->connecting)
		return send_proof(link, a);
	link->peer = hello.from;
	vcpu_store_le(link->hello_sent + 10, hello.from, 2);
	*a->out_bytes = vcpu_link_hello(link, a->out);
	return 0;
}

static int proof_came(struct vcpu_link *link, const struct vcpu_frame *frame, struct answer *a)
{
	uint8_t expected[VCPU_PROOF_BYTES];
	int err = derive(link, link->connecting ? VCPU_PROOF_ACCEPTING : VCPU_PROOF_CONNECTING,
			 expected);

	if (err)
		return fail(a, err, "a cipher failed");
	if (vcpu_key_differs(expected, frame->body, sizeof(expected)))
		return refuse(link, a, -EACCES, "node %u has another key than node %u", link->peer,
			      link->self->node);
	err = link->connecting ? 0 : send_proof(link, a);
	if (err)
		return err;
	err = up(link);
	return err ? fail(a, err, "a cipher failed") : 0;
}

int vcpu_link_greet(struct vcpu_link *link, const uint8_t *bytes, uint8_t out[VCPU_FRAME_MAX],
		    size_t *out_bytes, char why[VCPU_WHY_BYTES])
{
	struct answer a = {out, out_bytes, why};
	struct vcpu_frame frame;

	assert(link->state != VCPU_UP);
	*out_bytes = 0;
	vcpu_frame_decode(bytes, &frame);
	if (!vcpu_frame_valid(&frame, link->self->node) || !vcpu_type_is_clear(frame.type))
		return fail(&a, -EBADMSG, "a peer sent what is no part of a handshake");
	if (frame.type == VCPU_REFUSE)
		return fail(&a, -ECONNREFUSED, "node %u refuses: %.*s", frame.from,
			    frame.body_bytes, (const char *)frame.body);
	if (frame.type == VCPU_HELLO && link->state == VCPU_GREETING)
		return hello_came(link, &frame, &a);
	if (frame.type == VCPU_PROOF && link->state == VCPU_PROVING && frame.from == link->peer)
		return proof_came(link, &frame, &a);
	return fail(&a, -EBADMSG, "a peer sent a part of the handshake out of turn");
}

int vcpu_link_bytes(const struct vcpu_link *link, const uint8_t *clear)
{
	int bytes = vcpu_frame_bytes(clear);

	if (bytes < 0 || link->state == VCPU_UP)
		return bytes < 0 ? bytes : bytes + VCPU_SEAL_BYTES;
	/* A stranger is given no more room than a handshake takes. */
	return bytes > VCPU_HEAD_BYTES + VCPU_REFUSE_MAX ? -EBADMSG : bytes;
}

int vcpu_link_close(struct vcpu_link *link, const uint8_t *encoded, size_t bytes,
		    uint8_t out[VCPU_FRAME_MAX])
{
	assert(link->state == VCPU_UP);
	memcpy(out, encoded, bytes);
	return vcpu_seal_close(&link->to_peer, out, bytes) ? -EIO : (int)(bytes + VCPU_SEAL_BYTES);
}

int vcpu_link_open(struct vcpu_link *link, uint8_t *bytes, size_t count, struct vcpu_frame *frame)
{
	const struct vcpu_self *self = link->self;
	int err;

	assert(link->state == VCPU_UP);
	err = vcpu_seal_open(&link->from_peer, bytes, count - VCPU_SEAL_BYTES);
	if (err)
		return err;
	vcpu_frame_decode(bytes, frame);
	if (frame->from != link->peer || !vcpu_frame_valid(frame, self->node) ||
	    vcpu_type_is_clear(frame->type) || !vcpu_map_frame_fits(self->map, frame, self->node))
		return -EBADMSG;
	return 0;
}
