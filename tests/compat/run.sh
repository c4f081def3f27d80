#!/bin/sh
# usage: run.sh DAEMON [CLIENT] [options]     (as root; see README.md)
cd "$(dirname "$0")" || exit 2
exec env PYTHONDONTWRITEBYTECODE=1 python3 compat.py "$@"
