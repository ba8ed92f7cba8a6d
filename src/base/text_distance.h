#pragma once

#include <string>
#include <vector>

namespace taskneuron {

// The candidate that is fewest edits (insert, delete, replace) away from text, or "" if none is
// near.
std::string nearest_text(const std::string& text, const std::vector<std::string>& candidates);

}  // namespace taskneuron
