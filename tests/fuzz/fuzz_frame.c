// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_frame.c - a connection to the kernel module from a hostile peer, up to the end of the
 * handshake: what is taken for a frame (kmod/frame.c), who is let in, and with which keys
 * (kmod/handshake.c).
 *
 * Input: flags u8 (1: there is a key; 2: this side connects; 4: pairs have keys), then steps: how u8, bytes. Only what is
 * right in every way but the bytes that the input has changed gets far, so the frames are right at
 * first. A step's bits: 1: a PROOF, else a HELLO; 2: the next bytes are a whole frame instead;
 * 4: a bit is changed; 8: the next send is short; 16: an attempt of this node's has precedence.
 *
 * fuzz-libs: -Itests/kmod/include
 */
#include "fuzz.h"
#include "tests/kmod/kernel.h"

/* What the kernel is not built with. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
#include "kmod/frame.c"
#include "kmod/handshake.c"
#pragma GCC diagnostic pop

#define SELF  1
#define PEER  2
#define NODES 4

struct auth {
	u64 key;
};

static struct auth auth_ours = {7};
static const u8 pair_keys[NODES][AUTH_BYTES] = {{2}, {3}, {5}, {11}};
static bool sends_short, has_precedence;
static unsigned int ups;

/* Not secret, but another one for every bit of what it is of. */
int gvm_auth_derive(struct auth *auth, const u8 *prk, enum auth_use use,
		    const u8 *hello_connecting, const u8 *hello_accepting, u8 *out)
{
	u64 sum = auth->key + *prk + use;

	for (int i = 0; i < AUTH_BYTES; i++) {
		for (int k = 0; k < HELLO_BYTES; k++)
			sum = (sum ^ hello_connecting[k] ^ (u64)hello_accepting[k] << 8) * 0x100000001b3ull;
		out[i] = (u8)(sum >> 32);
	}
	return 0;
}

void gvm_seal_init(struct seal *seal, const u8 *key)
{
	memset(seal, 0, sizeof(*seal));
	seal->keyed = key;
	if (key)
		memcpy(seal->key, key, sizeof(seal->key));
}

int gvm_link_send(struct link *link, struct kvec *parts, unsigned int nr_parts, bool more)
{
	struct frame_head head;
	size_t bytes = 0;

	(void)more;
	FUZZ_CHECK(link->state != LINK_UP);
	FUZZ_CHECK(!gvm_frame_head_decode(parts[0].iov_base, &head));
	for (unsigned int i = 0; i < nr_parts; i++)
		bytes += parts[i].iov_len;
	FUZZ_CHECK(bytes == (size_t)FRAME_HEAD_BYTES + head.body_bytes);
	return sends_short ? (int)bytes / 2 : (int)bytes;
}

int gvm_link_up(struct link *link)
{
	link->state = LINK_UP;
	ups++;
	return 0;
}

bool gvm_peer_accepts(struct gvm_peer *peer)
{
	(void)peer;
	return !has_precedence;
}

struct gvm_peer *gvm_cluster_peer(const struct gvm_cluster *cluster, u16 id)
{
	return id < cluster->nodes ? cluster->peers[id] : NULL;
}

void test_log(const char *format, ...)
{
	FUZZ_CHECK(format);
}

void get_random_bytes(void *to, size_t bytes)
{
	memset(to, 0x5a, bytes);
}

/* ---- frames ---- */

static void region_frame_try(const u8 *body)
{
	struct region_frame frame;
	u8 again[REGION_FRAME_BYTES];

	if (gvm_region_frame_decode(body, &frame))
		return;
	/* There is one way to write it. */
	gvm_region_frame_encode(&frame, again);
	FUZZ_CHECK(!memcmp(again, body, sizeof(again)));
}

static void hello_try(const u8 *body)
{
	struct hello hello;
	u8 again[HELLO_BYTES];
	int err = gvm_hello_decode(body, &hello);

	FUZZ_CHECK(!err || err == -EBADMSG || err == -EPROTONOSUPPORT);
	if (err)
		return;
	gvm_hello_encode(&hello, again);
	FUZZ_CHECK(!memcmp(again, body, sizeof(again)));
}

/* ---- the handshake ---- */

#define DIGEST 0x1122334455667788u /* that of a peer, without its id */

struct peers {
	struct gvm_cluster cluster;
	struct gvm_peer *list[NODES];
	struct gvm_peer peer[NODES];
	struct link link;
	bool greeted, proved; /* as they have to be, by this test's own judgement */
};

static void peers_init(struct peers *p, bool has_key, bool outgoing, bool pairs)
{
	memset(p, 0, sizeof(*p));
	p->cluster = (struct gvm_cluster){.id = SELF, .nodes = NODES, .peers = p->list};
	p->cluster.auth = has_key ? &auth_ours : NULL;
	p->cluster.pair_keys = has_key && pairs;
	for (unsigned int i = 0; i < NODES; i++) {
		p->peer[i] = (struct gvm_peer){
			.cluster = &p->cluster, .id = (u16)i, .self = SELF, .digest = DIGEST + i};
		memcpy(p->peer[i].key, pair_keys[i], sizeof(p->peer[i].key));
		p->list[i] = i == SELF || i == 3 ? NULL : &p->peer[i];
	}
	p->link.links = &p->cluster.links;
	p->link.outgoing = outgoing;
	p->link.peer = outgoing ? &p->peer[PEER] : NULL;
	p->link.state = LINK_GREETING;
	ups = 0;
}

