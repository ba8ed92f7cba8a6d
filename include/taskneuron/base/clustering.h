#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace taskneuron {

// Two clusters that become one. Items are clusters 0 .. n − 1; merge k makes cluster n + k.
struct Merge {
  std::int64_t left = 0;  // left < right
  std::int64_t right = 0;
  double height = 0;  // mean distance between the items of one and of the other
  std::int64_t items = 0;
};

// Average linkage (UPGMA; Sokal & Michener 1958): again and again, the two clusters that are
// nearest on average become one, of equally near ones those that were made first. Heights ascend.
// distances: of every two of n items, (0, 1), (0, 2), ..., (1, 2), ....
std::vector<Merge> average_linkage(const std::vector<double>& distances, std::int64_t items);

// The tree in Newick's format; the path between two items is as long as the height at which they
// meet.
std::string newick(const std::vector<Merge>& merges, const std::vector<std::string>& names);

// A line per item and merge, which stands under the one that it is part of.
std::vector<std::string> tree_lines(const std::vector<Merge>& merges,
                                    const std::vector<std::string>& names);

}  // namespace taskneuron
