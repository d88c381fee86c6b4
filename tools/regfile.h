/*
 * Registry exports: "REGEDIT4" (bytes) and "Windows Registry Editor Version 5.00" (UTF-16LE with a
 * byte order mark, or UTF-8).
 *
 *   [HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\MSExchangeIMC\Parameters]
 *   "OnlySystemMessagesUseCDs"=dword:00000001
 *
 * Pure: bytes in, values out.
 */
#pragma once

#include "lib/arena.h"
#include "lib/rc.h"

enum regfile_kind {
	REGFILE_DWORD,
	REGFILE_OTHER,   /* text, binary, ... : not read */
	REGFILE_REMOVED, /* "name"=-, or the whole key by [-key]: then name.p is NULL */
};

struct regfile_value {
	unsigned long line;
	struct span key, name; /* UTF-8 */
	enum regfile_kind kind;
	uint32_t dword;
};

/** A code other than RC_OK ends the reading. */
typedef int regfile_value_fn(void *arg, const struct regfile_value *v);

/**
 * Call `fn` for every value, in the order of the file.
 * Returns  RC_OK; RC_INVALID with the line in *line and what is wrong in *why; RC_NOMEM; what `fn`
 *          returns.
 */
int regfile_read(struct span file, regfile_value_fn *fn, void *arg, unsigned long *line,
		 const char **why) WARN_UNUSED;
