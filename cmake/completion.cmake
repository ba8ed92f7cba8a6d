# Completion is made by the program itself, of the options that it has. (LibTorch's start-up leaks
# would fail a sanitized build here.)
set(completion_folder ${PROJECT_BINARY_DIR}/completion)
add_custom_command(TARGET taskneuron_program POST_BUILD
  COMMAND ${CMAKE_COMMAND} -E make_directory ${completion_folder}
  COMMAND ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0 $<TARGET_FILE:taskneuron_program>
          completion bash > ${completion_folder}/taskneuron
  COMMAND ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0 $<TARGET_FILE:taskneuron_program>
          completion zsh > ${completion_folder}/_taskneuron
  VERBATIM)
install(FILES ${completion_folder}/taskneuron
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${completion_folder}/_taskneuron
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
