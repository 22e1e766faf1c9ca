// SPDX-License-Identifier: GPL-2.0-or-later
/* cluster.c - the nodes of cluster.h: what memnode/daemon's chunk.c and slot_view.c do, for one region. */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct cluster cluster;

/* The name table's record, by which a host attaches the region when this one is lost: the journal's, or the one before. */
static struct record named;

struct gvm_id life_new(unsigned node)
{
	cluster.node_of[(uint8_t)++cluster.lives] = (uint8_t)node;
	return (struct gvm_id){ { 1, (uint8_t)cluster.lives, (uint8_t)(cluster.lives >> 8) } };
}

unsigned node_by_id(const struct gvm_id *id)
{
	return cluster.node_of[id->b[1]];
}

void cluster_init(unsigned nodes, unsigned copies)
{
	memset(&cluster, 0, sizeof(cluster));
	cluster.nodes = nodes;
	cluster.copies = copies;
	cluster.began_ns = world.now;
	cluster.rots_all = cluster_rots_all;
	cluster.room = cluster_tight && nodes > 2 ? W_CHUNKS / 2 + 1 : 4 * W_CHUNKS;
	cluster.region = (struct gvm_id){ { 7 } };
	for (unsigned i = 0; i < nodes; i++)
		cluster.node[i].id = life_new(i);
	cluster.node[0].drains = cluster_drains;
	/* Neighbours, which have the same slots, are in different ones. */
	for (unsigned i = 0; i < nodes && cluster_racks; i++)
		cluster.rack[i] = 1 + i % (cluster_adds ? nodes - 1 : nodes / 2);
	for (unsigned s = 0; s < SLOTS; s++)
		cluster.words[s] = view_word_make(W_EPOCH, (uint8_t)((1u << copies) - 1));
}

unsigned slot_of(uint64_t chunk)
{
	return chunk % SLOTS;
}

void places_look(void)
{
	const struct record *rec = worker_record();

	for (unsigned i = 0; i < cluster.nodes; i++) {
		int entry = record_node_find(rec, &cluster.node[i].id);

		for (unsigned s = 0; s < SLOTS; s++)
			cluster.place[s][i] = (int8_t)(entry < 0 ? -1 : record_replica_of(rec, s, (unsigned)entry));
	}
}

int slot_replica(unsigned slot, unsigned node)
{
	return cluster.place[slot][node];
}

uint32_t copy_rotten(const struct copy *copy)
{
	return copy->version & GVM_VERSION_ZERO ? 0 : copy->head_rotten ? ~0u : copy->rotten;
}

uint32_t copy_bad(const struct copy *copy)
{
	return copy_rotten(copy) | (copy->version & GVM_VERSION_ZERO ? 0 : copy->lost);
}

bool node_is_member(unsigned node, uint64_t chunk)
{
	unsigned slot = slot_of(chunk);
	int replica = slot_replica(slot, node);

	return replica >= 0 && view_word_members(cluster.words[slot]) >> replica & 1 && !cluster.node[node].renewed;
}

bool chunk_is_safe(uint64_t chunk, unsigned without)
{
	for (unsigned i = 0; i < cluster.nodes; i++) {
		const struct node *n = &cluster.node[i];
		const struct copy *copy = &n->copy[chunk];

		if (i != without && node_is_member(i, chunk) && !n->down && !n->deaf && !copy_rotten(copy) &&
		    (copy->version & GVM_VERSION_MASK) >= (world.index[chunk] & GVM_VERSION_MASK))
			return true;
	}
	return false;
}

bool may_go(unsigned node)
{
	bool rotten = false, safe = true;

	for (uint64_t c = 0; c < W_CHUNKS; c++) {
		for (unsigned i = 0; i < cluster.nodes; i++)
			rotten |= node_is_member(i, c) && copy_rotten(&cluster.node[i].copy[c]);
		safe &= !world.index[c] || chunk_is_safe(c, node);
	}
	return !rotten || safe;
}

bool chunks_are_lost(void)
{
	for (uint64_t c = 0; c < W_CHUNKS; c++) {
		bool rotten = world.index[c] && !(world.index[c] & GVM_VERSION_ZERO);

		for (unsigned i = 0; i < cluster.nodes; i++)
			rotten &= !node_is_member(i, c) || copy_rotten(&cluster.node[i].copy[c]);
		if (rotten)
			return true;
	}
	return false;
}

