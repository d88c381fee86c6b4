/* Signed heads (dird/head.h, sign.h), and changes held back until one comes (repl_held.h). */
#include "tests/unit/unit.h"

#include "dird/repl_held.h"

static const uint8_t one_seed[32] = {1}, other_seed[32] = {2};
static const struct uuid HOME = {{7}}, RELAYED = {{8}}, OWN = {{9}};

static struct head a_head(const struct uuid *nc, uint64_t usn, uint64_t beat)
{
	struct head h = {.position = {*nc, 3, {{4}}, usn}, .beat = beat, .wall_us = 1234567};

	memset(h.digest, 0xab, sizeof(h.digest));
	return h;
}

/* The bytes of a head signed with a key of this seed. */
static void sign_head(struct head h, const uint8_t seed[static 32], struct buf *out)
{
	struct evp_pkey_st *key = sign_key_of(seed);
	struct buf body, public, signature;

	buf_init(&body, HEAD_MAX_BYTES);
	buf_init(&public, SIGN_KEY_MAX_BYTES);
	buf_init(&signature, SIGN_MAX_BYTES);
	buf_init(out, HEAD_MAX_BYTES);
	head_body(&h, &body);
	assert_int_equal(sign_with(key, buf_span(&body), &public, &signature), RC_OK);
	h.public = buf_span(&public);
	h.signature = buf_span(&signature);
	head_write(&h, out);
	assert_int_equal(buf_rc(out), RC_OK);
	buf_fini(&body);
	buf_fini(&public);
	buf_fini(&signature);
	sign_key_free(&key);
}

static void round_trip(void **state)
{
	struct head h = a_head(&RELAYED, 99, 5), back;
	struct buf bytes;

	(void)state;
	sign_head(h, one_seed, &bytes);
	assert_int_equal(head_read(buf_span(&bytes), &back), RC_OK);
	assert_true(uuid_eq(&back.position.nc, &h.position.nc));
	assert_true(position_same_life(&back.position, &h.position) && back.position.usn == 99);
	assert_true(back.beat == 5 && back.wall_us == 1234567);
	assert_memory_equal(back.digest, h.digest, sizeof(h.digest));
	assert_true(head_is_signed(buf_span(&bytes), &back));
	buf_fini(&bytes);
	assert_int_equal(mem_live_blocks(), 0);
}

/* Every byte counts: a bent head is malformed or not signed. */
static void every_byte(void **state)
{
	struct head h = a_head(&RELAYED, 99, 5), back;
	struct buf bytes;
	size_t i;

	(void)state;
	sign_head(h, one_seed, &bytes);
	for (i = 0; i < bytes.n; i++) {
		bytes.p[i] ^= 0x10;
		if (head_read(buf_span(&bytes), &back) == RC_OK)
			assert_false(head_is_signed(buf_span(&bytes), &back));
		bytes.p[i] ^= 0x10;
		assert_int_equal(head_read(span_head(buf_span(&bytes), i), &back), RC_INVALID);
	}
	buf_putc(&bytes, 'x');
	assert_int_equal(head_read(buf_span(&bytes), &back), RC_INVALID);
	buf_fini(&bytes);
}

static void newer(void **state)
{
	struct head a = a_head(&RELAYED, 99, 5), b = a;

	(void)state;
	assert_false(head_is_newer(&a, &b));
	b.beat++;
	assert_true(head_is_newer(&b, &a) && !head_is_newer(&a, &b));
	a.position.usn++;
	assert_true(head_is_newer(&a, &b));
	b.position.epoch++;
	assert_true(head_is_newer(&b, &a));
}

static void pins_differ(void **state)
{
	uint8_t one[SIGN_PIN_BYTES], other[SIGN_PIN_BYTES];
	struct head h = a_head(&RELAYED, 1, 1), x, y;
	struct buf a, b;

	(void)state;
	sign_head(h, one_seed, &a);
	sign_head(h, other_seed, &b);
	assert_int_equal(head_read(buf_span(&a), &x), RC_OK);
	assert_int_equal(head_read(buf_span(&b), &y), RC_OK);
	sign_pin(x.public, one);
	sign_pin(y.public, other);
	assert_memory_not_equal(one, other, sizeof(one));
	x.signature = y.signature;
	assert_false(head_is_signed(buf_span(&a), &x));
	buf_fini(&a);
	buf_fini(&b);
}

/* --- held back --- */

static void begin(struct repl_held *h)
{
	repl_held_init(h);
	h->home = HOME;
	h->needs_heads = true;
	assert_int_equal(repl_held_note_proven(h, &RELAYED), RC_OK);
}

static void take_removal(struct repl_held *h, const struct uuid *nc, uint64_t usn)
{
	struct repl_batch b;
	struct change *c;

	repl_batch_init(&b);
	c = repl_batch_add(&b, CHANGE_REMOVE);
	c->stamp = (struct stamp){*nc, 3, usn};
	c->old_dn = arena_span(&b.arena, SPAN_LIT("cn=x"));
	assert_int_equal(repl_held_take(h, &b, &OWN, 1), RC_OK);
	assert_int_equal(b.n, 0);
}

static int take_position(struct repl_held *h, const struct uuid *nc, uint64_t usn)
{
	struct repl_batch b;

	repl_batch_init(&b);
	repl_batch_add(&b, CHANGE_POSITION)->position = a_head(nc, usn, 0).position;
	return repl_held_take(h, &b, &OWN, 1);
}

static int take_head(struct repl_held *h, const struct uuid *nc, uint64_t usn)
{
	struct head head = a_head(nc, usn, 1);
	struct buf bytes;
	int rc;

	sign_head(head, one_seed, &bytes);
	assert_int_equal(head_read(buf_span(&bytes), &head), RC_OK);
	rc = repl_held_head(h, buf_span(&bytes), &head);
	buf_fini(&bytes);
	return rc;
}

