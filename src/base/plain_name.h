#pragma once

#include <string>

namespace taskneuron {

// What is wrong with a name from a file that becomes a file's name, or is shown as it is: "" where
// nothing is. Not empty, at most 128 bytes, no slash, no control character, not "." or "..".
std::string problem_of_name(const std::string& name);

}  // namespace taskneuron
