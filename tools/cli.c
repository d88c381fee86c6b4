#include "tools/cli.h"

#include "lib/arena.h"

#include <getopt.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define MAX_OPTS 40
#define HELP_OPT 1000
#define SHOW_AFTER_MS 1000
#define SHOW_EVERY_MS 200
#define LINE_EVERY_MS 5000

static const char *command = "";
static char context[512];

/* --- messages --- */

void cli_error(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: %s", command, context);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void cli_context(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
}

void cli_hint(const char *fmt, ...)
{
	va_list ap;

	fputs("  ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void cli_note(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* --- verbs --- */

static void tool_help(const struct cli_tool *tool, FILE *f)
{
	const struct cli_verb *v;

	fprintf(f, "usage: %s VERB [OPTION]...\n\n%s\n\n", tool->name, tool->summary);
	for (v = tool->verbs; v->name != NULL; v++)
		fprintf(f, "  %-12s %s\n", v->name, v->summary);
	fprintf(f, "\n`%s VERB --help` tells more about a verb.\n", tool->name);
	if (tool->examples != NULL)
		fprintf(f, "\nExamples:\n%s", tool->examples);
}

static bool is_word(const char *s, const char *one, const char *other)
{
	return strcmp(s, one) == 0 || strcmp(s, other) == 0;
}

/* Names are UTF-8 whatever the locale says; libsmartcols would escape them in the C locale. */
static void use_utf8(void)
{
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
}

int cli_run(const struct cli_tool *tool, int argc, char **argv)
{
	const struct cli_verb *v;

	command = tool->name;
	use_utf8();
	if (argc < 2) {
		tool_help(tool, stderr);
		return CLI_USAGE;
	}
	if (is_word(argv[1], "--help", "-h") || strcmp(argv[1], "help") == 0) {
		tool_help(tool, stdout);
		return CLI_DONE;
	}
	if (is_word(argv[1], "--version", "-V")) {
		printf("%s (Waypost) %s\n", tool->name, WAYPOST_VERSION);
		return CLI_DONE;
	}
	for (v = tool->verbs; v->name != NULL; v++) {
		if (strcmp(argv[1], v->name) == 0)
			return v->run(argc - 1, argv + 1);
	}
	cli_error("there is no verb %s", argv[1]);
	cli_hint("`%s --help` lists the verbs", tool->name);
	return CLI_USAGE;
}

/* --- options --- */

static void option_help(const struct cli_opt *o)
{
	char left[80];
	char letter[5] = "   ";

	if (o->letter != 0)
		snprintf(letter, sizeof(letter), "-%c,", o->letter);
	snprintf(left, sizeof(left), "%s --%s%s%s", letter, o->name, o->value != NULL ? " " : "",
		 o->value != NULL ? o->value : "");
	printf("  %-30s %s%s\n", left, o->help, o->required ? " (required)" : "");
}

static void verb_help(const struct cli_usage *u)
{
	const struct cli_opt *o;

	printf("usage: %s [OPTION]...%s%s\n\n%s\n\n", u->command, u->args[0] != '\0' ? " " : "",
	       u->args, u->summary);
	for (o = u->opts; o->name != NULL; o++)
		option_help(o);
	printf("  -h, --help                     this text\n");
	if (u->examples != NULL)
		printf("\nExamples:\n%s", u->examples);
}

static bool usage_hint(const struct cli_usage *u)
{
	cli_hint("`%s --help` tells how it is used", u->command);
	return false;
}

static bool set_option(const struct cli_usage *u, const struct cli_opt *o, const char *value)
{
	struct cli_list *list;
	unsigned long n;
	char *end;

	switch (o->type) {
	case CLI_FLAG:
		*(bool *)o->target = true;
		return true;
	case CLI_TEXT:
		*(const char **)o->target = value;
		return true;
	case CLI_LIST:
		list = o->target;
		if (list->n == CLI_LIST_MAX) {
			cli_error("--%s was given more than %d times", o->name, CLI_LIST_MAX);
			return false;
		}
		list->items[list->n++] = value;
		return true;
	case CLI_UINT:
		n = strtoul(value, &end, 10);
		if (value[0] < '0' || value[0] > '9' || *end != '\0' || n > UINT_MAX) {
			cli_error("--%s wants a number, not \"%s\"", o->name, value);
			return usage_hint(u);
		}
		*(unsigned *)o->target = (unsigned)n;
		return true;
	}
	return false;
}

static bool is_named_before(const struct cli_opt *opts, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		if (strcmp(opts[i].name, opts[n].name) == 0)
			return true;
	}
	return false;
}

/* getopt's two tables from ours; val of a long option is its index, a letter's index goes to
 * letters. */
static unsigned build_tables(const struct cli_usage *u, struct option *longs, char *shorts,
			     unsigned *letters)
{
	unsigned n;

	*shorts++ = ':';
	*shorts++ = 'h';
	for (n = 0; u->opts[n].name != NULL; n++) {
		const struct cli_opt *o = &u->opts[n];
		int has_value = o->type == CLI_FLAG ? no_argument : required_argument;

		must(n < MAX_OPTS && !is_named_before(u->opts, n));
		longs[n] = (struct option){o->name, has_value, NULL, HELP_OPT + 1 + (int)n};
		if (o->letter == 0)
			continue;
		letters[(unsigned char)o->letter] = n;
		*shorts++ = o->letter;
		if (has_value == required_argument)
			*shorts++ = ':';
	}
	*shorts = '\0';
	longs[n] = (struct option){"help", no_argument, NULL, HELP_OPT};
	longs[n + 1] = (struct option){0};
	return n;
}

static bool bad_option(const struct cli_usage *u, int c, char **argv)
{
	if (c == ':')
		cli_error("option %s wants a value", argv[optind - 1]);
	else if (optopt != 0 && optopt < HELP_OPT)
		cli_error("there is no option -%c", optopt);
	else
		cli_error("there is no option %s, or it takes no value", argv[optind - 1]);
	return usage_hint(u);
}

static bool check_given(const struct cli_usage *u, const bool *given, int nargs)
{
	unsigned i;

	for (i = 0; u->opts[i].name != NULL; i++) {
		if (u->opts[i].required && !given[i]) {
			cli_error("--%s is missing", u->opts[i].name);
			return usage_hint(u);
		}
	}
	if (nargs < u->min_args) {
		cli_error("expected %s", u->args);
		return usage_hint(u);
	}
	if (u->max_args >= 0 && nargs > u->max_args) {
		cli_error("too many words; expected %s", u->args[0] != '\0' ? u->args : "none");
		return usage_hint(u);
	}
	return true;
}

bool cli_parse(const struct cli_usage *u, int argc, char **argv, int *first, int *status)
{
	struct option longs[MAX_OPTS + 2];
	char shorts[MAX_OPTS * 2 + 3];
	unsigned letters[256] = {0};
	bool given[MAX_OPTS] = {false};
	int c;

	command = u->command;
	*status = CLI_USAGE;
	build_tables(u, longs, shorts, letters);
	opterr = 0;
	optind = 0; /* glibc: begin anew */
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		unsigned i;

		if (c == HELP_OPT || c == 'h') {
			verb_help(u);
			*status = CLI_DONE;
			return false;
		}
		if (c == '?' || c == ':')
			return bad_option(u, c, argv);
		i = c > HELP_OPT ? (unsigned)(c - HELP_OPT - 1) : letters[(unsigned char)c];
		given[i] = true;
		if (!set_option(u, &u->opts[i], optarg))
			return false;
	}
	*first = optind;
	return check_given(u, given, argc - optind);
}

