// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_inode.c - files and handles outlive a killed worker, and requests that come twice. */
#include "check.h"
#include "state/inode.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

static struct journal journal;
static struct inodes in;

static unsigned file_make(uint8_t id)
{
	static struct record rec;
	int nr;

	memset(&rec, 0, sizeof(rec));
	rec.kind = RECORD_REGION;
	rec.id.b[0] = id;
	snprintf(rec.name, sizeof(rec.name), "f%u", id);
	nr = inode_alloc(&in, &rec);
	CHECK(nr >= 0);
	return (unsigned)nr;
}

/* As a successor does it: what only its predecessor's process knew is gone. */
static void take_over(void)
{
	for (unsigned i = 0; i < JOURNAL_INODES; i++)
		free(in.rt[i]);
	tree_deinit(&in.tree);
	CHECK_EQ(inodes_init(&in, &journal), 0);
	CHECK_EQ(handles_init(&in), 0);
}

static void begin(void)
{
	CHECK_EQ(journal_create(&journal), 0);
	take_over();
	file_make(255); /* the root's place */
}

static void repeated_open_gets_the_same_handle(void)
{
	uint64_t first, again, other;
	unsigned nr;

	begin();
	nr = file_make(1);
	CHECK_EQ(handle_open(&in, nr, true, 0, 100, &first), 0);
	take_over();
	CHECK_EQ(handle_open(&in, nr, true, 0, 100, &again), 0);
	CHECK_EQ(again, first);
	CHECK_EQ(handle_open(&in, nr, false, 0, 102, &other), 0);
	CHECK(other != first);
	CHECK_EQ(inode_get(&in, nr)->opens, 2);
	CHECK_EQ(inode_get(&in, nr)->opens_write, 1);
}

static void repeated_release_closes_nothing_new(void)
{
	uint64_t old, new;
	unsigned nr;
	bool write;

	begin();
	nr = file_make(1);
	CHECK_EQ(handle_open(&in, nr, true, 0, 100, &old), 0);
	CHECK_EQ(handle_close(&in, old, &write), (int)nr);
	CHECK(write);
	CHECK_EQ(handle_open(&in, nr, true, 0, 104, &new), 0);
	CHECK_EQ(handle_close(&in, old, &write), -1);
	CHECK_EQ(inode_get(&in, nr)->opens_write, 1);
	CHECK_EQ(handle_close(&in, new, &write), (int)nr);
	CHECK_EQ(handle_close(&in, ~0ull, &write), -1);
}

static void handles_end_with_an_error(void)
{
	uint64_t handle;
	unsigned nr;

	begin();
	nr = file_make(1);
	for (unsigned i = 0; i < JOURNAL_HANDLES; i++)
		CHECK_EQ(handle_open(&in, nr, false, 0, 2 * i, &handle), 0);
	CHECK_EQ(handle_open(&in, nr, false, 0, 1, &handle), -ENFILE);
}

static unsigned handles_take(unsigned nr, uid_t uid, int error)
{
	static uint64_t unique = 1000, handle;
	unsigned n = 0;
	int r;

	while (!(r = handle_open(&in, nr, HANDLE_WRITE, uid, unique += 2, &handle)))
		n++;
	CHECK_EQ(r, error);
	return n;
}

/* One who opens a file until that fails leaves as many to each other, and root its own, before a worker's death and after. */
static void user_leaves_handles_to_others(void)
{
	unsigned nr, first, second;
	uint64_t one;
	bool write;

	begin();
	nr = file_make(1);
	CHECK_EQ(handle_open(&in, nr, HANDLE_DIRECT, 1000, 100, &one), 0);
	first = handles_take(nr, 1000, -EMFILE) + 1;
	CHECK(first > JOURNAL_HANDLES / 4 && first <= JOURNAL_HANDLES / 2);
	take_over();
	CHECK_EQ(handles_take(nr, 1000, -EMFILE), 0);
	second = handles_take(nr, 1001, -EMFILE);
	CHECK(second > JOURNAL_HANDLES / 8);
	/* Many at once: each gets some. */
	for (uid_t uid = 100000; uid < 100010; uid++)
		CHECK(handles_take(nr, uid, -EMFILE) > 0);
	CHECK_EQ(handle_how(&in, one), HANDLE_DIRECT);
	CHECK_EQ(handle_close(&in, one, &write), (int)nr);
	CHECK(!write);
	CHECK_EQ(handles_take(nr, 1000, -EMFILE), 0); /* it has more than the others */
	CHECK(handles_take(nr, 0, -ENFILE) >= 256);
	CHECK_EQ(handles_take(nr, 1002, -ENFILE), 0);
}

