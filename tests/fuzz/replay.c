// SPDX-License-Identifier: GPL-2.0-or-later
/* replay.c - runs a harness on the files of the folders given: the kept corpus, without libFuzzer.
 */
#include "fuzz.h"

#include <dirent.h>

static size_t file_replay(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t bytes;
	uint8_t *exact;

	if (!f) {
		perror(path);
		exit(1);
	}
	bytes = fread(data, 1, sizeof(data), f);
	fclose(f);
	exact = malloc(bytes + !bytes);
	FUZZ_CHECK(exact);
	memcpy(exact, data, bytes);
	LLVMFuzzerTestOneInput(exact, bytes);
	free(exact);
	return 1;
}

int main(int argc, char **argv)
{
	size_t files = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *e;

		if (!dir) {
			perror(argv[i]);
			return 1;
		}
		while ((e = readdir(dir))) {
			char path[4096];

			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			files += file_replay(path);
		}
		closedir(dir);
	}
	printf("%zu inputs\n", files);
	return !files;
}
