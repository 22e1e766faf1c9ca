// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * liar.c - stands between hosts and an honest node, sees all that a node sees, and lies as it is told:
 *
 *	liar TARGET-PORT HOW
 *
 * The file HOW has one word, which is read again for each answer:
 *
 *	honest	  passes it on
 *	flip	  one bit of a block is another one
 *	tag	  one bit of what a block is checked by is
 *	old	  its blocks are the first that were ever sent for this chunk
 *	swap	  they are those of another chunk
 *	elsewhere they are those of the same chunk of another region
 *	zero	  the pages are said to be zero
 *	plain	  they are others, and not sealed
 *	epoch	  any region was attached last under the highest number that there is
 *	future	  each chunk was written last in the highest version that there is, and PUTs are acknowledged, whatever
 *		  becomes of them
 *	smaller	  regions have no chunk any more, and there is no room for any
 *
 * Of what hosts send it remembers by which salt and number each block was sealed. It says "counts BLOCKS REUSED PLAIN
 * LIES" each time it gets SIGUSR1: sealed blocks that it saw, those with a salt and number that it had seen with other
 * bytes, blocks that were not sealed, and answers that it changed.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "codec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NONCES (1u << 22) /* a power of two */
#define CHUNKS 8192u
#define TAGS   4096u

struct frame {
	struct gvm_hdr hdr;
	uint8_t meta[GVM_META_MAX], data[GVM_DATA_MAX];
};

/* A block that was sealed: by what, and what it is. */
struct nonce {
	uint64_t by, is; /* by 0: none */
};

/* The first PUT of a chunk. */
struct first {
	struct gvm_id region;
	uint64_t chunk;
	struct chunk_head head;
	uint8_t *body;
};

struct link {
	int near, far;
	struct {
		uint64_t tag;
		struct gvm_id region;
		uint64_t chunk;
	} asked[TAGS]; /* by tag % TAGS */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of these: */
static struct nonce nonces[NONCES];
static struct first firsts[CHUNKS];
static unsigned first_count;
static atomic_ulong blocks, reused, plain, lies;
static const char *how_path;
static int target_port;

static bool read_all(int fd, void *to, size_t n)
{
	uint8_t *p = to;

	while (n) {
		ssize_t got = read(fd, p, n);

		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
	}
	return true;
}

static bool write_all(int fd, const void *from, size_t n)
{
	const uint8_t *p = from;

	while (n) {
		ssize_t put = send(fd, p, n, MSG_NOSIGNAL);

		if (put <= 0)
			return false;
		p += put;
		n -= (size_t)put;
	}
	return true;
}

static bool frame_read(int fd, struct frame *f)
{
	uint8_t hdr[GVM_HDR_BYTES];

	return read_all(fd, hdr, sizeof(hdr)) && !gvm_hdr_unpack(&f->hdr, hdr) &&
	       read_all(fd, f->meta, f->hdr.meta_len) && read_all(fd, f->data, f->hdr.data_len);
}

static bool frame_write(int fd, struct frame *f)
{
	uint8_t hdr[GVM_HDR_BYTES];

	gvm_hdr_pack(&f->hdr, f->meta, hdr);
	return write_all(fd, hdr, sizeof(hdr)) && write_all(fd, f->meta, f->hdr.meta_len) &&
	       write_all(fd, f->data, f->hdr.data_len);
}

/* ---- what hosts send */

/* Under the lock. The region is not part of it: a salt is of one sealer, whatever it seals. */
static void nonce_note(const struct chunk_head *h, unsigned b, const uint8_t *bytes)
{
	const struct chunk_block *k = &h->block[b];
	uint64_t by = XXH3_64bits_withSeed(h->salt[k->salt].b, CHUNK_SALT_BYTES, k->number) | 1;
	uint64_t is = XXH3_64bits_withSeed(bytes, k->bytes, gvm_load_le(k->tag, 8));
	struct nonce *n = &nonces[by / 2 % NONCES];

	while (n->by && n->by != by)
		n = n + 1 == nonces + NONCES ? nonces : n + 1;
	if (n->by && n->is != is)
		reused++;
	n->by = by;
	n->is = is;
	if (++blocks > NONCES / 2)
		abort(); /* it would grow slow, and forget nothing */
}

static struct first *first_find(const struct gvm_id *region, uint64_t chunk)
{
	for (unsigned i = 0; i < first_count; i++)
		if (firsts[i].chunk == chunk && gvm_id_equal(&firsts[i].region, region))
			return &firsts[i];
	return NULL;
}

static void put_seen(const struct frame *f)
{
	struct gvm_put_req req;
	struct chunk_head head;
	int used = gvm_put_req_unpack(&req, f->meta, f->hdr.meta_len);
	const uint8_t *at = f->data;

	if (used < 0 || chunk_head_unpack(&head, f->meta + used, f->hdr.meta_len - (size_t)used))
		return;
	pthread_mutex_lock(&lock);
	for (uint32_t m = head.block_mask; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);

		if (head.sealed)
			nonce_note(&head, b, at);
		else
			plain++;
		at += head.block[b].bytes;
	}
	if (head.block_mask && first_count < CHUNKS && !first_find(&req.region, req.chunk)) {
		struct first *first = &firsts[first_count];

		*first = (struct first){ .region = req.region, .chunk = req.chunk, .head = head };
		first->body = malloc(head.body_bytes);
		if (!first->body)
			abort();
		memcpy(first->body, f->data, head.body_bytes);
		first_count++;
	}
	pthread_mutex_unlock(&lock);
}

