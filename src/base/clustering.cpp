#include "taskneuron/base/clustering.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace taskneuron {

namespace {

// Mean distances between the clusters that there are.
class Clusters {
 public:
  Clusters(const std::vector<double>& distances, std::int64_t items)
      : n_(static_cast<std::size_t>(items)), distance_(n_ * n_, 0.0) {
    TN_CHECK_EQ(distances.size(), n_ * (n_ - 1) / 2);
    std::size_t next = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      places_.push_back({i, static_cast<std::int64_t>(i), 1});
      for (std::size_t j = i + 1; j < n_; ++j) at(i, j) = at(j, i) = distances[next++];
    }
  }

  Merge merge_nearest() {
    std::size_t first = 0, second = 1;
    double nearest = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < places_.size(); ++i) {
      for (std::size_t j = i + 1; j < places_.size(); ++j) {
        const double distance = at(places_[i].row, places_[j].row);
        if (distance >= nearest) continue;
        nearest = distance;
        first = i;
        second = j;
      }
    }
    const Place a = places_[first], b = places_[second];
    for (const Place& other : places_) {
      const double mean = (static_cast<double>(a.items) * at(a.row, other.row) +
                           static_cast<double>(b.items) * at(b.row, other.row)) /
                          static_cast<double>(a.items + b.items);
      at(a.row, other.row) = at(other.row, a.row) = mean;
    }
    // In the order in which they were made.
    places_.erase(places_.begin() + static_cast<std::ptrdiff_t>(second));
    places_.erase(places_.begin() + static_cast<std::ptrdiff_t>(first));
    places_.push_back({a.row, made_ + static_cast<std::int64_t>(n_), a.items + b.items});
    ++made_;
    return {a.cluster, b.cluster, at(a.row, b.row) = nearest, a.items + b.items};
  }

 private:
  struct Place {
    std::size_t row;
    std::int64_t cluster;
    std::int64_t items;
  };
  double& at(std::size_t i, std::size_t j) { return distance_[i * n_ + j]; }

  std::size_t n_;
  std::vector<double> distance_;
  std::vector<Place> places_;
  std::int64_t made_ = 0;
};

// A name as Newick takes it: quoted where it holds what the format gives a meaning.
std::string quoted(const std::string& name) {
  if (!name.empty() && name.find_first_of(" \t\n()[]{}/\\,;:=*'\"`+<>_") == std::string::npos) {
    return name;
  }
  std::string text = "'";
  for (const char c : name) text += c == '\'' ? std::string("''") : std::string(1, c);
  return text + "'";
}

struct Tree {
  const std::vector<Merge>& merges;
  const std::vector<std::string>& names;

  std::int64_t items() const { return static_cast<std::int64_t>(names.size()); }
  bool is_item(std::int64_t cluster) const { return cluster < items(); }
  const Merge& merge(std::int64_t cluster) const {
    return merges[static_cast<std::size_t>(cluster - items())];
  }
  double height(std::int64_t cluster) const { return is_item(cluster) ? 0 : merge(cluster).height; }
  const std::string& name(std::int64_t item) const { return names[static_cast<std::size_t>(item)]; }
  std::int64_t root() const { return items() + static_cast<std::int64_t>(merges.size()) - 1; }
};

std::string newick_of(const Tree& tree, std::int64_t cluster) {
  if (tree.is_item(cluster)) return quoted(tree.name(cluster));
  const Merge& merge = tree.merge(cluster);
  const auto branch = [&](std::int64_t part) {
    return fmt::format("{}:{:.6g}", newick_of(tree, part), (merge.height - tree.height(part)) / 2);
  };
  return fmt::format("({},{})", branch(merge.left), branch(merge.right));
}

void add_lines(const Tree& tree, std::int64_t cluster, const std::string& mark,
               const std::string& indent, std::vector<std::string>& lines) {
  if (tree.is_item(cluster)) return lines.push_back(mark + tree.name(cluster));
  const Merge& merge = tree.merge(cluster);
  lines.push_back(fmt::format("{}{:.4f}", mark, merge.height));
  add_lines(tree, merge.left, indent + "├─ ", indent + "│  ", lines);
  add_lines(tree, merge.right, indent + "└─ ", indent + "   ", lines);
}

}  // namespace

std::vector<Merge> average_linkage(const std::vector<double>& distances, std::int64_t items) {
  TN_CHECK(items >= 1);
  Clusters clusters(distances, items);
  std::vector<Merge> merges;
  for (std::int64_t k = 1; k < items; ++k) merges.push_back(clusters.merge_nearest());
  return merges;
}

std::string newick(const std::vector<Merge>& merges, const std::vector<std::string>& names) {
  const Tree tree{merges, names};
  return newick_of(tree, tree.root()) + ";";
}

std::vector<std::string> tree_lines(const std::vector<Merge>& merges,
                                    const std::vector<std::string>& names) {
  const Tree tree{merges, names};
  std::vector<std::string> lines;
  add_lines(tree, tree.root(), "", "", lines);
  return lines;
}

}  // namespace taskneuron
