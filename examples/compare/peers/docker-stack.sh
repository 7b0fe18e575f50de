#!/bin/sh
# An example of a script for another tool: docker stack deploy once more, with all services
# of a stack at once. README.md says what a script gets, and what it has to do.
set -eu
case $1 in
start | stop) ;; # no daemon
deploy) cd "$2" && exec docker stack deploy --compose-file docker-compose.yml --resolve-image always --prune "$3" ;;
remove) exec docker stack rm "$2" ;;
*)
	echo "$0: error: unknown command $1" >&2
	exit 2
	;;
esac
