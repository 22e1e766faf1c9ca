// SPDX-License-Identifier: GPL-2.0-or-later
/* tls_stream.c - TLS between two buffers: what arrives is what was sent, or nothing does. */
#include "check.h"
#include "memnode/tls.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define BUF_BYTES (4 * TLS_SEALED_BYTES(TLS_RECORD_BYTES) + TLS_OUT_RESERVE)
#define TEXT_MAX  (1u << 20)

static const char secret[] = "the secret of the unit tests";

struct end {
	struct tls_key *key;
	struct tls t;
	uint8_t in[BUF_BYTES], out[BUF_BYTES];
};

static struct end client, node;
static uint8_t text[TEXT_MAX], got[TEXT_MAX];

static void end_open(struct end *e, const char *key, bool is_node, size_t room)
{
	if (!e->key)
		CHECK_EQ(tls_key_create(key, strlen(key), is_node, &e->key), 0);
	CHECK_EQ(tls_init(&e->t, e->key, e->in, room, e->out, room), 0);
}

static void end_close(struct end *e)
{
	tls_deinit(&e->t);
	tls_key_destroy(e->key);
	memset(e, 0, sizeof(*e));
}

/* Up to `most` bytes go over; returns how many did. */
static size_t pass(struct tls *from, struct tls *to, size_t most)
{
	size_t room, n = tls_out_bytes(from);
	uint8_t *p = tls_in_room(to, &room);

	n = n < room ? n : room;
	n = n < most ? n : most;
	memcpy(p, from->out.buf + from->out.start, n);
	tls_in_add(to, n);
	tls_out_sent(from, n);
	return n;
}

static void shake_by(size_t most)
{
	for (unsigned i = 0; i < 100000 && !(client.t.up && node.t.up); i++) {
		int err = tls_handshake(&client.t);

		CHECK(!err || err == -EAGAIN);
		pass(&client.t, &node.t, most);
		err = tls_handshake(&node.t);
		CHECK(!err || err == -EAGAIN);
		pass(&node.t, &client.t, most);
	}
	CHECK(client.t.up && node.t.up);
}

static void both_open(size_t room)
{
	end_open(&client, secret, false, room);
	end_open(&node, secret, true, room);
	shake_by(SIZE_MAX);
}

static void both_close(void)
{
	end_close(&client);
	end_close(&node);
}

/* `bytes` of text in vectors of random sizes, the wire cut at `most`. */
static void carry(struct tls *from, struct tls *to, size_t bytes, size_t most)
{
	size_t sent = 0, came = 0;

	while (came < bytes) {
		struct iovec iov[9];
		unsigned iovs = 0;
		ssize_t n;

		for (size_t at = sent; at < bytes && iovs < 9; iovs++) {
			size_t len = check_random_below(3) ? check_random_below(600) : check_random_below(40000);

			len = len < bytes - at ? len : bytes - at;
			iov[iovs] = (struct iovec){text + at, len};
			at += len;
		}
		n = iovs ? tls_writev(from, iov, iovs) : 0;
		CHECK(n >= 0);
		sent += (size_t)n;
		pass(from, to, most);
		while ((n = tls_read(to, got + came, 1 + check_random_below(30000))) > 0)
			came += (size_t)n;
		CHECK_EQ(n, -EAGAIN);
	}
	CHECK_EQ(came, bytes);
	CHECK_MEM(got, text, bytes);
}

static void text_fill(void)
{
	for (size_t i = 0; i < TEXT_MAX; i++)
		text[i] = (uint8_t)check_random();
}

static void bytes_arrive_as_they_were_sent(void)
{
	static const size_t rooms[] = {TLS_BUF_MIN, BUF_BYTES};

	text_fill();
	for (unsigned i = 0; i < 2; i++) {
		both_open(rooms[i]);
		CHECK_EQ(SSL_version(client.t.ssl), TLS1_3_VERSION);
		carry(&client.t, &node.t, TEXT_MAX, SIZE_MAX);
		carry(&node.t, &client.t, TEXT_MAX, 1000);
		carry(&node.t, &client.t, 1, 1);
		both_close();
	}
}

