# SPDX-License-Identifier: MIT OR Apache-2.0

# --- libpqkern -------------------------------------------------------------

include_HEADERS = include/pqkern.h

# One convenience library per instruction set: its flags touch that variant's
# object and nothing else.  Where configure found no such instruction set, the
# object is empty.
PQK_CORE_CFLAGS = $(AM_CFLAGS) $(PQK_LIB_CFLAGS) $(PQK_PTHREAD)
PQK_KERNELS_ALL_CFLAGS = $(PQK_CORE_CFLAGS) $(PQK_NO_CAST_ALIGN) \
	$(PQK_ALIGN_CFLAGS) $(PQK_KERNEL_CFLAGS)

PQK_ALL_VARIANTS = \
	libpqk_scalar.la \
	libpqk_neon.la \
	libpqk_ssse3.la \
	libpqk_avx2.la \
	libpqk_avx512.la \
	libpqk_avx512vbmi.la
noinst_LTLIBRARIES += $(PQK_ALL_VARIANTS)

libpqk_scalar_la_SOURCES = \
	src/filter.h \
	src/kernels.c \
	src/kernels.h \
	src/kernels/bytes.h \
	src/kernels/encode.h \
	src/kernels/estimate_row.h \
	src/kernels/estimates.h \
	src/kernels/exact.h \
	src/kernels/first.h \
	src/kernels/grid.h \
	src/kernels/isa.h \
	src/kernels/layout.h \
	src/kernels/nearest.h \
	src/kernels/neon_32.h \
	src/kernels/neon_64.h \
	src/kernels/operation_table.h \
	src/kernels/pass.h \
	src/kernels/plan.h \
	src/kernels/prepare/cells.c \
	src/kernels/prepare/cells.h \
	src/kernels/prepare/codes.c \
	src/kernels/prepare/labels.c \
	src/kernels/prepare/layout.c \
	src/kernels/prepare/memory.h \
	src/kernels/prepare/order.c \
	src/kernels/prepare/order.h \
	src/kernels/prepare/restore.c \
	src/kernels/prepare/rounded.c \
	src/kernels/prepare/rounded.h \
	src/kernels/prepare/space.c \
	src/kernels/prepare/space.h \
	src/kernels/query.h \
	src/kernels/ranked.h \
	src/kernels/ranks.h \
	src/kernels/results.c \
	src/kernels/results.h \
	src/kernels/rounding.h \
	src/kernels/row_major.h \
	src/kernels/scalar.h \
	src/kernels/scan.h \
	src/kernels/stages.h \
	src/kernels/table.h \
	src/kernels/table_row.h \
	src/kernels/variant.h \
	src/kernels/ymm.h \
	src/kernels/zmm.h \
	src/operations.h \
	src/order.h \
	src/share.h \
	src/variants.h
libpqk_scalar_la_CFLAGS = $(PQK_KERNELS_ALL_CFLAGS)
libpqk_avx2_la_SOURCES = src/kernels/avx2.c
libpqk_avx2_la_CFLAGS = $(PQK_KERNELS_ALL_CFLAGS) $(PQK_AVX2_CFLAGS)
libpqk_avx512_la_SOURCES = src/kernels/avx512.c
libpqk_avx512_la_CFLAGS = $(PQK_KERNELS_ALL_CFLAGS) $(PQK_AVX512_CFLAGS)
libpqk_avx512vbmi_la_SOURCES = src/kernels/avx512vbmi.c
libpqk_avx512vbmi_la_CFLAGS = $(PQK_KERNELS_ALL_CFLAGS) $(PQK_AVX512VBMI_CFLAGS)
libpqk_neon_la_SOURCES = src/kernels/neon.c
libpqk_neon_la_CFLAGS = $(PQK_KERNELS_ALL_CFLAGS) $(PQK_NEON_CFLAGS)
libpqk_ssse3_la_SOURCES = src/kernels/ssse3.c
libpqk_ssse3_la_CFLAGS = $(PQK_KERNELS_ALL_CFLAGS) $(PQK_SSSE3_CFLAGS)

# --- the floor: what library, harness and command share -----------------------

# What the library itself needs of it.
noinst_LTLIBRARIES += libbase.la
libbase_la_SOURCES = \
	src/base/clock.h \
	src/base/little_endian.h \
	src/base/memory.c \
	src/base/memory.h \
	src/base/splitmix.h \
	src/base/team.c \
	src/base/team.h \
	src/base/threads.c \
	src/base/threads.h \
	src/base/xxh64.c \
	src/base/xxh64.h
libbase_la_CFLAGS = $(PQK_CORE_CFLAGS)

# What only programs do.
noinst_LTLIBRARIES += libprograms.la
libprograms_la_SOURCES = \
	src/base/host.c \
	src/base/host.h \
	src/base/median.c \
	src/base/median.h \
	src/base/progress.c \
	src/base/progress.h \
	src/base/sha256.c \
	src/base/sha256.h \
	src/base/synthetic.c \
	src/base/synthetic.h
libprograms_la_CFLAGS = $(AM_CFLAGS) $(PQK_PTHREAD)

