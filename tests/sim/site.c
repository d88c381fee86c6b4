#include "tests/sim/sim.h"

#include <sys/stat.h>

#include "dird/entry.h"

#define ACTOR "cn=admin," SIM_ROOT
#define START_US 1700000000000000

static struct dn dn_of(struct arena *a, const char *text)
{
	struct dn dn;

	need(dn_parse(a, arena_span(a, span_of(text)), &dn, NULL) == RC_OK);
	return dn;
}

static uint64_t mono_ms(const struct clock *c)
{
	(void)c;
	return w.now_ms;
}

static int64_t wall_us(const struct clock *c)
{
	(void)c;
	return START_US + (int64_t)w.now_ms * 1000;
}

static const struct clock sim_clock = {.mono_ms = mono_ms, .wall_us = wall_us};

/* --- the store --- */

void site_create(struct site *s, unsigned number, const char *folder)
{
	struct schema *schema = poison_schema();

	s->number = s->name = number;
	snprintf(s->folder, sizeof(s->folder), "%s/S%u", folder, number);
	need(mkdir(s->folder, 0700) == 0);
	arena_init(&s->arena);
	s->ctx = (struct update_context){.schema = schema,
					 .root = dn_of(&s->arena, SIM_ROOT),
					 .random = fill_random,
					 .piece_rows = 2};
	s->server = (struct server){.schema = schema,
				    .clock = &sim_clock,
				    .repl = &s->repl,
				    .config.heartbeat_ms = HEARTBEAT_MS,
				    .was_stopped = true};
	s->repl.server = &s->server;
	buf_init(&s->image, SIZE_MAX);
	buf_init(&s->before, SIZE_MAX);
	buf_init(&s->backup, SIZE_MAX);
	arena_init(&s->repl.unconfirmed_arena);
	arena_init(&s->repl.finding_arena);
	pthread_mutex_init(&s->repl.mutex, NULL);
}

/* As the writer does when it has nothing else to do: history_check_database() then compares the
 * views with all entries. */
static int build_views(struct site *s, struct store_txn *t)
{
	bool pending = true;
	int rc = RC_OK;

	while (rc == RC_OK && pending) {
		rc = update_views_work(t, &s->ctx, 100);
		if (rc == RC_OK)
			rc = update_views_pending(t, &s->ctx, &pending);
	}
	return rc;
}

static void open_views(struct site *s)
{
	struct store_txn *t;

	need(store_write_begin(s->store, &t) == RC_OK);
	need(update_views_sync(t, &s->ctx) == RC_OK);
	need(build_views(s, t) == RC_OK);
	need(store_write_commit(&t) == RC_OK);
}

void site_open(struct site *s)
{
	struct store_options opt = {.map_bytes = 16 << 20};
	struct buf why;

	buf_init(&why, 1000);
	if (store_open(s->folder, &opt, &s->store, &why) != RC_OK)
		sim_fail("site %u: %.*s", s->number, (int)why.n, (const char *)why.p);
	buf_fini(&why);
	s->server.store = s->store;
	s->is_up = true;
	s->wake_ms = UINT64_MAX;
	open_views(s);
	proof_open(s);
}

void site_close(struct site *s)
{
	s->is_up = false;
	proof_close(s);
	store_close(&s->store);
}

void site_free(struct site *s)
{
	unsigned i;

	if (s->is_up)
		site_close(s);
	buf_fini(&s->image);
	buf_fini(&s->before);
	buf_fini(&s->backup);
	arena_fini(&s->repl.unconfirmed_arena);
	arena_fini(&s->repl.finding_arena);
	for (i = 0; i < SIM_CONTEXTS; i++)
		mem_free(s->seen[i]);
	pthread_mutex_destroy(&s->repl.mutex);
	arena_fini(&s->arena);
}

static bool power_goes(struct site *s)
{
	return !w.is_quiet && w.steps != 0 && s->is_member && chance(1000);
}

