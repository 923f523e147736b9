################################################################################
#
# python-ai-edge-litert
#
################################################################################

PYTHON_AI_EDGE_LITERT_VERSION = 2.3.0
PYTHON_AI_EDGE_LITERT_TAG = cp$(subst .,,$(PYTHON3_VERSION_MAJOR))
PYTHON_AI_EDGE_LITERT_SOURCE = ai_edge_litert-$(PYTHON_AI_EDGE_LITERT_VERSION)-$(PYTHON_AI_EDGE_LITERT_TAG)-$(PYTHON_AI_EDGE_LITERT_TAG)-manylinux_2_27_aarch64.whl
PYTHON_AI_EDGE_LITERT_SITE = $(FER_EDGE_FILES)/wheels
PYTHON_AI_EDGE_LITERT_SITE_METHOD = file
PYTHON_AI_EDGE_LITERT_LICENSE = Apache-2.0
PYTHON_AI_EDGE_LITERT_LICENSE_FILES = ai_edge_litert-$(PYTHON_AI_EDGE_LITERT_VERSION).dist-info/licenses/LICENSE
PYTHON_AI_EDGE_LITERT_SETUP_TYPE = pep517
PYTHON_AI_EDGE_LITERT_DEPENDENCIES = python-numpy

# For the licence alone: what is installed is the wheel itself.
define PYTHON_AI_EDGE_LITERT_EXTRACT_CMDS
	$(UNZIP) $(PYTHON_AI_EDGE_LITERT_DL_DIR)/$(PYTHON_AI_EDGE_LITERT_SOURCE) -d $(@D)
endef

# In place of a build: the step after it installs the wheel that lies in dist.
define PYTHON_AI_EDGE_LITERT_BUILD_CMDS
	mkdir -p $(@D)/dist
	cp $(PYTHON_AI_EDGE_LITERT_DL_DIR)/$(PYTHON_AI_EDGE_LITERT_SOURCE) $(@D)/dist/
endef

# 23 MB for GPUs and for another interface, which the interpreter does not load.
define PYTHON_AI_EDGE_LITERT_REMOVE_UNUSED
	rm -f $(TARGET_DIR)/usr/lib/python$(PYTHON3_VERSION_MAJOR)/site-packages/ai_edge_litert/libLiteRt*.so
endef
PYTHON_AI_EDGE_LITERT_POST_INSTALL_TARGET_HOOKS += PYTHON_AI_EDGE_LITERT_REMOVE_UNUSED

$(eval $(python-package))
