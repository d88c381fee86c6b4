#include "dird/repl_batch.h"

#include "dird/sync_ctl.h"

#include <stdlib.h>

#define BATCH_FIRST_SIZE 64
#define NAMED_FIRST_SIZE 1024

/* --- batch --- */

void repl_batch_init(struct repl_batch *b)
{
	memset(b, 0, sizeof(*b));
	arena_init(&b->arena);
}

void repl_batch_fini(struct repl_batch *b)
{
	mem_free(b->changes);
	arena_fini(&b->arena);
	repl_batch_init(b);
}

bool repl_batch_is_full(const struct repl_batch *b)
{
	return b->n >= REPL_BATCH_ENTRIES || b->arena.bytes >= REPL_BATCH_BYTES;
}

int repl_batch_read(struct repl_batch *b, struct span frame, struct msg *out, const char **why)
{
	struct span copy = arena_span(&b->arena, frame);
	bool fatal;
	int rc;

	*why = "out of memory";
	if (copy.p == NULL)
		return RC_NOMEM;
	rc = msg_read(copy, &b->arena, out, &fatal, why);
	return rc == RC_OK || rc == RC_NOMEM ? rc : RC_INVALID;
}

struct change *repl_batch_add(struct repl_batch *b, enum change_kind kind)
{
	unsigned size = b->size != 0 ? 2 * b->size : BATCH_FIRST_SIZE;
	struct change *at;

	if (b->n == b->size) {
		at = mem_realloc(b->changes, size * sizeof(*at));
		if (at == NULL)
			return NULL;
		b->changes = at;
		b->size = size;
	}
	at = &b->changes[b->n++];
	memset(at, 0, sizeof(*at));
	at->kind = kind;
	return at;
}

/* --- session --- */

int repl_session_init(struct repl_session *s, const struct uuid *own, unsigned nown)
{
	memset(s, 0, sizeof(*s));
	arena_init(&s->arena);
	s->own = arena_zalloc(&s->arena, (size_t)nown + 1, sizeof(*own));
	if (s->own == NULL)
		return RC_NOMEM;
	if (nown != 0)
		memcpy(s->own, own, nown * sizeof(*own));
	s->nown = nown;
	return RC_OK;
}

int repl_session_refuse(struct repl_session *s, const struct uuid *ncs, unsigned n)
{
	s->elsewhere = arena_zalloc(&s->arena, (size_t)n + 1, sizeof(*ncs));
	if (s->elsewhere == NULL)
		return RC_NOMEM;
	if (n != 0)
		memcpy(s->elsewhere, ncs, n * sizeof(*ncs));
	s->nelsewhere = n;
	return RC_OK;
}

static void forget_named(struct repl_session *s)
{
	mem_free(s->named);
	s->named = NULL;
	s->nnamed = s->named_size = 0;
}

void repl_session_fini(struct repl_session *s)
{
	forget_named(s);
	arena_fini(&s->arena);
	memset(s, 0, sizeof(*s));
}

bool repl_session_is_own(const struct repl_session *s, const struct uuid *nc)
{
	unsigned i;

	for (i = 0; i < s->nown; i++) {
		if (uuid_eq(&s->own[i], nc))
			return true;
	}
	return false;
}

static bool is_elsewhere(const struct repl_session *s, const struct uuid *nc)
{
	unsigned i;

	for (i = 0; i < s->nelsewhere; i++) {
		if (uuid_eq(&s->elsewhere[i], nc))
			return true;
	}
	return false;
}

/* The last change of the batch, unless its context is taken from its home alone. */
static void drop_elsewhere(struct repl_session *s, struct repl_batch *b)
{
	if (!is_elsewhere(s, &b->changes[b->n - 1].stamp.nc))
		return;
	b->n--;
	b->entries--;
	s->refused++;
}

static int invalid(const char **why, const char *text)
{
	*why = text;
	return RC_INVALID;
}

static int name(struct repl_session *s, const struct uuid *u)
{
	size_t size = s->named_size != 0 ? 2 * s->named_size : NAMED_FIRST_SIZE;
	struct uuid *at;

	if (s->is_refreshed)
		return RC_OK;
	if (s->nnamed == s->named_size) {
		at = mem_realloc(s->named, size * sizeof(*at));
		if (at == NULL)
			return RC_NOMEM;
		s->named = at;
		s->named_size = size;
	}
	s->named[s->nnamed++] = *u;
	return RC_OK;
}

/* --- entries --- */

/* Take a single-valued attribute out of the list; .p is NULL when it is not there. */
static struct span take(struct attr_list *attrs, struct span type)
{
	struct span value = {NULL, 0};
	unsigned i, kept = 0;

