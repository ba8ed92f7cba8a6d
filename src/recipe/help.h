#pragma once

namespace taskneuron {

// What the names of sites mean, for an option's help.
inline constexpr const char* kSitesHelp =
    "act: the input of the FFN's down projection (TransformerLens: hook_post); up: the up "
    "projection's output; gate: the gate projection's, in gated FFNs; out: the FFN's output; "
    "paper: act and out, ranked together";

inline constexpr const char* kScopeHelp = "global: of all units; layer: of each layer's";

inline constexpr const char* kRandomKindHelp =
    "matched: as many per layer as the set that they stand beside; uniform: anywhere; outside: as "
    "matched, but none of that set's units";

inline constexpr const char* kOtherWeightsHelp =
    "Use sets that were made for other weights of the same shape";

}  // namespace taskneuron
