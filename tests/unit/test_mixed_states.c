/*
 * Mixtures of old and new tables, exhaustively over small organisations (docs/routing.md "Loops").
 *
 * All organisations of three sites whose links cost nothing (absent), 1 or 2 in each direction, and
 * all of four sites whose links cost nothing, 1 or 3 both ways; each against each other, as before
 * and after a change, in every state of the sites: each has the old or the new table. Next hops
 * come from real tables; a state is a graph of at most four nodes then, and small enough to be
 * looked up.
 */
#include "tests/unit/routing.h"

#include "routed/loopcheck.h"

#define MAX_SITES 4
#define NORGS 729 /* three costs, six links */
#define LINKS 6

/* Bits: the sites that a site hands mail to. */
typedef uint8_t hops[MAX_SITES];

struct family {
	unsigned sites;
	bool both_ways; /* a link costs the same in both directions */
	unsigned dear;  /* the other cost beside 1 */
};

static const struct family families[] = {{3, false, 2}, {4, true, 3}};

static bool circular[1 << (MAX_SITES * MAX_SITES)]; /* by graph: has it a circle? */
static hops chain[NORGS][MAX_SITES];                /* by organisation and target */

/* --- graphs --- */

static bool reaches(const uint8_t *next, unsigned from, unsigned to, unsigned seen)
{
	unsigned i;

	for (i = 0; i < MAX_SITES; i++) {
		if ((next[from] & 1u << i) == 0)
			continue;
		if (i == to || ((seen & 1u << i) == 0 && reaches(next, i, to, seen | 1u << i)))
			return true;
	}
	return false;
}

static unsigned graph_of(const uint8_t *next)
{
	return (unsigned)next[0] | (unsigned)next[1] << 4 | (unsigned)next[2] << 8 |
	       (unsigned)next[3] << 12;
}

static void find_circles(void)
{
	unsigned g, i;

	for (g = 0; g < UNIT_COUNT(circular); g++) {
		hops next = {g & 15, g >> 4 & 15, g >> 8 & 15, g >> 12 & 15};

		for (i = 0; i < MAX_SITES; i++)
			circular[g] = circular[g] || reaches(next, i, i, 0);
	}
}

/* --- organisations --- */

static unsigned link_of(unsigned org, unsigned link)
{
	while (link-- != 0)
		org /= 3;
	return org % 3;
}

/* The link from a to b, or both ways between them. */
static unsigned link_number(const struct family *f, unsigned a, unsigned b)
{
	unsigned n = 0, x, y;

	for (x = 0; x < f->sites; x++) {
		for (y = f->both_ways ? x + 1 : 0; y < f->sites; y++) {
			if (x == y)
				continue;
			if ((x == a && y == b) || (f->both_ways && x == b && y == a))
				return n;
			n++;
		}
	}
	fail_msg("no link from %u to %u", a, b);
	return 0;
}

static struct model *org_model(const struct family *f, unsigned org, unsigned flags)
{
	struct model *m;
	struct buf b;
	unsigned i, k;

	buf_init(&b, 1 << 16);
	for (i = 0; i < f->sites; i++) {
		buf_printf(
			&b,
			"dn: ou=%u,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: s%u.test\n\n"
			"dn: cn=C,ou=%u,o=Example\nobjectClass: imsConnector\n%s",
			i, i, i, (flags & 1u << i) != 0 ? "onlySystemMessagesUseCDs: TRUE\n" : "");
		for (k = 0; k < f->sites; k++) {
			unsigned cost = k != i ? link_of(org, link_number(f, i, k)) : 0;

			if (cost != 0)
				buf_printf(&b, "connectedDomains: %u;%u;SMTP:s%u.test\n", k,
					   cost == 1 ? 1 : f->dear, k);
		}
		buf_puts(&b, "\n");
	}
	m = routing_model((const char *const[]){buf_cstr(&b), NULL});
	buf_fini(&b);
	return m;
}

static struct table *site_table(const struct model *m, unsigned site)
{
	return routing_table(m, (const char[]){(char)('0' + site), '\0'});
}

static unsigned number(const struct table *t, uint32_t text)
{
	return (unsigned)(table_text(t, text).p[0] - '0');
}

/* Next hops by target of one site's table; direct[]: of which targets it has direct rows. */
static void read_table(const struct table *t, enum table_class cls, unsigned site,
		       hops next[MAX_SITES], bool direct[MAX_SITES])
{
	uint32_t i;

	for (i = 0; i < t->nrows; i++) {
		const struct table_row *row = &t->rows[i];
		unsigned target = number(t, row->target);

		if (row->cls != cls || row->next == TABLE_NONE)
			continue;
		next[target][site] |= (uint8_t)(1u << number(t, row->next));
		direct[target] = row->mode == TABLE_DIRECT;
	}
}

