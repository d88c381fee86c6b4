/*
 * The file "dampening" of the state folder: what dampening remembers over a restart (M21).
 *
 *   waypost-dampening 1
 *   boot 3f0c… mono 123456 wall 1763922312000000
 *   2500000 suppressed s2.example.com          one line a domain: health_write_damping()
 *   checksum 00ff…                             of all lines before
 *
 * Pure. Penalties decay on the monotonic clock, which a wall clock that jumps does not touch; it
 * begins anew with the machine, so only then the wall clock says how long ago this was.
 */
#pragma once

#include "lib/buf.h"

#define DAMP_BOOT_BYTES 40

/** A moment. */
struct damp_stamp {
	char boot[DAMP_BOOT_BYTES]; /* the machine's boot id; "" where there is none */
	uint64_t mono_ms;           /* since then */
	int64_t wall_us;
};

/** Append the file: `lines`, written at `now`. */
void damp_file_write(const struct damp_stamp *now, struct span lines, struct buf *out);

/**
 * Read a file: its lines (borrowed), and how long ago they were written. A wall clock that went
 * back says nothing, which counts as no time.
 * Returns  RC_OK; RC_CORRUPT; RC_UNSUPPORTED (of another version).
 */
int damp_file_read(struct span file, const struct damp_stamp *now, struct span *lines,
		   uint64_t *age_ms) WARN_UNUSED;
