// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * keys.c - a key for each pair of nodes, all of them made of one master key that no node has:
 *
 *	key of i and j = HKDF-SHA256 (RFC 5869): key: the master key; salt: "GVM-IVY pairs";
 *			 info: the lower id, the higher id, 2 bytes each, little-endian; 32 bytes
 *
 * A node gets the keys that it shares with the others, as lines of `id key`, the key in hexadecimal
 * digits; what begins with # is a comment. A host that has them can be no other node.
 */
#include "keys.h"

#include "memnode/gvm_client.h"
#include "memnode/hkdf.h"
#include "say.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SALT	 "GVM-IVY pairs"
#define KEYS_MAX (GIANTVM_NODES_MAX * 80u) /* bytes of a file */

static void id_put(uint8_t *at, unsigned id)
{
	at[0] = (uint8_t)id;
	at[1] = (uint8_t)(id >> 8);
}

static int pair_key_make(const uint8_t prk[HKDF_BYTES], unsigned a, unsigned b, uint8_t *key)
{
	uint8_t info[4];

	id_put(info, a < b ? a : b);
	id_put(info + 2, a < b ? b : a);
	return hkdf_expand(prk, info, sizeof(info), key, GIANTVM_PAIR_KEY_BYTES);
}

static int master_load(const char *path, uint8_t prk[HKDF_BYTES])
{
	uint8_t *master;
	size_t bytes;
	int rc = gvm_key_load(path, &master, &bytes);

	if (rc) {
		say("--master %s: %s", path, gvm_key_error(rc));
		return rc;
	}
	rc = hkdf_extract(SALT, sizeof(SALT) - 1, master, bytes, prk);
	explicit_bzero(master, bytes);
	free(master);
	return rc;
}

static int pair_key_print(const uint8_t prk[HKDF_BYTES], unsigned own, unsigned other)
{
	uint8_t key[GIANTVM_PAIR_KEY_BYTES];
	int rc = pair_key_make(prk, own, other, key);

	printf("%u ", other);
	for (unsigned i = 0; i < sizeof(key) && !rc; i++)
		printf("%02x", key[i]);
	printf("\n");
	explicit_bzero(key, sizeof(key));
	return rc;
}

/* A file that the shell has made for it is nobody else's. */
static void private_output(void)
{
	struct stat st;

	if (!fstat(STDOUT_FILENO, &st) && S_ISREG(st.st_mode) && st.st_mode & 077 &&
	    fchmod(STDOUT_FILENO, st.st_mode & 0700))
		say("key: others can read the file: %s", strerror(errno));
}

int pair_keys_print(const char *master, const struct gvm_cluster_node *nodes, unsigned count, unsigned own)
{
	uint8_t prk[HKDF_BYTES];
	int rc = master_load(master, prk);

	if (rc)
		return rc;
	private_output();
	printf("# the keys that node %u shares with the others\n", own);
	for (unsigned i = 0; i < count && !rc; i++)
		if (nodes[i].id != own)
			rc = pair_key_print(prk, own, nodes[i].id);
	explicit_bzero(prk, sizeof(prk));
	if (!rc && (fflush(stdout) || ferror(stdout)))
		rc = -EIO;
	if (rc)
		say("key: %s", strerror(-rc));
	return rc;
}

/* A line without its end: 1: a key; 0: none; -EINVAL. */
static int line_parse(const char *line, unsigned long *id, uint8_t *key)
{
	size_t bytes;
	char *at;

	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return 0;
	if (!isdigit((unsigned char)*line))
		return -EINVAL;
	*id = strtoul(line, &at, 10);
	if (*at != ' ' || *id >= GIANTVM_NODES_MAX)
		return -EINVAL;
	if (!OPENSSL_hexstr2buf_ex(key, GIANTVM_PAIR_KEY_BYTES, &bytes, at + 1, 0) || bytes != GIANTVM_PAIR_KEY_BYTES)
		return -EINVAL;
	return 1;
}

/* Fills `row`, a key for each id; has[id]: whether there is one. */
static int text_parse(char *text, uint8_t (*row)[GIANTVM_PAIR_KEY_BYTES], bool *has)
{
	uint8_t key[GIANTVM_PAIR_KEY_BYTES];
	unsigned long id;
	char *line;
	int rc = 0;

	while (rc >= 0 && (line = strsep(&text, "\n"))) {
		rc = line_parse(line, &id, key);
		if (rc == 1 && has[id])
			rc = -EINVAL;
		if (rc == 1) {
			memcpy(row[id], key, sizeof(key));
			has[id] = true;
		}
	}
	explicit_bzero(key, sizeof(key));
	return rc < 0 ? rc : 0;
}

static int by_id(const void *a, const void *b)
{
	return ((const struct giantvm_node *)a)->id - ((const struct giantvm_node *)b)->id;
}

/* Sorts the nodes, and moves each one's key to its place. */
static int keys_place(const char *path, struct giantvm_node *nodes, unsigned count, unsigned own,
		      uint8_t (*row)[GIANTVM_PAIR_KEY_BYTES], const bool *has)
{
	if (has[own]) {
		say("--keys %s: not the keys of node %u, for they include one for that node", path, own);
		return -EINVAL;
	}
	qsort(nodes, count, sizeof(*nodes), by_id);
	for (unsigned i = 0; i < count; i++) {
		if (nodes[i].id != own && !has[nodes[i].id]) {
			say("--keys %s has no key for node %u", path, nodes[i].id);
			return -ENOKEY;
		}
		memmove(row[i], row[nodes[i].id], sizeof(row[i])); /* ids rise, so none is in the way */
	}
	return 0;
}

int pair_keys_load(const char *path, struct giantvm_node *nodes, unsigned count, unsigned own, uint8_t **keys)
{
	uint8_t (*row)[GIANTVM_PAIR_KEY_BYTES] = calloc(GIANTVM_NODES_MAX, sizeof(*row));
	bool *has = calloc(GIANTVM_NODES_MAX, sizeof(*has));
	uint8_t *text = NULL;
	size_t bytes = 0;
	int rc = row && has ? gvm_secret_load(path, KEYS_MAX, &text, &bytes) : -ENOMEM;

	if (rc) {
		say("--keys %s: %s", path, rc == -EINVAL ? "not a file of keys" : gvm_key_error(rc));
	} else {
		text[bytes] = 0;
		rc = text_parse((char *)text, row, has);
		if (rc)
			say("--keys %s: not lines of `id key`", path);
		else
			rc = keys_place(path, nodes, count, own, row, has);
		explicit_bzero(text, bytes);
		free(text);
	}
	free(has);
	*keys = (uint8_t *)row;
	if (rc) {
		pair_keys_free(*keys);
		*keys = NULL;
	}
	return rc;
}

void pair_keys_free(uint8_t *keys)
{
	if (keys)
		explicit_bzero(keys, (size_t)GIANTVM_NODES_MAX * GIANTVM_PAIR_KEY_BYTES);
	free(keys);
}