static uint64_t copy_seal(const struct copy *copy, unsigned page)
{
	return copy->version & GVM_VERSION_ZERO || !copy->hash[page] ? SEAL_ZERO : copy->seal[page];
}

/* The copy says that the page is lost, and what other nodes have of it in this version is rotten: as where a change was taken, and
 * rotted before the whole chunk came to the next node. */
static bool lost_by_right(uint64_t chunk, const struct copy *copy, unsigned page)
{
	if (!(copy->lost >> page & 1))
		return false;
	for (unsigned i = 0; i < cluster.nodes; i++) {
		const struct copy *other = &cluster.node[i].copy[chunk];

		if ((other->version ^ copy->version) & GVM_VERSION_MASK)
			continue;
		if (!(copy_bad(other) >> page & 1))
			return false;
	}
	return true;
}

/* A version of a chunk has come to a node: it is what it was wherever it came before. (But a writer's lowest, which
 * fill.h gives to zeros over what nobody acknowledged.) */
static void version_note(uint64_t chunk, const struct copy *copy)
{
	uint64_t version = copy->version & GVM_VERSION_MASK;
	uint32_t rotten = copy_rotten(copy);
	unsigned count = cluster.past_count[chunk];
	struct past_version *past = cluster.past[chunk];
	unsigned i = 0;

	while (i < PAST_MAX && past[i].version != version)
		i++;
	if (i == PAST_MAX) {
		if (rotten)
			return;
		i = cluster.past_count[chunk]++ % PAST_MAX;
		past[i].version = version;
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
			past[i].content[p] = copy->version & GVM_VERSION_ZERO ? 0 : copy->content[p];
			past[i].seal[p] = copy_seal(copy, p);
		}
		return;
	}
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		uint64_t content = copy->version & GVM_VERSION_ZERO ? 0 : copy->content[p];

		if (lost_by_right(chunk, copy, p))
			continue;
		if (!(rotten >> p & 1) && world.sealed && copy_seal(copy, p) != past[i].seal[p]) {
			if (world_trace)
				printf("version %llx of chunk %llu, page %u is sealed as %llx, and as %llx elsewhere\n",
				       (unsigned long long)version, (unsigned long long)chunk, p,
				       (unsigned long long)copy_seal(copy, p), (unsigned long long)past[i].seal[p]);
			world_wrong("one version is sealed twice");
		}
		if (rotten >> p & 1 || content == past[i].content[p])
			continue;
		if (world_trace)
			printf("version %llx of chunk %llu, page %u: %llx, and %llx elsewhere (%u)\n",
			       (unsigned long long)version, (unsigned long long)chunk, p, (unsigned long long)content,
			       (unsigned long long)past[i].content[p], count);
		world_wrong("a version of a chunk is not the same bytes on all nodes");
	}
}

static int writer_check(const struct node *n, uint64_t epoch)
{
	return n->renewed ? -ENOMEDIUM : epoch != W_EPOCH ? -EKEYREVOKED : 0;
}

void record_is_out(void)
{
	for (unsigned s = 0; s < SLOTS; s++)
		for (unsigned i = 0; i < cluster.nodes; i++)
			cluster.named[s][i] |= slot_replica(s, i) >= 0;
	named = *worker_record();
}

/* (A record is not as old as to tell of a part that the node had before.) */
static void part_delete(struct node *n)
{
	for (unsigned s = 0; s < SLOTS; s++)
		cluster.named[s][n - cluster.node] = false;
	memset(n->copy, 0, sizeof(n->copy));
	memset(n->active, 0, sizeof(n->active));
	memset(n->proposed, 0, sizeof(n->proposed));
	n->renewed = true;
	n->attached = false;
	n->promised = 0;
	n->order = 0;
}

int node_create(struct node *n, const struct gvm_region_create_req *what)
{
	if (!n->renewed)
		return -EEXIST;
	if (what->order < n->grave)
		return -ESTALE;
	part_delete(n);
	n->renewed = false;
	n->promised = what->reserve_chunks;
	n->order = what->order;
	return 0;
}

