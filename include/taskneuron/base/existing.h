#pragma once

namespace taskneuron {

// The rule for everything that this program writes: a path where nothing lies, or a regular file
// that may be replaced. Never a symbolic link, FIFO, device or folder. Missing folders above it are
// made when there is something to write, and removed again if nothing comes of it.
enum class Existing { kRefuse, kReplace };

}  // namespace taskneuron
