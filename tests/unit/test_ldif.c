/* RFC 2849 */
#include "tests/unit/unit.h"

#include "lib/ldif.h"

#include <stdlib.h>
#include <unistd.h>

/* Everything a file says, one record a line, errors as !line:why. */
static int dump(const char *text, size_t n, bool urls, struct buf *out)
{
	static const char *const kinds[] = {"content", "add", "delete", "modify", "modrdn"};
	static const char ops[] = "+-=#";
	struct ldif_reader *r;
	FILE *f = fmemopen((void *)(uintptr_t)text, n, "r");
	int rc = ldif_reader_new(f, urls, &r);

	while (rc == RC_OK || rc == RC_INVALID) {
		struct ldif_record rec;
		unsigned long line;
		const char *why;
		struct arena a;
		unsigned i, j;

		arena_init(&a);
		rc = ldif_read(r, &a, &rec, &line, &why);
		if (rc == RC_INVALID) {
			buf_printf(out, "!%lu:%s\n", line, why);
		} else if (rc == RC_OK) {
			buf_printf(out, "%lu %s <%.*s>", rec.line, kinds[rec.kind],
				   SPAN_ARG(rec.dn));
			for (i = 0; i < rec.nattrs; i++) {
				buf_printf(out, " %c%.*s", ops[rec.attrs[i].op],
					   SPAN_ARG(rec.attrs[i].type));
				for (j = 0; j < rec.attrs[i].nvalues; j++)
					buf_printf(out, "(%.*s)", SPAN_ARG(rec.attrs[i].values[j]));
			}
			if (rec.kind == LDIF_MODRDN)
				buf_printf(out, " rdn=%.*s delete=%d", SPAN_ARG(rec.newrdn),
					   rec.deleteoldrdn);
			if (rec.has_newsuperior)
				buf_printf(out, " superior=<%.*s>", SPAN_ARG(rec.newsuperior));
			buf_putc(out, '\n');
		}
		arena_fini(&a);
	}
	ldif_reader_free(&r);
	fclose(f);
	if (rc == RC_DONE)
		rc = buf_rc(out);
	return rc;
}