int site_apply(struct site *s, struct change *c, unsigned n, struct arena *a, struct result *why)
{
	enum update_outcome outcome;
	struct store_txn *t;
	unsigned i;
	int rc = RC_OK;

	if (s->power_is_lost)
		return RC_IO;
	need(store_write_begin(s->store, &t) == RC_OK);
	s->ctx.wall_us = wall_us(NULL) + s->wall_offset_us;
	rc = proof_begin(s, t, why);
	s->is_held = false;
	for (i = 0; i < n && rc == RC_OK && !s->is_held; i++) {
		outcome = UPDATE_APPLIED;
		poison_change(s, &c[i]);
		rc = plant_apply(s, t, &c[i], a, &outcome, why);
		s->is_held = rc == RC_OK && outcome == UPDATE_HELD;
		w.parked += outcome == UPDATE_PARKED;
		w.foreign += outcome == UPDATE_FOREIGN_OWN;
		w.applied += rc == RC_OK && outcome == UPDATE_APPLIED && c[i].kind == CHANGE_PUT;
	}
	if (rc == RC_OK)
		rc = proof_end(s, t, why);
	if (rc == RC_OK)
		rc = build_views(s, t);
	if (rc == RC_OK && disk_is_full(s))
		rc = RC_FULL;
	if (rc != RC_OK) {
		store_write_abort(&t);
		w.full += rc == RC_FULL;
		if (rc != RC_REFUSED && rc != RC_FULL)
			sim_fail("site %u: update: %s", s->number, rc_text(rc));
		return rc;
	}
	if ((disk_sync_fails(s) && !plant_retries_sync(s)) || power_goes(s)) {
		store_write_abort(&t);
		disk_lose_power(s, c, n, a);
		return RC_IO;
	}
	plant_keep_before(s);
	rc = store_write_commit(&t);
	if (rc != RC_OK)
		sim_fail("site %u: commit: %s", s->number, rc_text(rc));
	w.commits++;
	return RC_OK;
}

/* --- client operations --- */

static bool acknowledge_unwritten(struct context *c, struct change *change, struct arena *a)
{
	struct result why = {.code = LR_SUCCESS};
	enum update_outcome outcome;
	struct store_txn *t;

	need(store_write_begin(c->home->store, &t) == RC_OK);
	if (update_apply(t, &c->home->ctx, change, a, &outcome, &why) == RC_OK)
		history_note(c, t);
	store_write_abort(&t);
	return true;
}

/* It is acknowledged as soon as history knows it. */
static bool client_change(struct context *c, struct change *change, struct arena *a)
{
	struct result why = {.code = LR_SUCCESS};
	int rc;

	if (plant == PLANT_ACK_EARLY && chance(100))
		return acknowledge_unwritten(c, change, a);
	rc = site_apply(c->home, change, 1, a, &why);
	if (rc == RC_FULL && plant == PLANT_FULL_ACKNOWLEDGED)
		return acknowledge_unwritten(c, change, a);
	if (rc != RC_OK)
		return false;
	history_note(c, NULL);
	net_committed(c->home);
	w.changes++;
	return true;
}

static void set_attr(struct arena *a, struct attr_list *l, const char *type, const char *value)
{
	struct attr *at = &l->attrs[l->n++];

	at->type = span_of(type);
	at->values = arena_zalloc(a, 2, sizeof(*at->values));
	at->values[at->nvalues++] = arena_span(a, span_of(value));
}

struct new_entry {
	const char *dn, *class, *aux, *type, *value;
};

bool site_add_value(struct context *c, const char *dn, const char *type, const char *value)
{
	struct change change = {.kind = CHANGE_MODIFY, .actor = SPAN_LIT(ACTOR), .nmods = 1};
	struct span text = span_of(value);
	struct change_mod mod = {.op = CHANGE_OP_ADD,
				 .attr = {.type = span_of(type), .values = &text, .nvalues = 1}};
	struct arena a;
	bool done;

	arena_init(&a);
	change.dn = dn_of(&a, dn);
	change.mods = &mod;
	done = client_change(c, &change, &a);
	arena_fini(&a);
	return done;
}

