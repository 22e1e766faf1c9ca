// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_seals.c - whom a mount with a key believes that a region is plain: names and folders that nodes exchange. */
#include "check.h"
#include "options.h"
#include "seal.h"
#include "state/seals.h"
#include "state/worker_state.h"

#include <errno.h>
#include <stdlib.h>

static const struct gvm_id root;
static struct journal journal;
static struct inodes in;
static struct options opts = { .seal = OPTIONS_NO_SEAL };
static struct worker w = { .opts = &opts, .journal = &journal, .inodes = &in };

static struct sealer *sealer_of(uint8_t key)
{
	uint8_t master[32];
	struct sealer *s;

	memset(master, key, sizeof(master));
	CHECK_EQ(sealer_create(master, sizeof(master), &s), 0);
	return s;
}

static struct inode *make(uint8_t id, enum record_kind kind, const struct gvm_id *parent, const char *name)
{
	static struct record rec;
	int nr;

	memset(&rec, 0, sizeof(rec));
	rec.kind = (uint8_t)kind;
	rec.id.b[0] = id;
	rec.parent = *parent;
	snprintf(rec.name, sizeof(rec.name), "%s", name);
	if (kind == RECORD_FOLDER)
		rec.seal = folder_seal_of_new(&w, &rec);
	nr = inode_alloc(&in, &rec);
	CHECK(nr >= 0);
	return inode_get(&in, (unsigned)nr);
}

/* As it gets its size. */
static struct inode *plain_make(uint8_t id, const struct gvm_id *parent, const char *name)
{
	struct inode *inode = make(id, RECORD_REGION, parent, name);

	inode->disk->rec.seal = region_seal_of_new(&w, inode);
	inode->disk->rec.node_count = 1;
	return inode;
}

static struct inode *sealed_make(uint8_t id, const struct gvm_id *parent, const char *name)
{
	struct inode *inode = plain_make(id, parent, name);

	inode->disk->rec.seal = journal.super->seal_id;
	return inode;
}

static const struct gvm_id *id_of(const struct inode *inode)
{
	return &inode->disk->rec.id;
}

static bool opens_plain(struct inode *inode)
{
	region_seal_look(inode);
	return !region_sealer(&w, inode);
}

static void name_set(struct inode *inode, const struct gvm_id *parent, const char *name, uint64_t seal)
{
	inode_set_name(&in, inode->nr, parent, name, seal);
}

/* What a node does that gives each the other's name. */
static void swap(struct inode *a, struct inode *b)
{
	const struct record of_a = a->disk->rec, of_b = b->disk->rec;

	name_set(a, &of_b.parent, of_b.name, of_a.seal);
	name_set(b, &of_a.parent, of_a.name, of_b.seal);
}

static int move(struct inode *inode, const struct gvm_id *parent, const char *name)
{
	uint64_t seal;
	int r = seal_of_moved(&w, inode, parent, name, &seal);

	if (!r)
		name_set(inode, parent, name, seal);
	return r;
}

/* As a successor does it. */
static void take_over(void)
{
	for (unsigned i = 0; i < JOURNAL_INODES; i++)
		free(in.rt[i]);
	tree_deinit(&in.tree);
	CHECK_EQ(inodes_init(&in, &journal), 0);
}

static void begin(void)
{
	CHECK_EQ(journal_create(&journal), 0);
	take_over();
	journal.super->seal_id = 99;
	sealer_destroy(w.sealer);
	w.sealer = sealer_of(1);
	make(0, RECORD_FOLDER, &root, "the root's place");
}

static void exchanged_names_are_not_believed(void)
{
	struct inode *plain, *sealed, *a, *b, *c, *below;

	begin();
	plain = plain_make(1, &root, "plain");
	sealed = sealed_make(2, &root, "sealed");
	CHECK(opens_plain(plain) && !opens_plain(sealed));
	swap(plain, sealed);
	CHECK(!opens_plain(plain) && !opens_plain(sealed));
	swap(plain, sealed);
	CHECK(opens_plain(plain) && !opens_plain(sealed));
	/* A folder's name, at any height, and a region's folder. */
	a = make(10, RECORD_FOLDER, &root, "a");
	b = make(11, RECORD_FOLDER, &root, "b");
	c = make(12, RECORD_FOLDER, id_of(a), "c");
	below = plain_make(3, id_of(c), "ram");
	CHECK(opens_plain(below));
	swap(a, b);
	CHECK(!opens_plain(below));
	swap(a, b);
	CHECK(opens_plain(below));
	name_set(below, id_of(b), "ram", below->disk->rec.seal);
	CHECK(!opens_plain(below));
	name_set(below, id_of(c), "ram", below->disk->rec.seal);
	name_set(c, id_of(b), "c", c->disk->rec.seal);
	CHECK(!opens_plain(below));
	/* A region's mark is no folder's. */
	name_set(c, id_of(a), "c", region_seal_of_new(&w, below));
	CHECK(!opens_plain(below));
}