# Training and encoding alone, for the harness too, which links no kernel.
noinst_LTLIBRARIES += libquantizer.la
libquantizer_la_SOURCES = \
	src/library/quantizer.h \
	src/library/quantizer/codes.c \
	src/library/quantizer/kmeans.c \
	src/library/quantizer/nearest.c \
	src/library/quantizer/nearest.h \
	src/library/quantizer/work.c \
	src/library/quantizer/work.h \
	src/library/shape.h
libquantizer_la_CFLAGS = $(PQK_CORE_CFLAGS)
libquantizer_la_LIBADD = libbase.la

# Everything, with hidden symbols within reach of the tests.
noinst_LTLIBRARIES += libpqkern-core.la
libpqkern_core_la_SOURCES = \
	src/library/collection/add.c \
	src/library/collection/codes.c \
	src/library/collection/collection.c \
	src/library/collection/collection.h \
	src/library/collection/contents.c \
	src/library/collection/filter.c \
	src/library/collection/open.c \
	src/library/collection/partition.c \
	src/library/collection/partition.h \
	src/library/collection/probe.c \
	src/library/collection/range.c \
	src/library/collection/regroup.c \
	src/library/collection/remove.c \
	src/library/collection/run.c \
	src/library/collection/save.c \
	src/library/collection/scratch.c \
	src/library/collection/search.c \
	src/library/collection/search.h \
	src/library/collection/sections.h \
	src/library/collection/stored.c \
	src/library/collection/stored.h \
	src/library/collection/tail.c \
	src/library/collection/tail.h \
	src/library/contract.c \
	src/library/cpu.c \
	src/library/cpu.h \
	src/library/file.c \
	src/library/file.h \
	src/library/format.c \
	src/library/format.h \
	src/library/index.c \
	src/library/index.h \
	src/library/metric.c \
	src/library/metric.h \
	src/library/prepared.c \
	src/library/prepared.h \
	src/library/quantizer/encode.c \
	src/library/quantizer/handle.c \
	src/library/quantizer/handle.h \
	src/library/quantizer/measure.c \
	src/library/quantizer/section.c \
	src/library/quantizer/section.h \
	src/library/quantizer/train.c \
	src/library/rerank.c \
	src/library/reserved.h \
	src/library/results.c \
	src/library/results.h \
	src/library/scanner.c \
	src/library/scanner.h \
	src/library/status.c \
	src/library/variants.c
libpqkern_core_la_CFLAGS = $(PQK_CORE_CFLAGS)
libpqkern_core_la_LIBADD = \
	$(PQK_ALL_VARIANTS) \
	libquantizer.la

lib_LTLIBRARIES = libpqkern.la
libpqkern_la_SOURCES =
libpqkern_la_LIBADD = libpqkern-core.la $(PQK_LIBM)
libpqkern_la_LDFLAGS = $(AM_LDFLAGS) $(PQK_PTHREAD) -no-undefined \
	-version-info $(PQK_LT_VERSION)
libpqkern_la_DEPENDENCIES = libpqkern-core.la
if PQK_HAVE_VERSION_SCRIPT
libpqkern_la_LDFLAGS += -Wl,--version-script=$(top_srcdir)/src/libpqkern.map
libpqkern_la_DEPENDENCIES += $(top_srcdir)/src/libpqkern.map
endif
EXTRA_DIST += src/libpqkern.map

pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = libpqkern.pc

# --- file formats, for the harness and the command --------------------------

noinst_LTLIBRARIES += libformats.la
libformats_la_SOURCES = \
	src/formats/checksum.c \
	src/formats/checksum.h \
	src/formats/error.c \
	src/formats/error.h \
	src/formats/faiss.c \
	src/formats/faiss.h \
	src/formats/layout.c \
	src/formats/layout.h \
	src/formats/npy.c \
	src/formats/npy.h \
	src/formats/output.c \
	src/formats/output.h \
	src/formats/rows.c \
	src/formats/rows.h \
	src/formats/source.c \
	src/formats/source.h \
	src/formats/vecs.c \
	src/formats/vecs.h
libformats_la_LIBADD = libprograms.la libbase.la

# --- the harness and run_experiment ----------------------------------------

# The judged library is loaded by path at run time, in a child process.  Where
# no shared library is built, the static one is linked in, and the result says
# so.
PQK_HARNESS_CPPFLAGS = $(AM_CPPFLAGS) \
	-DPQK_PKGDATADIR='"$(pkgdatadir)"' \
	-DPQK_LIBDIR='"$(libdir)"' \
	-DPQK_SONAME='"libpqkern.so.$(PQK_SOVERSION)"'
PQK_HARNESS_LIBS = libharness.la
if !PQK_SHARED
PQK_HARNESS_CPPFLAGS += -DPQK_STATIC_ONLY=1
PQK_HARNESS_LIBS += libpqkern.la
endif
PQK_HARNESS_LIBS += $(PQK_LIBDL) $(PQK_LIBM)

