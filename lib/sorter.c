#include "lib/sorter.h"

#include "lib/arena.h"
#include "lib/rc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD_BYTES 4 /* length of the key u16, of the value u16 */
#define ROW_MAX_BYTES (HEAD_BYTES + 2 * 65535)
#define READ_ALL_BYTES ((size_t)64 << 20) /* for the buffers of all runs */
#define READ_MIN_BYTES ((size_t)ROW_MAX_BYTES)
#define READ_MAX_BYTES ((size_t)512 << 10)
#define INSERTION_ROWS 8

/* The first bytes of a key as numbers decide most comparisons; zeros stand behind a short one. */
struct item {
	uint64_t first, second;
	const uint8_t *row;
};

struct run {
	uint64_t at, end; /* what is still in the file */
	uint8_t *buf;
	size_t pos, n;
	struct item head; /* the row at hand */
};

/* Rows on their way into the file. */
struct spill {
	struct buf rows;
	size_t nrows;
	int fd;
	uint64_t at;
	int rc;
};

struct sorter {
	int fd;
	uint64_t file_bytes, spilled_rows;
	struct spill spill;
	pthread_t thread;
	bool has_thread;
	int rc;          /* sticks */
	struct buf rows; /* in memory, in the order they came */
	size_t nrows;
	size_t kept_bytes, kept_rows;
	struct run *runs;
	size_t nruns, runs_room;
	size_t *heap; /* runs that have a row, the least on top */
	size_t nheap;
	bool is_begun; /* the row on top was given out */
};

/* --- rows --- */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, size_t n)
{
	p[0] = (uint8_t)(n >> 8);
	p[1] = (uint8_t)n;
}

static size_t row_bytes(const uint8_t *row)
{
	return HEAD_BYTES + (size_t)get16(row) + get16(row + 2);
}

static struct sorter_row read_row(const uint8_t *row)
{
	size_t n = get16(row);

	return (struct sorter_row){span_make(row + HEAD_BYTES, n),
				   span_make(row + HEAD_BYTES + n, get16(row + 2))};
}

static uint64_t word(struct span key, size_t from)
{
	uint8_t bytes[8] = {0};
	struct span s = span_head(span_from(key, from), sizeof(bytes));
	uint64_t v = 0;
	size_t i;

	if (s.n != 0)
		memcpy(bytes, s.p, s.n);
	for (i = 0; i < sizeof(bytes); i++)
		v = v << 8 | bytes[i];
	return v;
}

static struct item item_of(const uint8_t *row)
{
	struct span key = span_make(row + HEAD_BYTES, get16(row));

	return (struct item){word(key, 0), word(key, 8), row};
}

static int compare_rows(const uint8_t *a, const uint8_t *b)
{
	struct sorter_row x = read_row(a), y = read_row(b);
	int c = span_cmp(x.key, y.key);

	return c != 0 ? c : span_cmp(x.value, y.value);
}

static bool is_behind(const struct item *a, const struct item *b)
{
	if (a->first != b->first)
		return a->first > b->first;
	if (a->second != b->second)
		return a->second > b->second;
	return compare_rows(a->row, b->row) > 0;
}

/* --- sorting in memory --- */

static void insertion_sort(struct item *at, size_t n)
{
	struct item one;
	size_t i, k;

	for (i = 1; i < n; i++) {
		one = at[i];
		for (k = i; k > 0 && is_behind(&at[k - 1], &one); k--)
			at[k] = at[k - 1];
		at[k] = one;
	}
}

static void merge_halves(const struct item *from, size_t half, size_t n, struct item *to)
{
	size_t a = 0, b = half;

	while (a < half && b < n)
		*to++ = is_behind(&from[a], &from[b]) ? from[b++] : from[a++];
	while (a < half)
		*to++ = from[a++];
	while (b < n)
		*to++ = from[b++];
}

/* Pieces of `width` are sorted; returns where all of it is sorted, in one array or the other. */
static struct item *merge_pieces(struct item *at, struct item *spare, size_t n, size_t width)
{
	struct item *swap;
	size_t from, piece;

	for (; width < n; width *= 2) {
		for (from = 0; from < n; from += 2 * width) {
			piece = n - from < 2 * width ? n - from : 2 * width;
			merge_halves(at + from, width < piece ? width : piece, piece, spare + from);
		}
		swap = at;
		at = spare;
		spare = swap;
	}
	return at;
}

/* In *out, which lies in *memory. */
static int sort_rows(const struct spill *s, struct item **memory, struct item **out)
{
	struct item *at = mem_alloc(2 * s->nrows * sizeof(*at));
	const uint8_t *row = s->rows.p;
	size_t i;

	if (at == NULL)
		return RC_NOMEM;
	for (i = 0; i < s->nrows; i++, row += row_bytes(row))
		at[i] = item_of(row);
	for (i = 0; i < s->nrows; i += INSERTION_ROWS)
		insertion_sort(at + i,
			       s->nrows - i < INSERTION_ROWS ? s->nrows - i : INSERTION_ROWS);
	*memory = at;
	*out = merge_pieces(at, at + s->nrows, s->nrows, INSERTION_ROWS);
	return RC_OK;
}

