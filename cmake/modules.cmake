# taskneuron_module(NAME): an object library of src/NAME/*.cpp, one per folder of the architecture.
# All of them together are libtaskneuron. tools/check_layers.py enforces who may include whom.
function(taskneuron_module name)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  list(REMOVE_ITEM sources ${taskneuron_left_out})
  add_library(taskneuron_${name} OBJECT ${sources})
  target_link_libraries(taskneuron_${name} PUBLIC taskneuron_settings)
  target_precompile_headers(taskneuron_${name} REUSE_FROM taskneuron_pch)
  set_property(GLOBAL APPEND PROPERTY taskneuron_modules taskneuron_${name})
endfunction()
