// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sim.c - sealing under chance: workers that are killed at any step, retries, two replicas, a writer that was
 * fenced and goes on, regions attached anew under whatever epoch a node hands out, and nodes that give back
 * anything that they were ever sent.
 *
 * The code of memnode/seal.c runs as it is (with small pages and few numbers for each salt); the host around
 * it is a model of what gvmfs has to do. What must hold, at each step:
 *
 * - no salt and nonce ever seal two blocks;
 * - what the host accepts is what the guest wrote last; of a page of which it knows nothing yet, something that was
 *   sent to just this place;
 * - an honest node's answer is accepted, always: each page that is not on the host is on both replicas just as the
 *   host knows it.
 *
 *     sim                  without a fault, then with each of the faults below, which has to be noticed
 *     sim FAULT [SEED]     one of them ("none": none)
 */
#include "memnode/seal.h"
#include "memnode/seal_mutant.h"
#include "tests/unit/check.h"

#include <xxhash.h>

#define REGIONS	 2u
#define CHUNKS	 2u
#define REPLICAS 2u
#define SEALERS	 2u
#define STEPS	 6000u
#define SEEDS	 12u
#define SEEN_MAX 60000u
#define NONCES	 (1u << 18)
#define EPOCHS	 4u

static const char *const faults[] = {
	/* in memnode/seal.c */
	"numbers-wrap", "number-of-version", "key-of-no-region",
	"tag-without-chunk", "tag-without-block", "tag-without-version", "tag-without-shape",
	"known-not-asked", "zeros-not-asked",
	/* in the host, here */
	"salt-of-epoch",	/* which a node hands out, and a successor goes on with */
	"salt-of-host",		/* a successor begins to count anew */
	"salt-of-worker",	/* so do two threads of one, each for a replica */
	"version-again", "whole-sealed-anew", "dropped-before-known", "known-is-the-version",
};
#define FAULTS (sizeof(faults) / sizeof(*faults))

static const char *fault = "none";
static char wrong[160]; /* what was noticed first */

bool seal_mutant(const char *name)
{
	return !strcmp(fault, name);
}

static unsigned workers; /* there were so many */

void seal_mutant_salt(struct chunk_salt *salt, uint64_t version)
{
	uint64_t of = seal_mutant("salt-of-epoch")  ? gvm_version_epoch(version) :
		      seal_mutant("salt-of-host")   ? 1 :
		      seal_mutant("salt-of-worker") ? workers :
						      0;

	if (!of)
		return;
	memset(salt->b, 0, sizeof(salt->b));
	gvm_store_le(salt->b, of, 8);
}

#define NOTICE(...) (wrong[0] ? (void)0 : (void)snprintf(wrong, sizeof(wrong), __VA_ARGS__))

/* ---- chance ---- */

static uint64_t chance_state;

static unsigned chance(unsigned below)
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 7;
	chance_state ^= chance_state << 17;
	return (unsigned)(chance_state >> 24) % below;
}

/* ---- nonces that were used ---- */

static struct used {
	uint64_t nonce, text;
} used[NONCES];
static unsigned used_count;

void seal_seen(const struct chunk_salt *salt, const uint8_t nonce[12], const uint8_t *about,
	       size_t about_bytes, const uint8_t *bytes, size_t n)
{
	uint8_t key[sizeof(salt->b) + 12], text[20 + GVM_CHUNK_BYTES];
	struct used u;
	unsigned at;

	memcpy(mempcpy(key, salt->b, sizeof(salt->b)), nonce, 12);
	memcpy(mempcpy(text, about, about_bytes), bytes, n);
	u.nonce = XXH3_64bits(key, sizeof(key)) | 1;
	u.text = XXH3_64bits(text, about_bytes + n);
	for (at = u.nonce % NONCES; used[at].nonce; at = (at + 1) % NONCES)
		if (used[at].nonce == u.nonce) {
			if (used[at].text != u.text)
				NOTICE("a key and nonce sealed two texts");
			return;
		}
	CHECK(++used_count < NONCES);
	used[at] = u;
}