/* The next ready batch: so many changes, with a head or without. */
static void expect(struct repl_held *h, const struct uuid *nc, unsigned n, bool with_head)
{
	struct repl_ready *r = repl_held_next(h);

	assert_non_null(r);
	assert_true(uuid_eq(&r->nc, nc));
	assert_int_equal(r->batch.n, n);
	assert_int_equal(r->head.n != 0, with_head);
	repl_ready_free(&r);
}

static void relayed_waits(void **state)
{
	struct repl_held h;

	(void)state;
	begin(&h);
	take_removal(&h, &RELAYED, 5);
	assert_int_equal(take_position(&h, &RELAYED, 6), RC_OK);
	take_removal(&h, &RELAYED, 7);
	assert_int_equal(repl_held_release(&h, false), RC_OK);
	assert_null(repl_held_next(&h));
	assert_int_equal(take_head(&h, &RELAYED, 7), RC_OK); /* before its cookie */
	assert_null(repl_held_next(&h));
	assert_int_equal(take_position(&h, &RELAYED, 7), RC_OK);
	expect(&h, &RELAYED, 3, true);
	take_removal(&h, &RELAYED, 8);
	assert_int_equal(take_position(&h, &RELAYED, 8), RC_OK);
	assert_int_equal(take_head(&h, &RELAYED, 7), RC_OK); /* an old one */
	assert_null(repl_held_next(&h));
	assert_int_equal(take_head(&h, &RELAYED, 8), RC_OK); /* behind its cookie */
	expect(&h, &RELAYED, 2, true);
	repl_held_fini(&h);
	assert_int_equal(mem_live_blocks(), 0);
}

/* Of a context that was never proven here full batches go on, up to the first head. */
static void a_first_meeting(void **state)
{
	static const struct uuid new = {{11}};
	struct repl_held h;
	uint64_t i;

	(void)state;
	begin(&h);
	for (i = 1; i < REPL_BATCH_ENTRIES; i++) {
		take_removal(&h, &new, i);
		if (i == 500)
			assert_int_equal(take_position(&h, &new, 500), RC_OK);
	}
	assert_null(repl_held_next(&h));
	take_removal(&h, &new, i);
	expect(&h, &new, REPL_BATCH_ENTRIES + 1, false); /* and how far it is known to reach */
	take_removal(&h, &new, ++i);
	assert_int_equal(take_position(&h, &new, i), RC_OK);
	assert_null(repl_held_next(&h));
	assert_int_equal(take_head(&h, &new, i), RC_OK);
	expect(&h, &new, 2, true);
	while (i++ < 3 * REPL_BATCH_ENTRIES)
		take_removal(&h, &new, i);
	assert_null(repl_held_next(&h)); /* now it has to be proven */
	repl_held_fini(&h);
	assert_int_equal(mem_live_blocks(), 0);
}

/* What the partner writes itself needs no head; what is given back to its home neither. */
static void others_do_not(void **state)
{
	struct repl_held h;

	(void)state;
	begin(&h);
	take_removal(&h, &HOME, 5);
	assert_null(repl_held_next(&h));
	assert_int_equal(take_position(&h, &HOME, 5), RC_OK);
	expect(&h, &HOME, 2, false);
	take_removal(&h, &OWN, 5);
	assert_int_equal(repl_held_release(&h, true), RC_OK);
	expect(&h, &OWN, 1, false);
	take_removal(&h, &HOME, 6);
	assert_int_equal(repl_held_release(&h, true), RC_OK);
	assert_null(repl_held_next(&h));
	assert_int_equal(repl_held_release(&h, false), RC_OK);
	expect(&h, &HOME, 1, false);
	repl_held_fini(&h);
	assert_int_equal(mem_live_blocks(), 0);
}

/* A stamp beyond what was signed would stand in the way of later changes. */
static void beyond_the_head(void **state)
{
	struct repl_held h;

	(void)state;
	begin(&h);
	take_removal(&h, &RELAYED, 50);
	assert_int_equal(take_head(&h, &RELAYED, 8), RC_OK);
	assert_int_equal(take_position(&h, &RELAYED, 8), RC_INVALID);
	repl_held_fini(&h);
	assert_int_equal(mem_live_blocks(), 0);
}

static void deferred_with_its_followers(void **state)
{
	static const struct uuid other = {{10}};
	struct repl_held h;
	struct repl_ready *first;

	(void)state;
	begin(&h);
	h.needs_heads = false;
	assert_int_equal(take_position(&h, &RELAYED, 1), RC_OK);
	assert_int_equal(take_position(&h, &other, 2), RC_OK);
	take_removal(&h, &RELAYED, 2);
	assert_int_equal(take_position(&h, &RELAYED, 2), RC_OK);
	first = repl_held_next(&h);
	repl_held_defer(&h, first);
	expect(&h, &other, 1, false);
	expect(&h, &RELAYED, 1, false);
	expect(&h, &RELAYED, 2, false);
	assert_null(repl_held_next(&h));
	assert_int_equal(h.nready, 0);
	repl_held_fini(&h);
	assert_int_equal(mem_live_blocks(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(every_byte),
		cmocka_unit_test(newer),
		cmocka_unit_test(pins_differ),
		cmocka_unit_test(relayed_waits),
		cmocka_unit_test(others_do_not),
		cmocka_unit_test(a_first_meeting),
		cmocka_unit_test(beyond_the_head),
		cmocka_unit_test(deferred_with_its_followers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
