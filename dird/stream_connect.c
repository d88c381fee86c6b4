#include "dird/stream_impl.h"
#include "lib/arena.h"

#include <netdb.h>
#include <stdio.h>

/* Streams that this side opens: resolve, try each address, shake hands. */

void stream_connecting_free(struct stream *s)
{
	struct connecting *c = s->connecting;

	if (c == NULL)
		return;
	if (c->addresses != NULL)
		uv_freeaddrinfo(c->addresses);
	tls_context_free(&c->tls);
	mem_free(c->host);
	mem_free(c->pins);
	mem_free(c);
	s->connecting = NULL;
}

static void connect_next(struct stream *s, int last_err);

static void on_connected(uv_connect_t *req, int err)
{
	struct stream *s = req->data;
	struct connecting *c = s->connecting;
	int rc;

	if (s->state == STREAM_ENDED)
		return;
	if (err != 0) {
		connect_next(s, err);
		return;
	}
	uv_tcp_nodelay(&s->h.tcp, 1);
	stream_note_peer(s);
	s->state = STREAM_OPEN;
	if (c->tls != NULL) {
		rc = tls_connect_new(c->tls, c->host, (const uint8_t(*)[TLS_PIN_BYTES])c->pins,
				     c->npins, &s->tls);
		if (rc != 0) {
			stream_end(s, rc, "no TLS session could be made");
			return;
		}
	}
	stream_connecting_free(s);
	stream_update_reading(s);
	if (s->tls != NULL)
		stream_feed_tls(s, (struct span){NULL, 0}); /* the first flight */
	else
		stream_announce(s);
}

/* A handle whose connect failed can not be used again. */
static void on_reopen(uv_handle_t *h)
{
	struct stream *s = h->data;

	s->is_reopening = false;
	if (s->state == STREAM_ENDED) {
		stream_part_closed(s);
		return;
	}
	must(uv_tcp_init(loop_uv(s->loop), &s->h.tcp) == 0);
	s->h.handle.data = s;
	connect_next(s, 0);
}

static void connect_next(struct stream *s, int last_err)
{
	struct connecting *c = s->connecting;
	struct addrinfo *at = c->next;
	int err;

	if (at == NULL) {
		stream_end_uv(s, last_err != 0 ? last_err : UV_EAI_NONAME);
		return;
	}
	if (last_err != 0) {
		s->is_reopening = true;
		uv_close(&s->h.handle, on_reopen);
		return;
	}
	c->next = at->ai_next;
	c->connect.data = s;
	err = uv_tcp_connect(&c->connect, &s->h.tcp, at->ai_addr, on_connected);
	if (err != 0)
		connect_next(s, err);
}

static void on_resolved(uv_getaddrinfo_t *req, int err, struct addrinfo *addresses)
{
	struct stream *s = req->data;
	struct connecting *c = s->connecting;

	c->is_resolving = false;
	c->addresses = addresses;
	if (s->state != STREAM_ENDED) {
		c->next = addresses;
		s->state = STREAM_CONNECTING;
		if (err != 0)
			stream_end(s, RC_NOTFOUND, uv_strerror(err));
		else
			connect_next(s, 0);
	}
	stream_part_closed(s);
}

static int connecting_new(const char *host, struct tls_context *tls,
			  const uint8_t (*pins)[TLS_PIN_BYTES], unsigned npins, struct stream *s)
{
	struct connecting *c = mem_zalloc(1, sizeof(*c));

	s->connecting = c;
	if (c == NULL)
		return RC_NOMEM;
	c->tls = tls != NULL ? tls_context_ref(tls) : NULL;
	c->npins = npins;
	c->host = mem_strdup(host);
	c->pins = mem_zalloc(npins, sizeof(*c->pins));
	if (c->host == NULL || c->pins == NULL)
		return RC_NOMEM;
	if (npins != 0)
		memcpy(c->pins, pins, npins * sizeof(*c->pins));
	return 0;
}

int stream_connect(struct loop *l, const char *host, unsigned port, struct tls_context *tls,
		   const uint8_t (*pins)[TLS_PIN_BYTES], unsigned npins,
		   const struct stream_callbacks *cb, void *ctx, struct stream **out)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct stream *s;
	char service[8];
	int rc;

	*out = NULL;
	rc = stream_new(l, cb, ctx, false, &s);
	if (rc != 0)
		return rc;
	s->state = STREAM_RESOLVING;
	snprintf(s->peer, sizeof(s->peer), "ip=unknown");
	rc = connecting_new(host, tls, pins, npins, s);
	if (rc != 0)
		goto fail;
	snprintf(service, sizeof(service), "%u", port);
	s->connecting->resolve.data = s;
	if (uv_getaddrinfo(loop_uv(l), &s->connecting->resolve, on_resolved, host, service,
			   &hints) != 0) {
		rc = RC_NOMEM;
		goto fail;
	}
	s->connecting->is_resolving = true;
	s->open_handles++;
	stream_limit(s, STREAM_HANDSHAKE_MS);
	*out = s;
	return 0;
fail:
	stream_discard(s);
	return rc;
}
