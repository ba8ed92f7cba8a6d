# LibTorch as a Python environment has it (the `torch` wheel), from Torch_DIR. Its own package file asks for a CUDA toolkit
# where it was built with CUDA, and takes another LibTorch's library where the system has one; nothing here needs the first.
get_filename_component(torch_prefix "${Torch_DIR}/../../.." ABSOLUTE)
set(torch_libraries "")
foreach(name torch torch_cpu c10 torch_cuda c10_cuda)
  set(library "${torch_prefix}/lib/lib${name}.so")
  if(EXISTS "${library}")
    list(APPEND torch_libraries "${library}")
  elseif(NOT name MATCHES "cuda")
    message(FATAL_ERROR "${library} is not there: Torch_DIR must be the folder of TorchConfig.cmake in a torch package, as "
                        "python3 -c \"import torch; print(torch.utils.cmake_prefix_path)\" prints it, with /Torch behind it.")
  endif()
endforeach()
file(STRINGS "${Torch_DIR}/TorchConfig.cmake" old_strings REGEX "_GLIBCXX_USE_CXX11_ABI=0")
if(old_strings)
  message(FATAL_ERROR "${torch_prefix} was built with the strings of GCC 4, which no other library here has: take torch 2.7 or later.")
endif()

set(TORCH_CXX_FLAGS "")
set(TORCH_INCLUDE_DIRS ${torch_prefix}/include ${torch_prefix}/include/torch/csrc/api/include)
add_library(torch INTERFACE IMPORTED)
target_include_directories(torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
# What runs on GPUs registers itself when it is loaded: nothing refers to it.
target_link_options(torch INTERFACE -Wl,--no-as-needed)
target_link_libraries(torch INTERFACE ${torch_libraries})
# Installed programs find it there too.
list(APPEND CMAKE_INSTALL_RPATH ${torch_prefix}/lib)
message(STATUS "LibTorch: ${torch_prefix}")
# It brings headers of a {fmt} of its own, which no library here belongs to.
if(EXISTS "${torch_prefix}/include/fmt")
  target_compile_definitions(torch INTERFACE FMT_HEADER_ONLY)
endif()
