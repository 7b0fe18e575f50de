package policy

import (
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/mount"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/hostpath"
)

// BindMount is a path of the node that services may mount: itself and everything below it.
type BindMount struct {
	Path     string
	ReadOnly bool // mounts must be read-only
	Only     bool // nothing below it: a container could make a symbolic link there, to anywhere
}

// BindMounts are the paths that services may mount. Nil is not set.
type BindMounts []BindMount

// IsZero reports whether the rule is not set.
func (b BindMounts) IsZero() bool { return b == nil }

// MarshalText writes the path as agent.yml has it: /etc/ssl:ro,only.
func (b BindMount) MarshalText() ([]byte, error) {
	var options []string
	if b.ReadOnly {
		options = append(options, "ro")
	}
	if b.Only {
		options = append(options, "only")
	}
	if len(options) == 0 {
		return []byte(b.Path), nil
	}
	return []byte(b.Path + ":" + strings.Join(options, ",")), nil
}

// UnmarshalText reads a path of agent.yml.
func (b *BindMount) UnmarshalText(text []byte) error {
	file, options, has := strings.Cut(string(text), ":")
	*b = BindMount{Path: file}
	if !path.IsAbs(file) || hostpath.Twisted(file) {
		return fault.New(fault.Place{}, "write it from /, without ., .. and double slashes", "%q is not an absolute path in its plain form", file)
	}
	if !hostpath.Templated(file) {
		b.Path = path.Clean(file)
	}
	for option := range strings.SplitSeq(options, ",") {
		switch {
		case option == "ro":
			b.ReadOnly = true
		case option == "only":
			b.Only = true
		case has:
			return fault.New(fault.Place{}, "write :ro, :only or :ro,only after the path", "%q is not an option of a path", option)
		}
	}
	return nil
}

// covers reports whether the rule is about a path.
func (b BindMount) covers(source string) bool {
	if hostpath.Templated(source) || b.Only {
		return b.Path == source
	}
	return hostpath.Within(source, b.Path)
}

func readBindMounts(p *Policy, file string, value *yaml.Node) (err error) {
	p.BindMounts, err = readTexts[BindMount](file, "bind_mounts", value)
	return err
}

// bound is a path of the node that a service mounts, directly or by a local volume.
type bound struct {
	service  string
	source   string // in its plain form
	twisted  string // the path as it is written, if it is not in its plain form
	readOnly bool
	place    fault.Place
}

// binds lists what the services mount of the node's files.
func (j *judgement) binds() []bound {
	var all []bound
	for _, service := range j.services {
		for _, one := range service.container.Mounts {
			source, at := one.Source, j.item([]string{one.Target}, service.name, "volumes")
			twisted := ""
			if device, ok := boundDevice(one); ok {
				if source = device; hostpath.Twisted(device) {
					twisted = device
				}
				if key := j.of.Stack.Key("volumes", one.Source); key != "" {
					at = j.of.Stack.Place("volumes", key, "driver_opts", "device")
				}
			} else if one.Type != mount.TypeBind && one.Type != mount.TypeNamedPipe {
				continue
			}
			all = append(all, bound{service: service.name, source: hostpath.Plain(source), twisted: twisted, readOnly: one.ReadOnly, place: at})
		}
	}
	return all
}

// boundDevice gives the path that a volume of the local driver binds. Its options do not make
// it read-only: a later rw takes ro back, and an rbind has other mounts below it.
func boundDevice(one mount.Mount) (device string, ok bool) {
	driver := localDriver(one)
	if driver == nil {
		return "", false
	}
	options := strings.Split(driver["o"], ",")
	return driver["device"], slices.Contains(options, "bind") || slices.Contains(options, "rbind")
}

// localDriver gives the options of a volume of the local driver; nil for any other mount.
func localDriver(one mount.Mount) map[string]string {
	if one.Type != mount.TypeVolume || one.VolumeOptions == nil || one.VolumeOptions.DriverConfig == nil {
		return nil
	}
	driver := one.VolumeOptions.DriverConfig
	if driver.Name != "" && driver.Name != "local" {
		return nil
	}
	return driver.Options
}

// judgeMounts refuses paths of the node that no rule covers, and the engine's socket.
func judgeMounts(j *judgement) {
	p := j.policy
	for _, one := range j.binds() {
		// The engine cleans the source of a bind mount, and not the device of a volume: the kernel
		// follows a link before it goes up.
		if one.twisted != "" && (p.dangerous(p.BindMounts != nil) || p.dangerous(p.EngineSocket != nil)) {
			j.refuse("bind_mounts", one.service, one.place, "write it from /, without ., .. and double slashes", "mounts the device %s, which is not in its plain form", one.twisted)
			continue
		}
		socket := j.isSocket(one.source)
		if socket && p.dangerous(p.EngineSocket != nil) && !p.EngineSocket.Match(one.service) && !p.BindMounts.names(one.source) {
			j.refuse("engine_socket", one.service, one.place, allow("remove the mount", "engine_socket", one.service),
				"mounts %s, which gives it the engine's socket and so the node", one.source)
			continue
		}
		if socket && p.EngineSocket.Match(one.service) && slices.Contains(j.sockets(), one.source) || !p.dangerous(p.BindMounts != nil) {
			continue
		}
		covering := slices.DeleteFunc(slices.Clone(p.BindMounts), func(b BindMount) bool { return !b.covers(one.source) && !b.covers(hostpath.Alias(one.source)) })
		switch {
		case len(covering) == 0:
			j.refuse("bind_mounts", one.service, one.place, allow("remove the mount", "bind_mounts", one.source+":only"), "mounts %s of the node", one.source)
		case !one.readOnly && !slices.ContainsFunc(covering, func(b BindMount) bool { return !b.ReadOnly }):
			j.refuse("bind_mounts", one.service, one.place, "make it read-only: add :ro, or read_only: true", "mounts %s of the node and may write to it", one.source)
		}
	}
}

// names reports whether a rule names a templated path: its text, which Swarm completes.
func (b BindMounts) names(source string) bool {
	return hostpath.Templated(source) && slices.ContainsFunc(b, func(one BindMount) bool { return one.Path == source })
}

func suggestMounts(p *Policy, j *judgement) {
	p.BindMounts = nil
	for _, one := range j.binds() {
		if slices.Contains(j.sockets(), one.source) {
			p.EngineSocket = append(p.EngineSocket, one.service)
			continue
		}
		if j.isSocket(one.source) {
			p.EngineSocket = append(p.EngineSocket, one.service)
		}
		i := slices.IndexFunc(p.BindMounts, func(b BindMount) bool { return b.Path == one.source })
		if i < 0 {
			p.BindMounts = append(p.BindMounts, BindMount{Path: one.source, ReadOnly: one.readOnly, Only: true})
			continue
		}
		p.BindMounts[i].ReadOnly = p.BindMounts[i].ReadOnly && one.readOnly
	}
	slices.SortFunc(p.BindMounts, func(a, b BindMount) int { return strings.Compare(a.Path, b.Path) })
	p.EngineSocket = sorted(p.EngineSocket)
}
