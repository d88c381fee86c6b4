#include "routed/latency.h"

static const unsigned bounds_us[LATENCY_BOUNDS] = {1,   2,   5,    10,    20,     50,
						   100, 200, 1000, 10000, 100000, 1000000};

void latency_add(struct latency *l, uint64_t ns)
{
	unsigned i = 0;

	while (i < LATENCY_BOUNDS && ns > (uint64_t)bounds_us[i] * 1000)
		i++;
	l->counts[i]++;
	l->sum_ns += ns;
}

void latency_write(const struct latency *l, const char *name, struct buf *out)
{
	unsigned long total = 0;
	unsigned i;

	for (i = 0; i < LATENCY_BOUNDS; i++) {
		total += l->counts[i];
		buf_printf(out, "%s_le_%u=%lu\n", name, bounds_us[i], total);
	}
	total += l->counts[LATENCY_BOUNDS];
	buf_printf(out, "%s_le_inf=%lu\n%s_sum=%llu\n%s_count=%lu\n", name, total, name,
		   (unsigned long long)(l->sum_ns / 1000), name, total);
}
