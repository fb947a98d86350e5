# SPDX-License-Identifier: MIT OR Apache-2.0

# C programs run by $(EMULATOR); those that use Check speak TAP, so that each
# of their cases counts.  Shell tests run natively and use $EMULATOR themselves.
TEST_EXTENSIONS = .sh
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) \
	$(top_srcdir)/build-aux/tap-driver.sh
if PQK_CAN_RUN
LOG_COMPILER = $(EMULATOR)
SH_LOG_COMPILER = $(SHELL)
else
LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/no-emulator
SH_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/no-emulator
endif

# Nothing is written outside the build folder.  Time limits are there to end
# hangs, so a busy machine and a slow emulator get ten times what is usual.
AM_TESTS_ENVIRONMENT = \
	abs_top_srcdir='$(abs_top_srcdir)'; export abs_top_srcdir; \
	abs_top_builddir='$(abs_top_builddir)'; export abs_top_builddir; \
	top_srcdir='$(top_srcdir)'; export top_srcdir; \
	top_builddir='$(top_builddir)'; export top_builddir; \
	EMULATOR='$(EMULATOR)'; export EMULATOR; \
	CC='$(CC)'; export CC; \
	CFLAGS='$(CFLAGS)'; export CFLAGS; \
	CPPFLAGS='$(CPPFLAGS)'; export CPPFLAGS; \
	LDFLAGS='$(LDFLAGS)'; export LDFLAGS; \
	NM='$(NM)'; export NM; \
	OBJDUMP='$(OBJDUMP)'; export OBJDUMP; \
	READELF='$(READELF)'; export READELF; \
	PKG_CONFIG='$(PKG_CONFIG)'; export PKG_CONFIG; \
	MAKE='$(MAKE)'; export MAKE; \
	PQK_ALIGN_CFLAGS='$(PQK_ALIGN_CFLAGS)'; export PQK_ALIGN_CFLAGS; \
	export $(PQK_VARIANT_FLAGS); \
	PQK_HOST='$(host)'; export PQK_HOST; \
	PQK_CROSS='$(PQK_CROSS)'; export PQK_CROSS; \
	PQK_SONAME='libpqkern.so.$(PQK_SOVERSION)'; export PQK_SONAME; \
	PQK_SHARED='$(PQK_WITH_SHARED)'; export PQK_SHARED; \
	PQK_STATIC='$(PQK_WITH_STATIC)'; export PQK_STATIC; \
	PQK_CHECK_PROGRAMS='$(check_PROGRAMS)'; export PQK_CHECK_PROGRAMS; \
	XDG_CACHE_HOME='$(abs_top_builddir)/tests/cache'; \
	export XDG_CACHE_HOME; \
	CK_TAP_LOG_FILE_NAME=-; export CK_TAP_LOG_FILE_NAME; \
	CK_VERBOSITY=silent; export CK_VERBOSITY; \
	if test -n "$$EMULATOR"; then \
		: "$${CK_TIMEOUT_MULTIPLIER=20}"; \
		: "$${PQK_TEST_SCALE=0.1}"; \
		export PQK_TEST_SCALE; \
	fi; \
	: "$${CK_TIMEOUT_MULTIPLIER=10}"; \
	export CK_TIMEOUT_MULTIPLIER;

# What the tests share.
check_LTLIBRARIES += tests/libtestlib.la
tests_libtestlib_la_SOURCES = \
	tests/probing.c \
	tests/probing.h \
	tests/scratch.h \
	tests/testlib.c \
	tests/testlib.h
tests_libtestlib_la_CFLAGS = $(AM_CFLAGS) $(PQK_PTHREAD)

# What a test program is made of, unless it says otherwise.
PQK_CHECK_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(PQK_PTHREAD)
PQK_TEST_LIBS = tests/libtestlib.la libharness.la libpqkern-core.la
LDADD = $(PQK_TEST_LIBS) $(CHECK_LIBS) $(PQK_LIBDL) $(PQK_LIBM)

check_PROGRAMS += tests/selftest
tests_selftest_SOURCES = tests/selftest.c
tests_selftest_CFLAGS = $(AM_CFLAGS) $(PQK_PTHREAD)
tests_selftest_LDADD = $(PQK_TEST_LIBS) $(PQK_LIBDL) $(PQK_LIBM)

