// SPDX-License-Identifier: GPL-2.0-or-later
/* run_walks.c - hosts whose processors write as they walk page tables, by what the kernel tells of KVM's modules. */
#include "tools/run/walks.h"
#include "check.h"

#include <sys/stat.h>

static char modules[64];

static void parameter(const char *module, const char *name, const char *value)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", modules, module);
	mkdir(path, 0700);
	strcat(path, "/parameters");
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s/parameters/%s", modules, module, name);
	f = fopen(path, "w");
	CHECK(f && fputs(value, f) >= 0 && !fclose(f));
}

static void begin(void)
{
	strcpy(modules, "/tmp/gvm-run-walks.XXXXXX");
	CHECK(mkdtemp(modules));
}

static void end(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r '%s'", modules);
	CHECK_EQ(system(command), 0);
}

static void intel_is_told_what_mends_it(void)
{
	begin();
	CHECK(!run_walks_write(modules));
	parameter("kvm_intel", "ept", "Y\n");
	CHECK(!run_walks_write(modules)); /* a processor that cannot */
	parameter("kvm_intel", "eptad", "N\n");
	CHECK(!run_walks_write(modules));
	parameter("kvm_intel", "eptad", "Y\n");
	CHECK(strstr(run_walks_write(modules), "eptad=0"));
	parameter("kvm_intel", "ept", "N\n");
	CHECK(!run_walks_write(modules));
	end();
}

static void amd_is_refused(void)
{
	begin();
	parameter("kvm_amd", "npt", "0\n");
	CHECK(!run_walks_write(modules));
	parameter("kvm_amd", "npt", "");
	CHECK(!run_walks_write(modules));
	parameter("kvm_amd", "npt", "1\n");
	CHECK(strstr(run_walks_write(modules), "AMD's"));
	parameter("kvm_amd", "npt", "Y\n");
	CHECK(strstr(run_walks_write(modules), "--force"));
	end();
}

static const struct check_test tests[] = {
	{"intel-is-told-what-mends-it", intel_is_told_what_mends_it},
	{"amd-is-refused", amd_is_refused},
};

CHECK_MAIN(tests)
