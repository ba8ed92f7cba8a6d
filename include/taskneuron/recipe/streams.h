#pragma once

#include <string>
#include <vector>

#include "taskneuron/recipe/continual.h"

namespace taskneuron {

// Results of `continual` from several calls, folders or machines, put together and compared.
struct StreamsOptions {
  std::vector<std::string> files;
  std::vector<std::string> compare;  // methods two by two: the first of each with the second
  void declare(OptionList& list);
};

// Metrics are computed anew from the matrices. Throws Error naming file and place for what is no
// such result or a matrix that has not the shape of its tasks; for results whose settings differ
// in anything but the version; for a method whose settings, or an order whose tasks, are not
// everywhere the same; and for a stream that is there twice.
ContinualResult streams_from_files(const StreamsOptions& options);

}  // namespace taskneuron
