# The image for the jobs of ci/: a shell, git, curl, and the agent. Build it in the project's root:
#
#   make build
#   install -D -t build bin/agent ci/coin-agent-revert
#   docker build -t coin-agent-ci -f packaging/ci.Dockerfile build
FROM debian:12-slim
RUN apt-get update \
	&& apt-get install --no-install-recommends -y ca-certificates curl git \
	&& rm -rf /var/lib/apt/lists/*
COPY agent coin-agent-revert /usr/local/bin/