static const struct {
	const char *in, *want;
} cases[] = {
	{"\n\n", ""},
	{"version: 1\ndn: o=a\nobjectclass: top\nO: a\nobjectClass: organization\n",
	 "2 content <o=a> +objectclass(top)(organization) +O(a)\n"},
	{"version: 1\n\n# a comment\n#  of two\n  lines\ndn: o=a\n# inside\no:a\n\n\n\ndn:o=b\no:  "
	 "b\n",
	 "6 content <o=a> +o(a)\n12 content <o=b> +o(b)\n"},
	{"dn: o=a\r\ndescription: fol\r\n ded \r\n  line\r\no:\r\n",
	 "1 content <o=a> +description(folded  line) +o()\n"},
	{"dn:: bz3DpA==\ncn;lang-de:: w6Q=\n", "1 content <o=ä> +cn;lang-de(ä)\n"},
	{"dn: o=a\njpeg:: Zm9v\n YmFy\n", "1 content <o=a> +jpeg(foobar)\n"},
	{"dn: o=a\nchangetype: add\no: a\n", "1 add <o=a> +o(a)\n"},
	{"dn: o=a\nchangetype: delete\n\ndn: o=b\nchangetype: delete\n",
	 "1 delete <o=a>\n4 delete <o=b>\n"},
	{"dn: o=a\ncontrol: 1.2.3 false: x\ncontrol: 1.2.4\nchangetype: delete\n",
	 "1 delete <o=a>\n"},
	{"dn: o=a\nchangetype: modify\nadd: mail\nmail: x\nmail: y\n-\ndelete: fax\n-\nreplace: "
	 "cn\n"
	 "CN: z\n-\nincrement: uidNumber\nuidNumber: 1\n-\n",
	 "1 modify <o=a> +mail(x)(y) -fax =cn(z) #uidNumber(1)\n"},
	{"dn: o=a\nchangetype: modify\nreplace: cn\n", "1 modify <o=a> =cn\n"},
	{"dn: cn=a\nchangetype: modrdn\nnewrdn: cn=b\ndeleteoldrdn: 1\n",
	 "1 modrdn <cn=a> rdn=cn=b delete=1\n"},
	{"dn: cn=a\nchangetype: moddn\nnewrdn: cn=b\ndeleteoldrdn: 0\nnewsuperior: o=c\n",
	 "1 modrdn <cn=a> rdn=cn=b delete=0 superior=<o=c>\n"},
	{"dn:\nobjectClass: top\n", "1 content <> +objectClass(top)\n"},
	/* errors: the line, the reason, and on with the next record */
	{"cn: a\no: b\n\ndn: o=a\no: a\n",
	 "!1:a record begins with 'dn:'\n4 content <o=a> +o(a)\n"},
	{"version: 2\n\ndn: o=a\no: a\n",
	 "!1:only LDIF version 1 is known\n3 content <o=a> +o(a)\n"},
	{"dn: o=a\n\ndn: o=b\no: b\n", "!2:record without attributes\n3 content <o=b> +o(b)\n"},
	{"dn: o=a\no: a\nnonsense\no: c\n\ndn: o=b\no: b\n",
	 "!3:line without ':'\n6 content <o=b> +o(b)\n"},
	{"dn: o=a\no a: b\n", "!2:what stands before ':' is not an attribute name\n"},
	{"dn: o=a\n: b\n", "!2:what stands before ':' is not an attribute name\n"},
	{"dn: o=a\no:: Zg=\n", "!2:value behind '::' is not base64\n"},
	{"dn: o=a\no:< file:///etc/hostname\n",
	 "!2:values from files (':<') are not allowed here\n"},
	{" dn: o=a\n", "!1:continuation line without a line before it\n"},
	{"dn: o=a\nchangetype: add\n", "!2:record without attributes\n"},
	{"dn: o=a\nchangetype: undo\n",
	 "!2:changetype is not add, delete, modify, modrdn or moddn\n"},
	{"dn: o=a\nchangetype: delete\no: a\n", "!3:line behind the end of the change\n"},
	{"dn: o=a\nchangetype: modify\nmail: x\n",
	 "!3:expected 'add:', 'delete:', 'replace:' or 'increment:'\n"},
	{"dn: o=a\nchangetype: modify\nadd: mail\ncn: x\n",
	 "!4:attribute is not the one this change is about; a line with '-' ends a change\n"},
	{"dn: o=a\nchangetype: modify\nadd: mail\n-\n", "!4:'add' without values\n"},
	{"dn: o=a\nchangetype: modify\nincrement: n\n-\n", "!4:'increment' takes one value\n"},
	{"dn: o=a\nchangetype: modify\nadd: a b\n-\n", "!3:the change names no attribute\n"},
	{"dn: o=a\nchangetype: modrdn\ndeleteoldrdn: 1\n", "!3:'newrdn:' is missing\n"},
	{"dn: o=a\nchangetype: modrdn\nnewrdn: o=b\n", "!3:'deleteoldrdn:' is missing\n"},
	{"dn: o=a\nchangetype: modrdn\nnewrdn: o=b\ndeleteoldrdn: yes\n",
	 "!4:'deleteoldrdn' is neither 0 nor 1\n"},
	{"dn: o=a\nchangetype: modrdn\nnewrdn: o=b\ndeleteoldrdn: 1\nx: y\n",
	 "!5:only 'newsuperior:' can follow 'deleteoldrdn:'\n"},
	{"dn: o=a\ncontrol: 1.2.3 true\nchangetype: delete\n\ndn: o=b\no: b\n",
	 "!2:critical controls are not supported\n5 content <o=b> +o(b)\n"},
};

static void test_read(void **state)
{
	struct buf got;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		buf_init(&got, 10000);
		assert_int_equal(dump(cases[i].in, strlen(cases[i].in), false, &got), RC_OK);
		unit_assert_span(buf_span(&got), span_of(cases[i].want));
		buf_fini(&got);
	}
}

static void test_nul(void **state)
{
	static const char text[] = "dn: o=a\no: a\0b\n";
	struct buf got;

	(void)state;
	buf_init(&got, 1000);
	assert_int_equal(dump(text, sizeof(text) - 1, false, &got), RC_OK);
	assert_string_equal(buf_cstr(&got), "!2:NUL byte in a value that is not base64\n");
	buf_fini(&got);
}

static void test_file_url(void **state)
{
	char path[] = "/tmp/waypost test ldif-XXXXXX";
	struct buf text, got;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "from file", 9), 9);
	close(fd);
	buf_init(&text, 1000);
	buf_init(&got, 1000);
	buf_printf(&text, "dn: o=a\no:< file:///tmp/waypost%%20test%%20ldif%s\n", path + 22);
	assert_int_equal(dump((char *)text.p, text.n, true, &got), RC_OK);
	assert_string_equal(buf_cstr(&got), "1 content <o=a> +o(from file)\n");
	assert_int_equal(unlink(path), 0);
	buf_clear(&got);
	assert_int_equal(dump((char *)text.p, text.n, true, &got), RC_OK);
	assert_string_equal(buf_cstr(&got), "!2:the file behind ':<' can not be read\n");
	buf_fini(&text);
	buf_fini(&got);
}

