################################################################################
#
# python-fer-edge
#
################################################################################

# A local folder has no version to fetch and no hash: the wheel is made from
# the repository that this tree lies in.
PYTHON_FER_EDGE_VERSION = 0.1.0
PYTHON_FER_EDGE_SITE = $(FER_EDGE_FILES)
PYTHON_FER_EDGE_SITE_METHOD = local
PYTHON_FER_EDGE_LICENSE = Apache-2.0, MIT (detector)
PYTHON_FER_EDGE_LICENSE_FILES = LICENSE NOTICE
PYTHON_FER_EDGE_SETUP_TYPE = pep517
PYTHON_FER_EDGE_DEPENDENCIES = opencv4 python-ai-edge-litert python-numpy

# In place of a build: the step after it installs the wheel that lies in dist.
define PYTHON_FER_EDGE_BUILD_CMDS
	mkdir -p $(@D)/dist
	cp $(@D)/wheels/fer_edge-$(PYTHON_FER_EDGE_VERSION)-py3-none-any.whl $(@D)/dist/
endef

define PYTHON_FER_EDGE_INSTALL_CONFIG
	$(INSTALL) -D -m 0644 $(@D)/fer-edge.toml $(TARGET_DIR)/etc/fer-edge/fer-edge.toml
endef
PYTHON_FER_EDGE_POST_INSTALL_TARGET_HOOKS += PYTHON_FER_EDGE_INSTALL_CONFIG

define PYTHON_FER_EDGE_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(@D)/fer-edge.service $(TARGET_DIR)/usr/lib/systemd/system/fer-edge.service
endef

$(eval $(python-package))