static void every_cut_of_the_stream_gives_the_same_bytes(void)
{
	text_fill();
	for (size_t most = 1; most < 80; most++) {
		end_open(&client, secret, false, BUF_BYTES);
		end_open(&node, secret, true, BUF_BYTES);
		shake_by(most);
		carry(&client.t, &node.t, 700, most);
		both_close();
	}
	/* and one record, cut at each of its bytes */
	both_open(BUF_BYTES);
	for (size_t at = 1; at < 300 + 22; at++) {
		struct iovec iov = {text, 300};
		ssize_t n;

		CHECK_EQ(tls_writev(&node.t, &iov, 1), 300);
		CHECK_EQ(tls_out_bytes(&node.t), 300 + 22);
		pass(&node.t, &client.t, at);
		CHECK_EQ(tls_read(&client.t, got, sizeof(got)), -EAGAIN);
		CHECK(tls_has_input(&client.t));
		pass(&node.t, &client.t, SIZE_MAX);
		n = tls_read(&client.t, got, sizeof(got));
		CHECK_EQ(n, 300);
		CHECK_MEM(got, text, 300);
		CHECK(!tls_has_input(&client.t));
	}
	both_close();
}

static void a_cut_stream_is_no_end(void)
{
	struct iovec iov = {text, 100};

	for (size_t keep = 0; keep < 122; keep++) {
		both_open(BUF_BYTES);
		CHECK_EQ(tls_writev(&node.t, &iov, 1), 100);
		pass(&node.t, &client.t, keep);
		client.t.ended = true;
		CHECK_EQ(tls_read(&client.t, got, sizeof(got)), -EBADMSG);
		CHECK(!strcmp(client.t.why, "TLS: the stream was cut off"));
		both_close();
	}
	/* behind whole records: those first, and then it is an error */
	both_open(BUF_BYTES);
	CHECK_EQ(tls_writev(&node.t, &iov, 1), 100);
	pass(&node.t, &client.t, SIZE_MAX);
	client.t.ended = true;
	CHECK_EQ(tls_read(&client.t, got, sizeof(got)), 100);
	CHECK_EQ(tls_read(&client.t, got, sizeof(got)), -EBADMSG);
	both_close();
	both_open(BUF_BYTES);
	CHECK_EQ(tls_writev(&node.t, &iov, 1), 100);
	tls_close(&node.t);
	pass(&node.t, &client.t, SIZE_MAX);
	client.t.ended = true;
	CHECK_EQ(tls_read(&client.t, got, sizeof(got)), 100);
	CHECK_EQ(tls_read(&client.t, got, sizeof(got)), 0);
	both_close();
}

static void no_altered_byte_is_ever_read(void)
{
	struct iovec iov = {text, 60};

	text_fill();
	for (size_t at = 0; at < 60 + 22; at++) {
		ssize_t n;

		both_open(BUF_BYTES);
		CHECK_EQ(tls_writev(&node.t, &iov, 1), 60);
		node.t.out.buf[node.t.out.start + at] ^= (uint8_t)(1u << (at % 8));
		pass(&node.t, &client.t, SIZE_MAX);
		client.t.ended = true;
		n = tls_read(&client.t, got, sizeof(got));
		CHECK_EQ(n, -EBADMSG);
		CHECK(*client.t.why);
		CHECK_EQ(tls_read(&client.t, got, sizeof(got)), -EBADMSG);
		both_close();
	}
}

static void records_are_not_repeated_left_out_or_swapped(void)
{
	uint8_t wire[3][122];
	static const uint8_t orders[][3] = {{0, 0, 1}, {1, 0, 2}, {0, 2, 1}, {2, 1, 0}};

	text_fill();
	for (unsigned o = 0; o < sizeof(orders) / sizeof(*orders); o++) {
		unsigned good = 0;
		ssize_t n = 0;

		both_open(BUF_BYTES);
		for (unsigned i = 0; i < 3; i++) {
			struct iovec iov = {text + 100 * i, 100};

			CHECK_EQ(tls_writev(&node.t, &iov, 1), 100);
			CHECK_EQ(tls_out_bytes(&node.t), sizeof(wire[i]));
			memcpy(wire[i], node.t.out.buf + node.t.out.start, sizeof(wire[i]));
			tls_out_sent(&node.t, sizeof(wire[i]));
		}
		for (unsigned i = 0; i < 3; i++) {
			size_t room;

			memcpy(tls_in_room(&client.t, &room), wire[orders[o][i]], sizeof(wire[0]));
			tls_in_add(&client.t, sizeof(wire[0]));
		}
		while ((n = tls_read(&client.t, got, 100)) > 0) {
			CHECK_EQ(orders[o][good], good);
			CHECK_MEM(got, text + 100 * good, 100);
			good++;
		}
		CHECK_EQ(n, -EBADMSG);
		both_close();
	}
}