/* --- runs --- */

static int write_at(int fd, struct span s, uint64_t at)
{
	ssize_t n;

	while (s.n != 0) {
		n = pwrite(fd, s.p, s.n, (off_t)at);
		if (n < 0 && errno != EINTR)
			return rc_from_errno(errno);
		if (n > 0) {
			s = span_from(s, (size_t)n);
			at += (uint64_t)n;
		}
	}
	return RC_OK;
}

static int write_run(const struct spill *s, const struct item *sorted, struct buf *out)
{
	uint64_t at = s->at;
	size_t i;
	int rc = RC_OK;

	for (i = 0; i < s->nrows && rc == RC_OK; i++) {
		buf_put(out, span_make(sorted[i].row, row_bytes(sorted[i].row)));
		if (out->n < READ_MAX_BYTES && i + 1 < s->nrows)
			continue;
		rc = buf_rc(out);
		if (rc == RC_OK)
			rc = write_at(s->fd, buf_span(out), at);
		at += out->n;
		buf_clear(out);
	}
	return rc;
}

static void *spill_rows(void *arg)
{
	struct item *memory = NULL, *sorted;
	struct spill *s = arg;
	struct buf out;

	buf_init(&out, READ_MAX_BYTES + ROW_MAX_BYTES);
	s->rc = sort_rows(s, &memory, &sorted);
	if (s->rc == RC_OK)
		s->rc = write_run(s, sorted, &out);
	mem_free(memory);
	buf_fini(&out);
	return NULL;
}

static int room_for_run(struct sorter *s)
{
	size_t room = 2 * s->runs_room + 16;
	struct run *more;

	if (s->nruns < s->runs_room)
		return RC_OK;
	more = mem_realloc(s->runs, room * sizeof(*more));
	if (more == NULL)
		return RC_NOMEM;
	s->runs = more;
	s->runs_room = room;
	return RC_OK;
}

/* The run that is being written is done. */
static int wait_for_run(struct sorter *s)
{
	if (s->has_thread)
		must(pthread_join(s->thread, NULL) == 0);
	s->has_thread = false;
	if (s->rc == RC_OK)
		s->rc = s->spill.rc;
	return s->rc;
}

static void begin_run(struct sorter *s)
{
	struct buf empty = s->spill.rows;

	s->spill.rows = s->rows;
	s->spill.nrows = s->nrows;
	s->spill.fd = s->fd;
	s->spill.at = s->file_bytes;
	memset(&s->runs[s->nruns], 0, sizeof(s->runs[0]));
	s->file_bytes += s->rows.n;
	s->spilled_rows += s->nrows;
	s->runs[s->nruns++].end = s->file_bytes;
	s->rows = empty;
	buf_clear(&s->rows);
	s->nrows = s->kept_bytes = s->kept_rows = 0;
}

int sorter_spill(struct sorter *s)
{
	int rc = wait_for_run(s);

	if (rc == RC_OK && s->nrows != 0)
		rc = room_for_run(s);
	if (rc != RC_OK || s->nrows == 0)
		return rc;
	begin_run(s);
	s->has_thread = pthread_create(&s->thread, NULL, spill_rows, &s->spill) == 0;
	if (!s->has_thread)
		spill_rows(&s->spill);
	return RC_OK;
}

/* --- merging --- */

static int fill(struct sorter *s, struct run *r, size_t room)
{
	size_t want;
	ssize_t n;

	memmove(r->buf, r->buf + r->pos, r->n - r->pos);
	r->n -= r->pos;
	r->pos = 0;
	while (r->n < room && r->at < r->end) {
		want = r->end - r->at < room - r->n ? (size_t)(r->end - r->at) : room - r->n;
		n = pread(s->fd, r->buf + r->n, want, (off_t)r->at);
		if (n == 0 || (n < 0 && errno != EINTR))
			return n == 0 ? RC_IO : rc_from_errno(errno);
		if (n > 0) {
			r->at += (uint64_t)n;
			r->n += (size_t)n;
		}
	}
	return RC_OK;
}

static size_t read_bytes(const struct sorter *s)
{
	size_t each = READ_ALL_BYTES / (s->nruns + 1);

	return each < READ_MIN_BYTES   ? READ_MIN_BYTES
	       : each > READ_MAX_BYTES ? READ_MAX_BYTES
				       : each;
}

/* RC_DONE: the run has no more rows. */
static int load_head(struct sorter *s, struct run *r)
{
	size_t left = r->n - r->pos;
	int rc = RC_OK;

	if ((left < HEAD_BYTES || left < row_bytes(r->buf + r->pos)) && r->at < r->end)
		rc = fill(s, r, read_bytes(s));
	if (rc != RC_OK)
		return rc;
	if (r->pos == r->n)
		return RC_DONE;
	r->head = item_of(r->buf + r->pos);
	return RC_OK;
}

static bool run_is_behind(const struct sorter *s, size_t a, size_t b)
{
	return is_behind(&s->runs[a].head, &s->runs[b].head);
}

