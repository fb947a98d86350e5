# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "Exact product-quantization distance scans"
DESCRIPTION = "Squared L2 distances to product-quantized vectors, with the same \
ids and distance bits on every CPU; code for SSSE3 to AVX-512 and for NEON is \
chosen when the program runs."
LICENSE = "(MIT | Apache-2.0) & CC-BY-4.0 & CC0-1.0"
LICENSE:${PN} = "MIT | Apache-2.0"
LICENSE:${PN}-tools = "(MIT | Apache-2.0) & CC-BY-4.0 & CC0-1.0"
LIC_FILES_CHKSUM = "file://COPYING;md5=b0a5baa7d9f5f36455f00d902cf0a3b0"

# Put the release tarball into files/ beside this recipe.
SRC_URI = "file://pqkern-${PV}.tar.gz"

inherit autotools pkgconfig

# The tests need Check and run on the target: make check-bundle packs them.
EXTRA_OECONF = "--with-check=no"

PACKAGES =+ "${PN}-tools"
FILES:${PN}-tools = "${bindir} ${datadir}/pqkern ${datadir}/bash-completion"
RDEPENDS:${PN}-tools = "${PN}"
