/* dird/sound.c: Cologne phonetics (Postel 1969), word by word. */
#include "dird/sound.h"

#include "tests/unit/unit.h"

static void code(const char *text, struct buf *out)
{
	buf_init(out, 65536);
	assert_int_equal(sound_code(span_of(text), out), RC_OK);
}

static const struct {
	const char *text, *code;
} codes[] = {
	{"Müller-Lüdenscheidt", "m657 l52682 "},
	{"Wikipedia", "w3412 "},
	{"Breschnew", "b17863 "},
	{"Meyer", "m67 "},
	{"Philipp", "p351 "},
	{"Caesar", "c487 "},
	{"Cerny", "c876 "},
	{"Mackintosh", "m64628 "},
	{"Schatz", "s88 "},
	{"Xaver", "x4837 "},
	{"Alex", "a0548 "},
	{"Ada", "a02 "},
	{"Hahn", "h06 "},
	{"  J. R. Smith, 3rd ", "j r s862 33"
				"72 "},
	{"O'Brien", "o0176 "},
	{"O’Brien", "o0176 "},
	{"Иванов", "ииванов "},
	{"张伟", "张张伟 "},
	{"张", "张 "},
	{"Groß", "g478 "},
	{"", ""},
	{"... '", ""},
};

static void words_become_codes(void **state)
{
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(codes); i++) {
		code(codes[i].text, &b);
		if (!span_eq(buf_span(&b), span_of(codes[i].code)))
			fail_msg("%s: \"%s\", want \"%s\"", codes[i].text, buf_cstr(&b),
				 codes[i].code);
		buf_fini(&b);
	}
}

static const struct {
	const char *want, *have;
	bool match;
} matches[] = {
	{"Meier", "Mayr", true},
	{"Maier", "Meyers", false},
	{"Smith", "Schmidt", true},
	{"Smith", "Schmitt", true},
	{"Smith", "Smythe", true},
	{"Stephen", "Steven", true},
	{"Catherine", "Kathryn", true},
	{"Filip", "Philippe", true},
	{"Miller", "Müller", true},
	{"Jackson", "Jaxon", true},
	{"Hoffmann", "Hofman", true},
	{"Larsen", "Larson", true},
	{"Larsen", "Lawson", false},
	{"Rodrigues", "Rodríguez", true},
	{"Lukash", "Łukasz", true},
	{"Nguyen", "Nguyễn", true},
	{"Ada Hil", "Ada M. Hill", true},
	{"Hill", "Ada Hill", true},
	{"Hill Ada", "Ada Hill", false},
	{"A Hill", "Ada Hill", true},
	{"B Hill", "Ada Hill", false},
	{"Ada Hill", "A. Hill", true},
	{"Ada Hill", "Hill", false},
	{"OBrian", "O'Brien", true},
	{"Иванов", "Пётр Иванов", true},
	{"Семенов", "Семёнов", true},
	{"Иванов", "Попов", false},
	{"Σισυφος", "Σίσυφοσ", true},
	{"42", "Room 42", true},
	{"42", "Room 24", false},
	{"", "Ada", false},
	{"!", "?", true},
};

static void what_sounds_alike(void **state)
{
	struct buf a, b;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(matches); i++) {
		code(matches[i].want, &a);
		code(matches[i].have, &b);
		if (sound_match(buf_span(&a), buf_span(&b)) != matches[i].match)
			fail_msg("\"%s\" in \"%s\": %s, %s", matches[i].want, matches[i].have,
				 buf_cstr(&a), buf_cstr(&b));
		buf_fini(&a);
		buf_fini(&b);
	}
}

static void bad_text(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	buf_puts(&b, "kept");
	assert_int_equal(sound_code(span_of("a\xff"), &b), RC_INVALID);
	unit_assert_span(buf_span(&b), SPAN_LIT("kept"));
	buf_fini(&b);
	buf_init(&b, 2);
	assert_int_equal(sound_code(span_of("Schmidt"), &b), RC_TOOBIG);
	assert_int_equal(b.n, 0);
	buf_fini(&b);
}

static int code_once(void *arg)
{
	struct buf b;
	int rc;

	buf_init(&b, 1000);
	rc = sound_code(span_of(arg), &b);
	buf_fini(&b);
	return rc;
}

static void out_of_memory(void **state)
{
	char text[] = "Ada Lovelace, née Byron";

	(void)state;
	unit_fail_allocations(code_once, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(words_become_codes),
		unit_heap_test(what_sounds_alike),
		unit_heap_test(bad_text),
		unit_heap_test(out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