static void files_end_with_an_error(void)
{
	static struct record rec;

	begin();
	for (unsigned i = 1; i < JOURNAL_INODES; i++)
		file_make(1);
	rec.kind = RECORD_REGION;
	CHECK_EQ(inode_alloc(&in, &rec), -1);
}

static void entry_in_use_is_not_freed(void)
{
	struct journal_inode *d;
	unsigned nr;

	begin();
	nr = file_make(1);
	d = inode_disk(&in, nr);
	inode_reap(&in, nr);
	CHECK_EQ(d->use, INODE_USED);
	d->use = INODE_UNLINKED;
	inode_reap(&in, nr); /* its chunks are still on the nodes */
	CHECK_EQ(d->use, INODE_UNLINKED);
	d->rec.kind = RECORD_GONE;
	inode_get(&in, nr)->entries = 1;
	inode_reap(&in, nr);
	CHECK_EQ(d->use, INODE_UNLINKED);
	inode_get(&in, nr)->entries = 0;
	d->lookups = 1;
	inode_reap(&in, nr);
	CHECK_EQ(d->use, INODE_UNLINKED);
	d->lookups = 0;
	inode_reap(&in, nr);
	CHECK_EQ(d->use, INODE_FREE);
}

static void entry_of_the_fast_path_is_not_freed(void)
{
	static long resident; /* nothing looks into it */
	struct task waits = { .run = NULL };
	struct journal_inode *d;
	struct inode *inode;
	unsigned nr;

	begin();
	nr = file_make(1);
	inode = inode_get(&in, nr);
	d = inode_disk(&in, nr);
	d->rec.kind = RECORD_GONE;
	d->use = INODE_UNLINKED;
	inode->in_handshake = true; /* the client closed the file before the answer came */
	inode_reap(&in, nr);
	CHECK_EQ(d->use, INODE_UNLINKED);
	inode->in_handshake = false;
	inode->resident = (struct resident *)&resident;
	inode_reap(&in, nr);
	CHECK_EQ(d->use, INODE_UNLINKED);
	inode->resident = NULL;
	inode->parked = &waits;
	inode_reap(&in, nr);
	CHECK_EQ(d->use, INODE_UNLINKED);
	inode->parked = NULL;
	inode_reap(&in, nr);
	CHECK_EQ(d->use, INODE_FREE);
}

static void freed_entry_is_remembered(void)
{
	struct gvm_id id = { { 1 } }, other = { { 2 } };
	uint64_t since;

	begin();
	since = in.gone_count;
	CHECK(!inode_was_reaped(&in, &id, since));
	for (unsigned i = 0; i < INODES_GONE; i++) {
		unsigned nr = file_make(1);

		inode_get(&in, nr);
		inode_disk(&in, nr)->rec.kind = RECORD_GONE;
		inode_disk(&in, nr)->use = INODE_UNLINKED;
		inode_reap(&in, nr);
		CHECK(inode_was_reaped(&in, &id, since));
		CHECK(!inode_was_reaped(&in, &other, since));
	}
	CHECK(!inode_was_reaped(&in, &id, in.gone_count));
	in.gone_count++;
	CHECK(inode_was_reaped(&in, &other, since)); /* too long ago to tell */
}

/* In a folder whose id begins with `folder` (0: the root's). */
static unsigned named_make(uint8_t id, uint8_t folder, const char *name)
{
	unsigned nr = file_make(id);
	struct gvm_id parent = { { folder } };

	inode_disk(&in, nr)->rec.version = id;
	inode_set_name(&in, nr, &parent, name, 0);
	return nr;
}

static int lookup(uint8_t folder, const char *name)
{
	struct gvm_id parent = { { folder } };

	return inode_lookup(&in, &parent, name);
}

static void names_are_found_where_they_are(void)
{
	struct gvm_id folder = { { 7 } }, elsewhere = { { 8 } };
	unsigned a, b;

	begin();
	a = named_make(1, 7, "a");
	b = named_make(2, 7, "b");
	CHECK_EQ(lookup(7, "a"), (int)a);
	CHECK_EQ(lookup(8, "a"), -1);
	CHECK_EQ(inode_child(&in, &folder, 0), a);
	CHECK_EQ(inode_child(&in, &folder, a + 1), b);
	CHECK_EQ(inode_child(&in, &folder, b + 1), TREE_NONE);
	inode_set_name(&in, a, &elsewhere, "c", 0);
	take_over();
	CHECK_EQ(lookup(7, "a"), -1);
	CHECK_EQ(lookup(8, "c"), (int)a);
	CHECK_EQ(inode_child(&in, &folder, 0), b);
	inode_set_use(&in, b, INODE_UNLINKED);
	CHECK_EQ(lookup(7, "b"), -1);
	CHECK(!inode_has_children(&in, &folder));
	CHECK_EQ(inode_by_id(&in, &(struct gvm_id){ { 2 } }), (int)b);
	inode_set_use(&in, b, INODE_FREE);
	CHECK_EQ(inode_by_id(&in, &(struct gvm_id){ { 2 } }), -1);
	CHECK_EQ(file_make(3), b); /* its place is free again */
}

