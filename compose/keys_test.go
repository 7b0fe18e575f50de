package compose_test

import (
	"slices"
	"strings"
	"testing"
)

// TestNoKeyIsLostInSilence gives Render the keys of a service that Compose has and
// the docker CLI has not: each is refused or warned of.
func TestNoKeyIsLostInSilence(t *testing.T) {
	for _, line := range []string{
		"annotations: {a: b}", "attach: false", "blkio_config: {weight: 1}", "build: .", "cgroup: host", "cgroup_parent: a", "container_name: a",
		"cpu_count: 1", "cpu_period: 1", "cpu_shares: 1", "cpus: 1", "cpuset: '0'", "depends_on: [app]", "develop: {}", "device_cgroup_rules: [c 1:3 mr]",
		"devices: [/dev/a]", "dns_opt: [a]", "domainname: a", "entrypoint_extra: a", "expose: ['1']", "external_links: [a]", "gpus: all", "group_add: [a]",
		"ipc: host", "label_file: a", "links: [app]", "mac_address: a", "mem_limit: 1m", "mem_reservation: 1m", "mem_swappiness: 1", "memswap_limit: 1m",
		"models: [a]", "network_mode: host", "oom_kill_disable: true", "pid: host", "pids_limit: 1", "platform: linux/amd64", "post_start: [{command: a}]",
		"pre_stop: [{command: a}]", "privileged: true", "profiles: [a]", "provider: {type: a}", "pull_policy: always", "runtime: a", "scale: 3", "security_opt: [a]",
		"shm_size: 1m", "storage_opt: {a: b}", "tmpfs: /a", "use_api_socket: true", "userns_mode: host", "uts: host", "volumes_from: [app]",
	} {
		key, _, _ := strings.Cut(line, ":")
		t.Run(key, func(t *testing.T) {
			stack, err := renderFiles(t, map[string]string{"docker-compose.yml": app + "    " + line + "\n"})
			var said []string
			if err != nil {
				said = describe(t, err)
			} else {
				for _, warning := range stack.Warnings {
					said = append(said, strings.TrimPrefix(warning.Error(), nodeDir))
				}
			}
			if !slices.ContainsFunc(said, func(text string) bool {
				return strings.HasPrefix(text, "docker-compose.yml:4: ") && strings.Contains(text, key)
			}) {
				t.Errorf("%s: said %q", line, said)
			}
		})
	}
}
