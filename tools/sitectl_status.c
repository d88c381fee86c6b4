/* sitectl status: what dird publishes below cn=Replication,cn=monitor. */
#include "tools/sitectl.h"

#include "lib/arena.h"
#include "lib/clock.h"
#include "tools/dirconn.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MAX_ROWS 10000

/* A person's terminal has no room for what follows the end of the first list; JSON has. */
static const struct cli_column shown[] = {
	{"CONTEXT", "context", CLI_COL_TEXT},
	{"MASTER", "master", CLI_COL_TEXT},
	{"POSITION", "position", CLI_COL_TEXT},
	{"PARTNER", "partner", CLI_COL_TEXT},
	{"STATE", "state", CLI_COL_TEXT},
	{"BEHIND", "behind", CLI_COL_NUMBER},
	{"LAG S", "lagSeconds", CLI_COL_NUMBER},
	{"PROOF", "proof", CLI_COL_TEXT},
	{"LAST CONTACT", "lastContact", CLI_COL_TEXT},
	{"ENTRIES IN", "entriesIn", CLI_COL_NUMBER},
	{"LAST ERROR", "lastError", CLI_COL_TEXT},
	{0},
};
static const struct cli_column all[] = {
	{"", "context", CLI_COL_TEXT},
	{"", "master", CLI_COL_TEXT},
	{"", "position", CLI_COL_TEXT},
	{"", "partner", CLI_COL_TEXT},
	{"", "state", CLI_COL_TEXT},
	{"", "behind", CLI_COL_NUMBER},
	{"", "lagSeconds", CLI_COL_NUMBER},
	{"", "proof", CLI_COL_TEXT},
	{"", "lastContact", CLI_COL_TEXT},
	{"", "entriesIn", CLI_COL_NUMBER},
	{"", "lastError", CLI_COL_TEXT},
	{"", "partnerURI", CLI_COL_TEXT},
	{"", "partnerPosition", CLI_COL_TEXT},
	{"", "bytesIn", CLI_COL_NUMBER},
	{"", "contextState", CLI_COL_TEXT},
	{"", "floor", CLI_COL_NUMBER},
	{"", "nextAttempt", CLI_COL_TEXT},
	{"", "homePosition", CLI_COL_TEXT},
	{"", "homeHeardSeconds", CLI_COL_NUMBER},
	{"", "refused", CLI_COL_TEXT},
	{0},
};

/* A naming context here, or (with a partner) what one partner has of it. */
struct row {
	const char *context, *master, *position;
	const char *partner, *uri, *state, *partner_position, *contact, *entries, *bytes, *error;
	const char *context_state, *floor, *lag, *next_attempt;
	const char *proof, *home_position, *heard, *refused;
};

struct rows {
	struct arena arena;
	struct row *at;
	size_t n;
	bool no_memory;
};

static const char *keep(struct rows *rows, const struct ldif_record *entry, const char *type)
{
	const char *value = dirconn_value(entry, type);
	const char *copy;

	if (value == NULL || value[0] == '\0')
		return NULL;
	copy = arena_str(&rows->arena, span_of(value));
	rows->no_memory |= copy == NULL;
	return copy;
}

static int note_row(const struct ldif_record *entry, void *arg)
{
	struct rows *rows = arg;
	struct row *more;

	if (rows->n == MAX_ROWS)
		return RC_TOOBIG;
	more = mem_realloc(rows->at, (rows->n + 1) * sizeof(*more));
	if (more == NULL)
		return RC_NOMEM;
	rows->at = more;
	more[rows->n++] = (struct row){
		.context = keep(rows, entry, "ncName"),
		.master = keep(rows, entry, "ncMaster"),
		.position = keep(rows, entry, "position"),
		.partner = keep(rows, entry, "partnerName"),
		.uri = keep(rows, entry, "partnerURI"),
		.state = keep(rows, entry, "linkState"),
		.partner_position = keep(rows, entry, "partnerPosition"),
		.contact = keep(rows, entry, "lastContact"),
		.entries = keep(rows, entry, "entriesIn"),
		.bytes = keep(rows, entry, "bytesIn"),
		.error = keep(rows, entry, "lastError"),
		.context_state = keep(rows, entry, "contextState"),
		.floor = keep(rows, entry, "tombstoneFloor"),
		.lag = keep(rows, entry, "lagSeconds"),
		.next_attempt = keep(rows, entry, "nextAttempt"),
		.proof = keep(rows, entry, "contextProof"),
		.home_position = keep(rows, entry, "homePosition"),
		.heard = keep(rows, entry, "homeHeardSeconds"),
		.refused = keep(rows, entry, "refusedContext"),
	};
	return rows->no_memory ? RC_NOMEM : RC_OK;
}