static void get_seen(struct link *l, const struct frame *f)
{
	struct gvm_get_req req;
	unsigned i = f->hdr.tag % TAGS;

	if (gvm_get_req_unpack(&req, f->meta, f->hdr.meta_len) < 0)
		return;
	pthread_mutex_lock(&lock);
	l->asked[i].tag = f->hdr.tag;
	l->asked[i].region = req.region;
	l->asked[i].chunk = req.chunk;
	pthread_mutex_unlock(&lock);
}

/* ---- how it lies */

static const uint8_t *block_bytes(const struct chunk_head *h, const uint8_t *body, unsigned b)
{
	for (uint32_t m = h->block_mask & ((1u << b) - 1); m; m &= m - 1)
		body += h->block[__builtin_ctz(m)].bytes;
	return body;
}

/* Replaces the blocks that both have. */
static bool blocks_replace(struct chunk_head *head, uint8_t *data, const struct first *by)
{
	struct chunk_head out = *head;
	uint8_t bytes[GVM_DATA_MAX], *to = bytes;
	unsigned salts = 0;
	bool some = false;

	out.body_bytes = 0;
	for (uint32_t m = head->block_mask; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);
		bool other = by->head.block_mask >> b & 1 && by->head.sealed;
		const struct chunk_head *of = other ? &by->head : head;
		const struct chunk_salt *salt = &of->salt[of->block[b].salt];
		unsigned s = 0;

		some |= other;
		out.block[b] = of->block[b];
		while (s < salts && memcmp(out.salt[s].b, salt->b, sizeof(salt->b)))
			s++;
		if (s == salts)
			out.salt[salts++] = *salt;
		out.block[b].salt = (uint8_t)s;
		to = (uint8_t *)mempcpy(to, block_bytes(of, other ? by->body : data, b), of->block[b].bytes);
		out.body_bytes += of->block[b].bytes;
	}
	if (!some)
		return false;
	*head = out;
	memcpy(data, bytes, out.body_bytes);
	return true;
}

/* Under the lock. */
static const struct first *first_of(const struct gvm_id *region, uint64_t chunk, const char *how)
{
	if (!strcmp(how, "old"))
		return first_find(region, chunk);
	for (unsigned i = 0; i < first_count; i++) {
		bool same_region = gvm_id_equal(&firsts[i].region, region), same_chunk = firsts[i].chunk == chunk;

		if (!strcmp(how, "swap") ? same_region && !same_chunk : !same_region && same_chunk)
			return &firsts[i];
	}
	return NULL;
}

