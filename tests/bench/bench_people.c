/* bench_people N [FIRST]: the LDIF of N people, with their container unless FIRST is given. */
#include "lib/base64.h"
#include "tests/bench/people.h"

#include <stdio.h>
#include <stdlib.h>

static void put_line(struct buf *b, const char *type, const char *value)
{
	const char *c;

	for (c = value; *c != '\0' && (unsigned char)*c < 0x80; c++)
		;
	buf_printf(b, "%s:%s ", type, *c != '\0' ? ":" : "");
	if (*c != '\0')
		base64_encode(span_of(value), b);
	else
		buf_puts(b, value);
	buf_putc(b, '\n');
}

static void put_person(struct buf *b, uint64_t i)
{
	const char *attrs[PEOPLE_ATTRS * 2];
	char scratch[PEOPLE_SCRATCH];
	struct person p;
	unsigned n, k;

	people_make(i, &p);
	n = people_attrs(i, &p, scratch, attrs);
	buf_printf(b, "dn: uid=%s,%s\n", p.uid, PEOPLE_BASE);
	for (k = 0; k < n; k++)
		put_line(b, attrs[2 * k], attrs[2 * k + 1]);
	buf_putc(b, '\n');
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 0, i;
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	struct buf b;

	if (n == 0) {
		fprintf(stderr, "usage: bench_people N [FIRST]\n");
		return 2;
	}
	buf_init(&b, 1 << 20);
	if (argc <= 2)
		buf_printf(&b, "dn: %s\nobjectClass: organizationalUnit\nou: People\n\n",
			   PEOPLE_BASE);
	for (i = first; i < first + n; i++) {
		put_person(&b, i);
		must(buf_rc(&b) == 0);
		fwrite(b.p, 1, b.n, stdout);
		buf_clear(&b);
	}
	buf_fini(&b);
	return fflush(stdout) == 0 ? 0 : 1;
}