	for (i = 0; i < attrs->n; i++) {
		if (!span_eq_nocase(attrs->attrs[i].type, type))
			attrs->attrs[kept++] = attrs->attrs[i];
		else if (attrs->attrs[i].nvalues == 1)
			value = attrs->attrs[i].values[0];
	}
	attrs->n = kept;
	return value;
}

/* The text of the entry's own RDN: up to the first comma that is neither escaped nor quoted. */
static struct span first_rdn(struct span dn)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < dn.n; i++) {
		if (dn.p[i] == '\\')
			i++;
		else if (dn.p[i] == '"')
			quoted = !quoted;
		else if (dn.p[i] == ',' && !quoted)
			break;
	}
	return span_head(dn, i);
}

static int take_stamp(struct attr_list *attrs, struct stamp *out, const char **why)
{
	struct span text = take(attrs, SPAN_LIT("originStamp"));

	if (text.p == NULL || stamp_read(text, out) != RC_OK || out->usn == 0)
		return invalid(why, "entry without a valid originStamp");
	return RC_OK;
}

static int add_put(const struct msg_entry *e, const struct uuid *u, struct repl_batch *b,
		   const char **why)
{
	struct change *c = repl_batch_add(b, CHANGE_PUT);
	struct span parent;
	int rc;

	if (c == NULL)
		return RC_NOMEM;
	c->uuid = *u;
	c->attrs = e->attrs;
	rc = take_stamp(&c->attrs, &c->stamp, why);
	if (rc != RC_OK)
		return rc;
	parent = take(&c->attrs, SPAN_LIT("parentUUID"));
	if (parent.p == NULL || uuid_parse(parent, &c->parent_uuid) != RC_OK)
		return invalid(why, "entry without a valid parentUUID");
	c->rdn = uuid_is_zero(&c->parent_uuid) ? e->dn : first_rdn(e->dn);
	if (c->rdn.n == 0)
		return invalid(why, "entry without a name");
	b->entries++;
	return RC_OK;
}

static int add_remove(const struct msg_entry *e, const struct uuid *u, struct repl_batch *b,
		      const char **why)
{
	struct change *c = repl_batch_add(b, CHANGE_REMOVE);
	struct attr_list attrs = e->attrs;

	if (c == NULL)
		return RC_NOMEM;
	c->uuid = *u;
	c->old_dn = e->dn;
	b->entries++;
	return take_stamp(&attrs, &c->stamp, why);
}

static int feed_cookie(struct repl_session *s, struct span cookie, bool ends_present,
		       struct repl_batch *b, const char **why);

static int feed_entry(struct repl_session *s, const struct msg *m, struct repl_batch *b,
		      const char **why)
{
	const struct msg_control *control = msg_control(m, SYNC_OID_STATE);
	struct sync_entry_state state;
	int rc = RC_OK;

	if (control == NULL || !control->has_value ||
	    sync_entry_state_read(control->value, &state) != RC_OK)
		return invalid(why, "entry without a valid sync state control");
	switch (state.state) {
	case SYNC_PRESENT:
		if (s->is_refreshed)
			return invalid(why, "state present behind the refresh stage");
		break;
	case SYNC_ADD:
	case SYNC_MODIFY:
		rc = add_put(&m->u.entry, &state.uuid, b, why);
		break;
	case SYNC_DELETE:
		rc = add_remove(&m->u.entry, &state.uuid, b, why);
		break;
	}
	if (rc == RC_OK && state.state != SYNC_PRESENT)
		drop_elsewhere(s, b);
	if (rc == RC_OK && state.state != SYNC_DELETE)
		rc = name(s, &state.uuid);
	if (rc == RC_OK && state.cookie.p != NULL)
		rc = feed_cookie(s, state.cookie, false, b, why);
	return rc;
}

/* --- cookies and phases --- */

static int uuid_cmp(const void *a, const void *b)
{
	return memcmp(a, b, UUID_BYTES);
}