/* Each row of user mail is direct to its target, or what the chain has; and is direct where the
 * flag is on. So a circle is one of chain hops alone: none goes on from the target. */
static void check_rows_with_flags(const struct family *f, unsigned org, unsigned flags)
{
	struct model *m = org_model(f, org, flags);
	unsigned site, target;

	for (site = 0; site < f->sites; site++) {
		struct table *t = site_table(m, site);
		hops next[MAX_SITES] = {{0}};
		bool direct[MAX_SITES] = {false};

		read_table(t, TABLE_USER, site, next, direct);
		for (target = 0; target < f->sites; target++) {
			uint8_t want = chain[org][target][site];

			assert_int_equal(direct[target], (flags & 1u << site) != 0 && want != 0);
			assert_int_equal(next[target][site], direct[target] ? 1u << target : want);
		}
		table_free(&t);
	}
	model_free(&m);
}

static void read_chains(const struct family *f)
{
	unsigned org, site;

	memset(chain, 0, sizeof(chain));
	for (org = 0; org < NORGS; org++) {
		struct model *m = org_model(f, org, 0);

		for (site = 0; site < f->sites; site++) {
			struct table *t = site_table(m, site);
			bool direct[MAX_SITES];

			read_table(t, TABLE_SYSTEM, site, chain[org], direct);
			table_free(&t);
		}
		model_free(&m);
	}
}

/* --- states --- */

/* The graph of a state: the sites in `new_sites` route by the new table, those in `flags` direct.
 */
static unsigned state_graph(const struct family *f, unsigned before, unsigned after,
			    unsigned target, unsigned new_sites, unsigned flags)
{
	hops next = {0};
	unsigned i;

	for (i = 0; i < f->sites; i++) {
		next[i] = chain[(new_sites & 1u << i) != 0 ? after : before][target][i];
		if ((flags & 1u << i) != 0 && next[i] != 0)
			next[i] = (uint8_t)(1u << target);
	}
	return graph_of(next);
}

static bool some_state_loops(const struct family *f, unsigned before, unsigned after,
			     unsigned target)
{
	unsigned state;

	for (state = 0; state < 1u << f->sites; state++) {
		if (circular[state_graph(f, before, after, target, state, 0)])
			return true;
	}
	return false;
}

static bool union_loops(const struct family *f, unsigned before, unsigned after, unsigned target)
{
	return circular[state_graph(f, before, after, target, 0, 0) |
			state_graph(f, before, after, target, UINT32_MAX, 0)];
}

/* In how many links two organisations differ. */
static unsigned difference(unsigned a, unsigned b)
{
	unsigned n = 0, link;

	for (link = 0; link < LINKS; link++)
		n += link_of(a, link) != link_of(b, link);
	return n;
}

static bool is_tree(const struct family *f, unsigned org)
{
	unsigned links = 0, all = 1, rounds, i, k;

	for (i = 0; i < LINKS; i++)
		links += link_of(org, i) != 0;
	for (rounds = 0; rounds < f->sites; rounds++) {
		for (i = 0; i < f->sites; i++) {
			for (k = 0; k < f->sites; k++) {
				if (k != i && (all & 1u << i) != 0 &&
				    link_of(org, link_number(f, i, k)) != 0)
					all |= 1u << k;
			}
		}
	}
	return f->both_ways && links == f->sites - 1 && all == (1u << f->sites) - 1;
}

static bool adds_a_link(unsigned before, unsigned after)
{
	unsigned link;

	for (link = 0; link < LINKS; link++) {
		if (link_of(before, link) == 0 && link_of(after, link) != 0)
			return true;
	}
	return false;
}

/* --- tests --- */

static void test_direct_rows_end_a_way(void **state)
{
	unsigned i, org, flags;

	(void)state;
	for (i = 0; i < UNIT_COUNT(families); i++) {
		read_chains(&families[i]);
		for (org = 0; org < NORGS; org++) {
			for (flags = 0; flags < 1u << families[i].sites; flags++)
				check_rows_with_flags(&families[i], org, flags);
		}
	}
}

/* M6: one snapshot never loops; a mixture can exactly if old and new hops together have a circle;
 * and it never can in a tree that gets no new link. */
