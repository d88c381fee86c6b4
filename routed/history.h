/*
 * The record of what changed in the table of a site, when and why, as text (M27).
 *
 * Pure. routed appends a record for each new table to the file `history` of its state folder;
 * routectl reads it. A record ends with an empty line:
 *
 *   table 2026-11-23T11:40:02.123Z generation=17 rows=12
 *   why entry cn=IMS,cn=Connections,... (stamp 0f0e...:1:42)
 *   change site2.example.com user EX Site2
 *   - user EX Site2: connected, mx:hub.example.com, cost 2, hops 2, FLAG_OFF, path ...
 *   + user EX Site2: direct, mx:site2.example.com, cost 2, hops 1, OK, path ...
 *   more 17
 *
 * The word behind `change` is the domain of a site, `-` for an address space; `more` counts changes
 * that were left out of a record too long.
 */
#pragma once

#include "routed/rows.h"

#define HISTORY_RECORDS 1000              /* that are kept */
#define HISTORY_SLACK 200                 /* more than that before the file is cut */
#define HISTORY_RECORD_BYTES (256 * 1024) /* changes beyond are counted only */

/** What a record is headed with. */
struct history_head {
	int64_t wall_us;
	unsigned long generation;
	struct span causes; /* a line each, with line ends */
};

/**
 * Append the record of `after` replacing `before` (NULL: the first table; no changes are listed).
 * RC_NOMEM.
 */
int history_write(const struct table *before, const struct table *after,
		  const struct history_head *head, struct buf *out) WARN_UNUSED;

/** The next whole record of `*text`, cut off its front. false: there is none. */
bool history_next(struct span *text, struct span *record);

/** The records that are kept of `text`: the last `n`. Cheap when there are few. */
struct span history_tail(struct span text, unsigned n);

/** How many whole records. */
unsigned history_count(struct span text);

/**
 * Does the record change the routes of `name`: a site, a domain, an address or an address space?
 * A mail address and a host count as what is behind their '@' or next '.'.
 */
bool history_concerns(struct span record, struct span name);

/** Append one JSON object: time, generation, rows, causes, changes, more. `name` as above: only
 * the changes of it; empty: all. */
void history_json(struct span record, struct span name, struct buf *out);

/** Append the record for people, with the same choice. */
void history_text(struct span record, struct span name, struct buf *out);