check_PROGRAMS += tests/kernels/shapes
tests_kernels_shapes_SOURCES = tests/kernels/shapes.c
tests_kernels_shapes_CFLAGS = $(AM_CFLAGS) $(PQK_PTHREAD)
tests_kernels_shapes_LDADD = $(PQK_TEST_LIBS) $(PQK_LIBDL) $(PQK_LIBM)

if HAVE_CHECK
# The longest first: the others fit in beside them.
check_PROGRAMS += \
	tests/kernels/check_kernels \
	tests/harness/fixture/check_fixture \
	tests/kernels/check_filters \
	tests/base/check_base \
	tests/base/check_sha256 \
	tests/formats/check_faiss \
	tests/formats/check_npy \
	tests/formats/check_vecs \
	tests/harness/fixture/check_floors \
	tests/harness/judge/check_judge \
	tests/harness/judge/check_report \
	tests/harness/judge/check_statistics \
	tests/kernels/check_encode \
	tests/kernels/check_heap \
	tests/kernels/check_operations \
	tests/library/check_api \
	tests/library/check_collection \
	tests/library/check_contract \
	tests/library/check_file \
	tests/library/check_quantizer \
	tests/library/check_quantizers \
	tests/library/check_sizes \
	tests/library/check_threads
endif

tests_base_check_base_SOURCES = \
	tests/base/check_base.c tests/checked.h tests/scratch.h
tests_base_check_base_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_base_check_sha256_SOURCES = tests/base/check_sha256.c tests/checked.h
tests_base_check_sha256_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_formats_check_faiss_SOURCES = tests/formats/check_faiss.c tests/checked.h
tests_formats_check_faiss_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_formats_check_npy_SOURCES = tests/formats/check_npy.c tests/checked.h
tests_formats_check_npy_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_formats_check_vecs_SOURCES = tests/formats/check_vecs.c tests/checked.h
tests_formats_check_vecs_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_harness_fixture_check_fixture_SOURCES = \
	tests/harness/fixture/check_fixture.c tests/checked.h
tests_harness_fixture_check_fixture_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_harness_fixture_check_floors_SOURCES = \
	tests/harness/fixture/check_floors.c tests/checked.h
tests_harness_fixture_check_floors_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_harness_judge_check_judge_SOURCES = \
	tests/harness/judge/check_judge.c tests/checked.h
tests_harness_judge_check_judge_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_harness_judge_check_report_SOURCES = \
	tests/harness/judge/check_report.c tests/checked.h tests/scratch.h
tests_harness_judge_check_report_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_harness_judge_check_statistics_SOURCES = \
	tests/harness/judge/check_statistics.c tests/checked.h
tests_harness_judge_check_statistics_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_kernels_check_encode_SOURCES = tests/kernels/check_encode.c tests/checked.h
tests_kernels_check_encode_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_kernels_check_filters_SOURCES = tests/kernels/check_filters.c tests/checked.h
tests_kernels_check_filters_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_kernels_check_heap_SOURCES = tests/kernels/check_heap.c tests/checked.h
tests_kernels_check_heap_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_kernels_check_kernels_SOURCES = tests/kernels/check_kernels.c tests/checked.h
tests_kernels_check_kernels_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_library_check_collection_SOURCES = tests/library/check_collection.c tests/checked.h
tests_library_check_collection_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_library_check_contract_SOURCES = tests/library/check_contract.c tests/checked.h
tests_library_check_contract_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_library_check_file_SOURCES = tests/library/check_file.c tests/checked.h
tests_library_check_file_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_library_check_quantizer_SOURCES = tests/library/check_quantizer.c tests/checked.h
tests_library_check_quantizer_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_library_check_quantizers_SOURCES = tests/library/check_quantizers.c tests/checked.h
tests_library_check_quantizers_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_library_check_sizes_SOURCES = tests/library/check_sizes.c tests/checked.h
tests_library_check_sizes_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_library_check_threads_SOURCES = tests/library/check_threads.c tests/checked.h
tests_library_check_threads_CFLAGS = $(PQK_CHECK_CFLAGS)