static void garbage_is_refused(void)
{
	for (unsigned i = 0; i < 400; i++) {
		size_t room, bytes = 1 + check_random_below(3000);
		uint8_t *p;
		int err;

		end_open(&node, secret, true, TLS_BUF_MIN);
		p = tls_in_room(&node.t, &room);
		for (size_t k = 0; k < bytes; k++)
			p[k] = (uint8_t)check_random();
		if (i & 1)
			memcpy(p, "\x16\x03\x01", 3);
		if (i & 2)
			p[3] = 0;
		tls_in_add(&node.t, bytes);
		node.t.ended = true;
		err = tls_handshake(&node.t);
		CHECK_EQ(err, -EBADMSG);
		CHECK(*node.t.why && !node.t.up);
		end_close(&node);
	}
	/* A record that says it is longer than one may be. */
	both_open(BUF_BYTES);
	{
		size_t room;

		memcpy(tls_in_room(&node.t, &room), "\x17\x03\x03\x45\x01", 5);
		tls_in_add(&node.t, 5);
		CHECK_EQ(tls_read(&node.t, got, sizeof(got)), -EBADMSG);
	}
	both_close();
}

/* Until one of them fails. */
static void shake_in_vain(void)
{
	for (unsigned i = 0; i < 10; i++) {
		bool bad = tls_handshake(&client.t) == -EBADMSG;

		pass(&client.t, &node.t, SIZE_MAX);
		bad |= tls_handshake(&node.t) == -EBADMSG;
		pass(&node.t, &client.t, SIZE_MAX);
		CHECK(!client.t.up || !node.t.up);
		if (bad && i > 2)
			return;
	}
	CHECK(!"refused");
}

static void another_key_does_not_come_in(void)
{
	end_open(&client, "another secret of the tests", false, BUF_BYTES);
	end_open(&node, secret, true, BUF_BYTES);
	shake_in_vain();
	CHECK(!client.t.up && !node.t.up);
	CHECK(client.t.key_refused && node.t.key_refused);
	CHECK_EQ(tls_read(&node.t, got, sizeof(got)), -EBADMSG);
	both_close();
}

/* A node that shows a certificate instead of using the key is not believed. */
static void a_certificate_is_no_key(void)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	CHECK(pkey && cert);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, pkey);
	CHECK(X509_sign(cert, pkey, EVP_sha256()));
	end_open(&client, secret, false, BUF_BYTES);
	end_open(&node, secret, true, BUF_BYTES);
	SSL_set_psk_find_session_callback(node.t.ssl, NULL);
	CHECK(SSL_use_certificate(node.t.ssl, cert) == 1 && SSL_use_PrivateKey(node.t.ssl, pkey) == 1);
	shake_in_vain();
	CHECK(!client.t.up);
	both_close();
	X509_free(cert);
	EVP_PKEY_free(pkey);
}

/* The node takes nothing older, no other way to agree on keys, and hands out no tickets. */
static void nothing_weaker_is_taken(void)
{
	EVP_PKEY *agreed = NULL;

	end_open(&client, secret, false, BUF_BYTES);
	end_open(&node, secret, true, BUF_BYTES);
	SSL_set_min_proto_version(client.t.ssl, TLS1_2_VERSION);
	SSL_set_max_proto_version(client.t.ssl, TLS1_2_VERSION);
	SSL_set_cipher_list(client.t.ssl, "ALL");
	shake_in_vain();
	CHECK(!node.t.up);
	both_close();
	end_open(&client, secret, false, BUF_BYTES);
	end_open(&node, secret, true, BUF_BYTES);
	SSL_set_ciphersuites(client.t.ssl, "TLS_AES_128_GCM_SHA256");
	shake_in_vain();
	CHECK(!node.t.up);
	both_close();
	both_open(BUF_BYTES);
	CHECK_EQ(tls_out_bytes(&node.t), 0); /* no ticket */
	CHECK(SSL_get_peer_tmp_key(client.t.ssl, &agreed)); /* Diffie-Hellman took place */
	EVP_PKEY_free(agreed);
	both_close();
}

