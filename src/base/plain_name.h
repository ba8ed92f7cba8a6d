#pragma once

#include <string>

namespace taskneuron {

// What is wrong with a name from a file that becomes a file's name, or is shown as it is: "" where
// nothing is. Not empty, at most 128 bytes, no slash, no control character, not "." or "..".
std::string problem_of_name(const std::string& name);
// Whether a terminal would do something else than show it.
bool holds_control(const std::string& text);
// Text on one line as a terminal may show it, whoever wrote it: controls as \xNN, ends of lines as
// spaces.
std::string shown(const std::string& text);
// The same, but ends of lines and tabs stay.
std::string shown_lines(const std::string& text);

}  // namespace taskneuron