/* The named UUIDs, sorted, in the batch. */
static int keep_list(struct repl_session *s, struct repl_batch *b, struct uuid **out)
{
	*out = arena_zalloc(&b->arena, s->nnamed + 1, sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	if (s->nnamed != 0) {
		memcpy(*out, s->named, s->nnamed * sizeof(**out));
		qsort(*out, s->nnamed, sizeof(**out), uuid_cmp);
	}
	return RC_OK;
}

static int add_position(struct repl_batch *b, enum change_kind kind, const struct vector *lives,
			struct uuid *keep, size_t nkeep)
{
	struct change *c = repl_batch_add(b, kind);

	if (c == NULL)
		return RC_NOMEM;
	c->position = lives->at[0];
	c->past = lives->at + 1;
	c->npast = lives->n - 1;
	c->keep = keep;
	c->nkeep = nkeep;
	return RC_OK;
}

/* One context of a cookie; `keep` is set at the end of a present phase. */
static int feed_position(struct repl_session *s, const struct vector *lives, struct uuid *keep,
			 struct repl_batch *b)
{
	const struct position *p = lives->at, *known = vector_find(&s->partner, &p->nc);
	bool moved = known == NULL || known->usn != p->usn || !position_same_life(known, p);
	int rc = RC_OK;

	/* of an own context, too: it may be recovering */
	if (keep != NULL && !is_elsewhere(s, &p->nc))
		rc = add_position(b, CHANGE_KEEP_ONLY, lives, keep, s->nnamed);
	if (rc == RC_OK && (moved || keep != NULL) && !repl_session_is_own(s, &p->nc) &&
	    !is_elsewhere(s, &p->nc))
		rc = add_position(b, CHANGE_POSITION, lives, NULL, 0);
	s->own_told += moved && repl_session_is_own(s, &p->nc);
	return rc == RC_OK ? vector_put_lives(&s->partner, &s->arena, lives) : rc;
}

static int feed_cookie(struct repl_session *s, struct span cookie, bool ends_present,
		       struct repl_batch *b, const char **why)
{
	struct vector v, lives;
	struct uuid *keep = NULL;
	uint64_t hash;
	unsigned i;
	int rc = cookie_read(cookie, &b->arena, &hash, &v);

	if (rc == RC_INVALID)
		return invalid(why, "a cookie that is none of ours");
	if (rc == RC_OK && ends_present)
		rc = keep_list(s, b, &keep);
	for (i = 0; rc == RC_OK && i < v.n; i += lives.n) {
		lives = vector_lives(&v, &v.at[i].nc);
		rc = feed_position(s, &lives, keep, b);
	}
	s->cookies++;
	return rc;
}

static int feed_phase_end(struct repl_session *s, const struct sync_info *info,
			  struct repl_batch *b, const char **why)
{
	bool present = info->kind == SYNC_INFO_REFRESH_PRESENT;
	int rc = RC_OK;

	if (s->is_refreshed)
		return invalid(why, "end of a refresh stage that had ended");
	if (info->cookie.p != NULL)
		rc = feed_cookie(s, info->cookie, present, b, why);
	else if (present)
		return invalid(why, "end of a present phase without a cookie");
	if (rc != RC_OK)
		return rc;
	if (present || info->refresh_done)
		forget_named(s);
	s->is_refreshed = info->refresh_done;
	return RC_OK;
}

static int feed_id_set(struct repl_session *s, const struct sync_info *info, struct repl_batch *b,
		       const char **why)
{
	struct span rest = info->uuids;
	struct uuid u;
	int rc = RC_OK;

	if (info->refresh_deletes)
		return invalid(why, "deletions without their origin stamps");
	if (s->is_refreshed)
		return invalid(why, "present entries behind the refresh stage");
	while (rc == RC_OK && sync_uuid_next(&rest, &u))
		rc = name(s, &u);
	if (rc == RC_OK && info->cookie.p != NULL)
		rc = feed_cookie(s, info->cookie, false, b, why);
	return rc;
}

static int feed_info(struct repl_session *s, const struct msg *m, struct repl_batch *b,
		     const char **why)
{
	struct sync_info info;

	if (!span_eq(m->u.intermediate.oid, span_of(SYNC_OID_INFO)))
		return invalid(why, "an intermediate message of an unknown kind");
	if (sync_info_read(m->u.intermediate.value, &info) != RC_OK)
		return invalid(why, "a malformed sync info message");
	switch (info.kind) {
	case SYNC_INFO_NEW_COOKIE:
		return feed_cookie(s, info.cookie, false, b, why);
	case SYNC_INFO_REFRESH_DELETE:
	case SYNC_INFO_REFRESH_PRESENT:
		return feed_phase_end(s, &info, b, why);
	case SYNC_INFO_ID_SET:
		return feed_id_set(s, &info, b, why);
	}
	return RC_INVALID;
}

int repl_session_feed(struct repl_session *s, const struct msg *m, struct repl_batch *b,
		      const char **why)
{
	*why = "out of memory";
	if (m->op == MSG_SEARCH_ENTRY)
		return feed_entry(s, m, b, why);
	if (m->op == MSG_INTERMEDIATE)
		return feed_info(s, m, b, why);
	if (m->op != MSG_SEARCH_DONE)
		return invalid(why, "a message that does not belong to a sync session");
	s->is_ended = true;
	s->result = m->u.result;
	return RC_OK;
}