static void add_key(struct context *c, const char *dn)
{
	char pin[TLS_PIN_TEXT_BYTES];

	proof_pin(c->home, pin);
	need(site_add_value(c, dn, "siteKey", pin));
}

static bool add(struct context *c, const struct new_entry *e)
{
	struct change change = {.kind = CHANGE_ADD, .actor = SPAN_LIT(ACTOR)};
	struct arena a;
	bool done;

	arena_init(&a);
	change.dn = dn_of(&a, e->dn);
	change.may_set_operational = true;
	change.attrs.attrs = arena_zalloc(&a, 4, sizeof(*change.attrs.attrs));
	set_attr(&a, &change.attrs, "objectClass", e->class);
	if (e->aux != NULL) {
		struct attr *at = &change.attrs.attrs[0];

		at->values[at->nvalues++] = span_of(e->aux);
	}
	set_attr(&a, &change.attrs, e->type, e->value);
	done = client_change(c, &change, &a);
	trace("add %s: %s", e->dn, done ? "done" : "refused");
	arena_fini(&a);
	return done;
}

static void random_dn(struct context *c, bool container, char *out, size_t size)
{
	unsigned depth = draw(3);
	char base[160];

	snprintf(base, sizeof(base), "%s%s", chance(2) ? "cn=Fixed," : "", c->base);
	while (depth-- > 0) {
		snprintf(out, size, "cn=c%u,%s", draw(3), base);
		snprintf(base, sizeof(base), "%s", out);
	}
	snprintf(out, size, "cn=%c%u,%s", container ? 'c' : 'p', draw(container ? 3 : 8), base);
}

static void modify(struct context *c, const char *dn)
{
	struct change change = {.kind = CHANGE_MODIFY, .actor = SPAN_LIT(ACTOR), .nmods = 1};
	struct attr_list list = {.n = 0};
	struct arena a;
	char text[16];
	bool done;

	arena_init(&a);
	snprintf(text, sizeof(text), "d%u", draw(1000));
	list.attrs = arena_zalloc(&a, 1, sizeof(*list.attrs));
	set_attr(&a, &list, "description", text);
	change.dn = dn_of(&a, dn);
	change.mods = arena_zalloc(&a, 1, sizeof(*change.mods));
	change.mods[0] = (struct change_mod){CHANGE_OP_REPLACE, list.attrs[0]};
	done = client_change(c, &change, &a);
	trace("modify %s %s: %s", dn, text, done ? "done" : "refused");
	arena_fini(&a);
}

static void delete (struct context *c, const char *dn)
{
	struct change change = {.kind = CHANGE_DELETE, .actor = SPAN_LIT(ACTOR)};
	struct arena a;
	bool done;

	arena_init(&a);
	change.dn = dn_of(&a, dn);
	done = client_change(c, &change, &a);
	trace("delete %s: %s", dn, done ? "done" : "refused");
	arena_fini(&a);
}

static bool rename_entry(struct context *c, const char *dn, const char *rdn, const char *to)
{
	struct change change = {.kind = CHANGE_RENAME,
				.actor = SPAN_LIT(ACTOR),
				.delete_old_rdn = true,
				.has_new_superior = to != NULL};
	struct arena a;
	bool done;

	arena_init(&a);
	change.dn = dn_of(&a, dn);
	need(dn_rdn_parse(&a, arena_span(&a, span_of(rdn)), &change.new_rdn, NULL) == RC_OK);
	if (to != NULL)
		change.new_superior = dn_of(&a, to);
	done = client_change(c, &change, &a);
	trace("rename %s to %s below %s: %s", dn, rdn, to != NULL ? to : "the same",
	      done ? "done" : "refused");
	arena_fini(&a);
	return done;
}

