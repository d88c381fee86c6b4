/*
 * A routing table as the rows of Postfix's indexed files (transport(5), postconf(5)), for a mail
 * server that shall ask nobody.
 *
 * Pure. Postfix asks such a file in parts: the address, its domain, ".parent" for each parent, "*".
 * Every row's value is what the live maps answer for an address of that part, so that both give
 * equal routes:
 *
 *   transport     dirsync@s2.example.com  smtp:hub.example.com     an address that has a way of its
 * own s2.example.com          smtp:s2.example.com .s2.example.com         smtp:s2.example.com hosts
 * below s1.example.com          :                        of this site: Postfix decides
 *                 *                       smtp:[relay.example.net]
 *   relaydomains  s2.example.com          s2.example.com
 *   tlspolicy     s2.example.com          secure match=…
 *
 * What a file can not say: recipients of a domain that several sites share (their home is found in
 * the directory), and a pattern with a wildcard elsewhere than in front of "@domain" or ".domain".
 */
#pragma once

#include "lib/arena.h"
#include "lib/buf.h"
#include "routed/table.h"

enum render_map { RENDER_TRANSPORT, RENDER_RELAY_DOMAINS, RENDER_TLS_POLICY };
#define RENDER_MAPS 3

enum render_format {
	RENDER_TEXTHASH, /* FOLDER/transport, … */
	RENDER_LMDB, /* FOLDER/transport.lmdb, …: lmdb_table(5); keys and values end with a NUL */
};

/** Keys as Postfix looks them up, in lower case. */
struct render_row {
	struct span key, value;
};

struct render_rows {
	struct render_row *items; /* sorted by key as bytes, no key twice */
	size_t n;
	size_t left_out; /* patterns and addresses that a file can not say */
};

/** "transport", "relaydomains", "tlspolicy": the names of the socketmap. */
const char *render_map_name(enum render_map map);

/** The rows of one map. Ownership: in the arena. RC_NOMEM. */
int render_rows(const struct table *t, enum render_map map, struct arena *a,
		struct render_rows *out) WARN_UNUSED;

/** Append them as text: texthash, and what postmap(1) reads. */
void render_text(const struct render_rows *rows, struct buf *out);

/** Take apart "texthash:FOLDER" or "lmdb:FOLDER"; false: it is neither. */
bool render_target_parse(const char *target, enum render_format *format, const char **folder);
