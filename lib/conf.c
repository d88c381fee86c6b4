#include "lib/conf.h"

#include "lib/file.h"
#include "lib/log.h"
#include "lib/text.h"

#include <limits.h>
#include <stdlib.h>

#define FILE_MAX_BYTES (1024 * 1024)
#define MAX_WORDS 64
#define MAX_KEYS 64
#define NAME_MAX_BYTES 40

struct reader {
	const char *path;
	struct arena *arena;
	const struct conf_key *keys;
	struct buf *errors;
	unsigned long line;
	unsigned long seen[MAX_KEYS]; /* line on which a keyword stood, 0 = not yet */
	unsigned bad;
	bool no_memory;
	bool pass_over; /* unknown keywords are none of ours */
};

struct words {
	struct span items[MAX_WORDS];
	unsigned n;
};

/* One "file:line: text" line; line 0 leaves the number out. */
static void __attribute__((format(printf, 2, 3))) complain(struct reader *r, const char *fmt, ...)
{
	va_list ap;

	r->bad++;
	buf_puts(r->errors, r->path);
	if (r->line != 0)
		buf_printf(r->errors, ":%lu", r->line);
	buf_puts(r->errors, ": ");
	va_start(ap, fmt);
	buf_vprintf(r->errors, fmt, ap);
	va_end(ap);
	buf_putc(r->errors, '\n');
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* A word behind its opening quote; *rest moves behind the closing one. */
static bool quoted_word(struct reader *r, struct span *rest, struct span *out)
{
	uint8_t *bytes = arena_alloc(r->arena, rest->n + 1);
	size_t n = 0, i;

	if (bytes == NULL) {
		r->no_memory = true;
		return false;
	}
	for (i = 0; i < rest->n && rest->p[i] != '"'; i++) {
		if (rest->p[i] == '\\') {
			if (++i == rest->n || (rest->p[i] != '\\' && rest->p[i] != '"')) {
				complain(r, "after a backslash in quotes comes \\ or \"");
				return false;
			}
		}
		bytes[n++] = rest->p[i];
	}
	if (i == rest->n) {
		complain(r, "the closing quote is missing");
		return false;
	}
	*rest = span_from(*rest, i + 1);
	if (rest->n != 0 && !is_blank(rest->p[0])) {
		complain(r, "a blank is missing behind the closing quote");
		return false;
	}
	bytes[n] = '\0';
	*out = span_make(bytes, n);
	return true;
}

static bool plain_word(struct reader *r, struct span *rest, struct span *out)
{
	size_t n = 0;

	while (n < rest->n && !is_blank(rest->p[n])) {
		if (rest->p[n] == '"') {
			complain(r, "a quote stands inside a word; quote the whole word");
			return false;
		}
		n++;
	}
	*out = arena_span(r->arena, span_head(*rest, n));
	*rest = span_from(*rest, n);
	r->no_memory = out->p == NULL;
	return out->p != NULL;
}

/* The words of a line; false after a complaint. */
static bool split(struct reader *r, struct span rest, struct words *out)
{
	bool ok;

	out->n = 0;
	for (;;) {
		while (rest.n != 0 && is_blank(rest.p[0]))
			rest = span_from(rest, 1);
		if (rest.n == 0 || rest.p[0] == '#')
			return true;
		if (out->n == MAX_WORDS) {
			complain(r, "more than %d words on a line", MAX_WORDS);
			return false;
		}
		if (rest.p[0] == '"') {
			rest = span_from(rest, 1);
			ok = quoted_word(r, &rest, &out->items[out->n]);
		} else {
			ok = plain_word(r, &rest, &out->items[out->n]);
		}
		if (!ok)
			return false;
		out->n++;
	}
}

/* --- values --- */

static bool bool_value(struct span word, bool *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {{"yes", true}, {"no", false},  {"true", true},
		     {"on", true},  {"off", false}, {"false", false}};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (span_eq_nocase(word, span_of(words[i].word))) {
			*out = words[i].value;
			return true;
		}
	}
	return false;
}

