/*
 * The routing daemon put together: who owns what, and in which order it starts and stops.
 *
 *   sub ─batch─► model ─► sched ─► [pool: compute, compare, save] ─► swap ─► serve, ctl
 *                                                                     └────► publish
 *
 * Everything but the pool work runs on one loop. The table is immutable: the pool builds a new one
 * beside it, and the loop swaps the pointer. While the pool computes, batches wait, so the model
 * that it reads does not change.
 */
#pragma once

#include "routed/settings.h"

/**
 * Run until SIGTERM or SIGINT.
 * `takeover`: a routed that runs for the same state folder hands its sockets over and ends.
 * config_path is read again for the log level on SIGHUP, which also recomputes.
 * Returns  RC_OK after a clean stop, or why it could not start (already logged).
 */
int server_run(const struct settings *settings, const char *config_path, bool takeover) WARN_UNUSED;
