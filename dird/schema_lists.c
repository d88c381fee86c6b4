/* Syntaxes of values that are lists with dollar signs between their items (RFC 4517 §3.3). */
#include "dird/schema_def.h"
#include "lib/text.h"

/* The next item; false behind the last one. */
struct items {
	struct span rest;
	bool is_over;
};

static bool next(struct items *l, struct span *out)
{
	if (l->is_over)
		return false;
	l->is_over = !span_cut(&l->rest, '$', out);
	return true;
}

static bool is_one_of(struct span word, const char *const *words)
{
	while (*words != NULL && !span_eq_nocase(word, span_of(*words)))
		words++;
	return *words != NULL;
}

static struct span without_spaces(struct span s)
{
	while (s.n != 0 && s.p[0] == ' ')
		s = span_from(s, 1);
	while (s.n != 0 && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

/* §3.3.28: lines that are not empty; a backslash begins \24 or \5c. */
int schema_check_postal(const struct schema *s, struct span v)
{
	struct items lines = {.rest = v};
	struct span line;
	size_t i;

	(void)s;
	if (!text_is_utf8(v))
		return RC_INVALID;
	while (next(&lines, &line)) {
		if (line.n == 0)
			return RC_INVALID;
		for (i = 0; i < line.n; i++) {
			struct span code = span_head(span_from(line, i + 1), 2);

			if (line.p[i] == '\\' && !span_eq(code, SPAN_LIT("24")) &&
			    !span_eq_nocase(code, SPAN_LIT("5c")))
				return RC_INVALID;
		}
	}
	return RC_OK;
}

/* §3.3.5 */
int schema_check_delivery(const struct schema *s, struct span v)
{
	static const char *const methods[] = {"any",      "mhs",       "physical", "telex",
					      "teletex",  "g3fax",     "g4fax",    "ia5",
					      "videotex", "telephone", NULL};
	struct items list = {.rest = v};
	struct span method;

	(void)s;
	while (next(&list, &method)) {
		if (!is_one_of(without_spaces(method), methods))
			return RC_INVALID;
	}
	return RC_OK;
}

/* §3.3.11: a telephone number, then parameters. */
int schema_check_fax_number(const struct schema *s, struct span v)
{
	static const char *const parameters[] = {
		"twoDimensional", "fineResolution", "unlimitedLength", "b4Length",
		"a3Width",        "b4Width",        "uncompressed",    NULL};
	struct items list = {.rest = v};
	struct span item;

	if (!next(&list, &item) || schema_check_printable(s, item) != RC_OK)
		return RC_INVALID;
	while (next(&list, &item)) {
		if (!is_one_of(item, parameters))
			return RC_INVALID;
	}
	return RC_OK;
}

/* §3.3.33: number, country code and answerback. */
int schema_check_telex(const struct schema *s, struct span v)
{
	struct items list = {.rest = v};
	struct span item;
	unsigned n;

	for (n = 0; next(&list, &item); n++) {
		if (schema_check_printable(s, item) != RC_OK)
			return RC_INVALID;
	}
	return n == 3 ? RC_OK : RC_INVALID;
}

/* §3.3.32: a terminal, then parameters with their keys. */
int schema_check_teletex(const struct schema *s, struct span v)
{
	static const char *const keys[] = {"graphic", "control", "misc", "page", "private", NULL};
	struct items list = {.rest = v};
	struct span item, key;

	if (!next(&list, &item) || schema_check_printable(s, item) != RC_OK)
		return RC_INVALID;
	while (next(&list, &item)) {
		if (!span_cut(&item, ':', &key) || !is_one_of(key, keys))
			return RC_INVALID;
	}
	return RC_OK;
}

/* §3.3.27: a type and a mailbox. */
int schema_check_mailbox(const struct schema *s, struct span v)
{
	struct span type;
	size_t i;

	if (!span_cut(&v, '$', &type) || schema_check_printable(s, type) != RC_OK)
		return RC_INVALID;
	for (i = 0; i < v.n; i++) {
		if (v.p[i] > 0x7f)
			return RC_INVALID;
	}
	return RC_OK;
}
