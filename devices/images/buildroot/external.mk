# The folder that prepare.py wrote: wheels, configuration and unit.
FER_EDGE_FILES = $(call qstrip,$(BR2_FER_EDGE_FILES))

include $(sort $(wildcard $(BR2_EXTERNAL_FER_EDGE_PATH)/package/*/*.mk))