static const char *or_empty(const char *s)
{
	return s != NULL ? s : "";
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int c = strcmp(or_empty(x->context), or_empty(y->context));

	return c != 0 ? c : strcmp(or_empty(x->partner), or_empty(y->partner));
}

/* "epoch:usn" */
static bool parse_position(const char *text, unsigned long long *epoch, unsigned long long *usn)
{
	char end;

	return text != NULL && sscanf(text, "%llu:%llu%c", epoch, usn, &end) == 2;
}

static bool is_live(const struct row *r)
{
	return r->state != NULL &&
	       (strcmp(r->state, "refreshing") == 0 || strcmp(r->state, "persisting") == 0);
}

/* True: that position says by how many changes this site is behind. */
static bool is_behind(const struct row *r, const char *position, unsigned long long *n)
{
	unsigned long long epoch, usn, other_epoch, other_usn;

	if (!parse_position(r->position, &epoch, &usn) ||
	    !parse_position(position, &other_epoch, &other_usn) || epoch != other_epoch)
		return false;
	*n = other_usn > usn ? other_usn - usn : 0;
	return true;
}

/*
 * Changes that the partner has, or that the home has signed, and this site has not; NULL when that
 * can not be told, as while the link is down.
 */
static const char *behind(struct arena *a, const struct row *r)
{
	unsigned long long partner = 0, home = 0;
	bool known;

	if (!is_live(r))
		return NULL;
	known = is_behind(r, r->partner_position, &partner);
	known |= is_behind(r, r->home_position, &home);
	return known ? arena_printf(a, "%llu", partner > home ? partner : home) : NULL;
}

/* "20261123114002Z" as "12 s ago", for a table; JSON keeps the time. */
static const char *age(struct arena *a, const char *when)
{
	struct tm tm = {0};
	long long s;

	if (when == NULL || strptime(when, "%Y%m%d%H%M%SZ", &tm) == NULL)
		return when;
	s = clock_system.wall_us(&clock_system) / 1000000 - (long long)timegm(&tm);
	if (s < 0)
		s = 0;
	if (s < 120)
		return arena_printf(a, "%lld s ago", s);
	if (s < 7200)
		return arena_printf(a, "%lld min ago", s / 60);
	return arena_printf(a, "%lld h ago", s / 3600);
}

/* A partner's row repeats what its context's row says. */
static void join(struct rows *rows)
{
	size_t i, context = 0;

	for (i = 0; i < rows->n; i++) {
		struct row *r = &rows->at[i];

		if (i == 0 ||
		    strcmp(or_empty(r->context), or_empty(rows->at[context].context)) != 0)
			context = i;
		if (r->position == NULL)
			r->position = rows->at[context].position;
		if (r->master == NULL)
			r->master = rows->at[context].master;
		r->context_state = rows->at[context].context_state;
		r->floor = rows->at[context].floor;
		r->proof = rows->at[context].proof;
		r->home_position = rows->at[context].home_position;
		r->heard = rows->at[context].heard;
	}
}

/* A context that has partners is told in their rows. */
static bool is_told_below(const struct rows *rows, size_t i)
{
	return rows->at[i].partner == NULL && i + 1 < rows->n &&
	       strcmp(or_empty(rows->at[i].context), or_empty(rows->at[i + 1].context)) == 0;
}

static int print_rows(struct rows *rows, const char *own, bool json)
{
	struct cli_table *t;
	int rc = cli_table_new(json ? all : shown, json, &t);
	size_t i;

	for (i = 0; i < rows->n && rc == RC_OK; i++) {
		const struct row *r = &rows->at[i];
		bool is_own = own != NULL && r->master != NULL &&
			      span_eq_nocase(span_of(own), span_of(r->master));
		const char *const cells[] = {
			r->context,
			r->master,
			r->position,
			is_own && !json ? "(written here)" : r->partner,
			is_own && !json ? NULL : r->state,
			is_own ? NULL : behind(&rows->arena, r),
			is_own ? NULL : r->lag,
			r->refused != NULL && !json ? "REFUSED" : r->proof,
			is_own && !json ? NULL
			: json          ? r->contact
					: age(&rows->arena, r->contact),
			is_own && !json ? NULL : r->entries,
			is_own && !json ? NULL : r->error,
			r->uri,
			r->partner_position,
			r->bytes,
			r->context_state,
			r->floor,
			r->next_attempt,
			r->home_position,
			r->heard,
			r->refused,
		};

		if (is_told_below(rows, i))
			continue;
		if (is_own && !json && i != 0 && rows->at[i - 1].partner != NULL &&
		    strcmp(or_empty(rows->at[i - 1].context), or_empty(r->context)) == 0)
			continue;
		rc = cli_table_add(t, cells);
	}
	if (rc == RC_OK)
		rc = cli_table_print(t);
	cli_table_free(&t);
	return rc;
}