/* ---- the guest ---- */

/* Each write of a page has a number of its own, which its bytes follow from; 0: zeros. */
static uint32_t wrote_last;
static uint16_t wrote_where[STEPS * 2 * 2 + 64];

static unsigned place(unsigned r, unsigned c, unsigned p)
{
	return (r * CHUNKS + c) * GVM_CHUNK_PAGES + p;
}

static void page_make(uint8_t *page, uint32_t value)
{
	memset(page, 0, GVM_PAGE_BYTES);
	if (!value)
		return;
	gvm_store_le(page, value, 4);
	for (unsigned i = 4; value % 3 && i < GVM_PAGE_BYTES; i++) /* some compress, some do not */
		page[i] = (uint8_t)(value * 31 + i * i * 7);
}

static uint32_t page_value(const uint8_t *page)
{
	uint8_t again[GVM_PAGE_BYTES];
	uint32_t value = (uint32_t)gvm_load_le(page, 4);

	page_make(again, value);
	return memcmp(again, page, sizeof(again)) ? UINT32_MAX : value;
}

/* ---- nodes ---- */

struct stored {
	uint64_t version;
	struct chunk_head head; /* complete */
	uint8_t body[GVM_CHUNK_BYTES];
};

/* A block that was sent. */
static struct seen {
	uint8_t region, chunk, block;
	struct chunk_block entry;
	struct chunk_salt salt;
	uint8_t pages; /* its shape */
	uint8_t bytes[GVM_PAGE_BYTES << CHUNK_BLOCK_SHIFT_MAX];
} seen[SEEN_MAX];
static unsigned seen_count;

static void body_compose(const struct stored *base, const struct chunk_head *delta, const uint8_t *delta_body,
			 struct stored *out)
{
	CHECK(!chunk_compose(&base->head, base->body, delta, delta_body, &out->head, out->body));
}

static void blocks_record(unsigned r, unsigned c, const struct chunk_head *h, const uint8_t *body)
{
	for (uint32_t m = h->block_mask; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);
		struct seen *s = &seen[seen_count < SEEN_MAX ? seen_count++ : chance(SEEN_MAX)];

		s->region = (uint8_t)r;
		s->chunk = (uint8_t)c;
		s->block = (uint8_t)b;
		s->entry = h->block[b];
		s->salt = h->salt[h->block[b].salt];
		s->pages = chunk_block_shape(h, b);
		memcpy(s->bytes, body, h->block[b].bytes);
		body += h->block[b].bytes;
	}
}

/* ---- the host ---- */

/* A chunk as the host has it. All but `sending` outlives a worker. */
struct chunk {
	uint32_t truth[GVM_CHUNK_PAGES]; /* what the guest wrote last */
	uint32_t dirty;			 /* pages whose newest content is on the host only */
	uint64_t index;			 /* version that was acknowledged last */
	uint64_t tried;			 /* the highest that may have reached a node */
	struct seal_known known;
	struct stored node[REPLICAS];
	/* what is under way */
	bool sending, whole;
	unsigned acknowledged; /* by these replicas */
	uint32_t pages;
	uint64_t version;
	struct chunk_head head;
	uint8_t body[GVM_CHUNK_BYTES];
	/* what the nodes once had, and what that was */
	struct stored old;
	uint32_t old_truth[GVM_CHUNK_PAGES];
};

static struct host {
	struct chunk chunk[REGIONS][CHUNKS];
	uint64_t epoch[REGIONS];
	struct sealer *sealer[SEALERS];
} host;
static struct sealer *fenced; /* a writer of before */
static struct chunk_codec *codec;
static unsigned shift; /* of this run's blocks */
static const uint8_t master[32] = "a master key for the simulator..";

