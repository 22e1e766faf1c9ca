// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tls.c - see tls.h.
 *
 * A pre-shared key belongs to one hash, so there are two, of a label each: one for AES-256-GCM (SHA-384)
 * and one for CHACHA20-POLY1305 (SHA-256). The client offers one of them and the suite that goes with it,
 * by what its processor is fast at; the node knows both, by their identities. Whatever has no right
 * binder is refused before the node computes anything costly.
 *
 * The library must never find `out` full while it answers a peer, so plaintext is taken only as far as a
 * reserve stays; a peer that uses even that up ends the connection.
 */
#include "tls.h"
#include "hkdf.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define SUITES	      2
#define PSK_BYTES_MAX 48
#define RECORD_HEAD_BYTES  5u
#define MESSAGE_HEAD_BYTES 4u
#define CLIENT_HELLO	   1
#define HELLO_BYTES_MAX	   2048 /* ours have some 300 */
/*
 * AES-GCM's margin is spent after 2^24.5 records of one key (RFC 8446, 5.5): both ends change theirs well
 * before, by themselves, so that neither has to ask the other.
 */
#define REKEY_RECORDS (1u << 23)
#define IDLE_RECORDS_MAX 8u /* in a row, without plaintext */

static const struct suite {
	const char *name;     /* the library's */
	const char *identity; /* of the pre-shared key; its label too */
	uint8_t id[2];
	uint8_t psk_bytes; /* as its hash */
} suites[SUITES] = {
	{"TLS_AES_256_GCM_SHA384", "gvm tls 1 aes-256-gcm", {0x13, 0x02}, 48},
	{"TLS_CHACHA20_POLY1305_SHA256", "gvm tls 1 chacha20-poly1305", {0x13, 0x03}, 32},
};

struct tls_key {
	SSL_CTX *ctx;
	unsigned suite; /* of a client */
	uint8_t psk[SUITES][PSK_BYTES_MAX];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method;
static int key_index = -1; /* -1: the library lacks memory */

static int bytes_read(BIO *bio, char *p, int bytes)
{
	struct tls *t = BIO_get_data(bio);
	size_t have = t->in.end - t->in.start, n = (size_t)bytes < have ? (size_t)bytes : have;

	BIO_clear_retry_flags(bio);
	if (!n) {
		if (t->ended)
			return 0;
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(p, t->in.buf + t->in.start, n);
	t->in.start += n;
	if (t->in.start == t->in.end)
		t->in.start = t->in.end = 0;
	return (int)n;
}

static int bytes_write(BIO *bio, const char *p, int bytes)
{
	struct tls *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if ((size_t)bytes > t->out.room - t->out.end)
		return -1; /* not to be tried again: the connection fails */
	memcpy(t->out.buf + t->out.end, p, (size_t)bytes);
	t->out.end += (size_t)bytes;
	return bytes;
}

static long bytes_ctrl(BIO *bio, int what, long number, void *p)
{
	const struct tls *t = BIO_get_data(bio);

	(void)number;
	(void)p;
	if (what == BIO_CTRL_EOF)
		return t->ended && t->in.start == t->in.end;
	return what == BIO_CTRL_FLUSH;
}

static int bytes_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static void library_init(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "buffers");
	if (method &&
	    (!BIO_meth_set_read(method, bytes_read) || !BIO_meth_set_write(method, bytes_write) ||
	     !BIO_meth_set_ctrl(method, bytes_ctrl) || !BIO_meth_set_create(method, bytes_create))) {
		BIO_meth_free(method);
		method = NULL;
	}
	key_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* The library's session that stands for a pre-shared key. */
static SSL_SESSION *psk_session(SSL *ssl, const struct tls_key *key, unsigned i)
{
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, suites[i].id);
	SSL_SESSION *session = SSL_SESSION_new();

	if (session && cipher &&
	    SSL_SESSION_set1_master_key(session, key->psk[i], suites[i].psk_bytes) &&
	    SSL_SESSION_set_cipher(session, cipher) &&
	    SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION))
		return session;
	SSL_SESSION_free(session);
	return NULL;
}

static const struct tls_key *ssl_key(const SSL *ssl)
{
	return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), key_index);
}