/* What a peer says of a hello makes no room for it: its size is bounded, and there is no second one. */
static void a_hello_is_small_and_comes_once(void)
{
	static const struct {
		uint8_t head[9]; /* of the record, and of the hello within */
		int expected;
	} cases[] = {
		{{22, 3, 1, 0, 200, 1, 0, 7, 0xff}, -EAGAIN},	{{22, 3, 1, 0, 200, 1, 0, 8, 0}, -EAGAIN},
		{{22, 3, 1, 0, 200, 1, 0, 8, 1}, -EBADMSG},	{{22, 3, 1, 0, 200, 1, 0, 0xff, 0xff}, -EBADMSG},
		{{22, 3, 1, 0, 200, 1, 1, 0xff, 0}, -EBADMSG},	{{22, 3, 1, 0, 200, 1, 0xff, 0, 0}, -EBADMSG},
		{{22, 3, 1, 0, 200, 2, 0, 0, 100}, -EBADMSG}, /* no client's */
	};
	size_t room;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (size_t cut = 1; cut <= 9; cut++) {
			end_open(&node, secret, true, TLS_BUF_MIN);
			memcpy(tls_in_room(&node.t, &room), cases[i].head, cut);
			tls_in_add(&node.t, cut);
			CHECK_EQ(tls_handshake(&node.t), cut < 9 ? -EAGAIN : cases[i].expected);
			if (cut < 9) {
				memcpy(tls_in_room(&node.t, &room), cases[i].head + cut, 9 - cut);
				tls_in_add(&node.t, 9 - cut);
				CHECK_EQ(tls_handshake(&node.t), cases[i].expected);
			}
			end_close(&node);
		}
	end_open(&client, secret, false, BUF_BYTES);
	end_open(&node, secret, true, BUF_BYTES);
	CHECK(SSL_set1_groups_list(client.t.ssl, "P-256"));
	shake_by(SIZE_MAX);
	both_close();
	end_open(&client, secret, false, BUF_BYTES);
	end_open(&node, secret, true, BUF_BYTES);
	CHECK(SSL_set1_groups_list(client.t.ssl, "P-384:X25519")); /* with a share of the first only */
	CHECK_EQ(tls_handshake(&client.t), -EAGAIN);
	pass(&client.t, &node.t, SIZE_MAX);
	CHECK_EQ(tls_handshake(&node.t), -EBADMSG);
	CHECK_EQ(tls_out_bytes(&node.t), 0);
	both_close();
}

static void a_replayed_hello_leads_nowhere(void)
{
	uint8_t first[4096];
	size_t bytes, room;

	end_open(&client, secret, false, BUF_BYTES);
	CHECK_EQ(tls_handshake(&client.t), -EAGAIN);
	bytes = tls_out_bytes(&client.t);
	CHECK(bytes && bytes < sizeof(first));
	memcpy(first, client.t.out.buf, bytes);
	for (unsigned i = 0; i < 3; i++) {
		end_open(&node, secret, true, BUF_BYTES);
		memcpy(tls_in_room(&node.t, &room), first, bytes);
		tls_in_add(&node.t, bytes);
		CHECK_EQ(tls_handshake(&node.t), -EAGAIN);
		CHECK(!node.t.up);
		node.t.ended = true;
		CHECK_EQ(tls_handshake(&node.t), -EBADMSG);
		end_close(&node);
	}
	end_close(&client);
}

static void keys_change_before_they_wear_out(void)
{
	text_fill();
	both_open(BUF_BYTES);
	client.t.rekey_records = 3;
	node.t.rekey_records = 5;
	for (unsigned i = 0; i < 20; i++) {
		carry(&client.t, &node.t, 100000, SIZE_MAX);
		carry(&node.t, &client.t, 100000, 5000);
	}
	both_close();
}