static struct gvm_id region_id(unsigned r)
{
	return (struct gvm_id){{1, (uint8_t)r}};
}

static struct sealer *sealer_new(void)
{
	struct sealer *s;

	CHECK_EQ(sealer_create(master, sizeof(master), &s), 0);
	return s;
}

static void sealers_renew(void)
{
	workers++;
	for (unsigned i = 0; i < SEALERS; i++) {
		sealer_destroy(host.sealer[i]);
		host.sealer[i] = sealer_new();
	}
}

static uint64_t known_of(const struct chunk_head *h, unsigned p)
{
	uint64_t is = seal_page_of(h, p);

	if (seal_mutant("known-is-the-version") && is != SEAL_ZERO && is != SEAL_UNKNOWN)
		return h->block[p >> h->block_shift].version;
	return is;
}

static uint32_t local(const struct chunk *k)
{
	return k->dirty | (k->sending ? k->pages : 0);
}

/* Opens an answer, and holds it against the truth. */
static int answer_take(unsigned r, unsigned c, const struct chunk_head *h, const uint8_t *body, uint64_t version,
		       uint32_t pages, bool honest)
{
	static uint8_t out[GVM_CHUNK_BYTES];
	struct chunk *k = &host.chunk[r][c];
	struct gvm_id id = region_id(r);
	struct seal_known known = k->known;
	uint32_t valid = 0;
	int err;

	if (seal_mutant("known-is-the-version")) /* which is all that such a host could compare */
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			if (known.page[p] > SEAL_ZERO)
				known.page[p] = known.page[p] == known_of(h, p) ? seal_page_of(h, p) : ~0ull;
	err = seal_decode(host.sealer[chance(SEALERS)], codec, h, body, &id, c, version, &known, pages, out, &valid);
	if (err)
		return err;
	for (uint32_t m = valid & ~local(k); m; m &= m - 1) {
		unsigned p = (unsigned)__builtin_ctz(m);
		uint32_t value = page_value(out + p * GVM_PAGE_BYTES);

		if (k->known.page[p] != SEAL_UNKNOWN) {
			if (value != k->truth[p])
				NOTICE("a page is %u, the guest wrote %u", value, k->truth[p]);
		} else if (value && (value > wrote_last || wrote_where[value] != place(r, c, p))) {
			NOTICE("a page is of another place");
		} else if (honest) {
			k->known.page[p] = known_of(h, p); /* believed, and remembered */
			if (value != k->truth[p])
				NOTICE("an honest node has lost a page");
		}
	}
	return 0;
}

static void honest_read(unsigned r, unsigned c)
{
	struct chunk *k = &host.chunk[r][c];
	const struct stored *n = &k->node[chance(REPLICAS)];
	uint32_t pages = ~local(k);
	struct chunk_head h = n->head;
	uint32_t keep = 0, from_byte = 0;
	uint8_t part[GVM_CHUNK_BYTES] = {0}, *to = part;

	if (!k->index)
		return;
	/* Only the blocks that are read: those of pages on the host may be under way. */
	for (unsigned b = 0; b < 32u >> h.block_shift; b++)
		if (!(chunk_block_pages(h.block_shift, b) & ~pages))
			keep |= 1u << b;
	for (uint32_t m = h.block_mask; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);

		if (keep >> b & 1)
			to = (uint8_t *)mempcpy(to, n->body + from_byte, h.block[b].bytes);
		from_byte += h.block[b].bytes;
	}
	h.block_mask &= keep;
	h.body_bytes = (uint32_t)(to - part);
	if (answer_take(r, c, &h, part, n->version, chunk_pages_of_blocks(h.block_shift, keep), true))
		NOTICE("an honest node's answer was refused");
}