int node_delete(struct node *n, const struct gvm_region_delete_req *what)
{
	uint64_t grave = what->order == ~0ull ? n->order + 1 : what->order;

	if (!n->renewed && what->epoch < (n->attached ? W_EPOCH : 0))
		return -EKEYREVOKED;
	if (!n->renewed && what->epoch == W_EPOCH && what->order < n->order)
		return -ESTALE;
	n->grave = grave > n->grave ? grave : n->grave;
	if (n->renewed)
		return -ENOMEDIUM;
	part_delete(n);
	return 0;
}

int node_resize(struct node *n, const struct gvm_region_resize_req *what)
{
	if (n->renewed)
		return -ENOMEDIUM;
	if (what->order < n->order)
		return -ESTALE;
	n->promised = what->reserve_chunks;
	n->order = what->order;
	return 0;
}

/* Blocks are pages. */
static void blocks_take(struct copy *copy, const struct chunk_head *head, const uint8_t *body, bool whole)
{
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		if (head->block_mask >> p & 1) {
			bool lost = chunk_block_is_lost(&head->block[p]);

			copy->rotten &= ~(1u << p);
			copy->lost &= ~(1u << p);
			copy->lost |= (uint32_t)lost << p;
			copy->content[p] = LOST;
			if (!lost)
				memcpy(&copy->content[p], body, GVM_PAGE_BYTES);
			copy->hash[p] = head->sealed ? gvm_load_le(head->block[p].tag + 8, 8) : head->block[p].hash;
			copy->seal[p] = gvm_load_le(head->block[p].tag, 8);
			copy->sealed_in[p] = head->block[p].version;
			body += head->block[p].bytes;
		} else if (whole || head->zero_map >> p & 1) {
			copy->content[p] = copy->hash[p] = 0;
			copy->rotten &= ~(1u << p);
			copy->lost &= ~(1u << p);
		}
	}
}

static bool copy_is_empty(const struct copy *copy)
{
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (copy->hash[p])
			return false;
	return true;
}

int node_put(struct node *n, const struct gvm_put_req *what, const struct chunk_head *head, const uint8_t *body,
	     uint64_t *detail)
{
	struct copy *copy = &n->copy[what->chunk];
	uint64_t held = copy->version & GVM_VERSION_MASK;
	bool has_body = copy->version && !(copy->version & GVM_VERSION_ZERO), mends = what->base == what->version;
	int r = writer_check(n, what->epoch);

	if (r)
		return r;
	if (what->version == held && !(mends && has_body))
		return 0;
	*detail = held;
	if (what->version < held)
		return -ESTALE;
	if (what->base && what->base != held)
		return -EREMCHG;
	if (mends && !head->block_mask)
		return -EINVAL;
	if (head->block_mask && head->sealed != world.sealed)
		return -EINVAL;
	if (!head->sealed && chunk_verify(head, body, &what->region, what->chunk))
		return -EBADMSG;
	if (what->base && !mends) {
		if (has_body && copy->head_rotten)
			return -EBADMSG;
		if (!has_body)
			memset(copy, 0, sizeof(*copy));
		blocks_take(copy, head, body, false);
	} else if ((head->block_mask | head->zero_map) != ~0u) {
		return -EINVAL;
	} else {
		blocks_take(copy, head, body, true);
	}
	copy->head_rotten = false;
	copy->version = what->version | (copy_is_empty(copy) ? GVM_VERSION_ZERO : 0);
	version_note(what->chunk, copy);
	return 0;
}

int node_discard(struct node *n, const struct gvm_discard_req *what, uint64_t *detail)
{
	struct copy *copy = &n->copy[what->first];
	int r = writer_check(n, what->epoch);

	if (r)
		return r;
	if (!what->version && what->order < n->order)
		return -ESTALE;
	if (!what->version) {
		*copy = (struct copy){ .version = 0 };
		return 0;
	}
	*detail = copy->version & GVM_VERSION_MASK;
	if ((copy->version & GVM_VERSION_MASK) > what->version)
		return -ESTALE;
	if ((copy->version & GVM_VERSION_MASK) == what->version)
		return 0;
	*copy = (struct copy){ .version = what->version | GVM_VERSION_ZERO };
	version_note(what->first, copy);
	return 0;
}

