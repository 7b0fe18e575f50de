# The image for the jobs of ci/: a shell, git, curl, and the agent. Build it in the project's root:
#
#   make dist
#   cp ci/coin-agent-revert dist/root/
#   docker build -t coin-agent-ci -f packaging/ci.Dockerfile dist/root
FROM debian:12-slim
ARG ARCH=amd64
RUN apt-get update \
	&& apt-get install --no-install-recommends -y ca-certificates curl git \
	&& rm -rf /var/lib/apt/lists/*
COPY agent-${ARCH} /usr/local/bin/agent
COPY coin-agent-revert /usr/local/bin/
COPY LICENSE THIRD_PARTY.gz /usr/share/doc/coin-agent/