static int client_psk(SSL *ssl, const EVP_MD *hash, const unsigned char **identity, size_t *bytes,
		      SSL_SESSION **session)
{
	const struct tls_key *key = ssl_key(ssl);
	const struct suite *suite = &suites[key->suite];

	*session = psk_session(ssl, key, key->suite);
	/* A node that asks for another hash knows no key of ours. */
	if (!*session ||
	    (hash && EVP_MD_get_type(hash) !=
			     EVP_MD_get_type(SSL_CIPHER_get_handshake_digest(
				     SSL_SESSION_get0_cipher(*session))))) {
		SSL_SESSION_free(*session);
		*session = NULL;
		return 0;
	}
	*identity = (const unsigned char *)suite->identity;
	*bytes = strlen(suite->identity);
	return 1;
}

static int node_psk(SSL *ssl, const unsigned char *identity, size_t bytes, SSL_SESSION **session)
{
	*session = NULL;
	for (unsigned i = 0; i < SUITES; i++)
		if (bytes == strlen(suites[i].identity) && !memcmp(identity, suites[i].identity, bytes)) {
			*session = psk_session(ssl, ssl_key(ssl), i);
			return *session != NULL;
		}
	return 1; /* not known: the handshake fails, for want of a certificate */
}

static bool aes_is_fast(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	return (getauxval(AT_HWCAP) & (HWCAP_AES | HWCAP_PMULL)) == (HWCAP_AES | HWCAP_PMULL);
#else
	return true;
#endif
}

/* A node's context knows all suites, a client's its own. A peer that shows a certificate fails: no
 * authority is trusted. */