static bool hello_is_right(const struct peers *p, const u8 *body)
{
	struct hello hello;

	return !gvm_hello_decode(body, &hello) && hello.from < NODES && p->list[hello.from] &&
	       (!p->link.outgoing || hello.from == PEER) && hello.to == SELF &&
	       hello.digest == DIGEST + hello.from &&
	       hello.flags == hello_flags(&p->cluster);
}

/* `hello`: what the peer said. */
static void bytes_derive(const struct peers *p, enum auth_use use, const u8 *hello, u8 *out)
{
	gvm_auth_derive(&auth_ours, pair_keys[PEER], use, p->link.outgoing ? p->link.hello_sent : hello,
			p->link.outgoing ? hello : p->link.hello_sent, out);
}

static bool proof_is_right(const struct peers *p, const u8 *hello, const u8 *body)
{
	u8 proof[PROOF_BYTES];

	if (!p->cluster.auth)
		return false;
	bytes_derive(p, p->link.outgoing ? AUTH_PROOF_ACCEPTING : AUTH_PROOF_CONNECTING, hello, proof);
	return !memcmp(proof, body, sizeof(proof));
}

/* Either direction has its own key, and neither is a proof. */
static bool seals_are_right(const struct peers *p)
{
	const struct seal *connecting = p->link.outgoing ? &p->link.to_peer : &p->link.from_peer;
	const struct seal *accepting = p->link.outgoing ? &p->link.from_peer : &p->link.to_peer;
	u8 keys[2][AUTH_BYTES];

	if (!p->cluster.auth)
		return !connecting->keyed && !accepting->keyed;
	bytes_derive(p, AUTH_KEY_CONNECTING, p->link.hello_received, keys[0]);
	bytes_derive(p, AUTH_KEY_ACCEPTING, p->link.hello_received, keys[1]);
	return connecting->keyed && !memcmp(connecting->key, keys[0], sizeof(keys[0])) &&
	       accepting->keyed && !memcmp(accepting->key, keys[1], sizeof(keys[1]));
}

static void frame_make(const struct peers *p, bool proof, u8 *frame)
{
	struct frame_head head = {.kind = proof ? FRAME_PROOF : FRAME_HELLO,
				  .body_bytes = proof ? PROOF_BYTES : HELLO_BYTES};
	struct hello hello = {.from = PEER,
			      .to = SELF,
			      .flags = hello_flags(&p->cluster),
			      .digest = DIGEST + PEER,
			      .nonce = {9}};

	gvm_frame_head_encode(&head, frame);
	if (!proof)
		gvm_hello_encode(&hello, frame + FRAME_HEAD_BYTES);
	else
		bytes_derive(p, p->link.outgoing ? AUTH_PROOF_ACCEPTING : AUTH_PROOF_CONNECTING,
		       p->link.hello_received, frame + FRAME_HEAD_BYTES);
}

/* As receive.c gives it on. */
static int frame_receive(struct peers *p, const struct frame_head *head, const u8 *body)
{
	static u8 hello[HELLO_BYTES]; /* the one that was taken */
	int err;

	if (head->kind == FRAME_HELLO) {
		bool right = hello_is_right(p, body) && p->link.state == LINK_GREETING;

		err = gvm_handshake_hello(&p->link, body);
		p->greeted |= right;
		FUZZ_CHECK(err || right);
		if (right)
			memcpy(hello, body, sizeof(hello));
		return err;
	}
	if (head->kind == FRAME_PROOF) {
		bool right = p->greeted && proof_is_right(p, hello, body);

		err = gvm_handshake_proof(&p->link, body);
		p->proved |= right;
		FUZZ_CHECK(err || right);
		return err;
	}
	return -EBADMSG;
}

static int step(struct peers *p, struct fuzz_input *in)
{
	u8 frame[FRAME_HEAD_BYTES + REGION_FRAME_BYTES] = {0};
	unsigned int how = (unsigned int)fuzz_take(in, 1), at;
	struct frame_head head;
	u8 again[FRAME_HEAD_BYTES];

	sends_short = how & 8;
	has_precedence = how & 16;
	if (how & 2)
		for (at = 0; at < sizeof(frame); at++)
			frame[at] = (u8)fuzz_take(in, 1);
	else
		frame_make(p, how & 1, frame);
	if (how & 4) {
		at = (unsigned int)fuzz_take(in, 1) % sizeof(frame);
		frame[at] ^= (u8)(1 << fuzz_take(in, 1) % 8);
	}
	hello_try(frame + FRAME_HEAD_BYTES);
	region_frame_try(frame + FRAME_HEAD_BYTES);
	if (gvm_frame_head_decode(frame, &head))
		return -EBADMSG;
	FUZZ_CHECK(head.body_bytes <= FRAME_BODY_BYTES_MAX);
	gvm_frame_head_encode(&head, again);
	FUZZ_CHECK(!memcmp(again, frame, sizeof(again)));
	return frame_receive(p, &head, frame + FRAME_HEAD_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	unsigned int flags = (unsigned int)fuzz_take(&in, 1);
	struct peers p;

	peers_init(&p, flags & 1, flags & 2, flags & 4);
	sends_short = false;
	if (p.link.outgoing && gvm_handshake_begin(&p.link))
		return 0;
	while (in.left && !step(&p, &in)) {
		/* It is up when it has to be, once, for the node that it said to be. */
		FUZZ_CHECK((p.link.state == LINK_UP) ==
			   (p.greeted && (p.proved || !p.cluster.auth)));
		FUZZ_CHECK(ups == (p.link.state == LINK_UP));
		FUZZ_CHECK(!ups || seals_are_right(&p));
		FUZZ_CHECK(!p.greeted || (p.link.peer && p.link.peer->id != SELF));
	}
	return 0;
}
