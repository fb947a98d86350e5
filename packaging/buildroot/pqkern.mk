# SPDX-License-Identifier: MIT OR Apache-2.0
################################################################################
#
# pqkern
#
################################################################################

PQKERN_VERSION = 0.1.0
# The release tarball, in this package's folder.
PQKERN_SITE = $(PQKERN_PKGDIR)
PQKERN_SITE_METHOD = file
PQKERN_SOURCE = pqkern-$(PQKERN_VERSION).tar.gz
PQKERN_LICENSE = MIT or Apache-2.0 (code), CC-BY-4.0, CC0-1.0 (data)
PQKERN_LICENSE_FILES = COPYING data/README
PQKERN_INSTALL_STAGING = YES
PQKERN_CONF_OPTS = --with-check=no

$(eval $(autotools-package))