static const struct {
	const char *value, *want;
} written[] = {
	{"plain", "cn: plain\n"},
	{"", "cn:\n"},
	{" leading", "cn:: IGxlYWRpbmc=\n"},
	{"trailing ", "cn:: dHJhaWxpbmcg\n"},
	{":colon", "cn:: OmNvbG9u\n"},
	{"<less", "cn:: PGxlc3M=\n"},
	{"a\nb", "cn:: YQpi\n"},
	{"ä", "cn:: w6Q=\n"},
	{"a: b # c", "cn: a: b # c\n"},
};

static void test_write(void **state)
{
	struct buf got;
	size_t i;

	(void)state;
	buf_init(&got, 1000);
	for (i = 0; i < UNIT_COUNT(written); i++) {
		buf_clear(&got);
		ldif_write_attr(&got, span_of("cn"), span_of(written[i].value));
		unit_assert_span(buf_span(&got), span_of(written[i].want));
	}
	buf_fini(&got);
}

/* Values of every length around the fold, and of every byte, come back as they were. */
static void test_round_trip(void **state)
{
	uint8_t value[400];
	unsigned n, kind;

	(void)state;
	for (n = 0; n < 320; n++) {
		for (kind = 0; kind < 2; kind++) {
			struct ldif_reader *r;
			struct ldif_record rec;
			const char *why;
			struct arena a;
			struct buf text;
			unsigned i, column = 0;
			FILE *f;

			for (i = 0; i < n; i++)
				value[i] = kind == 0 ? 'a' + i % 26 : (n * 7 + i * 31) & 0xff;
			buf_init(&text, 10000);
			arena_init(&a);
			ldif_write_attr(&text, span_of("dn"), span_of("o=a"));
			ldif_write_attr(&text, span_of("description"), span_make(value, n));
			for (i = 0; i < text.n; i++) {
				column = text.p[i] == '\n' ? 0 : column + 1;
				assert_true(column <= 76);
			}
			f = fmemopen(text.p, text.n, "r");
			assert_int_equal(ldif_reader_new(f, false, &r), RC_OK);
			assert_int_equal(ldif_read(r, &a, &rec, NULL, &why), RC_OK);
			assert_int_equal(rec.attrs[0].nvalues, 1);
			unit_assert_span(rec.attrs[0].values[0], span_make(value, n));
			assert_int_equal(ldif_read(r, &a, &rec, NULL, &why), RC_DONE);
			ldif_reader_free(&r);
			fclose(f);
			arena_fini(&a);
			buf_fini(&text);
		}
	}
}

/* Many values, and lines longer than the block that is read at a time. */
static void test_big(void **state)
{
	struct ldif_record rec;
	struct ldif_reader *r;
	struct arena a;
	struct buf text;
	const char *why;
	unsigned i;
	FILE *f;

	(void)state;
	buf_init(&text, 10000000);
	buf_puts(&text, "dn: cn=list\n");
	for (i = 0; i < 5000; i++)
		buf_printf(&text, "member: cn=%u\n", i);
	buf_puts(&text, "description: ");
	memset(buf_extend(&text, 200000), 'x', 200000);
	buf_putc(&text, '\n');
	f = fmemopen(text.p, text.n, "r");
	arena_init(&a);
	assert_int_equal(ldif_reader_new(f, false, &r), RC_OK);
	assert_int_equal(ldif_read(r, &a, &rec, NULL, &why), RC_OK);
	assert_int_equal(rec.attrs[0].nvalues, 5000);
	unit_assert_span(rec.attrs[0].values[4999], span_of("cn=4999"));
	assert_int_equal(rec.attrs[1].values[0].n, 200000);
	ldif_reader_free(&r);
	fclose(f);
	arena_fini(&a);
	buf_fini(&text);
}

static int dump_all(void *arg)
{
	static const char text[] =
		"dn:: bz3DpA==\nchangetype: modify\nadd: a\na: b\na: c\na: d\n-\n\n"
		"dn: o=b\nx: 1\ny: 2\nz: 3\n";
	struct buf got;
	int rc;

	(void)arg;
	buf_init(&got, 10000);
	rc = dump(text, sizeof(text) - 1, false, &got);
	buf_fini(&got);
	return rc;
}

static void test_out_of_memory(void **state)
{
	(void)state;
	unit_fail_allocations(dump_all, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_read),          unit_heap_test(test_nul),
		unit_heap_test(test_file_url),      unit_heap_test(test_write),
		unit_heap_test(test_round_trip),    unit_heap_test(test_big),
		unit_heap_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
