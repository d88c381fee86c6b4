/*
 * Work that comes with time, on one loop, in small steps through the writer: tombstones older than
 * their life time go (R9), and at start quarantine is tried again (R16).
 */
#pragma once

#include "lib/rc.h"

struct loop;
struct server;
struct upkeep;

int upkeep_start(struct server *s, struct loop *home, struct upkeep **out) WARN_UNUSED;
/** From the thread that started it; loop and writer still run. */
void upkeep_stop(struct upkeep **u);
