/* routectl import-reg: the switch in a registry export as a change of the directory. */
#include "tools/routectl.h"

#include "lib/file.h"
#include "tools/regfile.h"
#include "tools/routectl_source.h"

#include <stdio.h>

#define FILE_MAX_BYTES ((size_t)256 << 20)
#define OUTPUT_MAX_BYTES ((size_t)1 << 20)
#define KEY_END "\\MSExchangeIMC\\Parameters"
#define CURRENT "\\CurrentControlSet\\"
#define NAME "OnlySystemMessagesUseCDs"

struct options {
	struct routectl_source source;
	const char *file, *site, *connector;
};

/* What a control set says. */
struct setting {
	bool known, wrong; /* wrong: no DWORD */
	uint32_t value;
	unsigned long line;
};

/* CurrentControlSet counts; the others (ControlSet001, ...) only without it. */
struct found {
	struct setting current, other;
	bool differ; /* the others among themselves */
};

static bool ends_nocase(struct span s, struct span end)
{
	return s.n >= end.n && span_eq_nocase(span_from(s, s.n - end.n), end);
}

static bool has_nocase(struct span s, struct span part)
{
	size_t i;

	for (i = 0; i + part.n <= s.n; i++) {
		if (span_eq_nocase(span_head(span_from(s, i), part.n), part))
			return true;
	}
	return false;
}

static int on_value(void *arg, const struct regfile_value *v)
{
	struct found *f = arg;
	struct setting now = {.known = v->kind != REGFILE_REMOVED,
			      .wrong = v->kind == REGFILE_OTHER,
			      .value = v->dword,
			      .line = v->line};
	struct setting *s;

	if (!ends_nocase(v->key, SPAN_LIT(KEY_END)) ||
	    (v->name.p != NULL && !span_eq_nocase(v->name, SPAN_LIT(NAME))))
		return RC_OK;
	s = has_nocase(v->key, SPAN_LIT(CURRENT)) ? &f->current : &f->other;
	if (s == &f->other && s->known && now.known && (s->value != 0) != (now.value != 0))
		f->differ = true;
	*s = now;
	return RC_OK;
}

static int read_file(const char *path, bool *flag)
{
	struct found f = {.differ = false};
	const struct setting *s;
	unsigned long line = 0;
	const char *why = "";
	struct buf b;
	int rc;

	buf_init(&b, FILE_MAX_BYTES);
	rc = file_read(path, &b);
	if (rc != RC_OK) {
		cli_error("%s: %s", path, rc_text(rc));
	} else {
		rc = regfile_read(buf_span(&b), on_value, &f, &line, &why);
		if (rc != RC_OK)
			cli_error("%s:%lu: %s", path, line, rc == RC_INVALID ? why : rc_text(rc));
	}
	buf_fini(&b);
	if (rc != RC_OK)
		return rc;
	s = f.current.known ? &f.current : &f.other;
	*flag = s->value != 0;
	if (!s->known) {
		cli_error("%s does not set %s below ...%s", path, NAME, KEY_END);
		cli_hint("then it is off, as it is in the directory unless set: nothing to change");
		return RC_NOTFOUND;
	}
	if (s->wrong) {
		cli_error("%s:%lu: %s is no DWORD", path, s->line, NAME);
		return RC_INVALID;
	}
	if (s == &f.other && f.differ) {
		cli_error("%s: the control sets do not agree, and none is the current one", path);
		return RC_CONFLICT;
	}
	return RC_OK;
}

/* The Internet Mail Service that is meant: of that name, or the only one of the site. */
static const struct model_connector *find_ims(const struct model *m, const struct options *o)
{
	const struct model_connector *found = NULL;
	unsigned n = 0;
	uint32_t site, i;

	if (model_find_site(m, span_of(o->site), &site) != RC_OK) {
		cli_error("there is no site %s", o->site);
		return NULL;
	}
	for (i = 0; i < m->nconnectors; i++) {
		const struct model_connector *c = &m->connectors[i];

		if (c->site != site || c->kind != MODEL_IMS ||
		    (o->connector != NULL && !span_eq_nocase(c->name, span_of(o->connector))))
			continue;
		found = c;
		n++;
	}
	if (n == 1)
		return found;
	if (o->connector != NULL)
		cli_error("site %s has %s Internet Mail Service %s", o->site,
			  n == 0 ? "no" : "more than one", o->connector);
	else
		cli_error("site %s has %u Internet Mail Services", o->site, n);
	for (i = 0; i < m->nconnectors; i++) {
		if (m->connectors[i].site == site && m->connectors[i].kind == MODEL_IMS)
			cli_hint("--connector '%.*s'", SPAN_ARG(m->connectors[i].name));
	}
	return NULL;
}

