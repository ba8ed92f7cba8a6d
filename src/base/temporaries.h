#pragma once

#include <filesystem>
#include <mutex>

namespace taskneuron {

// Files and folders under a temporary name that must not outlive the program, however it ends.
// Whoever makes, renames or removes one, or makes the folders above it, does so holding this lock,
// so that a signal's clean-up (taskneuron/base/interruption.h) sees it either there and known or
// gone, and no folder that it has removed is made again.
[[nodiscard]] std::unique_lock<std::mutex> hold_temporaries();

// REQUIRES hold_temporaries().
void remember_temporary(const std::filesystem::path& path);
void forget_temporary(const std::filesystem::path& path);
void remove_temporaries();

}  // namespace taskneuron
