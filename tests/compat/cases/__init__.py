"""All cases, in the order of their files."""

from cases import (sequence, flags, time, doors, targets, ipv6, commands, log, reload, process, one_time,  # noqa: F401
                   configuration, odd_files, client)
from cases.base import CASES  # noqa: F401