/* A control byte would end the comment that this goes into. */
static void put_clean(struct buf *out, uint8_t c)
{
	buf_putc(out, c < ' ' || c == 0x7f ? '?' : c);
}

/* In quotes for a shell; a quote inside ends them, stands escaped, and begins them again. */
static void put_quoted(struct buf *out, struct span s)
{
	size_t i;

	buf_putc(out, '\'');
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '\'')
			buf_puts(out, "'\\''");
		else
			put_clean(out, s.p[i]);
	}
	buf_putc(out, '\'');
}

/* LDIF whose comments hold the command that does the same. */
static int propose(const struct model_connector *c, const struct options *o, bool flag)
{
	const char *value = flag ? "TRUE" : "FALSE";
	struct buf b;
	int rc;

	buf_init(&b, OUTPUT_MAX_BYTES);
	if (c->flag == (flag ? MODEL_FLAG_TRUE : MODEL_FLAG_FALSE)) {
		buf_printf(&b, "# nothing to change: %s is %s already at\n# ", NAME, value);
		put_quoted(&b, c->dn);
		buf_putc(&b, '\n');
	} else {
		buf_printf(&b, "# The registry sets %s=%u. The same with sitectl:\n", NAME, flag);
		buf_puts(&b, "# sitectl connector set --config dird.conf --site ");
		put_quoted(&b, span_of(o->site));
		buf_putc(&b, ' ');
		put_quoted(&b, c->name);
		buf_printf(&b, " onlySystemMessagesUseCDs=%s\n", value);
		ldif_write_attr(&b, SPAN_LIT("dn"), c->dn);
		buf_printf(&b,
			   "changetype: modify\nreplace: onlySystemMessagesUseCDs\n"
			   "onlySystemMessagesUseCDs: %s\n-\n\n",
			   value);
	}
	rc = routectl_flush(stdout, &b);
	if (rc != RC_OK)
		cli_error("%s", rc_text(rc));
	buf_fini(&b);
	return rc;
}

static int import(const struct options *o)
{
	const struct model_connector *c;
	struct routectl_entries e;
	unsigned long ignored = 0;
	struct model *m = NULL;
	bool flag = false;
	int rc = read_file(o->file, &flag);

	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? CLI_FAILED : CLI_USAGE;
	routectl_entries_init(&e);
	rc = routectl_source_read(&o->source, &e, &ignored);
	if (rc == RC_OK) {
		rc = routectl_entries_model(&e, &m);
		if (rc != RC_OK)
			cli_error("%s", rc_text(rc));
	}
	if (rc == RC_OK) {
		c = find_ims(m, o);
		rc = c != NULL ? propose(c, o, flag) : RC_NOTFOUND;
	}
	model_free(&m);
	routectl_entries_fini(&e);
	return rc == RC_OK ? CLI_DONE : CLI_USAGE;
}

int routectl_import_reg(int argc, char **argv)
{
	struct options o = {.file = NULL};
	const struct cli_opt opts[] = {
		ROUTECTL_SOURCE_OPTS(o.source),
		{"site", 's', CLI_TEXT, &o.site, "SITE", "the site of the exported server", true},
		{"connector", 0, CLI_TEXT, &o.connector, "NAME",
		 "its Internet Mail Service, if the site has several", false},
		{0},
	};
	const struct cli_usage usage = {
		.command = "routectl import-reg",
		.args = "FILE",
		.summary =
			"Read a registry export of an Exchange server (REGEDIT4, or version 5.00 "
			"in UTF-16) and propose\nthe same setting for the directory: "
			"MSExchangeIMC\\Parameters, OnlySystemMessagesUseCDs.\nPrints LDIF, and "
			"the sitectl command as a comment; changes nothing.\nExit status 1: the "
			"export does not set it; 2: failed.",
		.opts = opts,
		.examples = "  routectl import-reg --config routed.conf --site Site1 imc.reg\n"
			    "  routectl import-reg --ldif organisation.ldif --site Site1 imc.reg "
			    ">change.ldif\n",
		.min_args = 1,
		.max_args = 1,
	};
	int first, status;

	if (!cli_parse(&usage, argc, argv, &first, &status))
		return status;
	if (!routectl_source_check(&o.source))
		return CLI_USAGE;
	o.file = argv[first];
	return import(&o);
}
