// SPDX-License-Identifier: GPL-2.0
/* Statistics: see stats.h. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "cluster.h"
#include "frames.h"
#include "opening.h"
#include "region.h"
#include "stats.h"

static struct dentry *top;

void gvm_stats_get(struct gvm_region *region, struct giantvm_stats *out)
{
	spin_lock_bh(&region->lock);
	*out = region->stats;
	spin_unlock_bh(&region->lock);
	strscpy(out->name, region->name, sizeof(out->name));
	out->size_bytes = region->pages << PAGE_SHIFT;
	out->resident_pages = atomic_long_read(&region->resident);
}

static const char *share_name(enum region_share share)
{
	static const char *const names[SHARES] = { "none", "closed", "open", "lost" };

	return names[share];
}

static int stats_show(struct seq_file *out, void *unused)
{
	struct gvm_region *region = out->private;
	struct giantvm_stats stats;
	struct sweeps sweeps;
	struct ivy_stats core;
	unsigned int i;

	gvm_stats_get(region, &stats);
	spin_lock_bh(&region->lock);
	sweeps = region->sweeps;
	core = *ivy_stats(region->core);
	spin_unlock_bh(&region->lock);
	seq_printf(out, "id %#llx\ncomplete %u\nshare %s\n", region->id,
		   gvm_opening_completed(region), share_name(gvm_opening_own(region)));
	seq_puts(out, "homes");
	for (i = 0; i < region->homes.nr; i++)
		seq_printf(out, " %u", region->homes.ids[i]);
	seq_printf(out, "\npages %llu\nresident_pages %llu\nkept_pages %ld\n", region->pages,
		   stats.resident_pages, atomic_long_read(&region->kept));
	seq_printf(out, "read_faults %llu\nwrite_faults %llu\n", stats.read_faults,
		   stats.write_faults);
	seq_printf(out, "remote_faults %llu\nremote_wait_ns %llu\n", stats.remote_faults,
		   stats.remote_wait_ns);
	seq_printf(out, "revoked_pages %llu\ndowngraded_pages %llu\n", stats.revoked_pages,
		   stats.downgraded_pages);
	seq_printf(out, "pin_waits %llu\nfenced_pins %llu\ngiven_up_waits %llu\n",
		   stats.pin_waits, stats.fenced_pins, stats.given_up_waits);
	seq_printf(out, "evicted_pages %llu\nlost_pages %llu\n", stats.evicted_pages,
		   stats.lost_pages);
	seq_printf(out, "sent %llu\nreceived %llu\nignored %llu\nretries %llu\n", core.sent,
		   core.received, core.ignored, core.retries);
	seq_printf(out, "grants %llu\ninvalidations %llu\nupgrades %llu\ndiscards %llu\n",
		   core.grants, core.invalidations, core.upgrades, core.discards);
	seq_printf(out, "ahead_pages %llu\n", core.ahead);
	seq_printf(out, "bounces %llu\nholds %llu\nhold_us_max %llu\n", core.bounces, core.holds,
		   core.hold_us_max);
	seq_printf(out, "lost_nodes %llu\nlease_expiries %llu\n", core.lost_nodes,
		   core.lease_expiries);
	seq_printf(out, "sweeps %llu\nsweep_ns_max %llu\n", sweeps.nr, sweeps.ns_max);
	seq_printf(out, "altered_frames %ld\n",
		   atomic_long_read(&region->cluster->links.nr_altered));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

static int contended_show(struct seq_file *out, void *unused)
{
	struct gvm_region *region = out->private;
	struct contended *table = kmalloc(sizeof(*table), GFP_KERNEL);
	int i;

	if (!table)
		return -ENOMEM;
	spin_lock_bh(&region->lock);
	*table = region->contended;
	spin_unlock_bh(&region->lock);
	gvm_contended_sort(table);
	seq_puts(out, "# page offset waits_and_revocations of_these_uncertain\n");
	for (i = 0; i < CONTENDED_PAGES && table->pages[i].count; i++)
		seq_printf(out, "%llu %#llx %llu %llu\n", table->pages[i].page,
			   table->pages[i].page << PAGE_SHIFT, table->pages[i].count,
			   table->pages[i].excess);
	kfree(table);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(contended);

/* What others want and somebody here has a reference to: a page comes and goes while this looks. */
static int pinned_show(struct seq_file *out, void *unused)
{
	struct gvm_region *region = out->private;
	struct folio *frame;
	unsigned long page;

	seq_puts(out, "# page offset\n");
	xa_for_each_marked(&region->frames, page, frame, FRAME_REVOKE)
		seq_printf(out, "%lu %#lx\n", page, page << PAGE_SHIFT);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(pinned);

void gvm_stats_init(void)
{
	top = debugfs_create_dir("giantvm", NULL);
}

void gvm_stats_exit(void)
{
	debugfs_remove(top);
}

void gvm_stats_region_create(struct gvm_region *region)
{
	region->debug = debugfs_create_dir(region->name, top);
	debugfs_create_file("stats", 0400, region->debug, region, &stats_fops);
	debugfs_create_file("contended", 0400, region->debug, region, &contended_fops);
	debugfs_create_file("pinned", 0400, region->debug, region, &pinned_fops);
}

void gvm_stats_region_destroy(struct gvm_region *region)
{
	debugfs_remove(region->debug);
}
