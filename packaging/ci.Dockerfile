# The image for the jobs of ci/: a shell, git, curl, trusted certificates and the agent. `make images`
# builds it. By hand, in the project's root, after `make dist`:
#
#   cp ci/coin-agent-revert dist/root/
#   docker build -t coin-agent-ci -f packaging/ci.Dockerfile dist/root
#
# Another base has to be a Debian or an Ubuntu: --build-arg BASE=harbor.example.com/library/debian:12-slim
ARG BASE=debian:12-slim
FROM ${BASE}
ARG ARCH=amd64
ARG SOURCE_DATE_EPOCH
# The runner clones as root, and jobs run as another user: without safe.directory git refuses the clone.
# What apt and dpkg log differs from build to build.
RUN apt-get update \
	&& DEBIAN_FRONTEND=noninteractive apt-get install --no-install-recommends -y ca-certificates curl git \
	&& git config --system --add safe.directory '*' \
	&& useradd --uid 1000 --create-home ci \
	&& rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/ldconfig/aux-cache /var/log/apt /var/log/*.log
COPY agent-${ARCH} /usr/local/bin/agent
COPY coin-agent-revert /usr/local/bin/
COPY LICENSE THIRD_PARTY.gz /usr/share/doc/coin-agent/
USER 1000
CMD ["bash"]