static bool view_is_again(const struct node_view *held, const struct node_view *view)
{
	return held->number == view->number && !memcmp(held, view, sizeof(*view));
}

int node_view(struct node *n, const struct gvm_region_view_req *what)
{
	struct node_view view = { what->number, { what->member_0, what->member_1, what->member_2, what->member_3 } };
	struct node_view *active = &n->active[what->slot], *proposed = &n->proposed[what->slot];
	int r = writer_check(n, what->epoch);

	if (r)
		return r;
	if (view_is_again(active, &view) || (!what->active && view_is_again(proposed, &view)))
		return 0;
	if (view.number <= active->number || (!what->active && view.number <= proposed->number) ||
	    (view.number == proposed->number && !view_is_again(proposed, &view)))
		return -ESTALE;
	*(what->active ? active : proposed) = view;
	if (what->active && proposed->number <= view.number)
		*proposed = (struct node_view){ .number = 0 };
	return 0;
}

int node_get(const struct node *n, const struct gvm_get_req *what, const struct copy **copy, uint64_t *detail)
{
	const struct copy *held = &n->copy[what->chunk];
	uint64_t version = held->version & GVM_VERSION_MASK;
	int r = writer_check(n, what->epoch);

	if (r)
		return r;
	if (!version && what->version)
		return -ENOMEDIUM;
	*detail = version;
	if (version < what->version)
		return -ESTALE;
	*copy = held;
	return held->head_rotten && !(held->version & GVM_VERSION_ZERO) ? -EBADMSG : 0;
}

/* ---- what must hold */

unsigned node_copies(uint32_t page, uint64_t content[W_COPIES])
{
	uint64_t c = page / GVM_CHUNK_PAGES, entry = world.index[c];
	unsigned count = 0, p = page % GVM_CHUNK_PAGES;

	if (!entry || entry & GVM_VERSION_ZERO) {
		content[0] = 0;
		return 1;
	}
	for (unsigned i = 0; i < cluster.nodes; i++) {
		const struct copy *copy = &cluster.node[i].copy[c];

		if (node_is_member(i, c) && !(copy_bad(copy) >> p & 1))
			content[count++] = copy->version & GVM_VERSION_ZERO ? 0 : copy->content[p];
	}
	return count;
}

uint64_t node_read(uint32_t page)
{
	uint64_t content[W_COPIES] = { 0 };

	node_copies(page, content);
	return content[0];
}

bool nodes_have_seal(uint64_t c, unsigned page, uint64_t known)
{
	for (unsigned i = 0; i < cluster.nodes; i++) {
		const struct copy *copy = &cluster.node[i].copy[c];

		if (node_is_member(i, c) && !(copy_bad(copy) >> page & 1) && copy_seal(copy, page) != known)
			return false;
	}
	return true;
}

static bool member_lacks(uint64_t c)
{
	for (unsigned i = 0; i < cluster.nodes; i++)
		if (node_is_member(i, c) &&
		    (cluster.node[i].copy[c].version & GVM_VERSION_MASK) < (world.index[c] & GVM_VERSION_MASK))
			return true;
	return false;
}

/* The slot is not there any more, as the node was told. */
static bool is_gone(const struct node *n, uint64_t c)
{
	for (unsigned i = 0; i < GVM_REPLICAS_MAX; i++)
		if (gvm_id_equal(&n->active[c].member[i], &n->id))
			return false;
	return n->active[c].number;
}

bool readers_find_all(void)
{
	for (uint64_t c = 0; c < W_CHUNKS && cluster.copies == 1; c++)
		for (unsigned i = 0; i < cluster.nodes; i++)
			if (slot_replica(slot_of(c), i) >= 0 && !cluster.node[i].renewed && is_gone(&cluster.node[i], c))
				return false;
	return true;
}

