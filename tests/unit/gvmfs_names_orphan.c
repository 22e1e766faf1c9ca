// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_names_orphan.c - what a deletion that was cut short leaves is deleted as soon as it can be. */
#include "check.h"
#include "base/log.h"
#include "node/names_orphan.h"
#include "node/names_save.h"
#include "node/names_state.h"
#include "node/owner.h"
#include "node/region.h"
#include "options.h"
#include "state/worker_state.h"

#include <errno.h>

static struct journal_inode disk;
static struct journal journal = { .inodes = &disk };
static struct inodes in = { .j = &journal };
static struct inode inode = { .disk = &disk };
static struct names_state names;
static struct options opts = { .unlinked_lease_s = 86400 };
static struct worker w = { .inodes = &in, .names = &names, .opts = &opts };
static struct record rec = { .kind = RECORD_REGION, .id = { { 1 } }, .orphan = 1 };
static int seen, saved; /* what the next look, and save, end with */
static uint8_t writer;
static unsigned deletes;

int inode_alloc(struct inodes *of, const struct record *what)
{
	(void)of;
	disk.rec = *what;
	return 0;
}

struct inode *inode_get(struct inodes *of, unsigned nr)
{
	(void)of;
	(void)nr;
	return &inode;
}

void inode_set_use(struct inodes *of, unsigned nr, enum inode_use use)
{
	(void)of;
	(void)nr;
	disk.use = use;
}

void inode_release(struct inodes *of, struct inode *what)
{
	(void)of;
	what->busy = false;
}

bool owner_is_dead(const struct record_owner *o, const struct record_owner *self)
{
	(void)o;
	(void)self;
	return false;
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	(void)site;
	(void)level;
	(void)object;
	(void)fmt;
}

void region_stat(struct worker *of, struct inode *what, region_done_fn *done, void *arg)
{
	what->writer = writer;
	done(of, what, seen, arg);
}

void region_delete(struct worker *of, struct inode *what, region_done_fn *done, void *arg)
{
	deletes++;
	done(of, what, 0, arg);
}

void names_save(struct worker *of, struct inode *what, names_done_fn *done, void *arg)
{
	CHECK_EQ(what->disk->rec.kind, RECORD_GONE);
	done(of, saved, arg);
}

static void refresh(int as, uint8_t with)
{
	seen = as;
	writer = with;
	orphan_adopt(&w, &rec);
	CHECK(!inode.busy);
}

static void begin(void)
{
	memset(&names, 0, sizeof(names));
	deletes = 0;
	rec.ctime_ns = gvm_realtime_ns();
	refresh(0, GVM_WRITER_NONE);
	CHECK_EQ(deletes, 0); /* its writer may be on its way back */
	CHECK(orphan_stays(&w, &rec, -EAGAIN)); /* this mount has begun to delete it */
}

static void what_is_left_is_deleted_at_the_next_look(void)
{
	begin();
	refresh(-ETIMEDOUT, GVM_WRITER_NONE);
	CHECK_EQ(deletes, 0);
	refresh(0, GVM_WRITER_THERE);
	CHECK_EQ(deletes, 0);
	CHECK(orphan_stays(&w, &rec, -ENOMEM));
	refresh(0, GVM_WRITER_NONE);
	CHECK_EQ(deletes, 1);
	CHECK(!orphan_stays(&w, &rec, 0));
}

/* The tombstone was not saved. */
static void one_that_is_found_again_does_not_wait(void)
{
	begin();
	saved = -ETIMEDOUT;
	refresh(0, GVM_WRITER_NONE);
	CHECK_EQ(deletes, 1);
	saved = 0;
	refresh(-ENOMEDIUM, GVM_WRITER_NONE);
	CHECK_EQ(deletes, 2);
	for (unsigned i = 0; i < NAMES_ORPHANS; i++)
		CHECK_EQ(names.orphans[i].since_ns, 0);
}

static const struct check_test tests[] = {
	{ "what-is-left-is-deleted-at-the-next-look", what_is_left_is_deleted_at_the_next_look },
	{ "one-that-is-found-again-does-not-wait", one_that_is_found_again_does_not_wait },
};
CHECK_MAIN(tests)
