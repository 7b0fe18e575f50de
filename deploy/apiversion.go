package deploy

import (
	"cmp"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/versions"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
)

// newField is a field that engines with an API version before since drop silently.
// since is "" for a field that no engine supports for services.
type newField struct {
	name  string
	since string
	used  bool
}

// newFields lists the fields that are newer than API 1.41, the oldest supported version,
// and tells which of them a container uses.
func newFields(c swarm.ContainerSpec) []newField {
	privileges := cmp.Or(c.Privileges, &swarm.Privileges{})
	check := cmp.Or(c.Healthcheck, &container.HealthConfig{})
	mounted := func(used func(mount.Mount) bool) bool { return slices.ContainsFunc(c.Mounts, used) }
	return []newField{
		{"privileges.seccomp", "1.44", privileges.Seccomp != nil},
		{"privileges.apparmor", "1.44", privileges.AppArmor != nil},
		{"privileges.no_new_privileges", "1.44", privileges.NoNewPrivileges},
		{"healthcheck.start_interval", "1.44", check.StartInterval != 0},
		{"volume.subpath", "1.45", mounted(func(m mount.Mount) bool {
			return m.VolumeOptions != nil && m.VolumeOptions.Subpath != ""
		})},
		{"tmpfs.options", "1.46", mounted(func(m mount.Mount) bool {
			return m.TmpfsOptions != nil && len(m.TmpfsOptions.Options) > 0
		})},
		{"oom_score_adj", "1.46", c.OomScoreAdj != 0},
		{"cluster volumes", "1.42", mounted(func(m mount.Mount) bool { return m.Type == mount.TypeCluster })},
		{"bind.create_host_path", "", mounted(func(m mount.Mount) bool {
			return m.BindOptions != nil && m.BindOptions.CreateMountpoint
		})},
		{"bind.recursive readonly", "", mounted(func(m mount.Mount) bool {
			return m.BindOptions != nil && (m.BindOptions.ReadOnlyNonRecursive || m.BindOptions.ReadOnlyForceRecursive)
		})},
		{"image mounts", "", mounted(func(m mount.Mount) bool { return m.Type == mount.TypeImage || m.ImageOptions != nil })},
	}
}

// unknownFields refuses fields that an engine with this API version would drop silently.
func unknownFields(apiVersion string, want *compose.Stack) []error {
	var refused []error
	for _, name := range keys(want.Services) {
		for _, field := range newFields(containerOf(want.Services[name])) {
			switch {
			case !field.used:
			case field.since == "":
				refused = append(refused, fault.New(fault.Place{}, "remove it from the compose file",
					"service %s uses %s, which Swarm does not support for services", name, field.name))
			case apiVersion != "" && versions.LessThan(apiVersion, field.since):
				refused = append(refused, fault.New(fault.Place{}, "upgrade the engine, or remove it from the compose file",
					"service %s uses %s, which needs engine API %s; this engine speaks %s", name, field.name, field.since, apiVersion))
			}
		}
	}
	if err := tooOld(apiVersion); err != nil {
		refused = append(refused, err)
	}
	return refused
}

// tooOld refuses an engine whose API version, unless unknown, is older than 1.41.
func tooOld(apiVersion string) error {
	const oldest = "1.41"
	if apiVersion == "" || !versions.LessThan(apiVersion, oldest) {
		return nil
	}
	return fault.New(fault.Place{}, "upgrade the engine to Docker 20.10 or newer",
		"the engine speaks API %s; the agent needs %s or newer", apiVersion, oldest)
}
