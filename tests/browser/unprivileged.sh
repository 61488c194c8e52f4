#!/bin/sh
# A browser that may open only what any user may: root's rights would open ports that are in use or forbidden.
exec setpriv --bounding-set=-sys_admin,-dac_override,-dac_read_search --inh-caps=-all "$LOGDOCK_CHROMIUM" "$@"