static void test_when_mixtures_loop(void **state)
{
	unsigned i, before, after, target;

	(void)state;
	for (i = 0; i < UNIT_COUNT(families); i++) {
		const struct family *f = &families[i];
		unsigned changes = 0, looping = 0, trees = 0;

		read_chains(f);
		for (before = 0; before < NORGS; before++) {
			bool tree = is_tree(f, before);

			trees += tree;
			for (after = 0; after < NORGS; after++) {
				bool loops = false;

				for (target = 0; target < f->sites; target++) {
					bool one = some_state_loops(f, before, after, target);

					assert_int_equal(one,
							 union_loops(f, before, after, target));
					loops = loops || one;
				}
				assert_true(!loops || before != after);
				assert_true(!loops || !tree || adds_a_link(before, after));
				changes += difference(before, after) == 1;
				looping += difference(before, after) == 1 && loops;
			}
		}
		print_message("%u sites: %u of %u changes of one link can loop\n", f->sites,
			      looping, changes);
		assert_true(looping != 0 && looping < changes);
		assert_true(trees != 0 || !f->both_ways);
	}
}

/* M6: would it help to take direct routes back to the chain while tables are mixed? In no state of
 * any change: every loop among direct routes is one without them, too; and some are only then. */
static void test_falling_back_to_the_chain_breaks_no_loop(void **state)
{
	unsigned i, before, after, target, new_sites, flags;

	(void)state;
	for (i = 0; i < UNIT_COUNT(families); i++) {
		const struct family *f = &families[i];
		unsigned long both = 0, only_chain = 0, only_direct = 0;
		unsigned all = (1u << f->sites) - 1;

		read_chains(f);
		for (before = 0; before < NORGS; before++) {
			for (after = 0; after < NORGS; after++) {
				if (difference(before, after) > 2)
					continue;
				for (target = 0; target < f->sites; target++) {
					for (new_sites = 1; new_sites < all; new_sites++) {
						bool plain = circular[state_graph(
							f, before, after, target, new_sites, 0)];

						for (flags = 1; flags <= all; flags++) {
							bool direct = circular[state_graph(
								f, before, after, target, new_sites,
								flags)];

							both += plain && direct;
							only_chain += plain && !direct;
							only_direct += !plain && direct;
						}
					}
				}
			}
		}
		print_message("%u sites: %lu states loop with and without direct routes, %lu only "
			      "without, %lu only with\n",
			      f->sites, both, only_chain, only_direct);
		assert_int_equal(only_direct, 0);
		assert_true(only_chain > 0 && both > 0);
	}
}

/* The checker itself says what the enumeration says. */
static void test_loopcheck_agrees(void **state)
{
	const struct family *f = &families[1];
	unsigned pair, seen = 0;

	(void)state;
	read_chains(f);
	for (pair = 1; pair < NORGS * NORGS; pair += 2111) {
		unsigned before = pair / NORGS, after = pair % NORGS, target, site, k;
		struct model *models[] = {org_model(f, before, 5), org_model(f, after, 3)};
		const struct loopcheck_loop *loops = NULL;
		struct loopcheck *lc;
		size_t n, ndestinations, i;
		unsigned expected = 0, found = 0;

		assert_int_equal(loopcheck_new((const struct model *const *)models, 2, &lc), RC_OK);
		for (k = 0; k < 2; k++) {
			for (site = 0; site < f->sites; site++) {
				struct table *t = site_table(models[k], site);

				assert_int_equal(
					loopcheck_add(lc, t,
						      k == 0 ? LOOPCHECK_OLD : LOOPCHECK_NEW),
					RC_OK);
				table_free(&t);
			}
		}
		assert_int_equal(loopcheck_run(lc, &loops, &n, &ndestinations), RC_OK);
		for (i = 0; i < n; i++)
			found += loops[i].cls == TABLE_SYSTEM &&
				 span_starts(loops[i].target, SPAN_LIT("EX:"));
		for (target = 0; target < f->sites; target++)
			expected += union_loops(f, before, after, target);
		assert_int_equal(found, expected);
		seen += found;
		loopcheck_free(&lc);
		model_free(&models[0]);
		model_free(&models[1]);
	}
	assert_true(seen > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_direct_rows_end_a_way),
		unit_heap_test(test_when_mixtures_loop),
		unit_heap_test(test_falling_back_to_the_chain_breaks_no_loop),
		unit_heap_test(test_loopcheck_agrees),
	};

	find_circles();
	return cmocka_run_group_tests_name("mixed states", tests, NULL, NULL);
}