static bool make_plain(struct chunk_head *head, uint8_t *data, const struct gvm_id *region, uint64_t chunk)
{
	static uint8_t page_of_mine[GVM_CHUNK_BYTES];
	struct chunk_codec *c = chunk_codec_create();
	uint32_t blocks_sent = head->block_mask;

	if (!c)
		abort();
	memset(page_of_mine, 'L', sizeof(page_of_mine));
	chunk_encode(c, page_of_mine, blocks_sent, head->zero_map, head->block_shift, region, chunk, head, data);
	chunk_codec_destroy(c);
	return true;
}

static bool lie(struct chunk_head *head, uint8_t *data, const char *how, const struct gvm_id *region, uint64_t chunk)
{
	const struct first *first;
	unsigned b = head->block_mask ? (unsigned)__builtin_ctz(head->block_mask) : 0;

	if (!head->block_mask)
		return false;
	if (!strcmp(how, "plain"))
		return make_plain(head, data, region, chunk);
	if (!strcmp(how, "zero")) {
		head->zero_map |= chunk_pages_of_blocks(head->block_shift, head->block_mask);
		head->block_mask = head->body_bytes = 0;
		return true;
	}
	if (!head->sealed)
		return false;
	if (!strcmp(how, "flip")) {
		data[head->body_bytes / 2] ^= 4;
		return true;
	}
	if (!strcmp(how, "tag")) {
		head->block[b].tag[chunk % CHUNK_TAG_BYTES] ^= 16;
		return true;
	}
	first = first_of(region, chunk, how);
	return first && blocks_replace(head, data, first);
}

static void answer_change(struct link *l, struct frame *f, const char *how)
{
	unsigned i = f->hdr.tag % TAGS;
	struct gvm_get_rsp rsp;
	struct chunk_head head;
	int used = gvm_get_rsp_unpack(&rsp, f->meta, f->hdr.meta_len);

	if (used < 0 || chunk_head_unpack(&head, f->meta + used, f->hdr.meta_len - (size_t)used))
		return;
	pthread_mutex_lock(&lock);
	if (l->asked[i].tag == f->hdr.tag && lie(&head, f->data, how, &l->asked[i].region, l->asked[i].chunk)) {
		f->hdr.meta_len = (uint16_t)((size_t)used + chunk_head_pack(&head, f->meta + used));
		f->hdr.data_len = head.body_bytes;
		lies++;
	}
	pthread_mutex_unlock(&lock);
}

/* ---- what it says of regions */

static void epoch_change(struct frame *f)
{
	struct gvm_region_open_rsp rsp = {.chunks = 1u << 20};

	if (f->hdr.status == GVM_OK)
		gvm_region_open_rsp_unpack(&rsp, f->meta, f->hdr.meta_len);
	rsp.epoch = UINT64_MAX;
	f->hdr.status = GVM_OK;
	f->hdr.meta_len = (uint16_t)gvm_region_open_rsp_pack(&rsp, f->meta);
	lies++;
}

static void index_change(struct frame *f)
{
	for (uint32_t at = 0; at + 16 <= f->hdr.data_len; at += 16, lies++)
		gvm_store_le(f->data + at + 8, GVM_VERSION_MASK, 8);
	f->hdr.data_check = gvm_data_check(f->data, f->hdr.data_len);
}

static void put_change(struct frame *f)
{
	f->hdr.status = GVM_OK;
	f->hdr.meta_len = 0;
	lies++;
}

