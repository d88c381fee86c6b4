/*
 * Runs a fuzz target over its corpus: `make check` without a fuzzer. Arguments are files; without
 * any, the whole folder CORPUS. To fuzz: configure CC=clang --enable-fuzzing, which leaves this
 * out.
 */
#include "tests/fuzz/fuzz.h"

#include "lib/buf.h"
#include "lib/file.h"

#include <dirent.h>
#include <stdio.h>

#define INPUT_MAX_BYTES (16u << 20)

static int replay(const char *path)
{
	struct buf b;
	int rc;

	buf_init(&b, INPUT_MAX_BYTES);
	rc = file_read(path, &b);
	if (rc != RC_OK)
		fprintf(stderr, "%s: %s\n", path, rc_text(rc));
	else
		(void)LLVMFuzzerTestOneInput(b.p, b.n);
	buf_fini(&b);
	return rc;
}

static int replay_folder(const char *folder, unsigned *n)
{
	const struct dirent *item;
	char path[4096];
	DIR *dir = opendir(folder);
	int rc = RC_OK;

	if (dir == NULL)
		return RC_NOTFOUND;
	while (rc == RC_OK && (item = readdir(dir)) != NULL) {
		if (item->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, item->d_name);
		rc = replay(path);
		++*n;
	}
	closedir(dir);
	return rc;
}

int main(int argc, char **argv)
{
	unsigned n = 0;
	int i, rc = RC_OK;

	if (argc == 1)
		rc = replay_folder(CORPUS, &n);
	for (i = 1; i < argc && rc == RC_OK; i++, n++)
		rc = replay(argv[i]);
	printf("%u inputs\n", n);
	return rc != RC_OK || n == 0;
}
