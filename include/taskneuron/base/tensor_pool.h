#pragma once

namespace taskneuron {

// Lets LibTorch take the memory of large tensors on the CPU from a pool of whole pages. With
// malloc, batch after batch of tensors of ever new sizes leaves holes: measured, a third more
// memory than the tensors need; and the largest blocks go back to the system each time, to be
// faulted in again. The pool keeps freed blocks for reuse as long as that does not raise the peak.
// Process-wide; call once, before tensors are made.
void use_tensor_pool();

// Gives what was freed but kept, by the pool and by malloc, back to the system: what is measured
// from here on is not what something else before it needed.
void give_back_freed_memory();

}  // namespace taskneuron
