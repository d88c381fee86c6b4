/* lib/conf.c: a refused file has an error line for it, an accepted one has none. */
#include "tests/fuzz/fuzz.h"

#include "lib/conf.h"

static bool whole_lines(struct span errors)
{
	struct span line;

	while (errors.n != 0) {
		if (!span_cut(&errors, '\n', &line) || !span_starts(line, SPAN_LIT("/d/f:")))
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = "", *path = "";
	struct conf_list texts = {0}, paths = {0};
	unsigned number = 7, ms = 7, i;
	size_t bytes = 7;
	bool flag = false;
	const struct conf_key keys[] = {
		{"text", CONF_STRING, &text, 0, 0, false, "a text"},
		{"path", CONF_PATH, &path, 0, 0, false, "a path"},
		{"texts", CONF_STRINGS, &texts, 0, 0, false, "texts"},
		{"paths", CONF_PATHS, &paths, 0, 0, false, "paths"},
		{"flag", CONF_BOOL, &flag, 0, 0, false, "a flag"},
		{"number", CONF_UINT, &number, 5, 500, false, "a number"},
		{"time", CONF_MS, &ms, 0, 0, false, "a time"},
		{"size", CONF_BYTES, &bytes, 0, 0, false, "a size"},
		{0},
	};
	struct buf errors;
	struct arena a;
	int rc;

	arena_init(&a);
	buf_init(&errors, 1 << 26);
	rc = conf_parse(span_make(data, size), "/d/f", &a, keys, &errors);
	must(rc == RC_OK || rc == RC_INVALID);
	must((rc == RC_OK) == (errors.n == 0) && whole_lines(buf_span(&errors)));
	must(number >= 5 && number <= 500);
	must(path[0] == '\0' || path[0] == '/');
	for (i = 0; i < paths.n; i++)
		must(paths.items[i][0] == '/');
	for (i = 0; i < texts.n; i++)
		must(strlen(texts.items[i]) != 0);
	buf_fini(&errors);
	arena_fini(&a);
	return 0;
}
