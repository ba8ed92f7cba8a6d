# Everything comes from the system's packages, LibTorch from a Python environment if one is named; nothing is downloaded.
if(EXISTS "${Torch_DIR}/../../../__init__.py")
  include(${CMAKE_CURRENT_LIST_DIR}/torch_of_python.cmake)
else()
  find_package(Torch REQUIRED)
endif()
find_package(fmt REQUIRED)
if(TASKNEURON_ONEDNN)
  # Not by oneDNN's own package file: Debian 12's demands OpenCL, which nothing here uses.
  find_path(DNNL_INCLUDE oneapi/dnnl/dnnl.hpp)
  find_library(DNNL_LIBRARY dnnl)
  if(NOT DNNL_INCLUDE OR NOT DNNL_LIBRARY)
    message(FATAL_ERROR "oneDNN is not there (Debian: libdnnl-dev). -DTASKNEURON_ONEDNN=OFF builds without it: "
                        "products are LibTorch's then, slower on CPUs with AVX-512.")
  endif()
endif()
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_path(PCRE2_INCLUDE pcre2.h REQUIRED)
find_library(PCRE2_LIBRARY pcre2-8 REQUIRED)
find_path(UTF8PROC_INCLUDE utf8proc.h REQUIRED)
find_library(UTF8PROC_LIBRARY utf8proc REQUIRED)
# Gloo's headers: the library is in LibTorch.
find_path(GLOO_INCLUDE gloo/context.h REQUIRED)
find_path(NLOHMANN_JSON_INCLUDE nlohmann/json.hpp REQUIRED)
find_path(CLI11_INCLUDE CLI/CLI.hpp REQUIRED)

# What every target is compiled with. LibTorch's headers count as system headers: their warnings
# are not ours.
add_library(taskneuron_settings INTERFACE)
target_include_directories(taskneuron_settings INTERFACE ${PROJECT_SOURCE_DIR}/include
                                                         ${PROJECT_SOURCE_DIR}/src)
target_include_directories(taskneuron_settings SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS}
                                                                ${NLOHMANN_JSON_INCLUDE})
target_compile_options(taskneuron_settings INTERFACE -Wall -Wextra -Wshadow -Wno-unused-parameter
                                                     -Wno-stringop-overflow -Wno-restrict
                                                     -Wno-array-bounds
                                                     ${TORCH_CXX_FLAGS})
# g++ 13 takes a reference into a document for one into the view that it was reached through.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
  target_compile_options(taskneuron_settings INTERFACE -Wno-dangling-reference)
endif()
target_link_libraries(taskneuron_settings INTERFACE torch fmt::fmt)
if(TASKNEURON_SANITIZE STREQUAL "thread")
  # ThreadSanitizer sees no order in OpenMP's barriers: every loop would be a race.
  target_compile_options(taskneuron_settings INTERFACE
    -include ${PROJECT_SOURCE_DIR}/tests/support/threaded_loops.h)
else()
  # Without OpenMP switched on here, LibTorch's at::parallel_for compiles to a plain loop.
  target_link_libraries(taskneuron_settings INTERFACE OpenMP::OpenMP_CXX)
endif()
if(TASKNEURON_SANITIZE)
  target_compile_options(taskneuron_settings INTERFACE -fsanitize=${TASKNEURON_SANITIZE}
                                                       -fno-omit-frame-pointer)
  if(TASKNEURON_SANITIZE MATCHES "undefined")
    target_compile_options(taskneuron_settings INTERFACE -fno-sanitize-recover=undefined)
  endif()
  target_link_options(taskneuron_settings INTERFACE -fsanitize=${TASKNEURON_SANITIZE})
endif()

# One precompiled header for all targets: ATen and autograd are most of a compilation's time.
add_library(taskneuron_pch OBJECT ${PROJECT_SOURCE_DIR}/cmake/precompiled.cpp)
target_link_libraries(taskneuron_pch PRIVATE taskneuron_settings)
set(taskneuron_precompiled <ATen/ATen.h> <torch/csrc/autograd/custom_function.h>)
target_precompile_headers(taskneuron_pch PRIVATE ${taskneuron_precompiled})