/* Blocks that were ever sent, mostly to the same place, some of them with another head. */
static void hostile_read(unsigned r, unsigned c)
{
	struct chunk_head h = {.block_shift = (uint8_t)shift, .sealed = true, .zero_map = ~0u};
	uint8_t body[GVM_CHUNK_BYTES] = {0}, *to = body;
	uint64_t version = chance(4) ? host.chunk[r][c].index : GVM_VERSION_MASK;
	unsigned salts = 0, few = chance(4);
	bool forged = false;

	for (unsigned b = 0; seen_count && b < 32u >> shift; b++) {
		const struct seen *s = NULL;
		uint32_t pages;

		if (few ? chance(32u >> shift) : !chance(3))
			continue;
		for (unsigned i = 0; i < 300; i++) {
			s = &seen[chance(seen_count)];
			if ((s->block == b || !chance(20)) && (s->chunk == c || !chance(20)) &&
			    (s->region == r || !chance(20)))
				break;
		}
		pages = s->pages;
		if (shift && !chance(8)) /* the same bytes, said to be of other pages */
			pages = (pages << 1 | pages >> ((1u << shift) - 1)) & ((1u << (1u << shift)) - 1);
		h.zero_map &= ~(pages << (b << shift));
		h.block_mask |= 1u << b;
		h.block[b] = s->entry;
		h.block[b].salt = (uint8_t)salts;
		h.salt[salts++] = s->salt;
		if (!chance(6)) /* said to be of another version */
			h.block[b].version = 1 + chance(2) * (host.chunk[r][c].index - 1);
		forged |= pages != s->pages || h.block[b].version != s->entry.version || s->block != b ||
			  s->chunk != c || s->region != r;
		to = (uint8_t *)mempcpy(to, s->bytes, s->entry.bytes);
	}
	h.body_bytes = (uint32_t)(to - body);
	if (!answer_take(r, c, &h, body, version, few ? 0 : ~0u, false) && forged)
		NOTICE("a block with another head, or of another place, was accepted");
}

/* One bit of an honest answer. */
static void flipped_read(unsigned r, unsigned c)
{
	struct stored n = host.chunk[r][c].node[0];

	if (!n.head.body_bytes)
		return;
	n.body[chance(n.head.body_bytes)] ^= (uint8_t)(1u << chance(8));
	if (!answer_take(r, c, &n.head, n.body, n.version, ~0u, false))
		NOTICE("a changed block was accepted");
}

static void guest_writes(unsigned r, unsigned c)
{
	struct chunk *k = &host.chunk[r][c];
	uint32_t pages = chance(4) ? 1u << chance(32) : chunk_block_pages(3, chance(4));

	/* Blocks of several pages are written whole, as gvmfs would complete them. */
	pages = chunk_pages_of_blocks(shift, chunk_blocks_of_pages(shift, pages));
	if (pages & local(k) && k->sending)
		return;
	for (uint32_t m = pages; m; m &= m - 1) {
		unsigned p = (unsigned)__builtin_ctz(m);

		k->truth[p] = chance(5) ? ++wrote_last : 0;
		CHECK(wrote_last < sizeof(wrote_where) / sizeof(*wrote_where));
		if (k->truth[p])
			wrote_where[wrote_last] = (uint16_t)place(r, c, p);
	}
	k->dirty |= pages;
}

static uint64_t version_next(const struct chunk *k, uint64_t epoch)
{
	uint64_t least = gvm_version(epoch, 1), above = k->index > k->tried ? k->index : k->tried;

	if (seal_mutant("version-again") && k->tried >= least && k->tried > k->index)
		return k->tried;
	return above >= least ? above + 1 : least;
}