static int note_database(const struct ldif_record *entry, void *arg)
{
	const char *n = dirconn_value(entry, "addressConflicts");
	const char *removals = dirconn_value(entry, "removalsUnderWay");

	(void)arg;
	if (removals != NULL && strcmp(removals, "0") != 0)
		cli_note("entries of %s removed site%s are still being taken away", removals,
			 strcmp(removals, "1") == 0 ? "" : "s");
	if (n != NULL && strcmp(n, "0") != 0)
		cli_note("since the start %s entries came in with a proxy address that another one "
			 "has, too; `galctl conflicts` lists what is left of them",
			 n);
	return RC_OK;
}

static int tell_of_database(struct dirconn *c)
{
	static const char *const attrs[] = {"addressConflicts", "removalsUnderWay", NULL};
	const struct dirconn_search s = {"cn=Database,cn=monitor", DIRCONN_BASE, NULL, attrs, 0};

	return dirconn_search(c, &s, note_database, NULL);
}

static int status(struct dirconn *c, bool json)
{
	static const char *const attrs[] = {
		"ncName",          "ncMaster",         "position",       "partnerName",
		"partnerURI",      "linkState",        "lastError",      "lastContact",
		"partnerPosition", "bytesIn",          "entriesIn",      "contextState",
		"tombstoneFloor",  "lagSeconds",       "nextAttempt",    "contextProof",
		"homePosition",    "homeHeardSeconds", "refusedContext", NULL};
	const struct dirconn_search s = {"cn=monitor", DIRCONN_SUB, "(ncName=*)", attrs, 0};
	struct rows rows = {0};
	int rc = dirconn_search(c, &s, note_row, &rows);

	if (rc == RC_NOTFOUND || (rc == RC_OK && rows.n == 0)) {
		cli_error("the server publishes nothing about replication below cn=monitor");
		cli_hint(
			"only the administrator sees it; is this a dird, and did you bind as one?");
		rc = RC_NOTFOUND;
	} else if (rc == RC_OK) {
		qsort(rows.at, rows.n, sizeof(rows.at[0]), compare_rows);
		join(&rows);
		rc = print_rows(&rows, dirconn_site(c), json);
		if (rc == RC_OK && !json)
			rc = tell_of_database(c);
	}
	mem_free(rows.at);
	arena_fini(&rows.arena);
	return rc;
}

int sitectl_status(int argc, char **argv)
{
	struct dirconn_options o = {0};
	struct dirconn *c = NULL;
	bool json = false;
	int first, exit_status, rc;
	const struct cli_opt opts[] = {
		DIRCONN_OPTS(o),
		{"json", 0, CLI_FLAG, &json, NULL, "one JSON object a line", false},
		{0},
	};
	const struct cli_usage usage = {
		"sitectl status",
		"",
		"Shows, for every naming context that this site holds, its position (epoch:usn) "
		"and what\n"
		"each replication partner has of it: link state, changes this site is behind the\n"
		"partner, seconds since it was last known to have all of it, time of the last "
		"contact,\nentries received, last error. PROOF: own; proven, as its site has "
		"signed it; unproven; stale,\nnothing new was heard of its site for long; REFUSED, "
		"what the partner says is not what was signed.\nWith --json also bytes, tombstone "
		"floor, the time of the next attempt, whether a context is own,\nrecovering or "
		"foreign, the position its site has signed, and the reason of a refusal.",
		opts,
		"  sitectl status --config site1/dird.conf\n",
		0,
		0,
	};

	if (!cli_parse(&usage, argc, argv, &first, &exit_status))
		return exit_status;
	rc = dirconn_open(&o, &c);
	if (rc == RC_OK)
		rc = status(c, json);
	dirconn_close(&c);
	return rc == RC_OK ? CLI_DONE : CLI_FAILED;
}