/* --- progress --- */

void cli_progress_begin(struct cli_progress *p, const char *what, unsigned long total)
{
	*p = (struct cli_progress){.what = what, .total = total};
	p->begun_ms = clock_system.mono_ms(&clock_system);
	p->shown_ms = p->begun_ms;
	p->on_terminal = isatty(STDERR_FILENO) != 0;
}

static void show(struct cli_progress *p)
{
	const char *begin = p->on_terminal ? "\r" : "";
	const char *end = p->on_terminal ? "\033[K" : "\n";

	double seconds = (double)(p->shown_ms - p->begun_ms) / 1000;
	double rate = seconds > 0 ? (double)p->done / seconds : 0;

	fprintf(stderr, "%s%s: %lu", begin, p->what, p->done);
	if (p->total != 0)
		fprintf(stderr, " of %lu (%lu %%)", p->total,
			(unsigned long)((double)p->done * 100 / (double)p->total));
	if (rate > 0)
		fprintf(stderr, ", %.0f/s", rate);
	if (rate > 0 && p->total > p->done)
		fprintf(stderr, ", %.0f s left", (double)(p->total - p->done) / rate);
	fputs(end, stderr);
	p->shown = true;
}

void cli_progress_step(struct cli_progress *p, unsigned long n)
{
	uint64_t now_ms = clock_system.mono_ms(&clock_system);
	uint64_t every_ms = p->on_terminal ? SHOW_EVERY_MS : LINE_EVERY_MS;

	p->done += n;
	if (now_ms - p->begun_ms < SHOW_AFTER_MS)
		return;
	if (p->shown && now_ms - p->shown_ms < every_ms)
		return;
	p->shown_ms = now_ms;
	show(p);
}

void cli_progress_end(struct cli_progress *p)
{
	if (p->shown && p->on_terminal)
		fputs("\r\033[K", stderr);
}

/* --- input --- */

int cli_ask_password(const char *prompt, char **out)
{
	bool on_terminal = isatty(STDIN_FILENO) != 0;
	struct termios before, quiet;
	char line[1024];
	char *got;

	if (on_terminal) {
		fprintf(stderr, "%s: ", prompt);
		if (tcgetattr(STDIN_FILENO, &before) != 0)
			return RC_IO;
		quiet = before;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) != 0)
			return RC_IO;
	}
	got = fgets(line, sizeof(line), stdin);
	if (on_terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		fputc('\n', stderr);
	}
	if (got == NULL)
		return RC_IO;
	line[strcspn(line, "\n")] = '\0';
	*out = mem_strdup(line);
	explicit_bzero(line, sizeof(line));
	return *out != NULL ? RC_OK : RC_NOMEM;
}