/* Seals the pages that are to be sent, once for both replicas, in a version that nothing was sealed in. */
static void send_begin(unsigned r, unsigned c)
{
	struct chunk *k = &host.chunk[r][c];
	struct gvm_id id = region_id(r);
	uint8_t data[GVM_CHUNK_BYTES];
	struct chunk_head delta;
	static struct stored whole;
	uint32_t blocks;

	if (!k->sending) {
		if (!k->dirty)
			return;
		k->pages = k->dirty;
		k->dirty = 0;
		k->whole = !k->index;
	}
	k->sending = true;
	k->acknowledged = 0;
	k->version = version_next(k, host.epoch[r]);
	k->tried = k->version; /* marked before it can reach a node */
	blocks = chunk_blocks_of_pages(shift, k->pages);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_make(data + p * GVM_PAGE_BYTES, k->truth[p]);
	if (seal_mutant("whole-sealed-anew") && k->whole && !k->dirty)
		blocks = ~0u >> (32 - (32 >> shift));
	CHECK_EQ(seal_encode(host.sealer[chance(SEALERS)], codec, data, blocks, 0, shift, &id, c, k->version, &delta, k->body), 0);
	k->head = delta;
	if (k->whole && blocks != ~0u >> (32 - (32 >> shift))) {
		/* What is not sent anew goes along as it was sealed: the host knows just that. */
		body_compose(&k->node[0], &delta, k->body, &whole);
		k->head = whole.head;
		memcpy(k->body, whole.body, whole.head.body_bytes);
	}
	blocks_record(r, c, &k->head, k->body);
}

static void kill_worker(void)
{
	for (unsigned r = 0; r < REGIONS; r++)
		for (unsigned c = 0; c < CHUNKS; c++) {
			struct chunk *k = &host.chunk[r][c];

			if (k->sending)
				k->dirty |= k->pages;
			k->sending = false;
		}
	sealers_renew();
}

/* One replica gets it, or not; its answer comes, or not. */
static void deliver(unsigned r, unsigned c)
{
	struct chunk *k = &host.chunk[r][c];
	unsigned i = chance(REPLICAS);
	struct stored *n = &k->node[i];
	static struct stored empty, merged;

	if (!k->sending || !chance(4))
		return;
	if (n->version != k->version) {
		if (n->version > k->version || (!k->whole && n->version != k->index)) {
			if (chance(4)) { /* STALE_BASE, or an old version: all of it, and in a new one */
				k->whole = true;
				send_begin(r, c);
			}
			return;
		}
		empty.head = (struct chunk_head){.zero_map = ~0u, .block_shift = (uint8_t)shift};
		body_compose(k->whole ? &empty : n, &k->head, k->body, &merged);
		merged.version = k->version;
		*n = merged;
	}
	if (!chance(5))
		return;
	k->acknowledged |= 1u << i;
	if (k->acknowledged != (1u << REPLICAS) - 1)
		return;
	k->sending = !seal_mutant("dropped-before-known");
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		if (known_of(&k->head, p) != SEAL_UNKNOWN && (k->whole || k->pages >> p & 1))
			k->known.page[p] = known_of(&k->head, p);
		if (!chance(300)) {
			kill_worker();
			return;
		}
	}
	k->index = k->version;
	k->sending = false;
	k->whole = false;
	if (!k->dirty && !chance(4)) {
		k->old = k->node[0];
		memcpy(k->old_truth, k->truth, sizeof(k->truth));
	}
}

/* Another host, or the same without its index: nothing is known, and the epoch, the versions and the content are
 * what the nodes say. So versions that were given long ago may be given again. */
static void attach_anew(unsigned r)
{
	for (unsigned c = 0; c < CHUNKS; c++)
		for (unsigned i = 0; i < 500 && local(&host.chunk[r][c]); i++) {
			if (!host.chunk[r][c].sending)
				send_begin(r, c);
			deliver(r, c);
		}
	for (unsigned c = 0; c < CHUNKS; c++)
		if (local(&host.chunk[r][c]))
			return;
	host.epoch[r] = 1 + chance(EPOCHS);
	for (unsigned c = 0; c < CHUNKS; c++) {
		struct chunk *k = &host.chunk[r][c];

		if (k->old.version && chance(3)) {
			for (unsigned i = 0; i < REPLICAS; i++)
				k->node[i] = k->old;
			memcpy(k->truth, k->old_truth, sizeof(k->truth));
			k->index = k->old.version;
		}
		k->tried = 0;
		memset(&k->known, 0, sizeof(k->known));
	}
	sealers_renew();
}