tests_library_check_api_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_library_check_api_SOURCES = \
	tests/checked.h \
	tests/library/check_api.c \
	tests/library/layout.c
# Libtool cuts a run path at spaces, and make check-bundle moves the program.
tests_library_check_api_LDFLAGS = $(AM_LDFLAGS) -no-install \
	-Wl,-rpath,'$$ORIGIN/../../.libs'
tests_library_check_api_LDADD = tests/libtestlib.la libpqkern.la libharness.la $(CHECK_LIBS) $(PQK_LIBDL) $(PQK_LIBM)

# The variants' sources again, with the same flags, for their operations alone: one
# library for each variant but scalar.  Their tables want none of the scan.
PQK_OPERATIONS_CFLAGS = $(PQK_KERNELS_ALL_CFLAGS) \
	-Wno-unused-const-variable -Wno-unused-function
PQK_OPERATIONS_LIBS = \
	tests/libops_avx2.la \
	tests/libops_avx512.la \
	tests/libops_avx512vbmi.la \
	tests/libops_neon.la \
	tests/libops_ssse3.la
check_LTLIBRARIES += $(PQK_OPERATIONS_LIBS)
tests_libops_avx2_la_SOURCES = src/kernels/avx2.c
tests_libops_avx2_la_CPPFLAGS = $(AM_CPPFLAGS) -DPQK_OPERATIONS
tests_libops_avx2_la_CFLAGS = $(PQK_OPERATIONS_CFLAGS) $(PQK_AVX2_CFLAGS)
tests_libops_avx512_la_SOURCES = src/kernels/avx512.c
tests_libops_avx512_la_CPPFLAGS = $(AM_CPPFLAGS) -DPQK_OPERATIONS
tests_libops_avx512_la_CFLAGS = $(PQK_OPERATIONS_CFLAGS) $(PQK_AVX512_CFLAGS)
tests_libops_avx512vbmi_la_SOURCES = src/kernels/avx512vbmi.c
tests_libops_avx512vbmi_la_CPPFLAGS = $(AM_CPPFLAGS) -DPQK_OPERATIONS
tests_libops_avx512vbmi_la_CFLAGS = $(PQK_OPERATIONS_CFLAGS) $(PQK_AVX512VBMI_CFLAGS)
tests_libops_neon_la_SOURCES = src/kernels/neon.c
tests_libops_neon_la_CPPFLAGS = $(AM_CPPFLAGS) -DPQK_OPERATIONS
tests_libops_neon_la_CFLAGS = $(PQK_OPERATIONS_CFLAGS) $(PQK_NEON_CFLAGS)
tests_libops_ssse3_la_SOURCES = src/kernels/ssse3.c
tests_libops_ssse3_la_CPPFLAGS = $(AM_CPPFLAGS) -DPQK_OPERATIONS
tests_libops_ssse3_la_CFLAGS = $(PQK_OPERATIONS_CFLAGS) $(PQK_SSSE3_CFLAGS)

tests_kernels_check_operations_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_kernels_check_operations_SOURCES = tests/kernels/check_operations.c tests/checked.h
tests_kernels_check_operations_LDADD = $(PQK_OPERATIONS_LIBS) $(PQK_TEST_LIBS) \
	$(CHECK_LIBS) $(PQK_LIBDL) $(PQK_LIBM)

# Calls that fail on demand need a linker that can put others in their place.
if PQK_HAVE_WRAP
if HAVE_CHECK
check_PROGRAMS += tests/library/check_faults
endif
endif
tests_library_check_faults_SOURCES = \
	tests/library/check_faults.c \
	tests/checked.h \
	tests/library/faults.c \
	tests/library/faults.h
