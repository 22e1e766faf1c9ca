// SPDX-License-Identifier: GPL-2.0
/* The handshake: see handshake.h. All of it runs in the link's receiving work. */
#include <crypto/algapi.h>
#include <linux/random.h>
#include <linux/uio.h>

#include "auth.h"
#include "cluster.h"
#include "handshake.h"
#include "link.h"
#include "log.h"
#include "peer.h"

/*
 * Sends a handshake frame. A fresh socket takes so few bytes at once; a short send is an error.
 */
static int send_small(struct link *link, enum frame_kind kind, const u8 *body, u16 bytes)
{
	struct frame_head head = { .body_bytes = bytes, .kind = kind };
	u8 encoded[FRAME_HEAD_BYTES];
	struct kvec parts[2] = {
		{ .iov_base = encoded, .iov_len = sizeof(encoded) },
		{ .iov_base = (void *)body, .iov_len = bytes },
	};

	gvm_frame_head_encode(&head, encoded);
	return gvm_link_send(link, parts, 2, false) == sizeof(encoded) + bytes ? 0 : -EIO;
}

static u32 hello_flags(const struct gvm_cluster *cluster)
{
	return (cluster->auth ? HELLO_PROOF_NEEDED : 0) |
	       (cluster->pair_keys ? HELLO_PAIR_KEYS : 0);
}

static const char *hello_key(const struct hello *hello)
{
	return !(hello->flags & HELLO_PROOF_NEEDED) ? "no key" :
	       hello->flags & HELLO_PAIR_KEYS ? "a key for each pair of nodes" :
						"one key for all nodes";
}

int gvm_handshake_begin(struct link *link)
{
	struct gvm_cluster *cluster = cluster_of(link);
	struct hello hello = {
		.from = cluster->id,
		.to = link->peer->id,
		.flags = hello_flags(cluster),
		.digest = READ_ONCE(link->peer->digest),
	};

	get_random_bytes(hello.nonce, sizeof(hello.nonce));
	gvm_hello_encode(&hello, link->hello_sent);
	return send_small(link, FRAME_HELLO, link->hello_sent, HELLO_BYTES);
}

static int derive(struct link *link, enum auth_use use, u8 *out)
{
	return gvm_auth_derive(cluster_of(link)->auth, link->peer->key, use,
			       link->outgoing ? link->hello_sent : link->hello_received,
			       link->outgoing ? link->hello_received : link->hello_sent, out);
}

/* The proof that this side sends (`own`), or the one to expect from the peer. */
static int proof_of(struct link *link, bool own, u8 *proof)
{
	return derive(link, own == link->outgoing ? AUTH_PROOF_CONNECTING : AUTH_PROOF_ACCEPTING,
		      proof);
}

/* From here on frames are sealed. */
static int seal_begin(struct link *link, struct seal *seal, bool connecting)
{
	u8 key[AUTH_BYTES];
	int err = 0;

	if (cluster_of(link)->auth) {
		err = derive(link, connecting ? AUTH_KEY_CONNECTING : AUTH_KEY_ACCEPTING, key);
		gvm_seal_init(seal, key);
		memzero_explicit(key, sizeof(key));
	} else {
		gvm_seal_init(seal, NULL);
	}
	return err;
}

static int link_up(struct link *link)
{
	int err = seal_begin(link, &link->to_peer, link->outgoing) ?:
		  seal_begin(link, &link->from_peer, !link->outgoing);

	return err ?: gvm_link_up(link);
}

static int send_proof(struct link *link)
{
	u8 proof[PROOF_BYTES];
	int err = proof_of(link, true, proof);

	return err ?: send_small(link, FRAME_PROOF, proof, sizeof(proof));
}

int gvm_handshake_hello(struct link *link, const u8 *body)
{
	struct gvm_cluster *cluster = cluster_of(link);
	struct hello hello;
	struct gvm_peer *peer;
	int err;

	if (link->state != LINK_GREETING)
		return -EBADMSG;
	err = gvm_hello_decode(body, &hello);
	if (err == -EPROTONOSUPPORT)
		gvm_warn("a peer has version %u of the protocol, this node has %u: load the same module on all nodes\n",
			 body[HELLO_VERSION_AT], HELLO_VERSION);
	if (err)
		return err;
	peer = gvm_cluster_peer(cluster, hello.from);
	if (!peer) {
		gvm_warn("node %u is not in this node's list\n", hello.from);
		return -EACCES;
	}
	if (hello.to != cluster->id || (link->peer && peer != link->peer)) {
		gvm_warn("node %u took this one for node %u\n", hello.from, hello.to);
		return -EACCES;
	}
	if (hello.digest != READ_ONCE(peer->digest)) {
		gvm_warn("node %u has another address for itself or for this node, or another lease_ms\n",
			 hello.from);
		return -EACCES;
	}
	if (hello.flags != hello_flags(cluster)) {
		gvm_warn("node %u has %s\n", hello.from, hello_key(&hello));
		return -EACCES;
	}
	memcpy(link->hello_received, body, HELLO_BYTES);
	link->digest = hello.digest;
	if (!link->outgoing) {
		/* An unauthenticated peer must not preempt our own connection attempt. */
		if (!cluster->auth && !gvm_peer_accepts(peer))
			return -EBUSY;
		link->peer = peer;
		err = gvm_handshake_begin(link);
		if (err)
			return err;
	} else if (cluster->auth) {
		err = send_proof(link);
		if (err)
			return err;
	}
	if (!cluster->auth)
		return link_up(link);
	link->state = LINK_PROVING;
	return 0;
}

int gvm_handshake_proof(struct link *link, const u8 *body)
{
	u8 expected[PROOF_BYTES];
	int err;

	if (link->state != LINK_PROVING)
		return -EBADMSG;
	err = proof_of(link, false, expected);
	if (err)
		return err;
	if (crypto_memneq(expected, body, PROOF_BYTES)) {
		gvm_warn("node %u has another key\n", link->peer->id);
		return -EACCES;
	}
	if (!link->outgoing) {
		err = gvm_peer_accepts(link->peer) ? send_proof(link) : -EBUSY;
		if (err)
			return err;
	}
	return link_up(link);
}
