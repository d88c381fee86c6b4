/*
 * Many new entries at once: rows that belong to random places of large tables (names, entryUUIDs,
 * the value index, the change order) are gathered beside the database, sorted, and appended to
 * their table in one go, so that pages are written once and full.
 *
 * Between begin and end, rows of these tables can be put, in as many transactions as it takes, but
 * what reads the tables does not see them, apart from store_child(), store_find() and
 * store_by_uuid(); what was there before can be deleted. If it does not come to the end, the
 * database lacks rows and is of no use.
 */
#pragma once

#include "dird/store_int.h"

/** The file of all rows is in the database's folder; nobody else uses the store. RC_NOMEM, RC_FULL
 * ... */
int store_bulk_begin(struct store *s) WARN_UNUSED;

/** Is there anything gathered that the tables lack? */
bool store_bulk_is_open(const struct store *s);

/**
 * The rows to their tables, in write transactions of its own; `progress` is called now and then
 * with how many rows have been put since. Without a begin, nothing.
 */
int store_bulk_end(struct store *s, void (*progress)(void *arg, unsigned long rows),
		   void *arg) WARN_UNUSED;