static void sift_down(struct sorter *s, size_t i)
{
	size_t child, run = s->heap[i];

	while ((child = 2 * i + 1) < s->nheap) {
		if (child + 1 < s->nheap && run_is_behind(s, s->heap[child], s->heap[child + 1]))
			child++;
		if (!run_is_behind(s, run, s->heap[child]))
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = run;
}

static void forget_buffers(struct sorter *s)
{
	size_t i;

	for (i = 0; i < s->nruns; i++) {
		mem_free(s->runs[i].buf);
		s->runs[i].buf = NULL;
	}
	mem_free(s->heap);
	s->heap = NULL;
	s->nheap = 0;
}

static int open_run(struct sorter *s, size_t i)
{
	struct run *r = &s->runs[i];
	int rc;

	r->at = i == 0 ? 0 : s->runs[i - 1].end;
	r->pos = r->n = 0;
	r->buf = mem_alloc(read_bytes(s));
	rc = r->buf != NULL ? load_head(s, r) : RC_NOMEM;
	if (rc == RC_OK)
		s->heap[s->nheap++] = i;
	return rc;
}

int sorter_rewind(struct sorter *s)
{
	size_t i;
	int rc = sorter_spill(s);

	if (rc == RC_OK)
		rc = wait_for_run(s);
	if (rc != RC_OK)
		return rc;
	forget_buffers(s);
	s->is_begun = false;
	s->heap = mem_alloc((s->nruns + 1) * sizeof(*s->heap));
	if (s->heap == NULL)
		return RC_NOMEM;
	for (i = 0; i < s->nruns && rc == RC_OK; i++)
		rc = open_run(s, i);
	for (i = s->nheap / 2; i-- > 0;)
		sift_down(s, i);
	return rc;
}

/* Behind the row that was given out. */
static int advance(struct sorter *s)
{
	struct run *r = &s->runs[s->heap[0]];
	int rc;

	r->pos += row_bytes(r->head.row);
	rc = load_head(s, r);
	if (rc == RC_DONE)
		s->heap[0] = s->heap[--s->nheap];
	else if (rc != RC_OK)
		return rc;
	if (s->nheap > 1)
		sift_down(s, 0);
	return RC_OK;
}

int sorter_next(struct sorter *s, struct sorter_row *out)
{
	int rc = RC_OK;

	if (s->is_begun && s->nheap != 0)
		rc = advance(s);
	s->is_begun = true;
	if (rc != RC_OK)
		return rc;
	if (s->nheap == 0)
		return RC_DONE;
	*out = read_row(s->runs[s->heap[0]].head.row);
	return RC_OK;
}

/* --- the whole --- */

static int open_nameless(const char *folder, int *fd)
{
	char path[4096];

	*fd = -1;
	if (snprintf(path, sizeof(path), "%s/sort.XXXXXX", folder) >= (int)sizeof(path))
		return RC_TOOBIG;
	*fd = mkostemp(path, O_CLOEXEC);
	if (*fd < 0 || unlink(path) != 0)
		return rc_from_errno(errno);
	return RC_OK;
}

int sorter_new(const char *folder, struct sorter **out)
{
	struct sorter *s = mem_zalloc(1, sizeof(*s));
	int rc;

	*out = s;
	if (s == NULL)
		return RC_NOMEM;
	buf_init(&s->rows, SIZE_MAX);
	buf_init(&s->spill.rows, SIZE_MAX);
	rc = open_nameless(folder, &s->fd);
	if (rc != RC_OK)
		sorter_free(out);
	return rc;
}

void sorter_free(struct sorter **s)
{
	struct sorter *so = *s;

	if (so == NULL)
		return;
	(void)wait_for_run(so);
	forget_buffers(so);
	mem_free(so->runs);
	buf_fini(&so->rows);
	buf_fini(&so->spill.rows);
	if (so->fd >= 0)
		close(so->fd);
	mem_free(so);
	*s = NULL;
}

int sorter_put(struct sorter *s, struct span key, struct span value)
{
	uint8_t *p;

	must(key.n <= UINT16_MAX && value.n <= UINT16_MAX);
	p = buf_extend(&s->rows, HEAD_BYTES + key.n + value.n);
	if (p == NULL)
		return buf_rc(&s->rows);
	put16(p, key.n);
	put16(p + 2, value.n);
	if (key.n != 0)
		memcpy(p + HEAD_BYTES, key.p, key.n);
	if (value.n != 0)
		memcpy(p + HEAD_BYTES + key.n, value.p, value.n);
	s->nrows++;
	return RC_OK;
}

size_t sorter_held_bytes(const struct sorter *s)
{
	return s->rows.n;
}

uint64_t sorter_count(const struct sorter *s)
{
	return s->spilled_rows + s->nrows;
}

void sorter_keep(struct sorter *s)
{
	s->kept_bytes = s->rows.n;
	s->kept_rows = s->nrows;
}

void sorter_forget(struct sorter *s)
{
	buf_truncate(&s->rows, s->kept_bytes);
	s->nrows = s->kept_rows;
}