/* One copy: what a reader finds, by whatever record. */
static const char *readers_look(uint64_t c)
{
	unsigned s = slot_of(c);

	for (unsigned i = 0; i < cluster.nodes; i++) {
		const struct node *n = &cluster.node[i];

		if (!cluster.named[s][i] || n->renewed)
			continue;
		if (is_gone(n, c) && slot_replica(s, i) >= 0 && worker_has_told())
			return "a node refuses what it has";
		if (!is_gone(n, c) && !cluster.untold &&
		    (n->copy[c].version & GVM_VERSION_MASK) < (world.index[c] & GVM_VERSION_MASK))
			return "a reader with an old record finds what is old";
	}
	return NULL;
}

/* The members of a view as a node has recorded it, as replicas of the slot: as region_views.c finds them. */
static uint8_t recorded_members(const struct record *rec, unsigned slot, const struct node_view *view)
{
	uint8_t members = 0;

	for (unsigned i = 0; i < GVM_REPLICAS_MAX; i++) {
		int entry = gvm_id_is_none(&view->member[i]) ? -2 : record_node_find(rec, &view->member[i]);
		int replica = entry < 0 ? -1 : record_replica_of(rec, slot, (unsigned)entry);

		if (entry != -2)
			members |= (uint8_t)(replica < 0 ? VIEW_STRANGER : 1u << replica);
	}
	return members;
}

/* One of the members has what was acknowledged of each of the slot's chunks. */
static bool members_have_all(const struct node *of[VIEW_REPLICAS], unsigned slot, uint8_t members)
{
	for (uint64_t c = slot; c < W_CHUNKS; c += SLOTS) {
		bool has = !(world.index[c] & GVM_VERSION_MASK);

		for (unsigned n = 0; n < VIEW_REPLICAS; n++)
			has |= members >> n & 1 && (of[n]->copy[c].version & GVM_VERSION_MASK) >= (world.index[c] & GVM_VERSION_MASK);
		if (!has)
			return false;
	}
	return true;
}

/* This host is lost, with its journal, and whichever nodes answer to the next one: that finds what was acknowledged, or refuses. */
static const char *host_lost_look(const struct record *rec, unsigned slot)
{
	const struct node *of[VIEW_REPLICAS] = { NULL };
	struct view_seen seen[VIEW_REPLICAS] = { { 0 } };
	uint8_t filled = record_filled(rec, slot), there = 0, members;

	for (unsigned n = 0; n < record_places(rec); n++) {
		const struct gvm_id *id = filled >> n & 1 ? &rec->nodes[rec->slots[slot].node[n]].incarnation : NULL;
		const struct node *node = id ? &cluster.node[node_by_id(id)] : NULL;

		if (!node || !gvm_id_equal(id, &node->id) || node->renewed)
			continue;
		there |= (uint8_t)(1u << n);
		of[n] = node;
		seen[n].active = (struct view){ node->active[slot].number, recorded_members(rec, slot, &node->active[slot]) };
		seen[n].proposed = (struct view){ node->proposed[slot].number, recorded_members(rec, slot, &node->proposed[slot]) };
	}
	for (uint8_t answers = there; answers; answers = (uint8_t)(answers - 1) & there) {
		for (unsigned n = 0; n < VIEW_REPLICAS; n++)
			seen[n].answers = answers >> n & 1;
		if (!view_choose(seen, filled, record_first(rec, slot), &members) && !members_have_all(of, slot, members))
			return "a host that attaches the region when this one is lost finds less than was acknowledged";
	}
	return NULL;
}

/* A view has come to have fewer members than there should be, though all answer, and have for as long as it took. */
static bool view_shrinks(unsigned slot)
{
	uint8_t before = cluster.members[slot], now = view_word_members(cluster.words[slot]);
	bool was = cluster.ill[slot], ill = worker_finds_bad(slot);

	for (unsigned i = 0; i < cluster.nodes; i++)
		ill |= slot_replica(slot, i) >= 0 && (cluster.node[i].down || cluster.node[i].deaf || cluster.node[i].renewed);
	cluster.members[slot] = now;
	cluster.ill[slot] = ill || (was && view_word_next(cluster.words[slot]).members);
	return (unsigned)__builtin_popcount(now) < cluster.copies && (unsigned)__builtin_popcount(before) >= cluster.copies && !was &&
	       !ill;
}

