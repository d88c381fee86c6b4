#include "dird/conn.h"
#include "dird/op_search.h"

#define PAGED_MAX 16 /* searches of one connection that wait for their next page */

struct op_paged {
	struct op_paged *next;
	struct search *search;
	uint64_t cookie;
	uint64_t request_hash;
};

/* FNV-1a over what must stay the same from page to page (RFC 2696 §3). */
static uint64_t hash_bytes(uint64_t h, struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		h = (h ^ s.p[i]) * 0x100000001b3u;
	return (h ^ 0xff) * 0x100000001b3u;
}

static uint64_t hash_request(const struct msg_search *m)
{
	uint64_t h = 0xcbf29ce484222325u;
	unsigned i;

	h = hash_bytes(h, m->base);
	h = hash_bytes(h, m->filter);
	h = hash_bytes(h, span_make(&m->scope, sizeof(m->scope)));
	h = hash_bytes(h, span_make(&m->types_only, sizeof(m->types_only)));
	for (i = 0; i < m->nattrs; i++)
		h = hash_bytes(h, m->attrs[i]);
	return h;
}

static void paged_free(struct op_paged *p)
{
	search_free(&p->search);
	mem_free(p);
}

void op_paged_free_all(struct conn *c)
{
	struct op_paged *p;

	while ((p = c->paged) != NULL) {
		c->paged = p->next;
		paged_free(p);
	}
}

static struct op_paged *take(struct conn *c, uint64_t cookie)
{
	struct op_paged **at, *p;

	for (at = &c->paged; *at != NULL; at = &(*at)->next) {
		p = *at;
		if (p->cookie != cookie)
			continue;
		*at = p->next;
		return p;
	}
	return NULL;
}

static void drop_oldest(struct conn *c)
{
	struct op_paged **at = &c->paged, *p;
	unsigned n = 0;

	for (; *at != NULL && n < PAGED_MAX; at = &(*at)->next)
		n++;
	while ((p = *at) != NULL) {
		*at = p->next;
		paged_free(p);
	}
}

static int read_control(struct span value, uint64_t *size, struct span *cookie)
{
	struct span body;
	int64_t n;

	if (tlv_expect(&value, TLV_SEQUENCE, &body) != 0 || value.n != 0 ||
	    tlv_read_int(&body, TLV_INTEGER, &n) != 0 || n < 0 || n > INT32_MAX ||
	    tlv_expect(&body, TLV_OCTETS, cookie) != 0 || body.n != 0)
		return RC_INVALID;
	*size = (uint64_t)n;
	return 0;
}

static void write_control(struct buf *out, struct span cookie)
{
	size_t mark = tlv_open(out, TLV_SEQUENCE);

	tlv_put_int(out, TLV_INTEGER, 0); /* no estimate */
	tlv_put(out, TLV_OCTETS, cookie);
	tlv_close(out, mark);
}

/* Size 0: the client gives the search up, or has not asked for anything. */
static void finish_empty(struct op *op)
{
	struct msg_control c = {.oid = SPAN_LIT(OP_OID_PAGED), .has_value = true};
	struct buf value;

	buf_init(&value, 32);
	write_control(&value, (struct span){NULL, 0});
	c.value = buf_span(&value);
	op->result = (struct result){.code = LR_SUCCESS};
	op_finish(op, (struct span){NULL, 0}, &c, 1);
	buf_fini(&value);
}

static void go_on(struct op *op, struct span cookie, uint64_t size)
{
	struct op_paged *p = NULL;
	struct search *s;
	uint64_t number;

	if (cookie.n == sizeof(number)) {
		memcpy(&number, cookie.p, sizeof(number));
		p = take(op->conn, number);
	}
	if (p == NULL || p->request_hash != hash_request(&op->msg.u.search)) {
		if (p != NULL)
			paged_free(p);
		op_finish_result(op, LR_UNWILLING,
				 "paged results cookie is not of this search and connection");
		return;
	}
	s = p->search;
	p->search = NULL;
	paged_free(p);
	if (size == 0) {
		search_free(&s);
		finish_empty(op);
		return;
	}
	s->page_size = size;
	s->page_count = 0;
	s->page_is_full = false;
	search_begin_page(op, s);
}

bool op_paged_begin(struct op *op, struct search **out)
{
	const struct msg_control *c = msg_control(&op->msg, OP_OID_PAGED);
	struct span cookie;
	uint64_t size;

	if (c == NULL)
		return true;
	if (!c->has_value || read_control(c->value, &size, &cookie) != 0) {
		op_finish_result(op, LR_PROTOCOL_ERROR, "malformed paged results control");
		return false;
	}
	if (cookie.n != 0) {
		go_on(op, cookie, size);
		return false;
	}
	if (size == 0) {
		finish_empty(op);
		return false;
	}
	*out = search_new();
	if (*out != NULL) {
		(*out)->page_size = size;
		(*out)->has_page_control = true;
	}
	return true;
}

void op_paged_finish(struct op *op, struct search **s, struct buf *value)
{
	static uint64_t counter; /* of all loops */
	struct op_paged *p = NULL;

	if ((*s)->page_is_full && !op->is_abandoned)
		p = mem_zalloc(1, sizeof(*p));
	if (p == NULL) {
		write_control(value, (struct span){NULL, 0});
		return;
	}
	/* The first request's memory holds filter and selection; later ones need nothing of theirs.
	 */
	if ((*s)->arena.chunks == NULL) {
		(*s)->arena = op->arena;
		arena_init(&op->arena);
	}
	p->cookie = __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED);
	p->request_hash = hash_request(&op->msg.u.search);
	p->search = *s;
	*s = NULL;
	p->next = op->conn->paged;
	op->conn->paged = p;
	drop_oldest(op->conn);
	write_control(value, span_make(&p->cookie, sizeof(p->cookie)));
}