/* Two siblings exchange their names. */
static void swap(struct context *c, bool container)
{
	const char *kind = container ? "c" : "p";
	unsigned x = draw(3), y = draw(3);
	char dn[256], rdn[32];

	snprintf(dn, sizeof(dn), "cn=%s%u,%s", kind, x, c->base);
	if (!rename_entry(c, dn, "cn=swapped", NULL))
		return;
	snprintf(dn, sizeof(dn), "cn=%s%u,%s", kind, y, c->base);
	snprintf(rdn, sizeof(rdn), "cn=%s%u", kind, x);
	rename_entry(c, dn, rdn, NULL);
	snprintf(dn, sizeof(dn), "cn=swapped,%s", c->base);
	snprintf(rdn, sizeof(rdn), "cn=%s%u", kind, y);
	if (!rename_entry(c, dn, rdn, NULL))
		delete (c, dn);
}

void site_add_numbered(struct context *c, unsigned number)
{
	char dn[256];

	snprintf(dn, sizeof(dn), "cn=n%u,%s", number, c->base);
	need(add(c, &(struct new_entry){dn, "container", NULL, "description", "a"}));
}

void site_write(struct context *c)
{
	unsigned what = w.only_moves && !chance(4) ? 6 + draw(6) : draw(12);
	bool container = chance(what > 7 ? 2 : 4);
	char dn[256], to[256], rdn[16];

	random_dn(c, container, dn, sizeof(dn));
	random_dn(c, true, to, sizeof(to));
	if (what < 4) {
		if (w.is_plain && chance(5))
			add(c, &(struct new_entry){dn, "container", "bootableDevice", "bootFile",
						   "a"});
		else
			add(c, &(struct new_entry){dn, "container", NULL, "description", "a"});
	} else if (what < 6) {
		modify(c, dn);
	} else if (what < 8) {
		delete (c, dn);
	} else if (what < 11) {
		snprintf(rdn, sizeof(rdn), "cn=%c%u", container ? 'c' : 'p', draw(3));
		rename_entry(c, dn, rdn, chance(4) ? NULL : to);
	} else {
		swap(c, container);
	}
}

/* --- founding --- */

/* The root entry as a join takes it along: known, with a stamp older than anything. */
static void take_root(struct site *s, struct site *partner)
{
	struct change c = {.kind = CHANGE_PUT, .rdn = SPAN_LIT(SIM_ROOT)};
	struct result why;
	struct store_txn *t;
	struct entry e;
	uint64_t eid;
	struct arena a;

	arena_init(&a);
	need(store_read_begin(partner->store, &t) == RC_OK);
	need(store_root(t, &eid) == RC_OK);
	need(store_entry(t, eid, &e) == RC_OK);
	need(entry_decode(&e, true, &a, &c.attrs) == RC_OK);
	c.uuid = e.head.uuid;
	c.stamp.nc = e.head.uuid;
	need(site_apply(s, &c, 1, &a, &why) == RC_OK);
	store_read_end(&t);
	arena_fini(&a);
}

void site_take_head(struct site *s, const struct site *of)
{
	struct change c = {.kind = CHANGE_PUT};
	const struct uuid *head = &w.contexts[of->number].id;
	struct result why;
	struct store_txn *t;
	struct entry e;
	uint64_t eid;
	struct arena a;
	bool is_there;

	arena_init(&a);
	need(store_read_begin(s->store, &t) == RC_OK);
	is_there = store_by_uuid(t, head, &eid) == RC_OK;
	store_read_end(&t);
	need(store_read_begin(of->store, &t) == RC_OK);
	need(store_by_uuid(t, head, &eid) == RC_OK && store_entry(t, eid, &e) == RC_OK);
	need(entry_decode(&e, true, &a, &c.attrs) == RC_OK);
	c.rdn = arena_span(&a, e.head.rdn);
	c.uuid = *head;
	c.parent_uuid = e.head.parent_uuid;
	c.stamp.nc = *head;
	if (!is_there && site_apply(s, &c, 1, &a, &why) == RC_REFUSED)
		sim_fail("site %u: head of %u: %s", s->number, of->number, why.text);
	store_read_end(&t);
	arena_fini(&a);
}