noinst_LTLIBRARIES += libharness.la
libharness_la_SOURCES = \
	src/harness/candidate/arm.c \
	src/harness/candidate/arm.h \
	src/harness/candidate/candidate.c \
	src/harness/candidate/candidate.h \
	src/harness/candidate/image.c \
	src/harness/candidate/image.h \
	src/harness/candidate/inputs.c \
	src/harness/candidate/inputs.h \
	src/harness/candidate/module.c \
	src/harness/candidate/module.h \
	src/harness/candidate/sandbox.c \
	src/harness/candidate/sandbox.h \
	src/harness/candidate/slot.c \
	src/harness/candidate/slot.h \
	src/harness/fixture/cache.c \
	src/harness/fixture/cache.h \
	src/harness/fixture/fixture.c \
	src/harness/fixture/fixture.h \
	src/harness/fixture/folder.c \
	src/harness/fixture/folder.h \
	src/harness/fixture/reference.c \
	src/harness/fixture/reference.h \
	src/harness/fixture/seeded.c \
	src/harness/fixture/seeded.h \
	src/harness/fixture/shape.h \
	src/harness/fixture/store.c \
	src/harness/fixture/store.h \
	src/harness/fixture/truth.c \
	src/harness/fixture/truth.h \
	src/harness/judge/cell.c \
	src/harness/judge/cell.h \
	src/harness/judge/checks.c \
	src/harness/judge/checks.h \
	src/harness/judge/guards.c \
	src/harness/judge/guards.h \
	src/harness/judge/holdout.c \
	src/harness/judge/holdout.h \
	src/harness/judge/judge.c \
	src/harness/judge/judge.h \
	src/harness/judge/measure.c \
	src/harness/judge/measure.h \
	src/harness/judge/prepare.c \
	src/harness/judge/prepare.h \
	src/harness/judge/processors.c \
	src/harness/judge/processors.h \
	src/harness/judge/queries.c \
	src/harness/judge/queries.h \
	src/harness/judge/report.c \
	src/harness/judge/report.h \
	src/harness/judge/rounds.c \
	src/harness/judge/rounds.h \
	src/harness/judge/seed.c \
	src/harness/judge/seed.h \
	src/harness/judge/statistics.c \
	src/harness/judge/statistics.h \
	src/harness/judge/varied.c \
	src/harness/judge/varied.h \
	src/harness/outcome.c \
	src/harness/outcome.h
libharness_la_CPPFLAGS = $(PQK_HARNESS_CPPFLAGS)
libharness_la_CFLAGS = $(AM_CFLAGS) $(PQK_PTHREAD)
libharness_la_LIBADD = libformats.la libquantizer.la

bin_PROGRAMS += run_experiment
run_experiment_SOURCES = src/run_experiment.c
run_experiment_CPPFLAGS = $(PQK_HARNESS_CPPFLAGS)
run_experiment_CFLAGS = $(AM_CFLAGS) $(PQK_PTHREAD)
# Its child has the candidate beside it.
run_experiment_LDFLAGS = $(AM_LDFLAGS) $(PQK_RELRO)
run_experiment_LDADD = $(PQK_HARNESS_LIBS)

# --- the command ------------------------------------------------------------

bin_PROGRAMS += pqkern
pqkern_SOURCES = \
	src/tool/bench.c \
	src/tool/bench.h \
	src/tool/bench_layout.c \
	src/tool/bench_matrix.c \
	src/tool/bench_print.c \
	src/tool/bench_set.c \
	src/tool/bench_time.c \
	src/tool/bench_ways.c \
	src/tool/build.c \
	src/tool/ends.c \
	src/tool/evaluate.c \
	src/tool/export.c \
	src/tool/import.c \
	src/tool/info.c \
	src/tool/input.c \
	src/tool/kernels.c \
	src/tool/main.c \
	src/tool/objects.c \
	src/tool/options.c \
	src/tool/remove.c \
	src/tool/report.c \
	src/tool/search.c \
	src/tool/tool.h \
	src/tool/train.c
pqkern_CPPFLAGS = $(AM_CPPFLAGS) -DPQK_PKGDATADIR='"$(pkgdatadir)"'
pqkern_CFLAGS = $(AM_CFLAGS) $(PQK_PTHREAD)
pqkern_LDADD = libformats.la libpqkern.la $(PQK_LIBM)

# --- make bench ------------------------------------------------------------

EXTRA_PROGRAMS += bench/bench
bench_bench_SOURCES = bench/bench.c
bench_bench_CFLAGS = $(AM_CFLAGS) $(PQK_PTHREAD)
bench_bench_LDADD = libharness.la libpqkern-core.la $(PQK_LIBDL) $(PQK_LIBM)
CLEANFILES += bench/bench$(EXEEXT)

# --- scripts/costs ----------------------------------------------------------

# Static, whatever else is built: what is counted is the program and nothing else.
EXTRA_PROGRAMS += bench/costs/query
bench_costs_query_SOURCES = bench/costs/query.c
bench_costs_query_LDFLAGS = $(AM_LDFLAGS) $(PQK_PTHREAD) -all-static
bench_costs_query_LDADD = libpqkern.la
CLEANFILES += bench/costs/query$(EXEEXT)
EXTRA_DIST += bench/costs/blocks.c bench/costs/table