static void a_flood_of_key_updates_is_bounded(void)
{
	ssize_t n = -EAGAIN;

	both_open(BUF_BYTES);
	for (unsigned i = 0; i < 100 && n == -EAGAIN; i++) {
		CHECK(SSL_key_update(client.t.ssl, SSL_KEY_UPDATE_REQUESTED));
		CHECK_EQ(SSL_do_handshake(client.t.ssl), 1);
		pass(&client.t, &node.t, SIZE_MAX);
		n = tls_read(&node.t, got, sizeof(got));
	}
	CHECK(tls_out_bytes(&node.t) <= BUF_BYTES);
	both_close();
}

static void client_updates_keys(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		CHECK(SSL_key_update(client.t.ssl, SSL_KEY_UPDATE_NOT_REQUESTED));
		CHECK_EQ(SSL_do_handshake(client.t.ssl), 1);
	}
}

/* Each costs a node as much as many requests, in one turn of the connection. */
static void key_updates_in_a_row_are_few(void)
{
	struct iovec iov = {text, 100};

	both_open(BUF_BYTES);
	for (unsigned i = 0; i < 10; i++) {
		client_updates_keys(8);
		CHECK_EQ(tls_writev(&client.t, &iov, 1), 100);
		pass(&client.t, &node.t, SIZE_MAX);
		CHECK_EQ(tls_read(&node.t, got, sizeof(got)), 100);
	}
	client_updates_keys(10);
	pass(&client.t, &node.t, SIZE_MAX);
	CHECK_EQ(tls_read(&node.t, got, sizeof(got)), -EBADMSG);
	CHECK(strstr(node.t.why, "too many records without data"));
	CHECK(node.t.in.end > node.t.in.start); /* and it looked at no more of them */
	both_close();
	/* However they are spread over packets. */
	both_open(BUF_BYTES);
	for (unsigned i = 0; i < 8; i++) {
		client_updates_keys(1);
		pass(&client.t, &node.t, SIZE_MAX);
		CHECK_EQ(tls_read(&node.t, got, sizeof(got)), -EAGAIN);
	}
	client_updates_keys(1);
	pass(&client.t, &node.t, SIZE_MAX);
	CHECK_EQ(tls_read(&node.t, got, sizeof(got)), -EBADMSG);
	CHECK(strstr(node.t.why, "too many records without data"));
	both_close();
}

static void both_ends_know_the_binding_of_their_connection(void)
{
	struct gvm_bytes32 first, second, other;

	both_open(BUF_BYTES);
	CHECK_EQ(tls_binding(&client.t, &first), 0);
	CHECK_EQ(tls_binding(&node.t, &second), 0);
	CHECK_MEM(first.b, second.b, sizeof(first.b));
	both_close();
	both_open(BUF_BYTES);
	CHECK_EQ(tls_binding(&client.t, &other), 0);
	CHECK(memcmp(first.b, other.b, sizeof(first.b)));
	both_close();
}

static void the_library_can_be_warmed_up(void)
{
	CHECK_EQ(tls_warm_up(secret, strlen(secret)), 0);
}

int main(int argc, char **argv)
{
	static const struct check_test tests[] = {
		{"bytes-arrive-as-they-were-sent", bytes_arrive_as_they_were_sent},
		{"every-cut-of-the-stream-gives-the-same-bytes", every_cut_of_the_stream_gives_the_same_bytes},
		{"a-cut-stream-is-no-end", a_cut_stream_is_no_end},
		{"no-altered-byte-is-ever-read", no_altered_byte_is_ever_read},
		{"records-are-not-repeated-left-out-or-swapped", records_are_not_repeated_left_out_or_swapped},
		{"garbage-is-refused", garbage_is_refused},
		{"another-key-does-not-come-in", another_key_does_not_come_in},
		{"a-certificate-is-no-key", a_certificate_is_no_key},
		{"nothing-weaker-is-taken", nothing_weaker_is_taken},
		{"a-hello-is-small-and-comes-once", a_hello_is_small_and_comes_once},
		{"a-replayed-hello-leads-nowhere", a_replayed_hello_leads_nowhere},
		{"keys-change-before-they-wear-out", keys_change_before_they_wear_out},
		{"a-flood-of-key-updates-is-bounded", a_flood_of_key_updates_is_bounded},
		{"key-updates-in-a-row-are-few", key_updates_in_a_row_are_few},
		{"both-ends-know-the-binding-of-their-connection", both_ends_know_the_binding_of_their_connection},
		{"the-library-can-be-warmed-up", the_library_can_be_warmed_up},
	};

	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