static int context_set(struct tls_key *key, bool node)
{
	char names[128];

	if (node)
		snprintf(names, sizeof(names), "%s:%s", suites[0].name, suites[1].name);
	else
		snprintf(names, sizeof(names), "%s", suites[key->suite].name);
	if (!SSL_CTX_set_min_proto_version(key->ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_max_proto_version(key->ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(key->ctx, names) ||
	    !SSL_CTX_set1_groups_list(key->ctx, "X25519:P-256") ||
	    !SSL_CTX_set_num_tickets(key->ctx, 0) || !SSL_CTX_set_max_early_data(key->ctx, 0) ||
	    !SSL_CTX_set_recv_max_early_data(key->ctx, 0) ||
	    !SSL_CTX_set_ex_data(key->ctx, key_index, key))
		return -EIO;
	SSL_CTX_set_options(key->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_clear_options(key->ctx, SSL_OP_ALLOW_NO_DHE_KEX | SSL_OP_IGNORE_UNEXPECTED_EOF |
						SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
	SSL_CTX_set_mode(key->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_clear_mode(key->ctx, SSL_MODE_AUTO_RETRY); /* one record a call: the caller loops */
	SSL_CTX_set_session_cache_mode(key->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(key->ctx, node ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	if (node)
		SSL_CTX_set_psk_find_session_callback(key->ctx, node_psk);
	else
		SSL_CTX_set_psk_use_session_callback(key->ctx, client_psk);
	return 0;
}

static int psks_derive(struct tls_key *key, const void *secret, size_t bytes)
{
	static const char salt[] = "gvm tls";
	uint8_t prk[HKDF_BYTES];
	int err = hkdf_extract(salt, strlen(salt), secret, bytes, prk);

	for (unsigned i = 0; i < SUITES && !err; i++)
		err = hkdf_expand(prk, suites[i].identity, strlen(suites[i].identity), key->psk[i],
				  suites[i].psk_bytes);
	OPENSSL_cleanse(prk, sizeof(prk));
	return err;
}

static int key_create(const void *secret, size_t bytes, bool node, unsigned suite, struct tls_key **out)
{
	struct tls_key *key;
	int err;

	pthread_once(&once, library_init);
	if (!method || key_index < 0)
		return -ENOMEM;
	key = calloc(1, sizeof(*key));
	if (!key)
		return -ENOMEM;
	key->suite = suite;
	key->ctx = SSL_CTX_new(node ? TLS_server_method() : TLS_client_method());
	err = key->ctx ? psks_derive(key, secret, bytes) : -EIO;
	if (!err)
		err = context_set(key, node);
	ERR_clear_error();
	if (err) {
		tls_key_destroy(key);
		return err;
	}
	*out = key;
	return 0;
}

int tls_key_create(const void *secret, size_t bytes, bool node, struct tls_key **out)
{
	return key_create(secret, bytes, node, aes_is_fast() ? 0 : 1, out);
}

void tls_key_destroy(struct tls_key *key)
{
	if (!key)
		return;
	SSL_CTX_free(key->ctx);
	OPENSSL_cleanse(key, sizeof(*key));
	free(key);
}

int tls_init(struct tls *t, const struct tls_key *key, void *in, size_t in_bytes, void *out,
	     size_t out_bytes)
{
	BIO *bio;

	*t = (struct tls){
		.in = {.buf = in, .room = in_bytes},
		.out = {.buf = out, .room = out_bytes},
		.rekey_records = REKEY_RECORDS,
	};
	t->ssl = SSL_new(key->ctx);
	bio = t->ssl ? BIO_new(method) : NULL;
	if (!bio) {
		SSL_free(t->ssl);
		t->ssl = NULL;
		ERR_clear_error();
		return -ENOMEM;
	}
	BIO_set_data(bio, t);
	SSL_set_bio(t->ssl, bio, bio);
	if (SSL_is_server(t->ssl))
		SSL_set_accept_state(t->ssl);
	else
		SSL_set_connect_state(t->ssl);
	return 0;
}

void tls_deinit(struct tls *t)
{
	if (t->ssl)
		SSL_free(t->ssl);
	t->ssl = NULL;
}

uint8_t *tls_in_room(struct tls *t, size_t *bytes)
{
	struct tls_bytes *b = &t->in;

	if (b->start && b->end == b->room) {
		memmove(b->buf, b->buf + b->start, b->end - b->start);
		b->end -= b->start;
		b->start = 0;
	}
	*bytes = b->room - b->end;
	return b->buf + b->end;
}

void tls_in_add(struct tls *t, size_t bytes)
{
	t->in.end += bytes;
}

void tls_out_sent(struct tls *t, size_t bytes)
{
	t->out.start += bytes;
	if (t->out.start == t->out.end)
		t->out.start = t->out.end = 0;
}

bool tls_has_input(const struct tls *t)
{
	/* (A record's header alone is no pending byte to the library, but its state: the body, "RB", is awaited.) */
	return t->in.end > t->in.start || SSL_has_pending(t->ssl) || SSL_rstate_string(t->ssl)[1] == 'B';
}

bool tls_has_more(const struct tls *t)
{
	return t->in.end > t->in.start || SSL_pending(t->ssl) > 0;
}

/* The alerts by which a peer says that it found no key of its own in the other's hello. */
static bool alert_is_of_key(int alert)
{
	return alert == SSL_AD_ILLEGAL_PARAMETER || alert == SSL_AD_HANDSHAKE_FAILURE ||
	       alert == SSL_AD_DECRYPT_ERROR || alert == SSL_AD_UNKNOWN_PSK_IDENTITY;
}

static int failed(struct tls *t)
{
	unsigned long e = ERR_peek_error();
	int reason = ERR_GET_REASON(e);
	int alert = reason >= SSL_AD_REASON_OFFSET ? reason - SSL_AD_REASON_OFFSET : -1;
	const char *text = e ? ERR_reason_error_string(e) : NULL;

	t->failed = true;
	if (ERR_GET_LIB(e) != ERR_LIB_SSL)
		reason = alert = -1;
	t->no_tls = !t->up && alert == SSL_AD_PROTOCOL_VERSION;
	t->key_refused = !t->up && (alert_is_of_key(alert) || reason == SSL_R_BINDER_DOES_NOT_VERIFY);
	if (t->no_tls)
		snprintf(t->why, sizeof(t->why), "the other end uses no TLS");
	else if (t->key_refused)
		snprintf(t->why, sizeof(t->why), "wrong key");
	else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		snprintf(t->why, sizeof(t->why), "TLS: the stream was cut off");
	else if (reason == SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC)
		snprintf(t->why, sizeof(t->why), "TLS: a record was altered on the way");
	else
		snprintf(t->why, sizeof(t->why), "TLS: %s", text ? text : "the library failed");
	ERR_clear_error();
	return -EBADMSG;
}

static int refused(struct tls *t, const char *why)
{
	snprintf(t->why, sizeof(t->why), "TLS: %s", why);
	t->failed = true;
	return -EBADMSG;
}

/*
 * The library makes room for whatever size a hello says it has, 128 KiB at most, for a peer that has proven nothing.
 * So a node looks first: 0, -EAGAIN or -EBADMSG.
 */
static int hello_check(struct tls *t)
{
	const uint8_t *p = t->in.buf + t->in.start;
	size_t bytes = t->in.end - t->in.start;

	if (t->hello_checked)
		return 0;
	if (bytes && !tls_is_hello(p, bytes))
		return refused(t, "not a client's hello");
	if (bytes < RECORD_HEAD_BYTES + MESSAGE_HEAD_BYTES)
		return t->ended ? refused(t, "the stream was cut off") : -EAGAIN;
	if (p[5] != CLIENT_HELLO || p[6] || (p[7] << 8 | p[8]) > HELLO_BYTES_MAX)
		return refused(t, "not a hello of a client of ours");
	t->hello_checked = true;
	return 0;
}

/* The second hello would have any size again, and a client of ours has no need for one. */
static bool asks_for_another_hello(const struct tls *t)
{
	static const uint8_t random[] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, /* RFC 8446, 4.1.3 */
					 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91};
	size_t at = RECORD_HEAD_BYTES + MESSAGE_HEAD_BYTES + 2;

	return tls_out_bytes(t) >= at + sizeof(random) &&
	       !memcmp(t->out.buf + t->out.start + at, random, sizeof(random));
}

int tls_handshake(struct tls *t)
{
	bool node = SSL_is_server(t->ssl);
	int ret;

	if (t->failed)
		return -EBADMSG;
	if (t->up)
		return 0;
	ret = node ? hello_check(t) : 0;
	if (ret)
		return ret;
	ERR_clear_error();
	ret = SSL_do_handshake(t->ssl);
	if (node && asks_for_another_hello(t)) {
		t->out.start = t->out.end = 0;
		return refused(t, "a hello without a key share that a node takes");
	}
	if (ret != 1 && SSL_get_error(t->ssl, ret) != SSL_ERROR_WANT_READ)
		return failed(t);
	/* (Its binder was right, since the library has an answer that is no alert.) */
	t->hello_taken |= node && tls_out_bytes(t);
	if (ret != 1)
		return -EAGAIN;
	/* A peer that was let in by anything but the key: impossible as long as no certificate is trusted. */
	if (!SSL_session_reused(t->ssl)) {
		t->key_refused = true;
		return refused(t, "the other end did not use the key");
	}
	t->up = true;
	return 0;
}

ssize_t tls_read(struct tls *t, void *p, size_t bytes)
{
	size_t got = 0;

	if (t->failed)
		return -EBADMSG;
	if (!t->up)
		return -EAGAIN;
	/*
	 * A record without plaintext ends the library's call, too: what follows it may have some. A peer says such
	 * records seldom, and a change of keys costs what many other records do, so few of them in a row are taken.
	 */
	do {
		size_t before = t->in.end - t->in.start;
		int err;

		ERR_clear_error();
		if (SSL_read_ex(t->ssl, p, bytes, &got)) {
			t->idle_records = 0;
			return (ssize_t)got;
		}
		err = SSL_get_error(t->ssl, 0);
		if (err == SSL_ERROR_ZERO_RETURN)
			return 0;
		if (err != SSL_ERROR_WANT_READ)
			return failed(t);
		/* (With input left, or nothing begun, it was a whole record.) */
		if (before && (t->in.end > t->in.start || !tls_has_input(t)) && ++t->idle_records > IDLE_RECORDS_MAX)
			return refused(t, "too many records without data");
	} while (t->in.end > t->in.start);
	return -EAGAIN;
}

/* One record's plaintext: as it lies there, or gathered. */
static const void *record_gather(const struct iovec **iov, unsigned *iovs, size_t *skip, size_t bytes,
				 uint8_t *copy)
{
	const uint8_t *at = (const uint8_t *)(*iov)->iov_base + *skip;
	size_t done = 0;

	if ((*iov)->iov_len - *skip >= bytes) {
		*skip += bytes;
		return at;
	}
	while (done < bytes) {
		size_t n = (*iov)->iov_len - *skip;

		n = n < bytes - done ? n : bytes - done;
		memcpy(copy + done, (const uint8_t *)(*iov)->iov_base + *skip, n);
		done += n;
		*skip += n;
		if (*skip == (*iov)->iov_len && *iovs > 1) {
			++*iov;
			--*iovs;
			*skip = 0;
		}
	}
	return copy;
}

/* How much plaintext the next record may have; 0: there is no room for one. */
static size_t record_room(const struct tls *t)
{
	size_t room = t->out.room - t->out.end, around = TLS_SEALED_BYTES(0) + TLS_OUT_RESERVE;

	return room <= around ? 0 : room - around < TLS_RECORD_BYTES ? room - around : TLS_RECORD_BYTES;
}

ssize_t tls_writev(struct tls *t, const struct iovec *iov, unsigned iovs)
{
	uint8_t copy[TLS_RECORD_BYTES];
	size_t left = 0, skip = 0, took = 0;

	if (t->failed)
		return -EIO;
	for (unsigned i = 0; i < iovs; i++)
		left += iov[i].iov_len;
	if (t->out.start && record_room(t) < TLS_RECORD_BYTES) {
		memmove(t->out.buf, t->out.buf + t->out.start, tls_out_bytes(t));
		t->out.end -= t->out.start;
		t->out.start = 0;
	}
	while (left) {
		size_t bytes = record_room(t), written;
		const void *p;

		bytes = bytes < left ? bytes : left;
		/* No record of a few bytes because the room ends, unless the text does. */
		if (!bytes || (bytes < left && tls_out_bytes(t) && bytes < TLS_RECORD_BYTES))
			break;
		while (iovs > 1 && skip == iov->iov_len) {
			iov++;
			iovs--;
			skip = 0;
		}
		p = record_gather(&iov, &iovs, &skip, bytes, copy);
		ERR_clear_error();
		if (t->records++ >= t->rekey_records) {
			t->records = 0;
			if (!SSL_key_update(t->ssl, SSL_KEY_UPDATE_NOT_REQUESTED))
				return failed(t), -EIO;
		}
		if (!SSL_write_ex(t->ssl, p, bytes, &written) || written != bytes)
			return failed(t), -EIO;
		took += bytes;
		left -= bytes;
	}
	return (ssize_t)took;
}

void tls_close(struct tls *t)
{
	if (t->closed || !t->up)
		return;
	t->closed = true;
	ERR_clear_error();
	SSL_shutdown(t->ssl);
	ERR_clear_error();
}

int tls_binding(struct tls *t, struct gvm_bytes32 *binding)
{
	static const char label[] = "EXPORTER-Channel-Binding";

	ERR_clear_error();
	return SSL_export_keying_material(t->ssl, binding->b, sizeof(binding->b), label, strlen(label), NULL,
					  0, 0) == 1 ?
		       0 :
		       -EIO;
}

/* What one end has to say, into the other's buffer. */
static void bytes_pass(struct tls *from, struct tls *to)
{
	size_t room, n = tls_out_bytes(from);
	uint8_t *p = tls_in_room(to, &room);

	n = n < room ? n : room;
	memcpy(p, from->out.buf + from->out.start, n);
	tls_in_add(to, n);
	tls_out_sent(from, n);
}

static int warm_up_one(const struct tls_key *node_key, const void *secret, size_t secret_bytes, unsigned suite)
{
	static uint8_t buf[4][TLS_BUF_MIN];
	struct iovec iov = {(void *)(uintptr_t)"warm", 4};
	struct tls client = {0}, node = {0};
	struct gvm_bytes32 binding;
	struct tls_key *key = NULL;
	uint8_t got[8];
	int err = key_create(secret, secret_bytes, false, suite, &key);

	if (!err)
		err = tls_init(&client, key, buf[0], TLS_BUF_MIN, buf[1], TLS_BUF_MIN);
	if (!err)
		err = tls_init(&node, node_key, buf[2], TLS_BUF_MIN, buf[3], TLS_BUF_MIN);
	for (unsigned i = 0; !err && i < 4 && !(client.up && node.up); i++) {
		if (tls_handshake(&client) == -EBADMSG)
			err = -EIO;
		bytes_pass(&client, &node);
		if (tls_handshake(&node) == -EBADMSG)
			err = -EIO;
		bytes_pass(&node, &client);
	}
	if (!err && (!client.up || !node.up || tls_binding(&node, &binding)))
		err = -EIO;
	for (unsigned i = 0; !err && i < 2; i++) { /* with a change of keys between */
		if (!SSL_key_update(client.ssl, SSL_KEY_UPDATE_REQUESTED) || tls_writev(&client, &iov, 1) != 4)
			err = -EIO;
		bytes_pass(&client, &node);
		if (!err && (tls_read(&node, got, sizeof(got)) != 4 || tls_writev(&node, &iov, 1) != 4))
			err = -EIO;
		bytes_pass(&node, &client);
		if (!err && tls_read(&client, got, sizeof(got)) != 4)
			err = -EIO;
	}
	tls_close(&client);
	tls_deinit(&client);
	tls_deinit(&node);
	tls_key_destroy(key);
	return err;
}

int tls_warm_up(const void *secret, size_t bytes)
{
	struct tls_key *node = NULL;
	unsigned char random[32];
	int err = key_create(secret, bytes, true, 0, &node);

	if (!err && (RAND_bytes(random, sizeof(random)) != 1 || RAND_priv_bytes(random, sizeof(random)) != 1))
		err = -EIO;
	for (unsigned i = 0; i < SUITES && !err; i++)
		err = warm_up_one(node, secret, bytes, i);
	tls_key_destroy(node);
	return err;
}
