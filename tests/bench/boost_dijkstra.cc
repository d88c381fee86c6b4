// Least-cost paths with Boost.Graph, for a comparison with ours: CSR graph, Dijkstra from node 0.
//
// Reads "nodes edges" and then "from to cost" lines, sorted by `from`; prints the median and the
// least time of the runs in microseconds, and the sum of all distances.
#include <boost/graph/compressed_sparse_row_graph.hpp>
#include <boost/graph/dijkstra_shortest_paths.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <vector>

struct Link {
	unsigned cost;
};
using Graph = boost::compressed_sparse_row_graph<boost::directedS, boost::no_property, Link>;

int main()
{
	const int runs = 31;
	unsigned nodes, edges, sum = 0;
	std::vector<std::pair<unsigned, unsigned>> ends;
	std::vector<Link> links;

	if (scanf("%u %u", &nodes, &edges) != 2)
		return 2;
	for (unsigned i = 0; i < edges; i++) {
		unsigned from, to, cost;

		if (scanf("%u %u %u", &from, &to, &cost) != 3)
			return 2;
		ends.push_back({from, to});
		links.push_back({cost});
	}
	Graph g(boost::edges_are_sorted, ends.begin(), ends.end(), links.begin(), nodes);
	std::vector<unsigned> distance(nodes), parent(nodes);
	std::vector<double> took;
	auto index = boost::get(boost::vertex_index, g);

	for (int i = 0; i < runs; i++) {
		auto begun = std::chrono::steady_clock::now();

		boost::dijkstra_shortest_paths(
			g, 0,
			boost::weight_map(boost::get(&Link::cost, g))
				.distance_map(boost::make_iterator_property_map(distance.begin(), index))
				.predecessor_map(boost::make_iterator_property_map(parent.begin(), index)));
		took.push_back(std::chrono::duration<double, std::micro>(
				       std::chrono::steady_clock::now() - begun)
				       .count());
	}
	std::sort(took.begin(), took.end());
	for (unsigned d : distance)
		sum += d != std::numeric_limits<unsigned>::max() ? d : 0;
	printf("%.0f %.0f %u\n", took[runs / 2], took[0], sum);
	return 0;
}