tests_library_check_faults_CFLAGS = $(PQK_CHECK_CFLAGS)
tests_library_check_faults_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=aligned_alloc -Wl,--wrap=calloc -Wl,--wrap=free \
	-Wl,--wrap=malloc -Wl,--wrap=realloc -Wl,--wrap=reallocarray \
	-Wl,--wrap=strdup \
	-Wl,--wrap=pthread_create -Wl,--wrap=pthread_join \
	-Wl,--wrap=pthread_mutex_init \
	-Wl,--wrap=close -Wl,--wrap=fsync -Wl,--wrap=munmap \
	-Wl,--wrap=read -Wl,--wrap=realpath -Wl,--wrap=rename \
	-Wl,--wrap=write \
	-Wl,--wrap=fstat -Wl,--wrap=mmap -Wl,--wrap=open \
	-Wl,--wrap=pread -Wl,--wrap=pwrite \
	-Wl,--wrap=fstat64 -Wl,--wrap=mmap64 -Wl,--wrap=open64 \
	-Wl,--wrap=pread64 -Wl,--wrap=pwrite64

# The fuzzers as plain tests: the same inputs every time, and their corpora.
check_PROGRAMS += \
	tests/fuzz/fuzz_collection \
	tests/fuzz/fuzz_file \
	tests/fuzz/fuzz_formats \
	tests/fuzz/fuzz_probe
PQK_FUZZ_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
PQK_FUZZ_MAIN_CPPFLAGS = $(PQK_FUZZ_CPPFLAGS) -DPQK_FUZZ_MAIN
PQK_FUZZ_CFLAGS = $(AM_CFLAGS) $(PQK_PTHREAD)
PQK_FUZZ_LIBS = $(PQK_TEST_LIBS) $(PQK_LIBDL) $(PQK_LIBM)
PQK_FUZZ_MODEL = tests/fuzz/fuzz.h tests/fuzz/model.c tests/fuzz/model.h
tests_fuzz_fuzz_collection_SOURCES = tests/fuzz/fuzz_collection.c \
	$(PQK_FUZZ_MODEL)
tests_fuzz_fuzz_collection_CPPFLAGS = $(PQK_FUZZ_MAIN_CPPFLAGS)
tests_fuzz_fuzz_collection_CFLAGS = $(PQK_FUZZ_CFLAGS)
tests_fuzz_fuzz_collection_LDADD = $(PQK_FUZZ_LIBS)
tests_fuzz_fuzz_file_SOURCES = tests/fuzz/fuzz_file.c $(PQK_FUZZ_MODEL)
tests_fuzz_fuzz_file_CPPFLAGS = $(PQK_FUZZ_MAIN_CPPFLAGS)
tests_fuzz_fuzz_file_CFLAGS = $(PQK_FUZZ_CFLAGS)
tests_fuzz_fuzz_file_LDADD = $(PQK_FUZZ_LIBS)
tests_fuzz_fuzz_formats_SOURCES = tests/fuzz/fuzz_formats.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_formats_CPPFLAGS = $(PQK_FUZZ_MAIN_CPPFLAGS)
tests_fuzz_fuzz_formats_CFLAGS = $(PQK_FUZZ_CFLAGS)
tests_fuzz_fuzz_formats_LDADD = libformats.la $(PQK_FUZZ_LIBS)
tests_fuzz_fuzz_probe_SOURCES = tests/fuzz/fuzz_probe.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_probe_CPPFLAGS = $(PQK_FUZZ_MAIN_CPPFLAGS)
tests_fuzz_fuzz_probe_CFLAGS = $(PQK_FUZZ_CFLAGS)
tests_fuzz_fuzz_probe_LDADD = $(PQK_FUZZ_LIBS)

# The fuzzers themselves, for libFuzzer or AFL++: HACKING says how.
PQK_FUZZERS = \
	tests/fuzz/fuzzer_collection \
	tests/fuzz/fuzzer_file \
	tests/fuzz/fuzzer_formats \
	tests/fuzz/fuzzer_probe