static void begin_life(struct context *c)
{
	struct position life;
	struct store_txn *t;

	need(store_write_begin(c->home->store, &t) == RC_OK);
	need(update_begin_life(t, &c->home->ctx, &c->id, &life) == RC_OK);
	need(store_write_commit(&t) == RC_OK);
	history_note(c, NULL);
}

void site_begin_life(struct context *c)
{
	begin_life(c);
	trace("site %u: a new life of %s", c->home->number, c->base);
	w.lives++;
	net_committed(c->home);
}

void site_collect(struct site *s)
{
	struct uuid old[64], at = {{0}};
	struct result why = {.code = LR_SUCCESS};
	struct change c = {.kind = CHANGE_COLLECT, .keep = old};
	struct store_txn *t;
	struct arena a;
	unsigned n;

	if (!s->is_up)
		return;
	need(store_read_begin(s->store, &t) == RC_OK);
	need(store_tombstones_before(t, s->ctx.wall_us - draw(60) * 1000000ll, 1000, &at, old, 64,
				     &n) != RC_NOMEM);
	store_read_end(&t);
	c.nkeep = n;
	c.spares_own = !repl_is_confirmed(&s->repl);
	arena_init(&a);
	if (n != 0 && site_apply(s, &c, 1, &a, &why) == RC_OK) {
		trace("site %u: %u tombstones collected", s->number, c.collected);
		w.collected += c.collected;
		net_committed(s);
	}
	arena_fini(&a);
}

static void found_organisation(struct site *s)
{
	struct context *c = &w.contexts[w.nsites];
	struct new_entry root = {SIM_ROOT, "organization", "mailOrganization", "masterSite", "S0"};
	struct store_txn *t;
	struct entry e;
	uint64_t eid;

	c->home = s;
	need(add(c, &root));
	need(store_read_begin(s->store, &t) == RC_OK);
	need(store_root(t, &eid) == RC_OK);
	need(store_entry(t, eid, &e) == RC_OK);
	c->id = e.head.uuid;
	store_read_end(&t);
	snprintf(c->base, sizeof(c->base), "cn=Shared," SIM_ROOT);
	need(add(c, &(struct new_entry){c->base, "container", NULL, "description", "a"}));
}

void site_found(struct site *s, struct site *partner)
{
	struct context *c = &w.contexts[s->number];
	char dn[160], uuid[UUID_TEXT_BYTES];
	struct new_entry fixed = {dn, "container", NULL, "description", "b"};

	if (s->number == 0)
		found_organisation(s);
	else
		take_root(s, partner);
	c->home = s;
	fill_random(c->id.b, UUID_BYTES);
	begin_life(c);
	uuid_write(&c->id, uuid);
	snprintf(dn, sizeof(dn), "ou=S%u," SIM_ROOT, s->name);
	need(add(c, &(struct new_entry){dn, "organizationalUnit", "mailSite", "entryUUID", uuid}));
	if (proof_is_on() || w.is_plain)
		add_key(c, dn);
	snprintf(c->base, sizeof(c->base), "cn=Recipients,ou=S%u," SIM_ROOT, s->name);
	need(add(c, &(struct new_entry){c->base, "container", NULL, "description", "a"}));
	snprintf(dn, sizeof(dn), "cn=Fixed,%s", c->base);
	need(add(c, &fixed));
	if (s->number == 0) {
		snprintf(dn, sizeof(dn), "cn=Fixed,%s", w.contexts[w.nsites].base);
		need(add(&w.contexts[w.nsites], &fixed));
	}
}
