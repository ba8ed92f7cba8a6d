// Before every other header, for clang with a LibTorch older than 2.0: std::vector and what it is
// made of not constexpr. Its c10::IValue has members of std::vector<IValue> inside of itself, and
// clang wants the bodies of constexpr functions at once, where the class is not complete.
#include <bits/allocator.h>

#include <tuple>
#include <utility>
#pragma push_macro("_GLIBCXX20_CONSTEXPR")
#undef _GLIBCXX20_CONSTEXPR
#define _GLIBCXX20_CONSTEXPR
#include <bits/stl_algobase.h>

#include <algorithm>
#include <vector>
#pragma pop_macro("_GLIBCXX20_CONSTEXPR")