EXTRA_PROGRAMS += $(PQK_FUZZERS)
CLEANFILES += $(PQK_FUZZERS)
PQK_FUZZER_LINKING = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzzer_collection_SOURCES = $(tests_fuzz_fuzz_collection_SOURCES)
tests_fuzz_fuzzer_collection_CPPFLAGS = $(PQK_FUZZ_CPPFLAGS)
tests_fuzz_fuzzer_collection_CFLAGS = $(PQK_FUZZ_CFLAGS)
tests_fuzz_fuzzer_collection_LDFLAGS = $(PQK_FUZZER_LINKING)
tests_fuzz_fuzzer_collection_LDADD = $(tests_fuzz_fuzz_collection_LDADD)
tests_fuzz_fuzzer_file_SOURCES = $(tests_fuzz_fuzz_file_SOURCES)
tests_fuzz_fuzzer_file_CPPFLAGS = $(PQK_FUZZ_CPPFLAGS)
tests_fuzz_fuzzer_file_CFLAGS = $(PQK_FUZZ_CFLAGS)
tests_fuzz_fuzzer_file_LDFLAGS = $(PQK_FUZZER_LINKING)
tests_fuzz_fuzzer_file_LDADD = $(tests_fuzz_fuzz_file_LDADD)
tests_fuzz_fuzzer_formats_SOURCES = $(tests_fuzz_fuzz_formats_SOURCES)
tests_fuzz_fuzzer_formats_CPPFLAGS = $(PQK_FUZZ_CPPFLAGS)
tests_fuzz_fuzzer_formats_CFLAGS = $(PQK_FUZZ_CFLAGS)
tests_fuzz_fuzzer_formats_LDFLAGS = $(PQK_FUZZER_LINKING)
tests_fuzz_fuzzer_formats_LDADD = $(tests_fuzz_fuzz_formats_LDADD)
tests_fuzz_fuzzer_probe_SOURCES = $(tests_fuzz_fuzz_probe_SOURCES)
tests_fuzz_fuzzer_probe_CPPFLAGS = $(PQK_FUZZ_CPPFLAGS)
tests_fuzz_fuzzer_probe_CFLAGS = $(PQK_FUZZ_CFLAGS)
tests_fuzz_fuzzer_probe_LDFLAGS = $(PQK_FUZZER_LINKING)
tests_fuzz_fuzzer_probe_LDADD = $(tests_fuzz_fuzz_probe_LDADD)
fuzzers:
	$(MAKE) $(PQK_FUZZERS)
.PHONY: fuzzers

# A tarball has the corpora with whatever files they have come to have.
dist-hook:
	$(MKDIR_P) $(distdir)/tests/fuzz/corpus
	cp -R $(top_srcdir)/tests/fuzz/corpus/. $(distdir)/tests/fuzz/corpus
	chmod -R u+w $(distdir)/tests/fuzz/corpus

# Shell tests.  Those that run other tests or build something come first, so
# that they do not end alone.
PQK_SHELL_TESTS = \
	tests/harness/judge/judge.sh \
	tests/harness/judge/calibrated.sh \
	tests/trial/trial.sh \
	tests/trial/pieces.sh \
	tests/trial/counted.sh \
	tests/library/nehalem.sh \
	tests/trial/wall.sh \
	tests/tool/tool.sh \
	tests/tool/bench.sh \
	tests/package/installed.sh \
	tests/library/examples.sh \
	tests/library/exported-symbols.sh \
	tests/harness/candidate/harness-no-kernel.sh \
	tests/library/headers.sh \
	tests/library/isa-leak.sh \
	tests/package/lint.sh \
	tests/library/simd.sh \
	tests/harness/fixture/prepare_fixtures.sh \
	tests/package/with-check.sh

# The examples, built as a user would and run by tests/library/examples.sh.
PQK_EXAMPLES = \
	examples/ivf$(EXEEXT) \
	examples/mapped$(EXEEXT) \
	examples/search$(EXEEXT)
EXTRA_PROGRAMS += $(PQK_EXAMPLES)
CLEANFILES += $(PQK_EXAMPLES)
tests/library/examples.log: $(PQK_EXAMPLES)
PQK_EXAMPLES_LINKING = $(AM_LDFLAGS) -no-install \
	-Wl,-rpath,'$$ORIGIN/../.libs'
examples_ivf_SOURCES = examples/ivf.c
examples_ivf_CFLAGS = $(AM_CFLAGS)
examples_ivf_LDFLAGS = $(PQK_EXAMPLES_LINKING)
examples_ivf_LDADD = libpqkern.la
examples_mapped_SOURCES = examples/mapped.c
examples_mapped_CFLAGS = $(AM_CFLAGS)
examples_mapped_LDFLAGS = $(PQK_EXAMPLES_LINKING)
examples_mapped_LDADD = libpqkern.la
examples_search_SOURCES = examples/search.c
examples_search_CFLAGS = $(AM_CFLAGS)
examples_search_LDFLAGS = $(PQK_EXAMPLES_LINKING)
examples_search_LDADD = libpqkern.la
EXTRA_DIST += examples/search.py

