include(CMakePackageConfigHelpers)

install(TARGETS taskneuron EXPORT taskneuron_targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS taskneuron_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
set(program_rpath "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}" ${CMAKE_INSTALL_RPATH})
set_target_properties(taskneuron_program PROPERTIES INSTALL_RPATH "${program_rpath}")
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/taskneuron DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/taskneuron)
install(EXPORT taskneuron_targets NAMESPACE taskneuron:: DESTINATION ${package_folder})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/taskneuron-config.cmake.in
                              ${PROJECT_BINARY_DIR}/taskneuron-config.cmake
                              INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/taskneuron-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/taskneuron-config.cmake
              ${PROJECT_BINARY_DIR}/taskneuron-config-version.cmake
        DESTINATION ${package_folder})