/* It has the key, and does not know that it is fenced. */
static void fenced_writes(unsigned r, unsigned c)
{
	struct gvm_id id = region_id(r);
	uint8_t data[GVM_CHUNK_BYTES], body[GVM_CHUNK_BYTES];
	struct chunk_head h;

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		page_make(data + p * GVM_PAGE_BYTES, ++wrote_last);
		CHECK(wrote_last < sizeof(wrote_where) / sizeof(*wrote_where));
		wrote_where[wrote_last] = (uint16_t)place(r, c, p);
	}
	CHECK_EQ(seal_encode(fenced, codec, data, 1u << chance(32u >> shift), 0, shift, &id, c,
			     host.chunk[r][c].index + chance(2), &h, body), 0);
	blocks_record(r, c, &h, body);
}

static void step(void)
{
	unsigned r = chance(REGIONS), c = chance(CHUNKS);

	switch (chance(12)) {
	case 0:
	case 1:
		guest_writes(r, c);
		break;
	case 2:
		if (!host.chunk[r][c].sending)
			send_begin(r, c);
		break;
	case 3:
	case 4:
	case 5:
		deliver(r, c);
		break;
	case 6:
	case 7:
		honest_read(r, c);
		break;
	case 8:
	case 9:
		hostile_read(r, c);
		break;
	case 10:
		flipped_read(r, c);
		break;
	default:
		if (!chance(3))
			kill_worker();
		if (!chance(6))
			attach_anew(r);
		if (!chance(60) && wrote_last < STEPS * 3)
			fenced_writes(r, c);
	}
}

static bool run(const char *with, unsigned seed)
{
	fault = with;
	wrong[0] = 0;
	chance_state = 0x9e3779b97f4a7c15ull * (seed + 1);
	shift = seed % (CHUNK_BLOCK_SHIFT_MAX + 1);
	memset(used, 0, sizeof(used));
	used_count = seen_count = wrote_last = workers = 0;
	memset(host.chunk, 0, sizeof(host.chunk));
	for (unsigned r = 0; r < REGIONS; r++)
		for (unsigned c = 0; c < CHUNKS; c++)
			for (unsigned i = 0; i < REPLICAS; i++)
				host.chunk[r][c].node[i].head = (struct chunk_head){
					.zero_map = ~0u, .block_shift = (uint8_t)shift, .sealed = true};
	for (unsigned r = 0; r < REGIONS; r++)
		host.epoch[r] = 1;
	sealers_renew();
	sealer_destroy(fenced);
	fenced = sealer_new();
	for (unsigned i = 0; i < STEPS && !wrong[0]; i++)
		step();
	return wrong[0];
}

int main(int argc, char **argv)
{
	unsigned missed = 0;

	codec = chunk_codec_create();
	CHECK(codec);
	if (argc > 1) {
		for (unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : 0; seed < SEEDS; seed++)
			if (run(argv[1], seed) || argc > 2)
				return printf("%s, seed %u: %s\n", argv[1], seed, wrong), !!wrong[0];
		return 0;
	}
	for (unsigned seed = 0; seed < SEEDS; seed++)
		if (run("none", seed))
			return printf("seed %u: %s\n", seed, wrong), 1;
	printf("without a fault: nothing wrong; %u blocks sealed in the last run\n", used_count);
	for (unsigned i = 0; i < FAULTS; i++) {
		unsigned seed = 0;

		while (seed < SEEDS && !run(faults[i], seed))
			seed++;
		printf("%-28s %s\n", faults[i], seed < SEEDS ? wrong : "NOT NOTICED");
		missed += seed == SEEDS;
	}
	return !!missed;
}