static void older_of_two_names_shows_its_id(void)
{
	char shown[RECORD_NAME_MAX + 1], longest[RECORD_NAME_MAX + 1];
	unsigned older, newer;

	begin();
	older = named_make(1, 7, "a~b");
	newer = named_make(2, 7, "a~b");
	CHECK_EQ(lookup(7, "a~b"), (int)newer);
	CHECK_EQ(lookup(7, inode_shown_name(&in, older, shown)), (int)older);
	CHECK_EQ(lookup(7, "a~b~02000000"), -1);
	CHECK_EQ(lookup(7, "a~"), -1);
	memset(longest, 'x', RECORD_NAME_MAX);
	longest[RECORD_NAME_MAX] = 0;
	older = named_make(3, 7, longest);
	newer = named_make(4, 7, longest);
	CHECK_EQ(lookup(7, longest), (int)newer);
	CHECK_EQ(lookup(7, inode_shown_name(&in, older, shown)), (int)older);
	inode_set_use(&in, newer, INODE_FREE);
	CHECK_EQ(lookup(7, longest), (int)older);
}

#define KILLS 200

static void record_fill(struct record *rec, uint8_t with)
{
	memset(rec, with, sizeof(*rec));
	rec->kind = RECORD_REGION;
	rec->id.b[0] = 1;
	memset(rec->name, 0, sizeof(rec->name));
	rec->name[0] = (char)with;
}

/* The life of a worker that is killed at any of its instructions. */
static _Noreturn void set_for_ever(unsigned nr, const struct record *a, const struct record *b)
{
	for (bool even = false;; even = !even)
		inode_set_record(&in, nr, even ? a : b);
}

/* One that changes a record all the time is killed at any moment. */
static void killed_worker_leaves_no_half_record(void)
{
	static struct record a, b, half;
	unsigned nr;

	record_fill(&a, 'a');
	record_fill(&b, 'b');
	begin();
	nr = file_make(1);
	inode_set_record(&in, nr, &a);
	for (unsigned i = 0; i < KILLS; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0)
			set_for_ever(nr, &a, &b);
		usleep(1000 + check_random_below(1000));
		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
		take_over();
		half = inode_disk(&in, nr)->rec;
		CHECK(memcmp(&half, &a, sizeof(a)) == 0 || memcmp(&half, &b, sizeof(b)) == 0);
		CHECK_EQ(inode_lookup(&in, &half.parent, half.name), (int)nr);
	}
}

#define FILES 2000

static long faults_so_far(void)
{
	struct rusage usage;

	CHECK_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
	return usage.ru_minflt;
}

/* A new process has mapped nothing yet, and the kernel maps 16 pages around each that it touches: three entries. */
static void start_maps_few_entries(void)
{
	unsigned owing, others = 0;
	long faults;

	begin();
	for (unsigned i = 0; i < FILES; i++)
		owing = file_make(1);
	inode_disk(&in, owing)->times_owed = 1;
	journal_detach(&journal);
	CHECK_EQ(journal_attach(&journal, journal.fd), 0);
	faults = faults_so_far();
	take_over();
	faults = faults_so_far() - faults;
	CHECK(faults < FILES / 10);
	CHECK(in.unsettled[owing / 64] >> owing % 64 & 1);
	for (unsigned i = 0; i < TREE_WORDS; i++)
		others += (unsigned)__builtin_popcountll(in.unsettled[i]);
	CHECK_EQ(others, 1);
	CHECK_EQ(in.tree.count, FILES + 1);
}

static const struct check_test tests[] = {
	{ "start-maps-few-entries", start_maps_few_entries },
	{ "repeated-open-gets-the-same-handle", repeated_open_gets_the_same_handle },
	{ "repeated-release-closes-nothing-new", repeated_release_closes_nothing_new },
	{ "user-leaves-handles-to-others", user_leaves_handles_to_others },
	{ "handles-end-with-an-error", handles_end_with_an_error },
	{ "files-end-with-an-error", files_end_with_an_error },
	{ "entry-in-use-is-not-freed", entry_in_use_is_not_freed },
	{ "entry-of-the-fast-path-is-not-freed", entry_of_the_fast_path_is_not_freed },
	{ "freed-entry-is-remembered", freed_entry_is_remembered },
	{ "names-are-found-where-they-are", names_are_found_where_they_are },
	{ "killed-worker-leaves-no-half-record", killed_worker_leaves_no_half_record },
	{ "older-of-two-names-shows-its-id", older_of_two_names_shows_its_id },
};
CHECK_MAIN(tests)