struct unit {
	const char *name;
	unsigned long factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit time_units[] = {{"ms", 1},      {"s", 1000},     {"min", 60000},
					 {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit long_units[] = {
	{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}, {NULL, 0}};
static const struct unit byte_units[] = {
	{"", 1}, {"k", 1024}, {"m", 1024 * 1024}, {"g", 1024ul * 1024 * 1024}, {NULL, 0}};

/* A decimal number and one of the units, ignoring case. */
static bool number_value(struct span word, const struct unit *units, unsigned long *out)
{
	unsigned long value = 0;
	size_t i;

	for (i = 0; i < word.n && word.p[i] >= '0' && word.p[i] <= '9'; i++) {
		if (__builtin_mul_overflow(value, 10ul, &value) ||
		    __builtin_add_overflow(value, (unsigned long)(word.p[i] - '0'), &value))
			return false;
	}
	if (i == 0)
		return false;
	for (; units->name != NULL; units++) {
		if (span_eq_nocase(span_from(word, i), span_of(units->name)))
			return !__builtin_mul_overflow(value, units->factor, out);
	}
	return false;
}

static void set_number(struct reader *r, const struct conf_key *key, struct span word)
{
	const struct unit *units = no_units;
	const char *wanted = "a number";
	unsigned long limit = UINT_MAX;
	unsigned long value;
	char shown[LOG_TEXT_BYTES];

	if (key->type == CONF_MS) {
		units = time_units;
		wanted = "a time such as 200ms, 2s, 5min or 1h";
	} else if (key->type == CONF_SECONDS) {
		units = long_units;
		wanted = "a time such as 1s, 5min, 12h or 60d";
	} else if (key->type == CONF_BYTES) {
		units = byte_units;
		wanted = "a size such as 512, 64k, 16M or 1G";
		limit = ULONG_MAX;
	}
	if (key->max != 0 && key->max < limit)
		limit = key->max;
	if (!number_value(word, units, &value)) {
		complain(r, "%s wants %s, not %s", key->name, wanted, log_text(word, shown));
		return;
	}
	if (value < key->min || value > limit) {
		complain(r, "%s must be %lu to %lu%s, and is %lu", key->name, key->min, limit,
			 key->type == CONF_MS        ? " ms"
			 : key->type == CONF_SECONDS ? " s"
						     : "",
			 value);
		return;
	}
	if (key->type == CONF_BYTES)
		*(size_t *)key->target = value;
	else
		*(unsigned *)key->target = (unsigned)value;
}

static const char *string_value(struct reader *r, const struct conf_key *key, struct span word)
{
	bool is_path = key->type == CONF_PATH || key->type == CONF_PATHS;
	const char *slash = strrchr(r->path, '/');
	const char *text;

	if (is_path && word.p[0] != '/' && slash != NULL)
		text = arena_printf(r->arena, "%.*s/%.*s", (int)(slash - r->path), r->path,
				    SPAN_ARG(word));
	else
		text = (const char *)word.p; /* its copy in the arena ends with a NUL */
	r->no_memory = text == NULL;
	return text;
}

static void set_string(struct reader *r, const struct conf_key *key, struct span word)
{
	const char *text = string_value(r, key, word);

	if (text != NULL)
		*(const char **)key->target = text;
}

static void add_strings(struct reader *r, const struct conf_key *key, const struct words *words)
{
	struct conf_list *list = key->target;
	const char **items = arena_alloc(r->arena, (list->n + words->n) * sizeof(*items));
	unsigned i;

	if (items == NULL) {
		r->no_memory = true;
		return;
	}
	if (list->n != 0)
		memcpy(items, list->items, list->n * sizeof(*items));
	list->items = items;
	for (i = 1; i < words->n; i++) {
		items[list->n] = string_value(r, key, words->items[i]);
		if (items[list->n] == NULL)
			return;
		list->n++;
	}
}

/* --- keywords --- */

/* Edit distance: letters added, dropped, changed, or two neighbours swapped. */
static unsigned distance(struct span a, struct span b)
{
	unsigned rows[3][NAME_MAX_BYTES + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];
	size_t i, j;

	if (a.n > NAME_MAX_BYTES || b.n > NAME_MAX_BYTES)
		return UINT_MAX;
	memset(rows, 0, sizeof(rows));
	for (j = 0; j <= b.n; j++)
		last[j] = (unsigned)j;
	for (i = 1; i <= a.n; i++) {
		unsigned *spare = before;

		now[0] = (unsigned)i;
		for (j = 1; j <= b.n; j++) {
			bool same = span_ascii_lower(a.p[i - 1]) == span_ascii_lower(b.p[j - 1]);
			unsigned best = last[j - 1] + !same;

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] &&
			    a.p[i - 2] == b.p[j - 1] && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[b.n];
}

static const char *nearest(const struct conf_key *keys, struct span word)
{
	unsigned best = (unsigned)word.n / 3 + 2; /* farther than this is no typing error */
	const char *name = NULL;

	for (; keys->name != NULL; keys++) {
		unsigned d = distance(word, span_of(keys->name));

		if (d < best) {
			best = d;
			name = keys->name;
		}
	}
	return name;
}

static void unknown_keyword(struct reader *r, struct span word)
{
	const char *name = nearest(r->keys, word);
	char shown[LOG_TEXT_BYTES];

	log_text(word, shown);
	if (name != NULL)
		complain(r, "unknown keyword %s; did you mean %s?", shown, name);
	else
		complain(r, "unknown keyword %s", shown);
}

static bool is_list(const struct conf_key *key)
{
	return key->type == CONF_STRINGS || key->type == CONF_PATHS;
}

static bool has_right_count(struct reader *r, const struct conf_key *key, const struct words *words)
{
	unsigned i;

	if (words->n < 2) {
		complain(r, "%s has no value", key->name);
		return false;
	}
	if (words->n > 2 && !is_list(key)) {
		complain(r, "%s takes one value; put quotes around a value with blanks", key->name);
		return false;
	}
	for (i = 1; i < words->n; i++) {
		struct span word = words->items[i];

		if (key->type != CONF_STRING && word.n == 0) {
			complain(r, "%s has an empty value", key->name);
			return false;
		}
		if (memchr(word.p, '\0', word.n + 1) != word.p + word.n) {
			complain(r, "%s holds a NUL byte", key->name);
			return false;
		}
	}
	return true;
}

static void set_value(struct reader *r, const struct conf_key *key, const struct words *words)
{
	struct span word = words->items[1];
	char shown[LOG_TEXT_BYTES];

	switch (key->type) {
	case CONF_STRING:
	case CONF_PATH:
		set_string(r, key, word);
		break;
	case CONF_STRINGS:
	case CONF_PATHS:
		add_strings(r, key, words);
		break;
	case CONF_BOOL:
		if (!bool_value(word, key->target))
			complain(r, "%s wants yes or no, not %s", key->name, log_text(word, shown));
		break;
	case CONF_UINT:
	case CONF_MS:
	case CONF_SECONDS:
	case CONF_BYTES:
		set_number(r, key, word);
		break;
	}
}

static void read_line(struct reader *r, struct span line)
{
	struct words words;
	unsigned i;

	if (!text_is_utf8(line)) {
		complain(r, "not UTF-8");
		return;
	}
	if (!split(r, line, &words) || words.n == 0)
		return;
	for (i = 0; r->keys[i].name != NULL; i++) {
		if (span_eq_nocase(words.items[0], span_of(r->keys[i].name)))
			break;
	}
	if (r->keys[i].name == NULL || r->keys[i].name[0] == '*') {
		if (!r->pass_over)
			unknown_keyword(r, words.items[0]);
		return;
	}
	if (r->seen[i] != 0 && !is_list(&r->keys[i])) {
		complain(r, "%s was already given on line %lu", r->keys[i].name, r->seen[i]);
		return;
	}
	r->seen[i] = r->line;
	if (has_right_count(r, &r->keys[i], &words))
		set_value(r, &r->keys[i], &words);
}

static void check_required(struct reader *r)
{
	unsigned i;

	r->line = 0;
	for (i = 0; r->keys[i].name != NULL; i++) {
		if (r->keys[i].required && r->seen[i] == 0)
			complain(r, "keyword %s is missing (%s)", r->keys[i].name, r->keys[i].help);
	}
}

int conf_parse(struct span text, const char *path, struct arena *a, const struct conf_key *keys,
	       struct buf *errors)
{
	struct reader r = {.path = path, .arena = a, .keys = keys, .errors = errors};
	unsigned nkeys = 0;

	for (; keys[nkeys].name != NULL; nkeys++)
		r.pass_over |= strcmp(keys[nkeys].name, "*") == 0;
	must(nkeys <= MAX_KEYS);
	while (text.n != 0 && !r.no_memory) {
		struct span line;

		span_cut(&text, '\n', &line);
		r.line++;
		read_line(&r, line);
	}
	if (r.no_memory || buf_rc(errors) == RC_NOMEM)
		return RC_NOMEM;
	check_required(&r);
	if (r.bad != 0)
		return buf_rc(errors) == RC_NOMEM ? RC_NOMEM : RC_INVALID;
	return RC_OK;
}

int conf_read(const char *path, struct arena *a, const struct conf_key *keys, struct buf *errors)
{
	struct buf text;
	int rc;

	buf_init(&text, FILE_MAX_BYTES);
	rc = file_read(path, &text);
	if (rc == RC_OK)
		rc = conf_parse(buf_span(&text), path, a, keys, errors);
	else
		buf_printf(errors, "%s: can not be read: %s\n", path, rc_text(rc));
	buf_fini(&text);
	return rc;
}

static const char *kind_of(const struct conf_key *key)
{
	switch (key->type) {
	case CONF_STRING:
		return "TEXT";
	case CONF_STRINGS:
		return "TEXT...";
	case CONF_PATH:
		return "FILE";
	case CONF_PATHS:
		return "FILE...";
	case CONF_BOOL:
		return "yes|no";
	case CONF_UINT:
		return "NUMBER";
	case CONF_MS:
	case CONF_SECONDS:
		return "TIME";
	case CONF_BYTES:
		return "SIZE";
	}
	return "";
}

void conf_describe(const struct conf_key *keys, struct buf *out)
{
	for (; keys->name != NULL; keys++)
		buf_printf(out, "  %-22s %-9s %s%s\n", keys->name, kind_of(keys), keys->help,
			   keys->required ? " (required)" : "");
}
