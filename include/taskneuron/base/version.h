#pragma once

namespace taskneuron {

// "major.minor.patch" of this library; written into every file that it makes.
const char* version();

}  // namespace taskneuron