# Candidates that cheat, as modules that tests/harness/judge/judge.sh has judged.
if PQK_SHARED
PQK_CHEAT_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
	-rpath /nowhere
check_LTLIBRARIES += \
	tests/harness/candidate/cheats/cheats.la \
	tests/harness/candidate/cheats/empty.la \
	tests/harness/candidate/cheats/slowed.la
tests_harness_candidate_cheats_cheats_la_SOURCES = \
	tests/harness/candidate/cheats/broken.c \
	tests/harness/candidate/cheats/called.h \
	tests/harness/candidate/cheats/cheats.c \
	tests/harness/candidate/cheats/cheats.h \
	tests/harness/candidate/cheats/dying.c \
	tests/harness/candidate/cheats/elsewhere.c \
	tests/harness/candidate/cheats/honest.c \
	tests/harness/candidate/cheats/honest.h \
	tests/harness/candidate/cheats/reaching.c \
	tests/harness/candidate/cheats/remembering.c \
	tests/harness/candidate/cheats/spin.h
# One cheat looks for a volatile pointer in memory.
tests_harness_candidate_cheats_cheats_la_CFLAGS = $(AM_CFLAGS) $(PQK_LIB_CFLAGS) \
	-Wno-cast-qual $(PQK_PTHREAD)
tests_harness_candidate_cheats_cheats_la_LDFLAGS = $(PQK_CHEAT_LDFLAGS)
tests_harness_candidate_cheats_cheats_la_LIBADD = $(PQK_LIBDL) $(PQK_LIBM)
tests_harness_candidate_cheats_empty_la_SOURCES = tests/harness/candidate/cheats/empty.c
tests_harness_candidate_cheats_empty_la_CFLAGS = $(AM_CFLAGS) $(PQK_PTHREAD)
tests_harness_candidate_cheats_empty_la_LDFLAGS = $(PQK_CHEAT_LDFLAGS)
tests_harness_candidate_cheats_empty_la_LIBADD = $(PQK_LIBM)
tests_harness_candidate_cheats_slowed_la_SOURCES = \
	tests/harness/candidate/cheats/called.h \
	tests/harness/candidate/cheats/slowed.c \
	tests/harness/candidate/cheats/spin.h
tests_harness_candidate_cheats_slowed_la_CFLAGS = $(AM_CFLAGS) $(PQK_LIB_CFLAGS)
tests_harness_candidate_cheats_slowed_la_LDFLAGS = $(PQK_CHEAT_LDFLAGS) \
	-Wl,-rpath,$(abs_top_builddir)/.libs
tests_harness_candidate_cheats_slowed_la_LIBADD = libpqkern.la $(PQK_LIBDL)

# The library, its code at other addresses: for check-statistics.
EXTRA_LTLIBRARIES = tests/harness/judge/moved.la
tests_harness_judge_moved_la_SOURCES = tests/harness/judge/moved.c
tests_harness_judge_moved_la_LDFLAGS = $(PQK_CHEAT_LDFLAGS) $(PQK_PTHREAD)
tests_harness_judge_moved_la_LIBADD = libpqkern-core.la $(PQK_LIBM)
endif

TESTS = $(PQK_SHELL_TESTS) $(check_PROGRAMS)
EXTRA_DIST += $(PQK_SHELL_TESTS) tests/harness/judge/check_statistics.py \
	tests/mutations/mutations.py tests/mutations/files.list \
	tests/mutations/judge.list tests/mutations/kernels.list \
	tests/mutations/search.list tests/mutations/trial.list \
	tests/no-emulator tests/tool/command.sh tests/trial/pieces.py \
	tests/trial/counted.py \
	tests/trial/trial.py \
	tests/trial/trial_dies.py \
	tests/trial/wall.py

clean-local:
	-rm -rf tests/cache tests/*.tmp check-mutations check-statistics.tmp