static void size_change(struct frame *f)
{
	struct gvm_region_open_rsp rsp;

	if (f->hdr.op == GVM_OP_REGION_OPEN && f->hdr.status == GVM_OK) {
		gvm_region_open_rsp_unpack(&rsp, f->meta, f->hdr.meta_len);
		rsp.chunks = rsp.reserve_chunks = 0;
		f->hdr.meta_len = (uint16_t)gvm_region_open_rsp_pack(&rsp, f->meta);
		lies++;
	} else if (f->hdr.op == GVM_OP_REGION_RESIZE) {
		struct gvm_error_rsp none = {0};

		f->hdr.status = GVM_ERR_NOSPACE;
		f->hdr.meta_len = (uint16_t)gvm_error_rsp_pack(&none, f->meta);
		lies++;
	}
}

static void lie_about_region(struct frame *f, const char *how)
{
	if (!strcmp(how, "epoch") && f->hdr.op == GVM_OP_REGION_OPEN)
		epoch_change(f);
	else if (!strcmp(how, "future") && f->hdr.op == GVM_OP_REGION_INDEX && f->hdr.status == GVM_OK)
		index_change(f);
	else if (!strcmp(how, "future") && f->hdr.op == GVM_OP_PUT)
		put_change(f);
	else if (!strcmp(how, "smaller"))
		size_change(f);
}

static void how_read(char how[16])
{
	int fd = open(how_path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, how, 15);

	how[n > 0 ? n : 0] = 0;
	how[strcspn(how, "\n")] = 0;
	if (fd >= 0)
		close(fd);
}

/* ---- connections */

static void link_end(struct link *l)
{
	shutdown(l->near, SHUT_RDWR);
	shutdown(l->far, SHUT_RDWR);
}

static void *to_node(void *arg)
{
	struct link *l = arg;
	struct frame *f = malloc(sizeof(*f));

	while (f && frame_read(l->near, f)) {
		if (f->hdr.op == GVM_OP_PUT)
			put_seen(f);
		else if (f->hdr.op == GVM_OP_GET)
			get_seen(l, f);
		if (!frame_write(l->far, f))
			break;
	}
	free(f);
	link_end(l);
	return NULL;
}

static void *to_host(void *arg)
{
	struct link *l = arg;
	struct frame *f = malloc(sizeof(*f));
	char how[16];

	while (f && frame_read(l->far, f)) {
		how_read(how);
		if (f->hdr.op == GVM_OP_GET && f->hdr.status == GVM_OK && strcmp(how, "honest") != 0)
			answer_change(l, f, how);
		lie_about_region(f, how);
		if (!frame_write(l->near, f))
			break;
	}
	free(f);
	link_end(l);
	return NULL;
}

/* Links are never freed: a test's program. */
static void link_begin(int near)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)target_port) };
	struct link *l = calloc(1, sizeof(*l));
	pthread_t thread;
	int yes = 1;

	if (!l)
		abort();
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	l->near = near;
	l->far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(l->far, (struct sockaddr *)&at, sizeof(at)) < 0) {
		close(near);
		return;
	}
	setsockopt(l->near, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	setsockopt(l->far, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (pthread_create(&thread, NULL, to_node, l) || pthread_detach(thread) ||
	    pthread_create(&thread, NULL, to_host, l) || pthread_detach(thread))
		abort();
}

static void *say_counts(void *arg)
{
	const sigset_t *set = arg;
	int sig;

	while (!sigwait(set, &sig)) {
		printf("counts %lu %lu %lu %lu\n", atomic_load(&blocks), atomic_load(&reused), atomic_load(&plain),
		       atomic_load(&lies));
		fflush(stdout);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	static sigset_t set;
	pthread_t thread;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc != 3) {
		fprintf(stderr, "usage: liar TARGET-PORT HOW\n");
		return 2;
	}
	target_port = atoi(argv[1]);
	how_path = argv[2];
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) || pthread_create(&thread, NULL, say_counts, &set) ||
	    bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 64) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &len) < 0) {
		perror("liar");
		return 1;
	}
	printf("liar on %d\n", ntohs(at.sin_port));
	fflush(stdout);
	for (;;) {
		int near = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (near >= 0)
			link_begin(near);
		else if (errno != EINTR && errno != ECONNABORTED)
			return 1;
	}
}