/* What has become of a chunk's pages that no member has any more. */
static const char *fate_look(uint64_t c)
{
	uint32_t here = world.mark[c].filled, left = cluster.fate[c].here & ~here, lost = 0, said = 0;

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		uint64_t has[W_COPIES];

		if (!node_copies((uint32_t)c * GVM_CHUNK_PAGES + p, has))
			lost |= 1u << p;
	}
	for (unsigned i = 0; i < cluster.nodes; i++)
		said |= node_is_member(i, c) ? cluster.node[i].copy[c].lost : 0;
	cluster.fate[c].here = here;
	cluster.fate[c].told &= (lost & here) != 0;
	cluster.fate[c].lost = lost & ~here;
	cluster.fate[c].ever |= lost & ~here;
	if (left & lost & said)
		return "a page that was here was given up";
	return left & lost && cluster.fate[c].told ? "a page has left that no node has, and that was known" : NULL;
}

const char *nodes_check(void)
{
	const char *wrong = NULL;

	for (uint64_t c = 0; c < W_CHUNKS && !wrong && cluster.rots_all; c++)
		wrong = fate_look(c);
	if (wrong)
		return wrong;
	for (uint32_t page = 0; page < W_PAGES; page++)
		if (world.page[page].poisoned && !(cluster.fate[page / GVM_CHUNK_PAGES].ever >> page % GVM_CHUNK_PAGES & 1))
			return "a read failed, though there is a good copy";
	for (uint64_t c = 0; c < W_CHUNKS; c++)
		if (member_lacks(c))
			return "a member of the view lacks what was acknowledged";
	for (unsigned s = 0; s < SLOTS; s++)
		if (view_shrinks(s))
			return "a copy is given up before there is another";
	for (unsigned s = 0; s < SLOTS && !wrong && cluster.copies > 1; s++) {
		wrong = host_lost_look(worker_record(), s);
		wrong = wrong ? wrong : host_lost_look(&named, s);
	}
	if (wrong)
		return wrong;
	cluster.untold = (cluster.untold || !worker_settles()) && !worker_has_told();
	for (uint64_t c = 0; c < W_CHUNKS && !wrong && cluster.copies == 1; c++)
		wrong = readers_look(c);
	return wrong;
}

void nodes_print(void)
{
	for (unsigned i = 0; i < cluster.nodes; i++) {
		const struct node *n = &cluster.node[i];

		printf("node %u: down %d deaf %d renewed %d drains %d promised %llu, rotten\tversions", i, n->down, n->deaf, n->renewed,
		       n->drains, (unsigned long long)n->promised);
		for (uint64_t c = 0; c < W_CHUNKS; c++)
			printf(" %llu:%x:%x:%llx", (unsigned long long)c, copy_rotten(&n->copy[c]), n->copy[c].lost,
			       (unsigned long long)n->copy[c].version);
		printf("\n");
	}
	for (unsigned s = 0; s < SLOTS; s++)
		printf("slot %u: view %llx, places %x %x %x %x\n", s, (unsigned long long)cluster.words[s],
		       worker_record()->slots[s].node[0], worker_record()->slots[s].node[1], worker_record()->slots[s].node[2],
		       worker_record()->slots[s].node[3]);
	for (uint64_t c = 0; c < W_CHUNKS; c++)
		printf("chunk %llu: index %llx, tried %llx\n", (unsigned long long)c,
		       (unsigned long long)world.index[c], (unsigned long long)world.mark[c].tried);
}

/* ---- what happens to them */

void nodes_fill(uint32_t page, uint64_t value)
{
	uint64_t c = page / GVM_CHUNK_PAGES;
	unsigned p = page % GVM_CHUNK_PAGES;
	uint64_t seal = seal_new(value);

	for (unsigned i = 0; i < cluster.nodes; i++) {
		struct copy *copy = &cluster.node[i].copy[c];

		if (slot_replica(slot_of(c), i) < 0)
			continue;
		copy->version = world.index[c];
		copy->content[p] = value;
		copy->hash[p] = world.sealed ? seal_hash(value, c, p, seal, world.index[c]) : page_hash(value, c, p);
		copy->seal[p] = seal;
		copy->sealed_in[p] = world.index[c];
	}
}
