#include "dird/schema.h"

#include "dird/schema_def.h"
#include "lib/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#define FILE_MAX_BYTES (4u * 1024 * 1024)
#define FILES_MAX 1024

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_schema_file(const char *name)
{
	size_t n = strlen(name);

	return n > 7 && name[0] != '.' && strcmp(name + n - 7, ".schema") == 0;
}

/* Paths of the *.schema files, sorted. */
static int list_files(struct schema *s, const char *folder, const char ***out, unsigned *nout)
{
	const char **paths = arena_zalloc(&s->mem, FILES_MAX, sizeof(*paths));
	const struct dirent *item;
	unsigned n = 0;
	DIR *dir = NULL;
	int rc = RC_NOMEM;

	if (paths == NULL)
		goto out;
	dir = opendir(folder);
	if (dir == NULL) {
		rc = rc_from_errno(errno);
		goto out;
	}
	rc = RC_OK;
	while (rc == RC_OK && (item = readdir(dir)) != NULL) {
		if (!is_schema_file(item->d_name))
			continue;
		if (n == FILES_MAX) {
			rc = RC_TOOBIG;
			break;
		}
		paths[n] = arena_printf(&s->mem, "%s/%s", folder, item->d_name);
		rc = paths[n++] != NULL ? RC_OK : RC_NOMEM;
	}
	if (rc == RC_OK && n != 0)
		qsort(paths, n, sizeof(*paths), by_name);
	*out = paths;
	*nout = n;
out:
	if (dir != NULL)
		closedir(dir);
	return rc;
}

static int read_one_file(struct schema *s, const char *path, struct buf *errors)
{
	struct buf text;
	int rc;

	buf_init(&text, FILE_MAX_BYTES);
	rc = file_read(path, &text);
	if (rc == RC_OK)
		rc = schema_parse(s, path, buf_span(&text), errors);
	else if (rc != RC_NOMEM && errors != NULL)
		buf_printf(errors, "%s: %s\n", path, rc_text(rc));
	buf_fini(&text);
	return rc;
}

static int read_folder(struct schema *s, const char *folder, struct buf *errors)
{
	const char **paths = NULL;
	unsigned i, n = 0;
	int rc = list_files(s, folder, &paths, &n);

	if (rc == RC_OK && n == 0)
		rc = RC_NOTFOUND;
	if (rc != RC_OK && rc != RC_NOMEM && errors != NULL)
		buf_printf(errors, "%s: no *.schema files: %s\n", folder, rc_text(rc));
	for (i = 0; i < n && rc == RC_OK; i++)
		rc = read_one_file(s, paths[i], errors);
	return rc;
}

int schema_load(const char *folder, struct schema **out, struct buf *errors)
{
	struct schema *s = mem_zalloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return RC_NOMEM;
	arena_init(&s->mem);
	s->defs_end = &s->defs;
	rc = read_folder(s, folder, errors);
	if (rc == RC_OK)
		rc = schema_resolve(s, errors);
	if (rc == RC_OK && s->nerrors != 0)
		rc = RC_INVALID;
	if (rc == RC_OK)
		rc = schema_publish(s);
	if (rc == RC_OK)
		*out = s;
	else
		schema_free(&s);
	return rc;
}

void schema_free(struct schema **s)
{
	if (*s == NULL)
		return;
	arena_fini(&(*s)->mem);
	mem_free(*s);
	*s = NULL;
}

const struct schema_attr *schema_attr(const struct schema *s, struct span description)
{
	const struct schema_def *def =
		schema_names_find(&s->attr_names, entry_base_type(description));

	return def != NULL ? def->attr : NULL;
}

const struct schema_class *schema_class(const struct schema *s, struct span name_or_oid)
{
	const struct schema_def *def = schema_names_find(&s->class_names, name_or_oid);

	return def != NULL ? def->class : NULL;
}

const struct schema_attr *const *schema_subtypes(const struct schema *s,
						 const struct schema_attr *at)
{
	return s->subtypes[at->id];
}

bool schema_class_is(const struct schema_class *c, const struct schema_class *of)
{
	unsigned i;

	if (c == of)
		return true;
	for (i = 0; c->sups[i] != NULL; i++) {
		if (schema_class_is(c->sups[i], of))
			return true;
	}
	return false;
}

enum entry_run schema_run(const struct schema *s, struct span description)
{
	const struct schema_attr *at = schema_attr(s, description);

	if (at == NULL)
		return ENTRY_PUBLIC;
	if (at->usage != SCHEMA_USER)
		return ENTRY_OPERATIONAL;
	return at->is_protected ? ENTRY_PROTECTED : ENTRY_PUBLIC;
}

const char *const *schema_definitions(const struct schema *s, enum schema_kind kind)
{
	return s->definitions[kind];
}

const struct schema_attr *const *schema_references(const struct schema *s)
{
	return s->references;
}