static void folder_without_a_mark_has_no_plain_region(void)
{
	struct sealer *ours;
	struct inode *a, *b, *ram;

	begin();
	ours = w.sealer;
	w.sealer = NULL;
	a = make(10, RECORD_FOLDER, &root, "of a mount without a key");
	w.sealer = sealer_of(2);
	b = make(11, RECORD_FOLDER, &root, "of another key");
	sealer_destroy(w.sealer);
	w.sealer = ours;
	CHECK(!a->disk->rec.seal && b->disk->rec.seal);
	CHECK(!folder_is_marked(&w, id_of(a)) && !folder_is_marked(&w, id_of(b)));
	ram = plain_make(1, id_of(a), "ram");
	CHECK(!opens_plain(ram));
	ram = plain_make(2, &(struct gvm_id){ { 77 } }, "in a folder that is not there");
	CHECK(!opens_plain(ram));
	ram = plain_make(3, id_of(sealed_make(4, &root, "no folder")), "ram");
	CHECK(!opens_plain(ram));
	w.sealer = NULL;
	CHECK(folder_is_marked(&w, id_of(a)) && opens_plain(ram));
	w.sealer = ours;
}

static void circle_of_folders_ends(void)
{
	struct inode *a, *b, *ram;

	begin();
	a = make(10, RECORD_FOLDER, &(struct gvm_id){ { 11 } }, "a");
	b = make(11, RECORD_FOLDER, id_of(a), "b");
	ram = plain_make(1, id_of(b), "ram");
	CHECK(!folder_is_marked(&w, id_of(a)));
	CHECK(!opens_plain(ram));
	CHECK_EQ(move(a, &root, "elsewhere"), 0);
	CHECK(!opens_plain(ram));
}

static void move_keeps_what_is_believed(void)
{
	struct inode *a, *b, *foreign, *ram, *sealed;
	uint64_t mark;

	begin();
	a = make(10, RECORD_FOLDER, &root, "a");
	b = make(11, RECORD_FOLDER, &root, "b");
	foreign = make(12, RECORD_FOLDER, &root, "foreign");
	foreign->disk->rec.seal = 0;
	ram = plain_make(1, id_of(a), "ram");
	sealed = sealed_make(2, id_of(a), "sealed");
	mark = ram->disk->rec.seal;
	CHECK_EQ(move(ram, id_of(b), "other"), 0);
	CHECK(opens_plain(ram) && ram->disk->rec.seal != mark);
	CHECK_EQ(move(b, id_of(a), "below"), 0);
	CHECK(opens_plain(ram));
	/* Nothing that is plain goes where it would not be believed; the rest does. */
	CHECK_EQ(move(ram, id_of(foreign), "ram"), -EPERM);
	CHECK_EQ(move(a, id_of(foreign), "a"), -EPERM);
	CHECK_EQ(move(sealed, id_of(foreign), "sealed"), 0);
	CHECK_EQ(sealed->disk->rec.seal, 99);
	CHECK_EQ(move(ram, &root, "ram"), 0);
	CHECK(opens_plain(ram));
	CHECK_EQ(move(a, id_of(foreign), "a"), 0);
	/* Nobody's word becomes ours by a rename. */
	CHECK_EQ(move(foreign, &root, "mine"), 0);
	CHECK(!foreign->disk->rec.seal);
	swap(ram, sealed);
	CHECK_EQ(move(ram, &root, "taken"), 0);
	CHECK(!opens_plain(ram));
}

/* What a node says meanwhile changes nothing, nor does a worker's death. */
static void what_was_found_holds_while_it_is_used(void)
{
	struct inode *plain, *sealed;

	begin();
	plain = plain_make(1, &root, "plain");
	sealed = sealed_make(2, &root, "sealed");
	CHECK(opens_plain(plain) && !opens_plain(sealed));
	plain->opens = sealed->opens = 1;
	swap(plain, sealed);
	plain->disk->rec.seal = 99;
	sealed->disk->rec.seal = region_seal_of_new(&w, sealed);
	CHECK(opens_plain(plain) && !opens_plain(sealed));
	take_over();
	CHECK(!region_sealer(&w, inode_get(&in, 1)) && region_sealer(&w, inode_get(&in, 2)));
	CHECK(!opens_plain(inode_get(&in, 1))); /* nobody has it open any more */
}

static const struct check_test tests[] = {
	{ "exchanged-names-are-not-believed", exchanged_names_are_not_believed },
	{ "folder-without-a-mark-has-no-plain-region", folder_without_a_mark_has_no_plain_region },
	{ "circle-of-folders-ends", circle_of_folders_ends },
	{ "move-keeps-what-is-believed", move_keeps_what_is_believed },
	{ "what-was-found-holds-while-it-is-used", what_was_found_holds_while_it_is_used },
};
CHECK_MAIN(tests)
