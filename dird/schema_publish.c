/* RFC 4512 §4.1 and §4.2 text of what was loaded, for the subschema entry. */
#include "dird/schema_def.h"

#define TEXT_MAX_BYTES (64 * 1024)

static void put_quoted(struct buf *b, const char *text)
{
	buf_putc(b, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			buf_puts(b, "\\27");
		else if (*text == '\\')
			buf_puts(b, "\\5C");
		else
			buf_putc(b, (uint8_t)*text);
	}
	buf_putc(b, '\'');
}

static void put_names(struct buf *b, const char **names)
{
	unsigned i;

	if (names == NULL)
		return;
	buf_puts(b, names[1] != NULL ? " NAME (" : " NAME");
	for (i = 0; names[i] != NULL; i++) {
		buf_putc(b, ' ');
		put_quoted(b, names[i]);
	}
	if (i > 1)
		buf_puts(b, " )");
}

static void put_list(struct buf *b, const char *field, const char **items)
{
	unsigned i;

	if (items == NULL)
		return;
	buf_printf(b, " %s %s%s", field, items[1] != NULL ? "( " : "", items[0]);
	for (i = 1; items[i] != NULL; i++)
		buf_printf(b, " $ %s", items[i]);
	if (i > 1)
		buf_puts(b, " )");
}

static void put_word(struct buf *b, const char *field, const char *word)
{
	if (word != NULL)
		buf_printf(b, " %s %s", field, word);
}

static void put_head(struct buf *b, const struct schema_def *def)
{
	buf_printf(b, "( %s", def->oid);
	put_names(b, def->names);
	if (def->desc != NULL) {
		buf_puts(b, " DESC ");
		put_quoted(b, def->desc);
	}
	if (def->obsolete)
		buf_puts(b, " OBSOLETE");
	put_list(b, "SUP", def->sups);
}

static const char *usage_word(enum schema_usage usage)
{
	switch (usage) {
	case SCHEMA_USER:
		return NULL;
	case SCHEMA_DIRECTORY_OPERATION:
		return "directoryOperation";
	case SCHEMA_DISTRIBUTED_OPERATION:
		return "distributedOperation";
	case SCHEMA_DSA_OPERATION:
		return "dSAOperation";
	}
	return NULL;
}

static void put_attr(struct buf *b, const struct schema_def *def)
{
	put_head(b, def);
	put_word(b, "EQUALITY", def->equality);
	put_word(b, "ORDERING", def->ordering);
	put_word(b, "SUBSTR", def->substr);
	put_word(b, "SYNTAX", def->syntax);
	if (def->upper_bound != 0)
		buf_printf(b, "{%u}", def->upper_bound);
	if (def->single)
		buf_puts(b, " SINGLE-VALUE");
	if (def->collective)
		buf_puts(b, " COLLECTIVE");
	if (def->no_user_modification)
		buf_puts(b, " NO-USER-MODIFICATION");
	put_word(b, "USAGE", usage_word(def->usage));
	buf_puts(b, " )");
}

static void put_class(struct buf *b, const struct schema_def *def)
{
	static const char *const kinds[] = {
		[SCHEMA_ABSTRACT] = " ABSTRACT",
		[SCHEMA_STRUCTURAL] = " STRUCTURAL",
		[SCHEMA_AUXILIARY] = " AUXILIARY",
	};

	put_head(b, def);
	buf_puts(b, kinds[def->class_kind]);
	put_list(b, "MUST", def->must);
	put_list(b, "MAY", def->may);
	buf_puts(b, " )");
}

static int keep(struct schema *s, struct buf *b, const char **out)
{
	if (buf_rc(b) != RC_OK)
		return buf_rc(b);
	*out = arena_str(&s->mem, buf_span(b));
	buf_clear(b);
	return *out != NULL ? RC_OK : RC_NOMEM;
}

static int publish_defs(struct schema *s, enum schema_kind kind, unsigned count, struct buf *b)
{
	const char **list = arena_zalloc(&s->mem, count + 1, sizeof(*list));
	const struct schema_def *def;
	unsigned n = 0;
	int rc = list != NULL ? RC_OK : RC_NOMEM;

	for (def = s->defs; def != NULL && rc == RC_OK; def = def->next) {
		if (def->kind != kind)
			continue;
		if (kind == SCHEMA_ATTRIBUTE_TYPES)
			put_attr(b, def);
		else
			put_class(b, def);
		rc = keep(s, b, &list[n++]);
	}
	s->definitions[kind] = list;
	return rc;
}

static int publish_syntaxes(struct schema *s, struct buf *b)
{
	const struct schema_syntax *x;
	const char **list;
	unsigned n = 0;
	int rc = RC_OK;

	for (x = schema_syntaxes; x->oid != NULL; x++)
		n++;
	list = arena_zalloc(&s->mem, n + 1, sizeof(*list));
	if (list == NULL)
		return RC_NOMEM;
	for (n = 0, x = schema_syntaxes; x->oid != NULL && rc == RC_OK; x++) {
		buf_printf(b, "( %s DESC '%s' )", x->oid, x->desc);
		rc = keep(s, b, &list[n++]);
	}
	s->definitions[SCHEMA_SYNTAXES] = list;
	return rc;
}

static int publish_rules(struct schema *s, struct buf *b)
{
	const struct schema_rule *x;
	const char **list;
	unsigned n = 0;
	int rc = RC_OK;

	for (x = schema_rules; x->oid != NULL; x++)
		n++;
	list = arena_zalloc(&s->mem, n + 1, sizeof(*list));
	if (list == NULL)
		return RC_NOMEM;
	for (n = 0, x = schema_rules; x->oid != NULL && rc == RC_OK; x++) {
		buf_printf(b, "( %s NAME '%s' SYNTAX %s )", x->oid, x->name, x->syntax);
		rc = keep(s, b, &list[n++]);
	}
	s->definitions[SCHEMA_MATCHING_RULES] = list;
	return rc;
}

int schema_publish(struct schema *s)
{
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX_BYTES);
	rc = publish_defs(s, SCHEMA_ATTRIBUTE_TYPES, s->nattrs, &b);
	if (rc == RC_OK)
		rc = publish_defs(s, SCHEMA_OBJECT_CLASSES, s->nclasses, &b);
	if (rc == RC_OK)
		rc = publish_syntaxes(s, &b);
	if (rc == RC_OK)
		rc = publish_rules(s, &b);
	buf_fini(&b);
	return rc;
}
