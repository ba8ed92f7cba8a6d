#pragma once

#include <filesystem>
#include <mutex>
#include <vector>

namespace taskneuron {

// Files and folders under a temporary name that must not outlive the program, however it ends.
// Whoever makes, renames or removes one, or makes the folders above it, does so holding this lock,
// so that a signal's clean-up (taskneuron/base/interruption.h) sees it either there and known or
// gone, and no folder that it has removed is made again.
[[nodiscard]] std::unique_lock<std::mutex> hold_temporaries();

// REQUIRES hold_temporaries().
void remember_temporary(const std::filesystem::path& path);
void forget_temporary(const std::filesystem::path& path);
// Folders that were made for what a temporary will become: a clean-up removes those that are empty.
void remember_made_folder(const std::filesystem::path& path);
void forget_made_folder(const std::filesystem::path& path);
// A file or folder that now lies complete under its own name; its temporary name is forgotten.
void exchange_temporary(const std::filesystem::path& temporary, const std::filesystem::path& path);
void remove_temporaries();
// Of what became complete, the paths that are still there, as they were given.
std::vector<std::filesystem::path> complete_paths();

}  // namespace taskneuron
